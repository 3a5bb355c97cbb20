//! Roles of strings in event streams.

use std::sync::Arc;

use super::helpers::{guard, mask, open, secrets, steps, stream, whole};
use crate::content::detector::{Detector, Pattern};
use crate::content::mask::Mask;
use crate::content::matcher::Matcher;
use crate::content::validator::Validator;
use crate::response::format::Usage;
use crate::response::plan::Plan;
use crate::response::ruling::{Body as _, End};

#[test]
fn tx1_each_place_of_a_document_is_a_channel() {
    let (output, _) = whole(
        &mut stream(secrets()),
        mask,
        &["data: {\"l\":[\"KEY-\",\"KEY-\"]}\n\ndata: {\"l\":[\"xx\",\"12345\"]}\n\n"],
    );
    assert_eq!(output, "data: {\"l\":[\"KEY-\",\"[key]\"]}\n\ndata: {\"l\":[\"xx\",\"\"]}\n\n");
}

#[test]
fn tx2_tx3_arguments_are_held_until_the_call_is_complete() {
    let (steps, end) = steps(
        &mut stream(secrets()),
        mask,
        &[
            "data: {\"call\":\"{\\\"q\\\":\\\"\\\\u004b\"}\n\n",
            "data: {\"call\":\"EY-123\"}\n\n",
            "data: {\"text\":\"ok\"}\n\n",
            "data: {\"call\":\"45\\\"}\"}\n\n",
            "data: {\"stop\":true}\n\n",
        ],
    );
    let expected = [
        "data: {\"call\":\"{\\\"q\\\":\\\"[key]\"}\n\n",
        "data: {\"call\":\"\"}\n\n",
        "data: {\"text\":\"ok\"}\n\n",
        "data: {\"call\":\"\\\"}\"}\n\n",
        "data: {\"stop\":true}\n\n",
    ];
    assert_eq!(steps, ["", "", "", "", &expected.concat(), ""]);
    assert_eq!(end, End::Complete);
}

#[test]
fn arguments_that_are_not_json_are_text_and_may_hide_behind_a_backslash() {
    let free = "data: {\"call\":\"use KEY-12345\"}\n\ndata: {\"stop\":1}\n\n";
    let (output, end) = whole(&mut stream(secrets()), guard, &[free]);
    assert_eq!((output, end), (free.replace("KEY-12345", "[key]"), End::Complete));
    let hidden = "data: {\"call\":\"{\\\"q\\\":\\\"\\\\u004bEY-12345\\\",}\"}\n\ndata: {\"stop\":1}\n\n";
    assert_eq!(whole(&mut stream(secrets()), guard, &[hidden]).1, End::Refused);
    let complete = "data: {\"arguments\":\"{\\\"q\\\":\\\"\\\\u004bEY-12345\\\"}\"}\n\n";
    let (output, _) = whole(&mut stream(secrets()), guard, &[complete]);
    assert_eq!(output, complete.replace("\\\\u004bEY-12345", "[key]"));
}

#[test]
fn tx7_repeated_text_is_masked_again_and_counted_once() {
    let mut body = stream(secrets());
    let (output, _) = whole(
        &mut body,
        mask,
        &["data: {\"text\":\"KEY-12345 \"}\n\n", "data: {\"again\":\"KEY-12345 \",\"stop\":1}\n\n"],
    );
    assert_eq!(output, "data: {\"text\":\"[key] \"}\n\ndata: {\"again\":\"[key] \",\"stop\":1}\n\n");
    assert_eq!(body.summary().findings.get("key"), Some(&1));
}

#[test]
fn tx10_tx11_an_unknown_event_is_masked_and_changes_nothing_for_the_next() {
    let (output, _) = whole(
        &mut stream(secrets()),
        mask,
        &["event: new\ndata: {\"x\":{\"y\":[\"KEY-12345 \"]}}\n\n", "data: {\"text\":\"KEY-12345 \"}\n\n"],
    );
    assert_eq!(output, "event: new\ndata: {\"x\":{\"y\":[\"[key] \"]}}\n\ndata: {\"text\":\"[key] \"}\n\n");
}

#[test]
fn tx12_the_end_of_a_scope_lets_out_what_is_held() {
    let pieces = ["data: {\"text\":\"KEY-\"}\n\n", "data: {\"stop\":1}\n\n"];
    let (steps, _) = steps(&mut stream(secrets()), mask, &pieces);
    assert_eq!(steps, ["", &pieces.concat(), ""]);
}

