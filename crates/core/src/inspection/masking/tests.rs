//! Values are masked wherever an inspection finds them.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::*;
use crate::inspection::{Message, inspect};

const FILE: &str = "detectors:
  incident: {pattern: 'INC-[0-9]{4}-[0-9]{5}'}
  salary: {fields: ['$..salary']}
  level: {fields: ['$.level'], mask: null}
  name: {fields: ['$.name'], mask: {fixed: '[n]'}}
  near: {pattern: '[0-9]{5} of [a-z]+', mask: {fixed: '[near]'}}
  tail: {builtin: card, mask: {keep_last: 4}}
  customer: {builtin: email, mask: {pseudonym: customer}}
";
const VALUE: &str = "INC-2026-00412";

fn set() -> Arc<DetectorSet> {
    DetectorSet::of(Some(&Arc::from(FILE)), None).unwrap()
}

fn masked_as(body: &str, shape: Shape, names: &[&str]) -> Result<String, NotMaskable> {
    let names = names.iter().map(SmolStr::new).collect();
    let mut stand_ins = StandIns::new([7; 8]);
    let masked = mask(body.as_bytes(), shape, (&set(), &names), &mut stand_ins, &|| false)?;
    Ok(String::from_utf8(masked).unwrap())
}

fn masked(body: &str, names: &[&str]) -> Result<String, NotMaskable> {
    masked_as(body, Shape::Json, names)
}

/// Names of the detectors that find something in a document.
fn found(body: &str, names: &[&str]) -> Vec<String> {
    let set = set();
    let presences = set.presences(|name| names.contains(&name)).unwrap();
    let document = json::parse(body.as_bytes(), Limits::default()).unwrap();
    let message = Message::Json { document, also: None, sealed: Sealed::None };
    inspect(&message, &presences, &|| false).unwrap().found.into_iter().map(|name| name.to_string()).collect()
}

#[test]
fn only_the_strings_with_a_value_change() {
    let body = format!(" {{\"a\" : \"see {VALUE}, {VALUE}\",\r\n\"b\\u0061\":[\"\\u00e9\", 1.50,null]}} ");
    let expected = " {\"a\" : \"see [incident], [incident]\",\r\n\"b\\u0061\":[\"\\u00e9\", 1.50,null]} ";
    assert_eq!(masked(&body, &["incident"]).unwrap(), expected);
    assert_eq!(masked(&body, &["card"]).unwrap(), body);
}

#[test]
fn a_value_is_masked_in_every_form_that_an_inspection_reads() {
    let inner = json!({"a": [format!("x {VALUE}")], "b": "\u{1}\\ \""}).to_string();
    let url = |data: &str| format!("see data:text/plain;base64,{} and more", STANDARD.encode(data));
    let escaped = "INC\\u002d2026-00412";
    for text in [
        inner.clone(),
        json!({"deep": inner}).to_string(),
        STANDARD.encode(format!("a text with {VALUE}")),
        STANDARD.encode(&inner),
        url(&format!("a {VALUE}")),
        url(&inner),
        "data:,INC%2d2026-00412".to_owned(),
        format!("print(\"a \\\\d+ \\n{VALUE}\\n\") {escaped}"),
        format!("{{\"part\": \"{escaped}"),
        format!("\u{1f600} \\u00e9 {escaped} \u{e9}"),
    ] {
        let body = json!({"kept": "\u{e9}\n\u{1f600}", "text": text}).to_string();
        assert_eq!(found(&body, &["incident"]), ["incident"], "{text}");
        let masked = masked(&body, &["incident"]).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(found(&masked, &["incident"]), Vec::<String>::new(), "{masked}");
        let kept: serde_json::Value = serde_json::from_str(&masked).unwrap();
        assert_eq!(kept["kept"], "\u{e9}\n\u{1f600}");
    }
}

#[test]
fn what_is_around_a_value_in_another_form_stays() {
    let text = |body: &str| {
        let masked = masked(&json!({ "t": body }).to_string(), &["incident"]).unwrap();
        serde_json::from_str::<serde_json::Value>(&masked).unwrap()["t"].as_str().unwrap().to_owned()
    };
    assert_eq!(text(r"a \d+ \n INC\u002d2026-00412 \s"), r"a \d+ \n [incident] \s");
    assert_eq!(text(&format!("{{\"a\": 1.0, \"b\":\"\\n{VALUE}\"}}")), "{\"a\": 1.0, \"b\":\"\\n[incident]\"}");
    let decoded = STANDARD.decode(text(&STANDARD.encode(format!("a text with {VALUE} in it")))).unwrap();
    assert_eq!(decoded, b"a text with [incident] in it");
    let (begin, end) = ("see data:text/plain;base64,", " and more");
    let url = text(&format!("{begin}{}{end}", STANDARD.encode(format!("a {VALUE}"))));
    assert_eq!(url, format!("{begin}{}{end}", STANDARD.encode("a [incident]")));
}

