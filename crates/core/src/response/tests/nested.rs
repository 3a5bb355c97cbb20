//! Numbers, and JSON inside complete texts.

use super::helpers::{Calls, guard, mask, open, plan, secrets, stand_ins, stream, whole};
use crate::response::json::JsonBody;
use crate::response::plan::Plan;
use crate::response::ruling::{Body as _, End};

fn document(plan: Plan, text: &str) -> (String, End) {
    whole(&mut JsonBody::new(plan.into(), Box::new(Calls::default()), stand_ins()), guard, &[text])
}

/// A text as JSON spells it, with the first K as an escape.
fn hidden(text: &str) -> String {
    serde_json::Value::from(text).to_string().replacen('K', "\\u004b", 1)
}

#[test]
fn a_number_with_a_value_is_found_and_cannot_be_masked() {
    let numbers = || plan(&[("account", "12345[0-9]{4}")]);
    for event in [
        "data: {\"n\":[123450000]}\n\n",
        "data: {\"arguments\":\"{\\\"n\\\":123450000}\"}\n\n",
        "data: {\"call\":\"{\\\"n\\\":12345\"}\n\ndata: {\"call\":\"0000}\"}\n\ndata: {\"stop\":1}\n\n",
    ] {
        let mut body = stream(numbers());
        assert_eq!(whole(&mut body, open, &[event]), (event.to_owned(), End::Complete));
        assert_eq!(body.summary().findings.get("account"), Some(&1));
        let (output, end) = whole(&mut stream(numbers()), mask, &[event]);
        assert_eq!((output.as_str(), end), ("data: {\"end\":\"not_maskable\",\"left\":0}\n\n", End::NotMaskable));
    }
    assert_eq!(document(numbers(), "{\"n\":123450000}"), (String::new(), End::NotMaskable));
    assert_eq!(document(numbers(), "{\"n\":12345}").1, End::Complete);
}

#[test]
fn a_number_that_does_not_leave_is_not_found() {
    let event = "data: {\"logprobs\":[{\"n\":123450000}],\"n\":1}\n\n";
    let (output, end) = whole(&mut stream(plan(&[("account", "12345[0-9]{4}")])), mask, &[event]);
    assert_eq!((output.as_str(), end), ("data: {\"n\":1}\n\n", End::Complete));
}

#[test]
fn a_time_and_a_measure_are_not_cards() {
    let detectors = crate::content::detectors::Detectors::built_in().unwrap();
    let all = detectors.text().iter().map(|one| one.name.as_str().into()).collect();
    let plan = Plan::new(&detectors, [&all], &std::collections::BTreeSet::new()).unwrap();
    // The first is a time in milliseconds with a valid check digit, the second has the digits of a card behind its point.
    let text = "{\"at\":1700000000003,\"score\":0.4111111111111111,\"created\":1700000000}";
    assert_eq!(document(plan.clone(), text), (text.to_owned(), End::Complete));
    assert_eq!(document(plan, "{\"card\":4111111111111111}").1, End::NotMaskable);
}

#[test]
fn a_value_behind_an_escape_of_json_in_a_text_is_masked_in_place() {
    let masked = |value: &str| serde_json::Value::from(value).to_string();
    let one = hidden("KEY-12345");
    let (two, three) = (format!("{{\"k\": {one}}}"), format!("[1, {}]", masked(&format!("{{\"k\": {one}}}"))));
    for inner in [&one, &two, &three] {
        let text = format!("{{\"a\":{}}}", masked(inner));
        let (output, end) = document(secrets(), &text);
        assert_eq!(end, End::Complete, "{text}");
        assert!(output.contains("[key]") && !output.contains("EY-12345"), "{output}");
        let expected = serde_json::from_str::<serde_json::Value>(&output).unwrap();
        let shown = expected["a"].as_str().unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(shown).is_ok(), "{shown}");
    }
}

#[test]
fn a_value_that_the_text_shows_is_found_once() {
    let mut body = JsonBody::new(secrets().into(), Box::new(Calls::default()), stand_ins());
    let text = r#"{"a":"{\"k\":\"KEY-12345\\n\"}"}"#;
    assert_eq!(whole(&mut body, guard, &[text]).0, text.replace("KEY-12345", "[key]"));
    assert_eq!(body.summary().findings.get("key"), Some(&1));
}

#[test]
fn a_value_of_json_that_begins_in_a_value_of_the_text_is_masked_too() {
    let both = plan(&[("assignment", r#"k":"[a-z0-9\\]+"#), ("key", "KEY-[0-9]{5}")]);
    let (output, end) = document(both, r#"{"a":"{\"k\":\"\\u004bEY-12345\"}"}"#);
    assert_eq!((output.as_str(), end), (r#"{"a":"{\"[assignment][key]\"}"}"#, End::Complete));
}

#[test]
fn a_hidden_value_in_a_key_cannot_be_masked() {
    assert_eq!(document(secrets(), r#"{"a":"{\"\\u004bEY-12345\":1}"}"#), (String::new(), End::NotMaskable));
}

#[test]
fn json_in_a_text_with_two_readings_could_not_be_read_and_code_is_text() {
    for text in [r#"{"a":"{\"k\":\"\\u004b\",\"k\":1}"}"#, r#"{"a":"[\"\\ud800\"]"}"#] {
        assert_eq!(document(secrets(), text).1, End::Refused, "{text}");
    }
    for text in [r#"{"a":"{ print \"\\n\"; }"}"#, r#"{"a":"[a\\_b](x) \\d"}"#] {
        assert_eq!(document(secrets(), text), (text.to_owned(), End::Complete));
    }
    let mut deep = hidden("K");
    for _ in 0..9 {
        deep = serde_json::Value::from(deep).to_string();
    }
    assert_eq!(document(secrets(), &deep).1, End::Refused);
}

#[test]
fn json_in_base64_is_read_too() {
    let encode = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    let event = |text: &str| format!("data: {{\"blob\":\"text,{}\"}}\n\n", encode(text));
    let (output, _) = whole(&mut stream(secrets()), guard, &[&event(r#"{"k":"\u004bEY-12345"}"#)]);
    assert_eq!(output, event(r#"{"k":"[key]"}"#));
}
