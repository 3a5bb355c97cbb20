//! The order of rulings, and their effect.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use super::helpers::{Calls, guard, mask, open, plan, secrets, stand_ins, stream, whole};
use crate::content::detectors::Detectors;
use crate::response::json::JsonBody;
use crate::response::plan::Plan;
use crate::response::ruling::{Body, End, Progress, Ruling, Seen};
use crate::response::text::TextBody;

fn refuse_staff(seen: &Seen) -> Ruling {
    if seen.found.contains("staff") { Ruling::Refuse } else { mask(seen) }
}

#[test]
fn a_ruling_is_asked_for_at_the_start_and_at_each_first_finding_in_order() {
    let (mut body, mut out, mut asked) = (stream(secrets()), Vec::new(), Vec::new());
    let mut rule = |seen: &Seen| {
        asked.push((seen.found.iter().map(ToString::to_string).collect::<Vec<_>>().join(","), seen.inspected));
        open(seen)
    };
    let _ = body.start(&mut rule, &mut out);
    let events =
        b"data: {\"a\":\"staff:x KEY-12345 \"}\n\ndata: {\"a\":\"KEY-12345 staff:y \"}\n\ndata: {\n\ndata: {\n\n";
    assert_eq!(body.push(events, &mut rule, &mut out), Progress::More);
    assert_eq!(body.finish(&mut rule, &mut out), Progress::Ended(End::Complete));
    let expected = [("", true), ("staff", true), ("key,staff", true), ("key,staff", false)];
    assert_eq!(asked, expected.map(|(found, inspected)| (found.to_owned(), inspected)));
    assert_eq!(out, events);
}

#[test]
fn a_refusal_lets_out_nothing_of_its_event_and_ends_with_the_ending_of_the_api() {
    let events = "data: {\"a\":\"x \"}\n\ndata: {\"b\":\"fine\",\"a\":\"staff:ann \"}\n\ndata: {\"a\":\"y \"}\n\n";
    let mut body = stream(secrets());
    let (output, end) = whole(&mut body, refuse_staff, &[events]);
    assert_eq!(output, "data: {\"a\":\"x \"}\n\ndata: {\"end\":\"refused\",\"left\":1}\n\n");
    assert_eq!(end, End::Refused);
    let mut late = Vec::new();
    assert_eq!(body.push(b"data: {}\n\n", &mut open, &mut late), Progress::Ended(End::Refused));
    assert_eq!(body.finish(&mut open, &mut late), Progress::Ended(End::Refused));
    assert!(late.is_empty() && body.held_bytes() == 0);
}

#[test]
fn a_refusal_at_the_start_lets_out_nothing() {
    let (output, end) = whole(&mut stream(secrets()), |_| Ruling::Refuse, &["data: {\"a\":\"x\"}\n\n"]);
    assert_eq!((output.as_str(), end), ("data: {\"end\":\"refused\",\"left\":0}\n\n", End::Refused));
}

#[test]
fn a_stricter_ruling_of_new_policies_ends_the_stream() {
    let (mut body, mut out) = (stream(secrets()), Vec::new());
    assert_eq!(body.push(b"data: {\"a\":\"x \"}\n\n", &mut open, &mut out), Progress::More);
    assert_eq!(body.rule_again(&mut open, &mut out), Progress::More);
    assert_eq!(body.rule_again(&mut |_: &Seen| Ruling::Refuse, &mut out), Progress::Ended(End::Refused));
    assert!(out.ends_with(b"data: {\"end\":\"refused\",\"left\":1}\n\n"));
}

#[test]
fn an_unread_event_passes_only_where_nothing_is_masked() {
    let broken = "data: {\"a\":\n\n";
    assert_eq!(whole(&mut stream(secrets()), open, &[broken]), (broken.to_owned(), End::Complete));
    let after_mask = ["data: {\"a\":\"KEY-12345 \"}\n\n", broken];
    let (output, end) = whole(&mut stream(secrets()), mask, &after_mask);
    assert_eq!(end, End::NotMaskable);
    assert_eq!(output, "data: {\"a\":\"[key] \"}\n\ndata: {\"end\":\"not_maskable\",\"left\":1}\n\n");
}

#[test]
fn a_value_in_a_key_counts_and_is_never_let_out_where_it_is_masked() {
    let event = "data: {\"x\":{\"KEY-12345\":1}}\n\n";
    assert_eq!(whole(&mut stream(secrets()), open, &[event]).0, event);
    assert_eq!(whole(&mut stream(secrets()), mask, &[event]).1, End::NotMaskable);
    let arguments = "data: {\"arguments\":\"{\\\"KEY-12345\\\":1}\"}\n\n";
    assert_eq!(whole(&mut stream(secrets()), mask, &[arguments]).1, End::NotMaskable);
}

