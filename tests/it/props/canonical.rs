//! One canonical form: what is accepted is read again as itself, and no further decoding makes another of it.

use picket::body::mcp::uri;
use picket::body::url::Url;
use picket::call::{CanonicalPath, Host};
use picket::mapping::address::Address;
use proptest::prelude::*;
use std::cell::Cell;
use std::fmt::Debug;

use super::holds;

/// Pieces that split, climb, escape or fold, and harmless ones.
const PIECES: &[&str] = &[
    "/",
    "/",
    "/",
    "a",
    "b",
    "A",
    "1",
    ".",
    "..",
    "%",
    "%25",
    "%25",
    "%32",
    "%35",
    "%65",
    "%66",
    "25",
    "2e",
    "2E",
    "2f",
    "5c",
    "3b",
    "00",
    "e",
    "E",
    "u002e",
    "%75",
    "%2e",
    "%2F",
    "%5c",
    "%3b",
    "%00",
    "%0a",
    "%7f",
    "%c0",
    "%ae",
    "%AE",
    "%e0",
    "%80",
    "%f0",
    "%f8",
    "%c3%a9",
    "%C3",
    "%ff",
    "é",
    "日",
    "%ef%bc%8e",
    "%EF%BC%8E",
    "%EF%BC%8F",
    "%E2%80%A5",
    "%ef%bc%8f",
    "\u{FF0E}",
    "\u{FF0F}",
    "\u{FF3C}",
    "\u{FF05}",
    "\u{FF12}",
    "\u{FF45}",
    "%EF%BC%92",
    "\u{2024}",
    "\u{2025}",
    "\u{2215}",
    "\u{37E}",
    "\\",
    ";",
    "#",
    "?",
    "%3f",
    "%23",
    " ",
    "%20",
    "+",
    "|",
    "\"",
    "%7c",
    ":",
    "@",
    "&",
    "=",
    "~",
    "-",
    "_",
];
const HOSTS: &[&str] = &[
    "a",
    "b",
    "A",
    ".",
    ".",
    "-",
    "_",
    ":",
    ":80",
    ":443",
    ":0",
    ":08",
    "0",
    "1",
    "127",
    "0x7f",
    "[",
    "]",
    "[::1]",
    "[::FFFF:1.2.3.4]",
    "[0:0::1]",
    "@",
    "%2e",
    "%",
    "\u{FF0E}",
    "\u{3002}",
    "é",
    "xn--a",
    " ",
    ",",
    "/",
    "\\",
    "#",
    "?",
];
const SCHEMES: &[&str] = &[
    "https://", "http://", "HTTPS://", "ws://", "wss://", "ftp://", "file://", "crm://", "urn:", "x:", "", "//",
    "https:/", "1:",
];

fn joined(of: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(of), 0..most).prop_map(|pieces| pieces.concat())
}

fn path() -> impl Strategy<Value = String> {
    prop_oneof![8 => joined(PIECES, 9).prop_map(|path| format!("/{path}")), 1 => "/.{0,12}", 1 => joined(PIECES, 9)]
}

fn address() -> impl Strategy<Value = String> {
    (prop::sample::select(SCHEMES), joined(HOSTS, 4), prop_oneof![Just(String::new()), path()])
        .prop_map(|(scheme, host, path)| format!("{scheme}{host}{path}"))
}

/// A text decoded once by the most lenient reader: `%HH`, `%uHHHH`, forms that are too long, compatibility forms.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |digits: &[u8]| {
            let digit = |value: u32, byte: &u8| Some(value * 16 + char::from(*byte).to_digit(16)?);
            digits.iter().try_fold(0, digit)
        };
        let wide = tail.get(1..5).filter(|_| matches!(tail, [b'u' | b'U', ..])).and_then(hex).and_then(char::from_u32);
        let byte = tail.get(..2).and_then(hex);
        match (first, wide, byte) {
            (b'%', Some(character), _) => {
                bytes.extend_from_slice(character.to_string().as_bytes());
                rest = &tail[5..];
            }
            (b'%', None, Some(byte)) => {
                bytes.push(u8::try_from(byte).unwrap());
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    let long = |bytes: &[u8]| -> Option<(char, usize)> {
        let bits = |byte: &u8| u32::from(byte & 0x3F);
        let length = match bytes.first()? {
            0xC0..=0xC1 => 2,
            0xE0 => 3,
            0xF0 => 4,
            0xF8 => 5,
            0xFC => 6,
            _ => return None,
        };
        let tail = bytes.get(1..length).filter(|tail| length == 2 || tail.iter().all(|byte| byte & 0xC0 == 0x80))?;
        let top = if length == 2 { u32::from(bytes[0] & 1) } else { 0 };
        let value = tail.iter().fold(top, |value, byte| (value << 6) | bits(byte));
        (value < 0x80).then(|| char::from_u32(value)).flatten().map(|c| (c, length))
    };
    let mut text = String::new();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        if let Some((character, length)) = long(rest) {
            text.push(character);
            rest = &rest[length..];
            continue;
        }
        let length = (1..=4).find(|n| rest.get(..*n).is_some_and(|bytes| std::str::from_utf8(bytes).is_ok()));
        text.push_str(&String::from_utf8_lossy(&rest[..length.unwrap_or(1)]));
        rest = &rest[length.unwrap_or(1)..];
    }
    picket::call::alike::compatible(&text)
}

