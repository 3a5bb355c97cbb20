use super::*;
use crate::entity::tests::query;
use crate::query::record;

fn render(text: &str) -> Result<String, Gap> {
    Template::parse(text).unwrap().render(&query())
}

#[test]
fn values_are_percent_encoded_into_one_segment() {
    let rows = [
        ("http://h/${principal.namespace}", "http://h/web"),
        ("http://h/${principal.id}", "http://h/spiffe%3A%2F%2Fcluster.local%2Fns%2Fweb%2Fsa%2Ffrontend"),
        ("http://h/${resource.id}/x", "http://h/shop%2Forders%2Fv1%2Forders/x"),
        ("http://h/${resource[id]}", "http://h/42"),
        ("http://h/${context.http.method}", "http://h/POST"),
        ("http://h/?c=${context.args[/change]}&n=${context.args[/count]}", "http://h/?c=CHG%207%2F%C3%A9%3F&n=3"),
        ("http://h/${context.http.headers[X-Change]}", "http://h/CHG-9"),
    ];
    for (text, url) in rows {
        assert_eq!(render(text).as_deref(), Ok(url), "{text}");
    }
}

#[test]
fn a_value_that_is_absent_or_empty_leaves_a_gap() {
    let absent = [
        "principal.nothing",
        "principal.namespace.more",
        "context.args[/nothing]",
        "context.args[/empty]",
        "context.nothing",
        "context.http[method]",
    ];
    for variable in absent {
        let gap = render(&format!("http://h/${{{variable}}}"));
        assert_eq!(gap, Err(Gap::Absent(variable.to_owned())), "{variable}");
    }
}

#[test]
fn a_value_that_would_change_what_is_asked_is_unusable() {
    for text in [
        "http://h/a/${context.args[/up]}/b",
        "http://h/a/${context.args[/up]}",
        "http://h/${context.args[/long]}",
        "http://h/${context.tools}",
        "http://h/${context.http}",
    ] {
        assert!(matches!(render(text), Err(Gap::Unusable(_))), "{text}");
    }
}

#[test]
fn nobody_in_particular_has_no_id() {
    let mut query = query();
    query.principal.uid = crate::query::Uid::new("Unauthenticated", "unauthenticated");
    let gap = Template::parse("http://h/${principal.id}").unwrap().render(&query);
    assert_eq!(gap, Err(Gap::Absent("principal.id".to_owned())));
}

#[test]
fn a_template_that_lets_a_caller_choose_the_host_is_refused() {
    let bad = [
        "http://${principal.id}/",
        "http://h${principal.id}/",
        "http://h:${principal.id}/",
        "${principal.id}://h/",
        "http://user:pass@h/",
        "http://h",
        "http://h?x=/",
        "http:///x",
        "ftp://h/",
        "HTTP://h/",
        "http://h/#x",
        "http://h/../x",
        "http://h/%2E%2e/x",
        "http://h/${principal.id",
        "http://h/$principal.id",
        "http://h/{id}",
        "http://h/${}",
        "http://h/${principal}",
        "http://h/${context[x]}",
        "http://h/${caller.id}",
        "http://h/${principal..id}",
        "http://h/${context.args[/x}",
        "http://h/${context.args[/x]y}",
    ];
    for text in bad {
        assert!(Template::parse(text).is_err(), "{text}");
    }
}

#[test]
fn any_value_stays_within_its_segment() {
    proptest::proptest!(|(value in ".*")| {
        let mut query = query();
        query.principal.set("namespace", value.as_str());
        if let Ok(url) = Template::parse("http://h:1/a/${principal.namespace}/b?c").unwrap().render(&query) {
            let url = reqwest::Url::parse(&url).unwrap();
            let segments: Vec<&str> = url.path_segments().unwrap().collect();
            proptest::prop_assert_eq!((segments.len(), segments[0], segments[2]), (3, "a", "b"));
            proptest::prop_assert_eq!((url.host_str(), url.query(), url.fragment()), (Some("h"), Some("c"), None));
            let decoded = percent_encoding::percent_decode_str(segments[1]).decode_utf8().unwrap();
            proptest::prop_assert_eq!(decoded.as_ref(), value.as_str());
        }
    });
}

#[test]
fn exactly_the_arguments_that_a_url_names_are_needed() {
    let needs = |text: &str| {
        let mut needed = Reads::default();
        Template::parse(text).unwrap().needs(&mut needed);
        needed
    };
    let args = |pointers: &[&str]| Keys::Some(pointers.iter().map(|pointer| (*pointer).to_owned()).collect());
    let needed = needs("http://h/${context.args[/change_ticket]}/${context.fields[/a/b]}?n=${context.numbers[/n]}");
    assert_eq!((needed.args, needed.body), (args(&["/change_ticket", "/n"]), true));
    assert_eq!((needed.fields, needed.message), (args(&["/a/b", "/n"]), true));
    assert!(!needs("http://h/${context.args[/a]}").message);
    for text in ["http://h/${principal.task.id}", "http://h/${context.taskParams[ticket]}", "http://h/${resource.id}"] {
        assert_eq!(needs(text), Reads::default(), "{text}");
    }
}

#[test]
fn a_task_is_asked_about_by_its_id_and_never_where_there_is_none() {
    let mut query = query();
    let template = Template::parse("http://h/tasks/${principal.task.id}").unwrap();
    assert_eq!(template.render(&query), Err(Gap::Absent("principal.task.id".to_owned())));
    let task = Value::Record(record([("id", "TASK-7781".into())]));
    query.principal.set("task", task);
    assert_eq!(template.render(&query).as_deref(), Ok("http://h/tasks/TASK-7781"));
}

#[test]
fn headers_that_policies_cannot_read_are_no_variables() {
    for header in ["authorization", "Cookie", "txn-token", "x_picket_a", "X-Envoy-External-Address", "x_envoy_peer"] {
        let problem = Template::parse(&format!("http://h/${{context.http.headers[{header}]}}")).unwrap_err();
        assert!(problem.contains("any caller can write"), "{header}: {problem}");
    }
    assert!(Template::parse("http://h/${context.http.headers[x-envoyed]}").is_ok());
}
