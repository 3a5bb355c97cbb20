use serde_json::json;

use super::*;
use crate::approval::tests::{call, settings, ticket};

/// The ticket with the value at a pointer replaced, as read.
fn read(pointer: &str, value: Json) -> Result<Record, String> {
    let mut answer = ticket();
    *answer.pointer_mut(pointer).unwrap() = value;
    Record::read(&settings(), &answer)
}

#[test]
fn an_answer_is_read_by_its_pointers() {
    let record = Record::read(&settings(), &ticket()).unwrap();
    assert_eq!((record.id.as_str(), record.kind.as_str(), record.state.as_str()), ("CHG1", "change", "approved"));
    assert_eq!((record.not_before, record.not_after), (1_789_563_600_000, 1_789_574_400_000));
    assert!(record.one_use && !record.used && !record.is_self_approved());
}

#[test]
fn an_incomplete_answer_is_an_error_and_not_an_approval() {
    for (pointer, value) in [
        ("/id", json!(1)),
        ("/id", json!("")),
        ("/id", json!(null)),
        ("/state", json!(["approved"])),
        ("/state", json!(true)),
        ("/requested_by", json!(null)),
        ("/requested_by", json!(" ")),
        ("/approved_by", json!({"lee": true})),
        ("/approved_by", json!(["lee", 7])),
        ("/window_start", json!("16 September")),
        ("/window_end", json!("2026-09-16T16:00:00")),
        ("/window_end", json!(true)),
        ("/window_end", json!(1e40)),
        ("/window_end", json!(i64::MAX)),
        ("/consumed", json!("false")),
        ("/consumed", json!(null)),
        ("/single_use", json!(0)),
    ] {
        let why = read(pointer, value.clone()).unwrap_err();
        assert!(why.contains(pointer), "{pointer} {value}: {why}");
    }
    assert!(Record::read(&settings(), &json!([])).is_err());
}

#[test]
fn a_missing_window_is_never_open() {
    let open = |record: &Record| record.not_before <= record.not_after;
    for (pointer, is_open) in [("/window_start", false), ("/window_end", false)] {
        assert_eq!(open(&read(pointer, json!(null)).unwrap()), is_open, "{pointer}");
    }
    assert!(open(&read("/window_end", json!(1_789_574_400)).unwrap()), "seconds since 1970");
    let mut settings = settings();
    settings.fields.not_before = None;
    assert!(open(&Record::read(&settings, &ticket()).unwrap()), "no start is configured");
}

#[test]
fn only_another_person_approves() {
    for (approved_by, is_self) in [
        (json!(["lee@prod"]), false),
        (json!("lee@prod"), false),
        (json!(["ana@prod", "lee@prod"]), false),
        (json!(["ana@prod"]), true),
        (json!(["Ana@Prod ", "ANA@PROD"]), true),
        (json!([]), true),
        (json!(null), true),
        (json!(["", " "]), true),
    ] {
        assert_eq!(read("/approved_by", approved_by.clone()).unwrap().is_self_approved(), is_self, "{approved_by}");
    }
}

#[test]
fn every_bound_argument_must_be_there_and_equal_by_value_and_type() {
    let matches = |answer: &Json, tags: &[(&str, &str, &str)]| {
        Record::read(&settings(), answer).unwrap().matches(&call(tags), None)
    };
    let good = [("/service", "checkout", "string"), ("/replicas", "3", "number"), ("/force", "true", "boolean")];
    assert!(matches(&ticket(), &good));
    // An argument that nothing binds is free.
    assert!(matches(&ticket(), &[good[0], good[1], good[2], ("/comment", "x", "string")]));
    for (index, tag) in [
        (0, ("/service", "search", "string")),
        (0, ("/service", "Checkout", "string")),
        (0, ("/service", "checkout", "list")),
        (0, ("/other", "checkout", "string")),
        (1, ("/replicas", "30", "number")),
        (1, ("/replicas", "3", "string")),
        (2, ("/force", "true", "string")),
        (2, ("/force", "false", "boolean")),
    ] {
        let mut tags = good;
        tags[index] = tag;
        assert!(!matches(&ticket(), &tags), "{tag:?}");
    }
    for value in [json!(null), json!(["checkout"]), json!({"is": "checkout"})] {
        let mut answer = ticket();
        answer["service"] = value.clone();
        assert!(!matches(&answer, &good), "{value}");
        assert!(!matches(&answer, &[good[1], good[2]]), "{value} and no argument");
    }
    for spelling in ["3.0", "3e0", "30e-1"] {
        let mut answer = ticket();
        answer["replicas"] = serde_json::from_str(spelling).unwrap();
        assert!(matches(&answer, &good), "{spelling}");
    }
}

#[test]
fn a_number_that_a_double_cannot_tell_from_others_equals_nothing() {
    let canonical = |text: &str| canonical(&serde_json::from_str(text).unwrap());
    for (text, expected) in [
        ("0", Some("0")),
        ("-0.0", Some("0")),
        ("1.50", Some("1.5")),
        ("-2.5e1", Some("-25")),
        ("0.000001", Some("0.000001")),
        ("18446744073709551615", Some("18446744073709551615")),
        ("18446744073709551616", None),
        ("9007199254740993.0", None),
        ("1e-7", None),
        ("1e300", None),
    ] {
        assert_eq!(canonical(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn a_digest_binds_with_the_arguments_or_alone() {
    let tags = [("/service", "checkout", "string"), ("/replicas", "3", "number"), ("/force", "true", "boolean")];
    let mut settings = settings();
    settings.fields.digest = Some("/digest".to_owned());
    let matches = |settings: &Settings, recorded: Json, ours: Option<&str>| {
        let mut answer = ticket();
        answer["digest"] = recorded;
        Record::read(settings, &answer).unwrap().matches(&call(&tags), ours)
    };
    let mut alone = settings.clone();
    alone.bound.clear();
    // Recorded, ours, whether it matches beside arguments, and alone.
    for (recorded, ours, beside, without) in [
        (json!("sha256:aa"), Some("sha256:aa"), true, true),
        (json!("sha256:aa"), Some("sha256:bb"), false, false),
        (json!("sha256:aa"), None, false, false),
        (json!(null), Some("sha256:aa"), true, false),
        (json!(null), None, true, false),
        (json!(""), None, false, false),
    ] {
        assert_eq!(matches(&settings, recorded.clone(), ours), beside, "{recorded} {ours:?}");
        assert_eq!(matches(&alone, recorded.clone(), ours), without, "{recorded} {ours:?} alone");
    }
    let mut answer = ticket();
    answer["digest"] = json!(7);
    assert!(Record::read(&settings, &answer).is_err());
    let mut nothing = alone;
    nothing.fields.digest = None;
    assert!(!Record::read(&nothing, &ticket()).unwrap().matches(&call(&tags), Some("sha256:aa")), "bound to nothing");
}
