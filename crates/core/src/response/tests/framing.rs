//! Events, their lines, and the end of the body.

use super::helpers::{guard, mask, open, secrets, stand_ins, steps, stream, whole};
use crate::response::events::EventStream;
use crate::response::format::generic::Generic;
use crate::response::ruling::{Body as _, End, Progress};

#[test]
fn fe1_a_value_that_spans_events_is_masked_where_it_begins() {
    let (steps, end) = steps(
        &mut stream(secrets()),
        mask,
        &["data: {\"t\":\"my KE\"}\n\n", "data: {\"t\":\"Y-12\"}\n\n", "data: {\"t\":\"345 ok\"}\n\n"],
    );
    let expected = "data: {\"t\":\"my [key]\"}\n\ndata: {\"t\":\"\"}\n\ndata: {\"t\":\" ok\"}\n\n";
    assert_eq!(steps, ["", "", expected, ""]);
    assert_eq!(end, End::Complete);
}

#[test]
fn fe2_a_character_that_was_cut_arrives_complete() {
    let event = "data: {\"t\":\"é€😀\"}\n\n".as_bytes();
    for at in 0..event.len() {
        let (mut body, mut rule, mut out) = (stream(secrets()), guard, Vec::new());
        assert_eq!(body.push(&event[..at], &mut rule, &mut out), Progress::More);
        assert_eq!(body.push(&event[at..], &mut rule, &mut out), Progress::More);
        assert_eq!(body.finish(&mut rule, &mut out), Progress::Ended(End::Complete));
        assert_eq!(out, event);
    }
}

#[test]
fn fe3_bytes_that_are_not_utf8_are_never_decoded_with_losses() {
    let event = b"data: {\"t\":\"\xff\"}\n\n";
    let (mut body, mut rule, mut out) = (stream(secrets()), guard, Vec::new());
    assert_eq!(body.push(event, &mut rule, &mut out), Progress::Ended(End::Refused));
    assert_eq!(out, b"data: {\"end\":\"refused\",\"left\":0}\n\n");
    let (mut body, mut rule, mut out) = (stream(secrets()), open, Vec::new());
    assert_eq!(body.push(event, &mut rule, &mut out), Progress::More);
    assert_eq!((out.as_slice(), body.summary().frames_unread), (event.as_slice(), 1));
}

#[test]
fn fe4_a_complete_last_event_without_its_empty_line_is_masked() {
    for end in ["", "\n", "\r", "\r\n"] {
        let (output, ended) = whole(&mut stream(secrets()), mask, &[&format!("data: {{\"t\":\"KEY-12345\"}}{end}")]);
        assert_eq!((output, ended), (format!("data: {{\"t\":\"[key]\"}}{end}"), End::Complete));
    }
}

#[test]
fn fe4_an_incomplete_last_event_is_withheld_and_reported() {
    for rest in ["data: {\"t\":\"KEY-1234", "data: {\"t\":\"KEY-12345\"", "data: {\"t\":\"KEY-12345\"\n"] {
        let mut body = stream(secrets());
        let (output, end) = whole(&mut body, open, &["data: {\"t\":\"a\"}\n\n", rest]);
        assert_eq!(output, "data: {\"t\":\"a\"}\n\ndata: {\"end\":\"cut\",\"left\":1}\n\n");
        assert_eq!((end, body.summary().frames_withheld), (End::Cut, 1));
    }
    let (mut body, mut rule, mut out) = (stream(secrets()), open, Vec::new());
    body.push(b"data: {\"t\":\"\xc3", &mut rule, &mut out);
    assert_eq!(body.finish(&mut rule, &mut out), Progress::Ended(End::Cut));
}

