//! Complete documents, and fields.

use std::sync::Arc;

use super::helpers::{Calls, guard, mask, open, secrets, stand_ins, stream, whole};
use crate::content::detectors::{FieldDetector, FieldMask};
use crate::content::json_path::JsonPath;
use crate::response::document::Document;
use crate::response::json::JsonBody;
use crate::response::map::Splice;
use crate::response::plan::Plan;
use crate::response::ruling::{Body as _, End, Ruling, Seen};

fn document(plan: Plan) -> JsonBody {
    JsonBody::new(Arc::new(plan), Box::new(Calls::default()), stand_ins())
}

fn fields(fields: &[(&str, &str, FieldMask)]) -> Plan {
    let field = |(name, path, mask): &(&str, &str, FieldMask)| FieldDetector {
        name: (*name).to_owned(),
        paths: vec![JsonPath::parse(path).unwrap()],
        mask: mask.clone(),
    };
    Plan { fields: fields.iter().map(field).collect(), ..secrets() }
}

#[test]
fn a_document_has_one_ruling_about_all_findings() {
    let mut asked = Vec::new();
    let mut rule = |seen: &Seen| {
        asked.push(seen.clone());
        mask(seen)
    };
    let (mut body, mut out) = (document(secrets()), Vec::new());
    body.push(br#"{"a":"KEY-12345","b":["staff:ann"],"image":"x"}"#, &mut rule, &mut out);
    assert!(out.is_empty());
    body.finish(&mut rule, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), r#"{"a":"[key]","b":["[staff]"],"image":"x"}"#);
    let seen =
        Seen { found: ["key".into(), "staff".into()].into(), inspected: true, passed: ["image/png".into()].into() };
    assert_eq!(asked, [seen]);
}

#[test]
fn a_document_that_is_refused_or_too_long_leaves_no_byte() {
    let (output, end) = whole(&mut document(secrets()), |_| Ruling::Refuse, &["{}"]);
    assert_eq!((output.as_str(), end), ("", End::Refused));
    let mut small = secrets();
    small.limits.document_bytes_max = 4;
    let (output, end) = whole(&mut document(small), open, &["[1,", "2]"]);
    assert_eq!((output.as_str(), end), ("", End::TooLong));
}

#[test]
fn a_document_that_its_format_withholds_leaves_no_byte() {
    let mut body = document(secrets());
    let (output, end) = whole(&mut body, open, &[r#"{"thinking":1,"a":"KEY-12345"}"#]);
    assert_eq!((output.as_str(), end, body.summary().frames_withheld), ("", End::Refused, 1));
}

#[test]
fn a_document_with_two_readings_could_not_be_read() {
    let deep = "[".repeat(65) + &"]".repeat(65);
    for text in [r#"{"a":1,"a":2}"#, r#"["\ud800"]"#, "[1", "", "\u{feff}[]", &deep] {
        assert_eq!(whole(&mut document(secrets()), open, &[text]), (text.to_owned(), End::Complete));
        assert_eq!(whole(&mut document(secrets()), guard, &[text]).1, End::Refused, "{text}");
    }
}

#[test]
fn fields_are_dropped_with_one_comma() {
    let plan = || fields(&[("salary", "$..salary", FieldMask::Drop), ("even", "$.l[::2]", FieldMask::Drop)]);
    for (text, expected) in [
        (r#"{"salary":1}"#, "{}"),
        (r#"{ "salary" : 1 , "a" : 2 }"#, r#"{ "a" : 2 }"#),
        (r#"{"a":2, "salary":{"x":[1]}}"#, r#"{"a":2}"#),
        (r#"{"a":{"b":[{"salary":1},{"c":1,"salary":2,"d":3}]}}"#, r#"{"a":{"b":[{},{"c":1,"d":3}]}}"#),
        (r#"{"l":[0,1,2,3,4]}"#, r#"{"l":[1,3]}"#),
        (r#"{"l":[0]}"#, r#"{"l":[]}"#),
        (r#"{"salary":"KEY-12345","x":"KEY-12345"}"#, r#"{"x":"[key]"}"#),
    ] {
        assert_eq!(whole(&mut document(plan()), mask, &[text]), (expected.to_owned(), End::Complete), "{text}");
        assert_eq!(whole(&mut document(plan()), open, &[text]).0, text);
    }
}

#[test]
fn fields_are_replaced_and_a_fixed_text_replaces_texts_only() {
    let plan = || fields(&[("a", "$.a", FieldMask::Null), ("b", "$.b", FieldMask::Fixed("[b]".to_owned()))]);
    let (output, _) = whole(&mut document(plan()), mask, &[r#"{"a":{"x":1},"b":"text"}"#]);
    assert_eq!(output, r#"{"a":null,"b":"[b]"}"#);
    let (output, _) = whole(&mut document(plan()), mask, &[r#"{"b":7}"#]);
    assert_eq!(output, r#"{"b":null}"#);
}

#[test]
fn fields_of_an_event_are_found_too() {
    let plan = fields(&[("salary", "$..salary", FieldMask::Drop)]);
    let (output, _) = whole(&mut stream(plan), mask, &["data: {\"a\":1,\ndata: \"salary\":\ndata: 5}\n\n"]);
    assert_eq!(output, "data: {\"a\":1\ndata: \ndata: }\n\n");
}

#[test]
fn a_document_that_is_removed_becomes_null() {
    let limits = secrets().limits.of_json(9);
    let splices = Document::parse(" [1] ", limits).unwrap().removals(&[0].into());
    assert_eq!(splices, [Splice { at: 1..4, with: "null".to_owned() }]);
}
