use super::*;
use crate::approval::tests::settings;
use picket_core::problem::Severity;

fn count(sources: &[Settings], severity: Severity) -> usize {
    let store = Store { file: Some("uses".into()) };
    let found = sources.to_vec().problems().into_iter().chain(relations(sources, &store));
    found.filter(|problem| problem.severity == severity).count()
}

#[test]
fn settings_that_cannot_work_are_problems() {
    assert_eq!(count(&[settings()], Severity::Error) + count(&[settings()], Severity::Warning), 0);
    type Change = fn(&mut Settings);
    let rows: [(&str, Change); 15] = [
        ("name", |s| s.name = "A b".to_owned()),
        ("name that ends with a hyphen", |s| s.name = "a-".to_owned()),
        ("system", |s| s.system = Some(String::new())),
        ("no reference", |s| s.url = "http://h/x".to_owned()),
        ("a host from the call", |s| s.url = "http://${reference}/".to_owned()),
        ("no header", |s| s.reference = Reference::Header(String::new())),
        ("a header of the proxy's", |s| s.reference = Reference::Header("X-Envoy-Ticket".to_owned())),
        ("a secret header", |s| s.reference = Reference::Header("Authorization".to_owned())),
        ("no pointer", |s| s.reference = Reference::Argument("ticket".to_owned())),
        ("a pointer that ends the variable", |s| s.reference = Reference::Argument("/a]b".to_owned())),
        ("a field", |s| s.fields.not_after = "window_end".to_owned()),
        ("a bound argument", |s| drop(s.bound.insert("x".to_owned(), "/x".to_owned()))),
        ("timeout", |s| s.timeout = Duration::ZERO),
        ("ttl", |s| s.ttl = Duration::from_secs(61)),
        ("in flight", |s| s.in_flight_max = 0),
    ];
    for (name, change) in rows {
        let mut one = settings();
        change(&mut one);
        assert_eq!(count(&[one], Severity::Error), 1, "{name}");
    }
}

#[test]
fn sources_that_conflict_are_problems() {
    type Change = fn(&mut Settings, &mut Settings);
    let pairs: [(&str, Change, usize); 5] = [
        ("one name, all services", |_, _| {}, 2),
        ("all services", |_, two| two.name = "b".to_owned(), 2),
        (
            "one service",
            |one, two| {
                two.name = "b".to_owned();
                two.url = "http://i/${reference}".to_owned();
                one.services = ["a/b".to_owned()].into();
                two.services = one.services.clone();
            },
            1,
        ),
        (
            "one system, apart",
            |one, two| {
                two.name = "b".to_owned();
                one.services = ["a/b".to_owned()].into();
            },
            1,
        ),
        (
            "one system, shared",
            |one, two| {
                two.name = "b".to_owned();
                two.system = Some("changes".to_owned());
                one.services = ["a/b".to_owned()].into();
            },
            0,
        ),
    ];
    for (name, change, expected) in pairs {
        let (mut one, mut two) = (settings(), settings());
        change(&mut one, &mut two);
        assert_eq!(count(&[one, two], Severity::Error), expected, "{name}");
    }
}

#[test]
fn surprising_settings_are_warnings() {
    let mut unbound = settings();
    unbound.bound.clear();
    assert_eq!(count(&[unbound], Severity::Warning), 1);
    let forgetful = relations(&[settings()], &Store::default());
    assert!(forgetful.len() == 1 && forgetful[0].key == "approvals_store.file", "{forgetful:?}");
}

#[test]
fn the_safe_values_are_the_defaults() {
    let yaml = "name: a\nreference: {header: x-a}\nurl: 'http://h/${reference}'\n\
                fields: {id: /i, kind: {pointer: /k}, state: /s, requested_by: /r, approved_by: /a, not_after: /n}";
    let settings: Settings = serde_saphyr::from_str(yaml).unwrap();
    assert_eq!((settings.ttl, settings.timeout), (Duration::ZERO, Duration::from_millis(50)));
    assert_eq!(settings.fields.one_use, Field::Constant(true));
    assert!(serde_saphyr::from_str::<Settings>(&format!("{yaml}\ncache: {{}}")).is_err());
}
