use super::*;
use crate::entity::tests::query;
use picket_core::query::record;

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
        ("http://h/?c=${context.args[/change]}&n=${context.args[/count]}", "http://h/?c=CHG%207%20%C3%A9%2B&n=3"),
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
fn a_value_that_would_change_the_request_is_unusable() {
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
fn a_value_that_any_reader_could_take_for_more_than_one_segment_is_unusable() {
    let ask = |value: &str, slashes: Slashes| {
        let mut query = query();
        query.principal.set("namespace", value);
        Template::parse("http://h/a/${principal.namespace}/b").unwrap().with_slashes(slashes).render(&query)
    };
    for value in [
        "../up",
        "x/../../up",
        "..\\up",
        "a/b",
        "/",
        "a;b",
        "a?b",
        "a#b",
        "%2e%2e",
        "%252e",
        "a%2fb",
        "100%",
        ".",
        "..",
        " .. ",
        "...",
        " ",
        "\t",
        "a\0b",
        "a\r\nb",
        "．．",
        "a／b",
        "a＼b",
        "‥",
        ".\u{200b}.",
        "a℀b",
        "a∕b",
        "%c0%ae%c0%ae",
        "％2e",
    ] {
        assert!(matches!(ask(value, Slashes::Refused), Err(Gap::Unusable(_))), "{value:?}");
    }
    for value in
        ["CHG 7", "ana+x@example.com", "key=value&more", "a:b,c", "v1.2", "..x", "été", "हिन्दी", "東京", "~a!$'()*|"]
    {
        assert!(ask(value, Slashes::Refused).is_ok(), "{value:?}");
    }
    for value in [
        "../up",
        "a/../b",
        "a/./b",
        "a/..",
        "a%2fb",
        "a/%2e%2e/b",
        "%25252e/a",
        "%25%32%65%25%32%65/a",
        "a\\b",
        "%c0%ae/x",
    ] {
        assert!(matches!(ask(value, Slashes::Allowed), Err(Gap::Unusable(_))), "{value:?}");
    }
    assert_eq!(ask("v1/a b/%C3%A9", Slashes::Allowed).as_deref(), Ok("http://h/a/v1%2Fa%20b%2F%25C3%25A9/b"));
}

#[test]
fn a_value_in_the_query_stays_behind_its_key() {
    let ask = |value: &str| {
        let mut query = query();
        query.principal.set("namespace", value);
        Template::parse("http://h/?a=${principal.namespace}&b=1").unwrap().render(&query)
    };
    for value in ["x&b=2", "x;b=2", "x#y", "x%26b=2", "x%2526b", "x＆b=2", "x\ny"] {
        assert!(matches!(ask(value), Err(Gap::Unusable(_))), "{value:?}");
    }
    for value in ["a/b", "a?b", "a=b", "abc==", "ana+x@example.com", "../x", "100%"] {
        assert!(ask(value).is_ok(), "{value:?}");
    }
}

#[test]
fn our_own_ids_have_slashes_and_never_climb() {
    let ask = |id: &str| {
        let mut query = query();
        query.resource.uid = picket_core::query::Uid::new("Path", id);
        Template::parse("http://h/a/${resource.id}/b").unwrap().render(&query)
    };
    assert!(ask("shop/orders/v1/orders").is_ok());
    for id in ["shop/orders/..", "shop/../x", "shop/orders/%2e%2e/x", "shop/orders/a%2fb", "shop/orders/a\\b"] {
        assert!(matches!(ask(id), Err(Gap::Unusable(_))), "{id}");
    }
}

#[test]
fn an_unauthenticated_caller_has_no_id() {
    let mut query = query();
    query.principal.uid = picket_core::query::Uid::new("Unauthenticated", "unauthenticated");
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
        "http://h/?${principal.id}",
        "http://h/?${principal.id}=1",
        "http://h/?a=1&k${principal.id}=1",
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
fn a_task_is_looked_up_by_its_id_and_never_without_one() {
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
