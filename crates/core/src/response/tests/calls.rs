//! Tool calls leave completely or not at all, and a finding counts also if it is the reason of a refusal.

use std::collections::BTreeMap;

use super::helpers::{Calls, guard, mask, plan, secrets, stand_ins, steps, stream, whole};
use crate::response::json::JsonBody;
use crate::response::plan::Plan;
use crate::response::ruling::{Body, End, Ruling, Seen};
use crate::response::text::TextBody;

fn refuse(seen: &Seen) -> Ruling {
    if seen.found.is_empty() { mask(seen) } else { Ruling::Refuse }
}

#[test]
fn a_call_that_is_refused_leaves_no_part_of_itself() {
    let text = "data: {\"a\":\"One moment. \"}\n\n";
    for start in ["data: {\"call\":\"\",\"id\":\"c1\"}\n\n", "data: {\"call\":\"{\",\"id\":\"c1\"}\n\n"] {
        let events = [text, start, "data: {\"call\":\"staff:ann\"}\n\n", "data: {\"stop\":1}\n\n"];
        let (steps, end) = steps(&mut stream(secrets()), refuse, &events);
        assert_eq!(steps, [text, "", "", "data: {\"end\":\"refused\",\"left\":1}\n\n"]);
        assert_eq!(end, End::Refused);
    }
}

#[test]
fn a_call_with_a_value_in_a_key_that_is_to_be_masked_leaves_no_part_of_itself() {
    let events = ["data: {\"call\":\"{\\\"KEY-\"}\n\ndata: {\"call\":\"12345\\\":1}\"}\n\ndata: {\"stop\":1}\n\n"];
    let (output, end) = whole(&mut stream(secrets()), mask, &events);
    assert_eq!((output.as_str(), end), ("data: {\"end\":\"not_maskable\",\"left\":0}\n\n", End::NotMaskable));
}

#[test]
fn calls_that_interleave_leave_together_with_all_between_them() {
    let events = [
        "data: {\"call\":\"\"}\n\n",
        "data: {\"a\":\"between \"}\n\n",
        "data: {\"other\":\"\"}\n\n",
        "data: {\"call\":\"staff:ann\"}\n\n",
        "data: {\"stop\":1}\n\n",
        "data: {\"other\":\"KEY-12345\"}\n\n",
        "data: {\"a\":\"behind \"}\n\n",
        "data: {\"over\":1}\n\n",
    ];
    let (steps, end) = steps(&mut stream(secrets()), mask, &events);
    let masked = events.concat().replace("KEY-12345", "[key]").replace("staff:ann", "[staff]");
    assert_eq!(steps, ["", "", "", "", "", "", "", &masked, ""]);
    assert_eq!(end, End::Complete);
    let key = |seen: &Seen| if seen.found.contains("key") { Ruling::Refuse } else { mask(seen) };
    let (output, _) = whole(&mut stream(secrets()), key, &events);
    assert_eq!(output, "data: {\"end\":\"refused\",\"left\":0}\n\n");
}

/// What leaves, and what counts as read, must not depend on which values are looked for.
#[test]
fn without_a_text_detector_a_call_leaves_completely_and_unread_parts_are_seen() {
    let refused = |left: u32| format!("data: {{\"end\":\"refused\",\"left\":{left}}}\n\n");
    let unread = |end: &str| format!("data: {{\"call\":\"{{\\\"q\\\":\"}}\n\n{end}data: {{\"stop\":1}}\n\n");
    for (events, left) in [
        // Between the pieces of a call an event is refused.
        (unread("data: {broken\n\ndata: {\"call\":\"1}\"}\n\n"), 0),
        // The arguments of the call are not JSON, and have an escape.
        (unread("data: {\"call\":\"'\\\\u004b'\"}\n\n"), 0),
        // A text behind the end of its scope.
        (unread("data: {\"call\":\"1}\"}\n\n") + "data: {\"call\":\"more\"}\n\n", 3),
        // A text that is JSON with two readings.
        ("data: {\"again\":\"{\\\"a\\\":\\\"\\\\u0031\\\",\\\"a\\\":2}\"}\n\n".to_owned(), 0),
    ] {
        for plan in [Plan::default(), secrets()] {
            let (output, end) = whole(&mut stream(plan), guard, &[&events]);
            let expected = events.split_inclusive("\n\n").take(left as usize).collect::<String>() + &refused(left);
            assert_eq!((output, end), (expected, End::Refused), "{events}");
        }
    }
}

#[test]
fn a_call_with_an_event_over_its_limit_leaves_no_part_of_itself() {
    let mut plan = plan(&[("a-name-that-is-longer-than-its-value", "x")]);
    plan.limits.event_bytes_max = 40;
    let events = ["data: {\"call\":\"\"}\n\n", "data: {\"call\":\"xx\"}\n\n", "data: {\"stop\":1}\n\n"];
    let (output, end) = whole(&mut stream(plan), mask, &events);
    assert_eq!((output.as_str(), end), ("data: {\"end\":\"too_long\",\"left\":0}\n\n", End::TooLong));
}

#[test]
fn a_call_that_the_upstream_does_not_finish_is_read_at_the_end() {
    let events = ["data: {\"call\":\"\"}\n\n", "data: {\"call\":\"{\\\"q\\\":\\\"\\\\u004bEY-\"}\n\n"];
    let (output, end) = whole(&mut stream(secrets()), guard, &events);
    assert_eq!((output.as_str(), end), ("data: {\"end\":\"refused\",\"left\":0}\n\n", End::Refused));
}

#[test]
fn many_events_of_one_call_are_ruled_about_once() {
    let events =
        ["data: {\"call\":\"y\",\"a\":\"y\"}\n\n".repeat(20_000), "data: {\"stop\":1}\n\n".to_owned()].concat();
    let y = plan(&[("y", "y")]);
    // Quadratic work would take minutes.
    let (output, end) = whole(&mut stream(y), mask, &[&events]);
    assert_eq!((output, end), (events.replace("\"y\"", "\"[y]\""), End::Complete));
}

#[test]
fn a_finding_that_is_the_reason_of_a_refusal_counts() {
    let bodies: [(Box<dyn Body>, &str); 3] = [
        (Box::new(stream(secrets())), "data: {\"a\":\"KEY-12345 KEY-12345 staff:ann \"}\n\n"),
        (
            Box::new(JsonBody::new(secrets().into(), Box::new(Calls::default()), stand_ins())),
            "[\"KEY-12345\",\"KEY-12345\",\"staff:ann\"]",
        ),
        (Box::new(TextBody::new(secrets().into(), stand_ins())), "KEY-12345 "),
    ];
    let counts = [vec![("key", 2), ("staff", 1)], vec![("key", 2), ("staff", 1)], vec![("key", 1)]];
    for ((mut body, text), counts) in bodies.into_iter().zip(counts) {
        assert_eq!(whole(&mut *body, refuse, &[text]).1, End::Refused);
        let expected: BTreeMap<_, _> = counts.into_iter().map(|(name, count)| (name.into(), count)).collect();
        assert_eq!(body.summary().findings, expected);
    }
}