#[test]
fn overlapping_values_leave_no_part_of_either() {
    let body = json!({"a": "INC-2026-00412 of web"}).to_string();
    assert_eq!(masked(&body, &["incident", "near"]).unwrap(), json!({"a": "[incident]"}).to_string());
    assert_eq!(masked(&body, &["near"]).unwrap(), json!({"a": "INC-2026-[near]"}).to_string());
}

#[test]
fn each_mask_has_its_form() {
    let body = json!({"a": "4111 1111 1111 1111 bob@corp.example, bob@corp.example"}).to_string();
    let expected = json!({"a": "****1111 customer-0707070707070707-1, customer-0707070707070707-1"}).to_string();
    assert_eq!(masked(&body, &["tail", "customer"]).unwrap(), expected);
}

#[test]
fn fields_are_masked_by_their_place_in_the_message() {
    for (body, expected) in [
        (r#"{"salary":1,"a":2}"#, r#"{"a":2}"#),
        (r#"{"a":[{"salary":[1]}],"salary":"x" }"#, r#"{"a":[{}] }"#),
        (r#"{"level":{"a":1},"name":"x"}"#, r#"{"level":null,"name":"[n]"}"#),
        (r#"{"a":{"name":1,"level":2}}"#, r#"{"a":{"name":1,"level":2}}"#),
        (
            r#"{"salary":1, "salary2":2, "a":{"salary":1,"salary3":{"salary":2}}}"#,
            r#"{"salary2":2, "a":{"salary3":{}}}"#,
        ),
    ] {
        assert_eq!(masked(body, &["salary", "level", "name"]).unwrap(), expected);
    }
    assert_eq!(masked(r#"{"name":1}"#, &["name"]), Err(NotMaskable::Field));
    // Paths of JSON-RPC begin in `params`.
    let rpc = r#"{"name":"a","level":1,"params":{"name":"b","level":2}}"#;
    let expected = r#"{"name":"a","level":1,"params":{"name":"[n]","level":null}}"#;
    assert_eq!(masked_as(rpc, Shape::Rpc, &["level", "name"]).unwrap(), expected);
    assert_eq!(masked_as(&format!("[{rpc}]"), Shape::Rpc, &["level", "name"]).unwrap(), format!("[{expected}]"));
}

#[test]
fn a_value_that_cannot_be_replaced_masks_nothing() {
    let names = ["incident", "card"];
    let bytes = STANDARD.encode([VALUE.as_bytes(), &[0xff, 0, 1, 2]].concat());
    for (body, expected) in [
        (json!({"a": VALUE, VALUE: 1}).to_string(), NotMaskable::Name),
        (json!({"a": VALUE, "b": 4111111111111111u64}).to_string(), NotMaskable::Number),
        (json!({ "a": bytes }).to_string(), NotMaskable::Bytes),
        (VALUE.to_owned(), NotMaskable::Body),
        ("{\"a\":1,\"a\":2}".to_owned(), NotMaskable::Body),
    ] {
        assert_eq!(masked(&body, &names), Err(expected), "{body}");
    }
    assert_eq!(masked("{}", &["unknown"]), Err(NotMaskable::Unknown));
    let sealed = json!({"content": [{"type": "thinking", "signature": VALUE}]}).to_string();
    assert_eq!(masked_as(&sealed, Shape::Model, &names), Err(NotMaskable::Sealed));
    assert!(masked(&sealed, &names).is_ok());
}

#[test]
fn text_deeper_than_is_read_is_not_masked_in_part() {
    let deep = (0..12).fold(VALUE.to_owned(), |text, _| json!([text]).to_string());
    assert_eq!(masked(&json!({ "a": deep }).to_string(), &["incident"]), Err(NotMaskable::Nested));
}

#[test]
fn a_late_mask_is_none() {
    let body = json!({"a": "x".repeat(BYTES_BETWEEN_CHECKS)}).to_string();
    let names = [SmolStr::new("incident")].into();
    let late = mask(body.as_bytes(), Shape::Json, (&set(), &names), &mut StandIns::new([0; 8]), &|| true);
    assert_eq!(late, Err(NotMaskable::Late));
}
