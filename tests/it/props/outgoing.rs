//! A value of a call never changes which request a look-up or an approval's source gets, however the source reads it.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use picket::entity::template::{Slashes, Template};
use picket::query::{Node, Query, Record, Uid};
use proptest::prelude::*;

use super::holds;

/// Pieces of a value.
const PIECES: &[&str] = &[
    "..",
    ".",
    "/",
    "\\",
    "%",
    "%2e",
    "%2F",
    "%5c",
    "%25",
    "%252e",
    "%25%32%65",
    "%25%32%66",
    "%c0%ae",
    "%e0%80%af",
    "%3b",
    "%3f",
    "%26",
    ";",
    "?",
    "#",
    "&",
    "=",
    "+",
    " ",
    "\t",
    "\r\n",
    "\0",
    "a",
    "b",
    "c",
    "x",
    "é",
    "．",
    "／",
    "＼",
    "％2e",
    "‥",
    "﹒",
    "∕",
    "⁄",
    "¥",
    "℀",
    "\u{200b}",
    "\u{feff}",
    "；",
    "＆",
    "？",
    "＃",
];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::collection::vec(prop::sample::select(PIECES), 1..7).prop_map(|pieces| pieces.concat()),
        1 => ".{1,12}",
    ]
}

fn query(value: &str) -> Query {
    let mut principal = Node::new(Uid::new("Workload", "w"));
    principal.set("v", value);
    Query {
        principal,
        action: "GET".into(),
        resource: Node::new(Uid::new("Path", "n/s/")),
        context: Record::new(),
        bags: Vec::new(),
        namespace: "n".into(),
    }
}

/// Decodes a text so often, as a chain of proxies and servers may.
fn decoded(text: &str, times: usize) -> String {
    (0..times).fold(text.to_owned(), |text, _| percent_decode_str(&text).decode_utf8_lossy().into_owned())
}

/// As a reader that knows no Unicode, or folds it, sees a text.
fn folded(text: &str) -> String {
    let fold = |character: char| match character {
        '\u{ff01}'..='\u{ff5e}' => {
            Cow::Owned(char::from_u32(u32::from(character) - 0xfee0).map(String::from).unwrap_or_default())
        }
        '\u{200b}' | '\u{feff}' => Cow::Borrowed(""),
        '‥' => Cow::Borrowed(".."),
        '﹒' => Cow::Borrowed("."),
        '∕' | '⁄' => Cow::Borrowed("/"),
        '¥' => Cow::Borrowed("\\"),
        '℀' => Cow::Borrowed("a/c"),
        other => Cow::Owned(other.to_string()),
    };
    text.chars().map(fold).collect()
}

/// The segments that a server walks: cut at `?` and `#`, backslashes turned, parameters cut, blanks and dots at the end
/// dropped, dot and empty segments resolved.
fn walked(path: &str) -> Vec<String> {
    let path = path.split(['?', '#', '\0']).next().unwrap_or_default().replace('\\', "/");
    let mut walked = Vec::new();
    for segment in path.split('/') {
        let segment = segment.split(';').next().unwrap_or_default().trim();
        match segment {
            ".." => drop(walked.pop()),
            other => match other.trim_end_matches(['.', ' ']) {
                "" => {}
                name => walked.push(name.to_owned()),
            },
        }
    }
    walked
}

/// Every way in which a source might read the path of a URL.
fn readings(path: &str) -> Vec<Vec<String>> {
    let texts = (0..4).flat_map(|times| {
        let text = decoded(path, times);
        [folded(&text), text]
    });
    texts.map(|text| walked(&text)).collect()
}

fn keys(query: &str) -> Vec<Vec<String>> {
    let split = |text: &str, separators: &[char]| -> Vec<String> {
        let text = text.split('#').next().unwrap_or_default();
        text.split(|c| separators.contains(&c))
            .map(|pair| pair.split('=').next().unwrap_or_default().to_owned())
            .collect()
    };
    let readings = (0..4).flat_map(|times| {
        let text = decoded(query, times);
        [split(&text, &['&']), split(&text, &['&', ';']), split(&folded(&text), &['&', ';', '\n'])]
    });
    readings.collect()
}

#[test]
fn no_value_changes_which_request_goes_out() {
    let template = Template::parse("http://h/first/${principal.v}/last?key=${principal.v}&end=1").unwrap();
    let path_only = Template::parse("http://h/first/${principal.v}/last").unwrap();
    let query_only = Template::parse("http://h/first/last?key=${principal.v}&end=1").unwrap();
    holds(4096, value(), |value| {
        let query = query(&value);
        for template in [&template, &path_only, &query_only] {
            let Ok(url) = template.render(&query) else { continue };
            let (path, sent) = url["http://h".len()..].split_once('?').unwrap_or((&url["http://h".len()..], ""));
            let expected = if std::ptr::eq(template, &raw const query_only) { 2 } else { 3 };
            for segments in readings(path) {
                assert_eq!(segments.len(), expected, "{value:?} as {segments:?}");
                assert_eq!((segments[0].as_str(), segments[expected - 1].as_str()), ("first", "last"), "{value:?}");
            }
            for keys in if sent.is_empty() { Vec::new() } else { keys(sent) } {
                assert_eq!(keys, ["key", "end"], "{value:?}");
            }
        }
    });
}

#[test]
fn a_value_with_slashes_never_climbs() {
    let template = Template::parse("http://h/first/${principal.v}/last").unwrap().with_slashes(Slashes::Allowed);
    holds(4096, value(), |value| {
        let Ok(url) = template.render(&query(&value)) else { return };
        for segments in readings(&url["http://h".len()..]) {
            let ends = (segments.first().map(String::as_str), segments.last().map(String::as_str));
            assert!(segments.len() >= 2 && ends == (Some("first"), Some("last")), "{value:?} as {segments:?}");
        }
    });
}
