//! What holds of every document, however it is spelled.

use picket::body::json::{Json, Limits, Number, SmolStr, parse};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::holds;
use crate::fuzz::agree::assert_agreed;

/// A document: every kind of value, odd keys, numbers in odd spellings.
fn document() -> impl Strategy<Value = Json> {
    let number = "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,10})?([eE][+-]?[0-9]{1,4})?";
    let scalar = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        number.prop_map(|written| Json::Number(Number::parse(&written).unwrap())),
        any::<String>().prop_map(|text| Json::Text(text.into())),
    ];
    scalar.prop_recursive(5, 40, 6, |inner| {
        let members = vec(("[a-c~/é\u{fb33}\u{1f600}]{0,2}".prop_map(SmolStr::from), inner.clone()), 0..6);
        prop_oneof![
            vec(inner, 0..6).prop_map(Json::List),
            members.prop_map(|mut members| {
                members.sort_by(|(a, _), (b, _)| a.cmp(b));
                members.dedup_by(|(a, _), (b, _)| a == b);
                Json::Object(members)
            }),
        ]
    })
}

/// Writes a document with blanks and escapes as `choices` say, its members reversed.
fn spelled(json: &Json, choices: &mut impl Iterator<Item = u8>, out: &mut String) {
    let blank =
        |choices: &mut dyn Iterator<Item = u8>| [" ", "", "\n\t", "\r"][usize::from(choices.next().unwrap() % 4)];
    out.push_str(blank(choices));
    match json {
        Json::Null => out.push_str("null"),
        Json::Bool(truth) => out.push_str(&truth.to_string()),
        Json::Number(number) => out.push_str(number.as_str()),
        Json::Text(text) => quoted(text, choices, out),
        Json::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                spelled(item, choices, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (at, (key, value)) in members.iter().rev().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                quoted(key, choices, out);
                out.push(':');
                spelled(value, choices, out);
            }
            out.push('}');
        }
    }
    out.push_str(blank(choices));
}

fn quoted(text: &str, choices: &mut impl Iterator<Item = u8>, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        let must = character < ' ' || matches!(character, '"' | '\\');
        if must || choices.next().unwrap().is_multiple_of(4) {
            character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04X}")));
        } else {
            out.push(character);
        }
    }
    out.push('"');
}

fn spelling(json: &Json, choices: &[u8]) -> String {
    let mut text = String::new();
    spelled(json, &mut choices.iter().copied().cycle(), &mut text);
    text
}

#[test]
fn every_spelling_of_a_document_is_read_as_that_document() {
    let inputs = (document(), vec(any::<u8>(), 1..50), vec(any::<u8>(), 1..50));
    holds(512, inputs, |(json, one, other)| {
        let (one, other) = (spelling(&json, &one), spelling(&json, &other));
        let read = parse(one.as_bytes(), Limits::default()).unwrap();
        assert_agreed(one.as_bytes(), &read);
        assert_eq!(read, parse(other.as_bytes(), Limits::default()).unwrap());
        assert_eq!(read.canonical(), json.canonical());
    });
}

#[test]
fn a_member_that_is_repeated_anywhere_is_always_found() {
    let inputs = (document(), vec(any::<u8>(), 1..50), any::<Index>(), document());
    holds(512, inputs, |(json, choices, index, value)| {
        let Json::Object(mut members) = json else { return };
        if members.is_empty() {
            return;
        }
        let key = members[index.index(members.len())].0.clone();
        members.insert(index.index(members.len() + 1), (key, value));
        let nested = Json::List(vec![Json::Object(vec![("x".into(), Json::Object(members))])]);
        assert!(parse(spelling(&nested, &choices).as_bytes(), Limits::default()).is_err());
    });
}

#[test]
fn a_document_that_is_cut_or_garbled_is_refused_or_agreed_upon() {
    let edits = vec((any::<Index>(), any::<u8>()), 0..4);
    let inputs = (document(), vec(any::<u8>(), 1..50), any::<Index>(), edits, select(vec![true, false]));
    holds(1024, inputs, |(json, choices, cut, edits, is_cut)| {
        let mut bytes = spelling(&Json::List(vec![json]), &choices).into_bytes();
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
            let is_whole = bytes.trim_ascii_end().ends_with(b"]") && parse(&bytes, Limits::default()).is_ok();
            // Only blanks can be missing.
            assert!(is_whole || parse(&bytes, Limits::default()).is_err());
        }
        for (at, byte) in edits {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        if let Ok(read) = parse(&bytes, Limits::default()) {
            assert_agreed(&bytes, &read);
        }
    });
}

#[test]
fn bytes_of_any_kind_are_refused_or_agreed_upon() {
    holds(2048, vec(any::<u8>(), 0..200), |bytes| {
        if let Ok(read) = parse(&bytes, Limits::default()) {
            assert_agreed(&bytes, &read);
        }
    });
}