#[test]
fn tx12_text_in_a_scope_that_ended_could_not_be_read() {
    let events = "data: {\"text\":\"KEY-\"}\n\ndata: {\"stop\":1}\n\ndata: {\"text\":\"12345\"}\n\n";
    let (output, end) = whole(&mut stream(secrets()), guard, &[events]);
    let ending = "data: {\"end\":\"refused\",\"left\":2}\n\n";
    assert_eq!(
        (output, end),
        (format!("data: {{\"text\":\"KEY-\"}}\n\ndata: {{\"stop\":1}}\n\n{ending}"), End::Refused)
    );
}

#[test]
fn tx13_usage_is_forwarded_in_order_and_reported() {
    let mut body = stream(secrets());
    let event = "data: {\"usage\":{\"n\":1}}\n\n";
    assert_eq!(whole(&mut body, guard, &[event]).0, event);
    assert_eq!(body.summary().usage, Some(Usage { input_tokens: 3, output_tokens: 4 }));
}

#[test]
fn tx14_events_without_a_value_leave_at_once_as_they_are() {
    let pieces = ["data: {\"text\":\"a \"}\n\n", "data: {\"text\":\" b\"}\n\n", "data: {\"text\":\"\"}\n\n"];
    assert_eq!(steps(&mut stream(secrets()), mask, &pieces).0[..3], pieces);
}

#[test]
fn tx15_a_certain_value_without_an_end_holds_nothing() {
    let (steps, _) = steps(
        &mut stream(secrets()),
        mask,
        &["data: {\"text\":\"staff:a\"}\n\n", "data: {\"text\":\"bcd\"}\n\n", "data: {\"text\":\"e f\"}\n\n"],
    );
    let expected = ["data: {\"text\":\"[staff]\"}\n\n", "data: {\"text\":\"\"}\n\n", "data: {\"text\":\" f\"}\n\n", ""];
    assert_eq!(steps, expected);
}

#[test]
fn tx6_tx19_exempt_strings_and_media_stay_and_media_are_named() {
    let event = "data: {\"id\":\"KEY-12345\",\"image\":\"KEY-12345\"}\n\n";
    assert_eq!(whole(&mut stream(secrets()), open, &[event]).0, event);
    assert_eq!(whole(&mut stream(secrets()), guard, &[event]).1, End::Refused);
}

#[test]
fn text_in_base64_is_decoded_masked_and_encoded() {
    let event = |text: &str| {
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
        format!("data: {{\"blob\":\"text,{encoded}\"}}\n\n")
    };
    let (output, _) = whole(&mut stream(secrets()), guard, &[&event("my KEY-12345, yes")]);
    assert_eq!(output, event("my [key], yes"));
    assert_eq!(whole(&mut stream(secrets()), guard, &["data: {\"blob\":\"text,%%%\"}\n\n"]).1, End::Refused);
}

#[test]
fn edits_of_the_format_apply_always_or_once_something_was_masked() {
    let event = "data: {\"logprobs\":[1], \"offset\":7,\"text\":\"a\"}\n\n";
    let masked = "data: {\"text\":\"KEY-12345 \"}\n\n";
    let (output, _) = whole(&mut stream(secrets()), mask, &[event, masked, event]);
    let edited = event.replace("\"logprobs\":[1], ", "");
    assert_eq!(output, [edited.clone(), masked.replace("KEY-12345", "[key]"), edited.replace('7', "null")].concat());
}

#[test]
fn tx5_a_withheld_event_leaves_no_byte() {
    let mut body = stream(secrets());
    let (output, end) = whole(&mut body, guard, &["data: {\"thinking\":\"KEY-12345\"}\n\ndata: {\"n\":1}\n\n"]);
    assert_eq!((output.as_str(), end, body.summary().frames_withheld), ("data: {\"n\":1}\n\n", End::Complete, 1));
}

#[test]
fn stand_ins_are_numbered_in_the_order_of_the_document() {
    let user = Detector {
        name: "user".to_owned(),
        patterns: vec![Pattern::parse("u[0-9]", Validator::None).unwrap()],
        mask: Mask::Pseudonym { kind: "user".to_owned(), restore: false },
    };
    let plan =
        || Plan { passes: vec![Arc::new(Matcher::new(std::slice::from_ref(&user)).unwrap())], ..Plan::default() };
    // The arguments are scanned last, and leave first.
    let events = "data: {\"call\":\"u3\"}\n\ndata: {\"b\":\"u1\",\"a\":\"u2 u1\"}\n\ndata: {\"stop\":1}\n\n";
    let stand_in = |number| format!("user-0707070707070707-{number}");
    let (output, _) = whole(&mut stream(plan()), mask, &[events]);
    assert_eq!(output, events.replace("u3", &stand_in(1)).replace("u1", &stand_in(2)).replace("u2", &stand_in(3)));
}
