//! Limits of what is held: at each of them the response ends, and nothing of it opens.

use super::helpers::{mask, open, plan, secrets, stand_ins, stream, whole};
use crate::response::plan::{Limits, Plan};
use crate::response::ruling::{Body as _, End};
use crate::response::text::TextBody;

fn limited(plan: Plan, change: impl Fn(&mut Limits)) -> Plan {
    let mut plan = plan;
    change(&mut plan.limits);
    plan
}

#[test]
fn fe11_an_event_is_limited_in_bytes_of_the_wire_with_and_without_its_end() {
    let small = || limited(secrets(), |limits| limits.event_bytes_max = 40);
    let long = format!("data: {{\"n\":{}}}\n\n", "1".repeat(40));
    for events in [long.as_str(), &long[..41]] {
        let (output, end) = whole(&mut stream(small()), open, &["data: {\"n\":1}\n\n", events]);
        assert_eq!(output, "data: {\"n\":1}\n\ndata: {\"end\":\"too_long\",\"left\":1}\n\n");
        assert_eq!(end, End::TooLong);
    }
    assert_eq!(
        whole(&mut stream(small()), open, &[&format!("data: {{\"n\":{}}}\n\n", "1".repeat(26))]).1,
        End::Complete
    );
}

#[test]
fn fe10_a_mask_never_grows_an_event_over_its_limit() {
    let grows = || limited(plan(&[("a-long-name", "x")]), |limits| limits.event_bytes_max = 40);
    assert_eq!(whole(&mut stream(grows()), mask, &["data: {\"a\":\"x\"}\n\n"]).1, End::Complete);
    let (output, end) = whole(&mut stream(grows()), mask, &["data: {\"a\":\"x x x\"}\n\n"]);
    assert_eq!((output.as_str(), end), ("data: {\"end\":\"too_long\",\"left\":0}\n\n", End::TooLong));
}

#[test]
fn events_that_are_held_are_limited_and_nothing_of_them_leaves() {
    let small = limited(secrets(), |limits| limits.stream_bytes_max = 60);
    let event = "data: {\"call\":\"KEY-12345\"}\n\n";
    let (output, end) = whole(&mut stream(small), open, &[event, event, event]);
    assert_eq!((output.as_str(), end), ("data: {\"end\":\"stream_hold\",\"left\":0}\n\n", End::StreamHold));
}

#[test]
fn a_channel_that_holds_too_much_ends_the_response() {
    let run = || limited(plan(&[("mail", "[a-z]+@")]), |limits| limits.channel_bytes_max = 8);
    let (output, end) =
        whole(&mut stream(run()), open, &["data: {\"a\":\"ok. abcd\"}\n\n", "data: {\"a\":\"efghi\"}\n\n"]);
    assert_eq!((output.as_str(), end), ("data: {\"end\":\"channel_hold\",\"left\":0}\n\n", End::ChannelHold));
    for pieces in [&["ok. abcdefghi x@"][..], &["ok. abcd", "efghi x@"], &["o", "k. abcdefgh", "i x", "@"]] {
        let (output, end) = whole(&mut TextBody::new(run().into(), stand_ins()), open, pieces);
        assert_eq!((output.as_str(), end), ("ok. ", End::ChannelHold));
    }
}

#[test]
fn channels_are_limited() {
    let few = limited(secrets(), |limits| limits.channels_max = 2);
    let (_, end) = whole(&mut stream(few), open, &["data: {\"a\":\"x\",\"b\":\"x\"}\n\n", "data: {\"c\":\"x\"}\n\n"]);
    assert_eq!(end, End::TooManyChannels);
}

#[test]
fn the_most_that_was_held_is_reported() {
    let mut body = stream(secrets());
    let event = "data: {\"a\":\"KEY-\"}\n\n";
    let (_, end) = whole(&mut body, mask, &[event, "data: {\"a\":\"x\"}\n\n"]);
    let summary = body.summary();
    assert_eq!(
        (end, summary.held_bytes_most, summary.frames, summary.channels),
        (End::Complete, event.len() as u64, 2, 1)
    );
}

#[test]
fn many_values_behind_a_held_event_are_ruled_about_once() {
    let small = "data: {\"text\":\"y\"}\n\n";
    let events = ["data: {\"call\":\"a\"}\n\n", &small.repeat(40_000), "data: {\"stop\":1}\n\n"].concat();
    let y = plan(&[("y", "y")]);
    // Quadratic work would take minutes.
    let (output, end) = whole(&mut stream(y), mask, &[&events]);
    assert_eq!(end, End::Complete);
    assert_eq!(output, events.replace("\"y\"", "\"[y]\""));
}