/// Asserts that no number of decodings makes more segments, a dot segment, another separator or a control of it.
fn assert_stays(canonical: &str) {
    let slashes = canonical.matches('/').count();
    let mut text = canonical.to_owned();
    for turn in 1..=6 {
        text = decoded(&text);
        assert_eq!(
            text.matches('/').count(),
            slashes,
            "{canonical:?} has more segments after {turn} decodings: {text:?}"
        );
        let climbs = text.split('/').any(|segment| matches!(segment, "." | ".."));
        let parts = text.contains(|c: char| matches!(c, '\\' | ';') || c.is_control());
        assert!(!climbs && !parts, "{canonical:?} after {turn} decodings is {text:?}");
    }
}

/// Asserts of every input that what is accepted is accepted again as itself. Some inputs must be accepted.
fn assert_one_form<C: PartialEq + Debug>(
    inputs: impl Strategy<Value = String>,
    read: impl Fn(&str) -> Option<C>,
    text: impl Fn(&C) -> String,
    stays: impl Fn(&str),
) {
    let accepted = Cell::new(0);
    holds(20_000, inputs, |sent| {
        let Some(first) = read(&sent) else { return };
        accepted.set(accepted.get() + 1);
        let canonical = text(&first);
        let again = read(&canonical).map(|again| text(&again));
        assert_eq!(again.as_ref(), Some(&canonical), "{sent:?} has no form that is its own");
        stays(&canonical);
    });
    assert!(accepted.get() > 100, "of the drawn inputs only {} were accepted", accepted.get());
}

#[test]
fn p9_a_canonical_path_is_its_own_and_no_decoding_changes_its_segments() {
    assert_one_form(path(), |sent| CanonicalPath::parse(sent).ok(), |path| path.to_string(), assert_stays);
}

/// The whole of short paths: three pieces behind a slash, each of them everything there is.
#[test]
fn p9_every_path_of_three_pieces_is_its_own() {
    for [a, b, c] in PIECES.iter().flat_map(|a| PIECES.iter().flat_map(move |b| PIECES.iter().map(move |c| [a, b, c])))
    {
        let Ok(path) = CanonicalPath::parse(&format!("/{a}{b}{c}")) else { continue };
        assert_eq!(CanonicalPath::parse(path.as_str()).as_ref(), Ok(&path));
        assert_stays(path.as_str());
    }
}

#[test]
fn p10_a_canonical_host_is_its_own() {
    assert_one_form(
        joined(HOSTS, 5),
        |sent| Host::parse(sent).ok(),
        Host::to_string,
        |canonical| {
            assert!(canonical.is_ascii() && canonical == canonical.to_ascii_lowercase(), "{canonical}");
        },
    );
}

#[test]
fn p9_a_canonical_resource_uri_is_its_own_and_no_decoding_changes_its_segments() {
    let stays = |canonical: &str| assert_stays(canonical.split('?').next().unwrap());
    assert_one_form(address(), |sent| uri::canonical(sent).ok(), Clone::clone, stays);
}

#[test]
fn p9_a_canonical_url_is_its_own_and_no_decoding_changes_its_segments() {
    assert_one_form(address(), |sent| Url::parse(sent).ok(), Url::canonical, assert_stays);
}

#[test]
fn p9_a_canonical_address_of_a_task_is_its_own_and_no_decoding_changes_its_segments() {
    assert_one_form(address(), Address::read, Address::url, assert_stays);
}

#[test]
fn the_lenient_reader_sees_hidden_parts() {
    for (hidden, seen) in [
        ("%252e", "%2e"),
        ("%2e", "."),
        ("%u002f", "/"),
        ("%C0%AE", "."),
        ("%e0%80%af", "/"),
        ("\u{FF0F}", "/"),
        ("%ff", "\u{FFFD}"),
    ] {
        assert_eq!(decoded(hidden), seen);
    }
}
