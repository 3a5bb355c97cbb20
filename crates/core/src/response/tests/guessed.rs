//! Bodies of an API that came as plain text.

use std::sync::Arc;

use super::helpers::{Calls, guard, mask, open, secrets, stand_ins, whole};
use crate::response::guessed::GuessedBody;
use crate::response::ruling::{Body as _, End, Ruling, Seen};

fn read(rule: fn(&Seen) -> Ruling, body: &str) -> (String, End) {
    let new = || GuessedBody::new(Arc::new(secrets()), Box::new(Calls::default()), &stand_ins);
    let complete = whole(&mut new(), rule, &[body]);
    let pieces: Vec<String> = body.chars().map(String::from).collect();
    let cut: Vec<&str> = pieces.iter().map(String::as_str).collect();
    assert_eq!(whole(&mut new(), rule, &cut), complete, "{body}");
    complete
}

#[test]
fn json_that_came_as_text_is_read_without_its_escapes() {
    for (body, expected) in [
        (r#"{"a": "KEY-12345"}"#, r#"{"a": "[key]"}"#),
        (r#"{"a": "K\u0045Y-12345"}"#, r#"{"a": "[key]"}"#),
        (" \n [\"KEY-1\\u0032345\"]", " \n [\"[key]\"]"),
        (r#""\u004bEY-12345""#, r#""[key]""#),
        // Text that begins like JSON and is none.
        ("[note] KEY-12345 is it", "[note] [key] is it"),
        ("{ KEY-12345", "{ [key]"),
        ("KEY-12345 \\u0041", "[key] \\u0041"),
        ("", ""),
        (" \n", " \n"),
    ] {
        assert_eq!(read(mask, body), (expected.to_owned(), End::Complete), "{body}");
    }
}

#[test]
fn an_escape_in_a_text_that_begins_like_json_is_a_part_that_could_not_be_read() {
    for body in [r#"{"a": "K\u0045Y-12345",}"#, r#"["K\u0045Y-12345"] more"#, "\u{feff}[\"K\\u0045Y-12345\"]"] {
        let (output, end) = read(guard, body);
        assert!(!output.contains("12345") && end != End::Complete, "{body}: {output} {end:?}");
    }
    assert_eq!(read(open, r#"{"a": "\u0041",}"#).1, End::Complete, "where nothing is masked the policies decide");
}

#[test]
fn what_is_held_has_a_limit_and_a_stop_leaves_nothing_of_it() {
    let mut small = secrets();
    small.limits.document_bytes_max = 4;
    let mut body = GuessedBody::new(Arc::new(small), Box::new(Calls::default()), &stand_ins);
    assert_eq!(whole(&mut body, open, &["[1,", "2]"]), (String::new(), End::TooLong));
    let (mut body, mut out) =
        (GuessedBody::new(Arc::new(secrets()), Box::new(Calls::default()), &stand_ins), Vec::new());
    body.push(b"{", &mut open, &mut out);
    assert_eq!(body.held_bytes(), 1);
    body.stop(End::HeldTooLong, &mut out);
    assert!(out.is_empty() && body.held_bytes() == 0);
}