#[test]
fn fe5_data_of_a_json_api_that_is_not_json_could_not_be_read() {
    let events = ["data: KEY-12345\n\n"];
    assert_eq!(whole(&mut stream(secrets()), guard, &events).1, End::Refused);
    let generic = || EventStream::new(secrets().into(), Box::new(Generic), stand_ins());
    assert_eq!(whole(&mut generic(), guard, &events), ("data: [key]\n\n".to_owned(), End::Complete));
    assert_eq!(whole(&mut generic(), guard, &["data: 5\n\ndata: null\n\n"]).1, End::Complete);
    // A reader that is less strict would resolve the escape.
    assert_eq!(whole(&mut generic(), guard, &["data: {\"t\":\"\\u004bEY-12345\",}\n\n"]).1, End::Refused);
    assert_eq!(whole(&mut generic(), guard, &["data: {\"t\":\"KEY-12345\",}\n\n"]).0, "data: {\"t\":\"[key]\",}\n\n");
    assert_eq!(whole(&mut generic(), guard, &["data: {\"t\":1,\"t\":2}\n\n"]).1, End::Refused);
}

#[test]
fn fe6_all_data_lines_survive_a_mask() {
    let generic = || EventStream::new(secrets().into(), Box::new(Generic), stand_ins());
    let (output, _) = whole(&mut generic(), mask, &["data: {\"t\":\r\ndata: \"KEY-12345\"}\r\ndata:\r\n\r\n"]);
    assert_eq!(output, "data: {\"t\":\r\ndata: \"[key]\"}\r\ndata:\r\n\r\n");
    let plan = super::helpers::plan(&[("lines", "a\nb")]);
    let mut body = EventStream::new(plan.into(), Box::new(Generic), stand_ins());
    assert_eq!(whole(&mut body, mask, &["data: xa\ndata: by\n\n"]).0, "data: x[lines]\ndata: y\n\n");
}

#[test]
fn fe7_every_line_and_line_end_is_kept() {
    let events = "\u{feff}: hello\r\nevent: x\rid: 7\nretry: 10\r\n:\r\ndata:{\"t\":\"a\"}\r\n\r\n\n\ndata: {\"n\":1}\r\rdata\n\n";
    for cut in 0..=events.len() {
        let Some((first, second)) = events.split_at_checked(cut) else { continue };
        let (output, end) = whole(&mut stream(secrets()), guard, &[first, second]);
        assert_eq!((output.as_str(), end), (events, End::Complete), "cut at {cut}");
    }
}

#[test]
fn fe7_an_event_leaves_with_the_lf_of_its_last_cr_lf() {
    let (steps, _) = steps(&mut stream(secrets()), guard, &["data: {\"n\":1}\r\n\r", "\n", "data: {\"n\":2}\r\r", "d"]);
    assert_eq!(steps[..4], ["", "data: {\"n\":1}\r\n\r\n", "", "data: {\"n\":2}\r\r"]);
}

#[test]
fn fe7_a_comment_and_the_id_are_scanned_too() {
    let (output, _) =
        whole(&mut stream(secrets()), mask, &[": KEY-12345\nid: KEY-12345\nKEY-12345\ndata: {\"n\":1}\n\n"]);
    assert_eq!(output, ": [key]\nid: [key]\n[key]\ndata: {\"n\":1}\n\n");
}

#[test]
fn fe9_an_event_in_crumbs_is_read_once() {
    let mut event = b"data: {\"t\":\"".to_vec();
    event.resize(900_000, b'x');
    event.extend_from_slice(b"\"}\n\n");
    let (mut body, mut rule, mut out) = (stream(secrets()), guard, Vec::new());
    // Quadratic work would take minutes.
    for byte in &event {
        body.push(std::slice::from_ref(byte), &mut rule, &mut out);
    }
    assert_eq!(body.finish(&mut rule, &mut out), Progress::Ended(End::Complete));
    assert_eq!(out, event);
}

#[test]
fn fe13_everything_but_the_masked_bytes_stays() {
    let event = "data:  {\"z\" : 1e3, \"a\":1.50,\"t\":\"\\u00e9\\/<\\u003c\\ud83d\\ude00 \\u004bEY-1\\u00323\\u00345 \\n\", \"b\":{}}\n\n";
    let (output, _) = whole(&mut stream(secrets()), mask, &[event]);
    assert_eq!(output, event.replace("\\u004bEY-1\\u00323\\u00345", "[key]"));
}

#[test]
fn empty_data_is_no_unread_part() {
    let events = "id: 1\ndata: \n\ndata: [DONE]\n\n";
    assert_eq!(whole(&mut stream(secrets()), guard, &[events]), (events.to_owned(), End::Complete));
}
