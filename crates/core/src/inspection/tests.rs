//! Messages that hold a key in every place and form.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;
use crate::body::json::{self, Limits};
use crate::content::detector_set::DetectorSet;

/// No scanner of repositories takes this test for a leak.
fn key() -> String {
    ["AKIA", "IOSFODNN7EXAMPLE"].concat()
}

fn message(text: &str) -> Message {
    let document = json::parse(text.as_bytes(), Limits::default()).unwrap_or_else(|error| panic!("{error}: {text}"));
    Message::Json { document, also: None, sealed: Sealed::OfModels }
}

fn inspected(message: &Message) -> Inspection {
    let set = DetectorSet::built_in();
    inspect(message, &set.presences(|name| name == "aws_key").unwrap(), &|| false).unwrap()
}

fn of(value: &serde_json::Value) -> Inspection {
    inspected(&message(&value.to_string()))
}

fn has_key(inspection: &Inspection) -> bool {
    inspection.found.contains("aws_key")
}

#[test]
fn a_value_is_found_in_every_form_of_text() {
    let key = key();
    let utf16: Vec<u8> = key.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for text in [
        key.clone(),
        format!("use {key}, please"),
        STANDARD.encode(&key),
        URL_SAFE_NO_PAD.encode(format!("??>>{key}")),
        STANDARD.encode(STANDARD.encode(format!("twice {key}"))),
        format!("data:text/plain;base64,{}", STANDARD.encode(&key)),
        format!("![x](DATA:;BASE64,{})", STANDARD.encode(&key)),
        format!("data:text/plain,%41{}", &key[1..]),
        serde_json::json!({"command": format!("login {key}")}).to_string(),
        format!("{{\"a\": 1, \"a\": \"\\u0041{}\"}}", &key[1..]),
        format!(r"print('\x41{}')", &key[1..]),
        serde_json::json!([serde_json::json!({"k": STANDARD.encode(&key)}).to_string()]).to_string(),
        STANDARD.encode(utf16),
        STANDARD.encode([b"\xff\x00PDF ", key.as_bytes()].concat()),
    ] {
        assert!(has_key(&of(&serde_json::json!({"a": [text]}))), "{text}");
        assert!(has_key(&of(&serde_json::json!({text.clone(): 1}))), "as a name: {text}");
        let also = Message::Json { document: Json::empty(), also: Some(text.clone()), sealed: Sealed::None };
        assert!(has_key(&inspected(&also)), "outside the document: {text}");
    }
    assert_eq!(inspected(&message(r#"{"a": "no key", "b": [1, true, null]}"#)), Inspection::default());
}

#[test]
fn a_number_and_a_field_are_found() {
    let set = DetectorSet::of(Some(&r#"detectors: {salary: {fields: ["$..salary"]}}"#.into()), None).unwrap();
    let presences = set.presences(|name| ["salary", "card"].contains(&name)).unwrap();
    let found = |text: &str| inspect(&message(text), &presences, &|| false).unwrap().found;
    assert_eq!(found(r#"{"card": 4111111111111111}"#), ["card".into()].into());
    assert_eq!(found(r#"{"staff": [{"salary": null}]}"#), ["salary".into()].into());
    assert_eq!(found(r#"{"mimeType": "image/png", "salary": "", "data": ""}"#), ["salary".into()].into());
    assert!(found(r#"{"staff": "{\"salary\": 1}"}"#).is_empty(), "the place is one of the message");
}

#[test]
fn a_part_that_is_not_text_is_reported() {
    let image = STANDARD.encode(b"\x89PNG\r\n\x1a\n".repeat(100));
    let small = STANDARD.encode(b"\x89PNG\r\n\x1a\n".repeat(3));
    let none = "no key in here";
    for (value, expected) in [
        (serde_json::json!({"type": "image", "mimeType": "image/png", "data": small}), Some(Unread::Media)),
        (serde_json::json!({"mimeType": "application/octet-stream", "blob": small}), Some(Unread::Bytes)),
        (
            serde_json::json!({"mimeType": "text/plain", "blob": STANDARD.encode(b"\xff".repeat(99))}),
            Some(Unread::Text),
        ),
        (serde_json::json!({"mimeType": "text/plain", "blob": STANDARD.encode(none)}), None),
        (serde_json::json!({"mimeType": "image/png", "uri": "https://a.example/x.png"}), None),
        (serde_json::json!({"image_url": {"url": format!("data:image/png;base64,{small}")}}), Some(Unread::Media)),
        (serde_json::json!({"text": format!("see data:image/png;base64,{small} there")}), Some(Unread::Media)),
        (serde_json::json!({"text": "data:text/plain;base64,?"}), Some(Unread::Text)),
        (serde_json::json!({"input_audio": {"data": image, "format": "wav"}}), Some(Unread::Bytes)),
        (serde_json::json!({"arguments": serde_json::json!({"file": image}).to_string()}), Some(Unread::Bytes)),
        (serde_json::json!({"type": "thinking", "signature": image}), None),
        (serde_json::json!({"type": "redacted_thinking", "data": image}), None),
        (serde_json::json!({"type": "reasoning", "encrypted_content": image}), None),
        (serde_json::json!({"digest": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}), None),
        (serde_json::json!({"text": "our data: first, second; metadata:a/b,c"}), None),
    ] {
        assert_eq!(of(&value).unread, expected, "{value}");
    }
    let tool = serde_json::json!({"signature": image}).to_string();
    let document = json::parse(tool.as_bytes(), Limits::default()).unwrap();
    let of_tool = Message::Json { document, also: None, sealed: Sealed::None };
    assert_eq!(inspected(&of_tool).unread, Some(Unread::Bytes), "only a model's provider verifies a signature");
    assert_eq!(inspected(&Message::Opaque).unread, Some(Unread::Body));
    assert_eq!(inspected(&Message::Empty).unread, None);
}

#[test]
fn encodings_without_end_are_reported_and_do_not_take_longer() {
    let mut text = key();
    for _ in 0..12 {
        text = format!("data:text/plain;base64,{}", STANDARD.encode(text));
    }
    assert_eq!(of(&serde_json::json!({"a": text})).unread, Some(Unread::Nested));
}

#[test]
fn encodings_that_overlap_are_bounded() {
    let many = "data:,".repeat(20_000);
    assert_eq!(of(&serde_json::json!({"a": many})).unread, Some(Unread::Nested));
    let inner = serde_json::json!([key(), "\\\\\\"]).to_string();
    let nested = (0..6).fold(inner, |inner, _| serde_json::json!([inner, "\\"]).to_string());
    assert!(has_key(&of(&serde_json::json!({"a": nested}))));
}

#[test]
fn a_late_inspection_ends() {
    let set = DetectorSet::built_in();
    let presences = set.presences(|name| name == "aws_key").unwrap();
    let long = message(&serde_json::json!(["x ".repeat(100_000), "y"]).to_string());
    assert_eq!(inspect(&long, &presences, &|| true), Err(Late));
    assert!(inspect(&message("[1]"), &presences, &|| true).is_ok());
}

/// A document with the text in one place of any depth.
fn around(text: String) -> impl Strategy<Value = serde_json::Value> {
    let leaf = Just(serde_json::Value::String(text.clone()));
    leaf.prop_recursive(6, 12, 2, move |inner| {
        let name =
            prop::sample::select(&["a", "data", "mimeType", "type", "text", "content", "signature", "é\"\\"][..]);
        let other = prop::sample::select(vec![
            serde_json::json!(1),
            serde_json::json!("image/png"),
            serde_json::json!(null),
            serde_json::json!("x"),
        ]);
        prop_oneof![
            (inner.clone(), other.clone()).prop_map(|(inner, other)| serde_json::json!([other, inner])),
            (inner.clone(), name.clone(), name, other)
                .prop_map(|(inner, one, two, other)| serde_json::json!({one: other, two: inner})),
            inner.clone().prop_map(|inner| serde_json::Value::String(inner.to_string())),
            inner.clone().prop_map(|inner| serde_json::Value::String(STANDARD.encode(inner.to_string()))),
        ]
    })
}

proptest! {
    /// proptest prints the seed of a failure.
    #[test]
    fn a_value_in_any_place_is_found_or_the_inspection_is_incomplete(
        before in "[ -~é]{0,12}[ ,]",
        document in Just(()).prop_flat_map(|()| around(format!("a {} b", key()))),
    ) {
        let document = serde_json::json!([before, document]);
        let inspection = of(&document);
        prop_assert!(has_key(&inspection) || inspection.unread.is_some(), "{document}");
    }
}
