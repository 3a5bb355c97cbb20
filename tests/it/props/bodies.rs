//! Properties of every document, in any spelling.

use picket::body::json::{Limits, Node, Value, parse};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::holds;
use crate::fuzz::agree::{assert_agreed, assert_refused};

/// A document as it is drawn.
#[derive(Debug, Clone)]
enum Tree {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

/// Returns whether a document was read as it was drawn; `spelled` reverses its members.
fn is_read(drawn: &Tree, read: Node<'_>) -> bool {
    match (drawn, read.value()) {
        (Tree::Null, Value::Null) => true,
        (Tree::Bool(drawn), Value::Bool(read)) => *drawn == read,
        (Tree::Number(drawn), Value::Number(read)) => drawn == read.as_str(),
        (Tree::Text(drawn), Value::Text(read)) => drawn == read,
        (Tree::List(drawn), Value::List(read)) => {
            drawn.len() == read.len() && drawn.iter().zip(read.iter()).all(|(drawn, read)| is_read(drawn, read))
        }
        (Tree::Object(drawn), Value::Object(read)) => {
            let in_order = drawn.iter().rev().zip(read.iter());
            drawn.len() == read.len()
                && in_order.into_iter().all(|((key, drawn), (name, read))| key == name && is_read(drawn, read))
        }
        _ => false,
    }
}

/// A document: every kind of value, odd keys, numbers in odd spellings.
fn document() -> impl Strategy<Value = Tree> {
    let number = "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,10})?([eE][+-]?[0-9]{1,4})?";
    let scalar = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        number.prop_map(Tree::Number),
        any::<String>().prop_map(Tree::Text),
    ];
    scalar.prop_recursive(5, 40, 6, |inner| {
        let members = vec(("[a-c~/é\u{fb33}\u{1f600}]{0,2}".prop_map(String::from), inner.clone()), 0..6);
        prop_oneof![
            vec(inner, 0..6).prop_map(Tree::List),
            members.prop_map(|mut members| {
                members.sort_by(|(a, _), (b, _)| a.cmp(b));
                members.dedup_by(|(a, _), (b, _)| a == b);
                Tree::Object(members)
            }),
        ]
    })
}

/// Writes a document with blanks and escapes as `choices` say, its members reversed.
fn spelled(json: &Tree, choices: &mut impl Iterator<Item = u8>, out: &mut String) {
    let blank =
        |choices: &mut dyn Iterator<Item = u8>| [" ", "", "\n\t", "\r"][usize::from(choices.next().unwrap() % 4)];
    out.push_str(blank(choices));
    match json {
        Tree::Null => out.push_str("null"),
        Tree::Bool(truth) => out.push_str(&truth.to_string()),
        Tree::Number(number) => out.push_str(number),
        Tree::Text(text) => quoted(text, choices, out),
        Tree::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                spelled(item, choices, out);
            }
            out.push(']');
        }
        Tree::Object(members) => {
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

fn spelling(json: &Tree, choices: &[u8]) -> String {
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
        assert_agreed(one.as_bytes(), read.node());
        assert!(is_read(&json, read.node()), "{one} became {read:?}");
        let other = parse(other.as_bytes(), Limits::default()).unwrap();
        assert_eq!(read, other);
        assert_eq!(read.node().canonical(), other.node().canonical());
    });
}

#[test]
fn a_member_that_is_repeated_anywhere_is_always_found() {
    let inputs = (document(), vec(any::<u8>(), 1..50), any::<Index>(), document());
    holds(512, inputs, |(json, choices, index, value)| {
        let Tree::Object(mut members) = json else { return };
        if members.is_empty() {
            return;
        }
        let key = members[index.index(members.len())].0.clone();
        members.insert(index.index(members.len() + 1), (key, value));
        let nested = Tree::List(vec![Tree::Object(vec![("x".to_owned(), Tree::Object(members))])]);
        assert!(parse(spelling(&nested, &choices).as_bytes(), Limits::default()).is_err());
    });
}

#[test]
fn a_document_that_is_cut_or_garbled_is_refused_or_agreed_upon() {
    let edits = vec((any::<Index>(), any::<u8>()), 0..4);
    let inputs = (document(), vec(any::<u8>(), 1..50), any::<Index>(), edits, select(vec![true, false]));
    holds(1024, inputs, |(json, choices, cut, edits, is_cut)| {
        let mut bytes = spelling(&Tree::List(vec![json]), &choices).into_bytes();
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
        match parse(&bytes, Limits::default()) {
            Ok(read) => assert_agreed(&bytes, read.node()),
            Err(refused) => assert_refused(&bytes, &refused),
        }
    });
}

#[test]
fn bytes_of_any_kind_are_refused_or_agreed_upon() {
    holds(2048, vec(any::<u8>(), 0..200), |bytes| match parse(&bytes, Limits::default()) {
        Ok(read) => assert_agreed(&bytes, read.node()),
        Err(refused) => assert_refused(&bytes, &refused),
    });
}