#[test]
fn a_value_that_passes_never_hides_one_that_is_masked() {
    let mut both = plan(&[("long", "[a-z]+:[a-z]+:[a-z]+")]);
    both.passes.extend(plan(&[("short", "b:c")]).passes);
    let only_short = |seen: &Seen| Ruling::Release {
        masks: seen.found.iter().filter(|name| *name == "short").cloned().collect::<BTreeSet<_>>(),
    };
    let (output, _) = whole(&mut stream(both), only_short, &["data: {\"a\":\"a:b:c \"}\n\n"]);
    assert_eq!(output, "data: {\"a\":\"a:[short] \"}\n\n");
}

#[test]
fn invalid_bytes_of_a_text_are_a_part_that_could_not_be_read() {
    let text = b"a\xff KEY-12345";
    let run = |rule: fn(&Seen) -> Ruling, longest: usize| {
        let (mut body, mut rule, mut out) = (TextBody::new(secrets().into(), stand_ins()), rule, Vec::new());
        for piece in text.chunks(longest) {
            body.push(piece, &mut rule, &mut out);
        }
        let end = body.finish(&mut rule, &mut out);
        (out, end)
    };
    for longest in [1, 2, 20] {
        assert_eq!(run(guard, longest), (b"a".to_vec(), Progress::Ended(End::Refused)));
        assert_eq!(run(open, longest), (text.to_vec(), Progress::Ended(End::Complete)));
        assert_eq!(run(mask, longest), (b"a\xff [key]".to_vec(), Progress::Ended(End::Complete)));
    }
}

#[test]
fn a_text_that_ends_within_a_character_was_cut() {
    let (mut body, mut out) = (TextBody::new(secrets().into(), stand_ins()), Vec::new());
    body.push(b"a\xc3", &mut open, &mut out);
    assert_eq!(body.finish(&mut open, &mut out), Progress::Ended(End::Cut));
    assert_eq!((out.as_slice(), body.summary().frames_withheld), (b"a".as_slice(), 1));
}

#[test]
fn the_earliest_mask_replaces_everything_that_overlaps_it() {
    let mut passes = plan(&[("long", "a:b:c")]);
    passes.passes.extend(plan(&[("short", "b"), ("late", "c:d")]).passes);
    let (output, _) = whole(&mut stream(passes), mask, &["data: {\"x\":\"a:b:c:d b \"}\n\n"]);
    assert_eq!(output, "data: {\"x\":\"[long] [short] \"}\n\n");
}

#[test]
fn an_address_does_not_hide_the_card_that_it_begins_with() {
    let both: BTreeSet<SmolStr> = ["card", "email"].map(SmolStr::new).into();
    let plan = Plan::new(&Detectors::built_in().unwrap(), [&both], &both).unwrap();
    let (mut found, mut out) = (BTreeSet::new(), Vec::new());
    let mut rule = |seen: &Seen| {
        found.clone_from(&seen.found);
        open(seen)
    };
    let mut body = TextBody::new(plan.into(), stand_ins());
    body.push(b"4111111111111111@corp.example ", &mut rule, &mut out);
    body.finish(&mut rule, &mut out);
    assert_eq!(found, both);
}

#[test]
fn a_body_that_is_stopped_leaves_nothing_of_what_it_held() {
    let format = || Box::new(Calls::default());
    let bodies: [(Box<dyn Body>, &str); 3] = [
        (Box::new(stream(secrets())), "data: {\"a\":\"KEY-1234\"}\n\n"),
        (Box::new(JsonBody::new(secrets().into(), format(), stand_ins())), "{\"a\":\"KEY-12345\"}"),
        (Box::new(TextBody::new(secrets().into(), stand_ins())), "KEY-1234"),
    ];
    for (mut body, text) in bodies {
        let mut out = Vec::new();
        body.push(text.as_bytes(), &mut mask, &mut out);
        assert_eq!(body.stop(End::HeldTooLong, &mut out), Progress::Ended(End::HeldTooLong));
        assert!(!String::from_utf8(out).unwrap().contains("KEY"));
        assert_eq!(body.held_bytes(), 0);
        assert_eq!(body.stop(End::Overload, &mut Vec::new()), Progress::Ended(End::HeldTooLong));
    }
}

#[test]
fn rulings_come_in_the_order_of_the_text_and_not_of_the_passes() {
    let mut passes = plan(&[("late", "z[0-9]")]);
    passes.passes.extend(plan(&[("early", "a[0-9]")]).passes);
    let (mut body, mut out, mut asked) = (stream(passes), Vec::new(), Vec::new());
    let mut rule = |seen: &Seen| {
        asked.push(seen.found.iter().map(ToString::to_string).collect::<Vec<_>>());
        open(seen)
    };
    body.push(b"data: {\"x\":\"a1 z1 \"}\n\n", &mut rule, &mut out);
    assert_eq!(asked, [vec![], vec!["early"], vec!["early", "late"]]);
}
