//! Decodes text that a string holds in another form: base64, `data:` URLs.
//!
//! Knows: base64, media types, percent-encoding. Must not know: documents, detectors.

use std::ops::Range;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;

use super::Unread;

/// Shortest string that is decoded as base64: a key of 16 characters has 22.
const BASE64_BYTES_MIN: usize = 16;
/// Shortest string of base64 that counts as a file where nothing says what it is. Digests, identifiers and cursors of
/// APIs are shorter.
pub(super) const UNKNOWN_BYTES_MIN: usize = 512;
/// Shortest string of base64 that counts as a file where its media type is a text.
pub(super) const FILE_BYTES_MIN: usize = 48;
/// Longest media type with its parameters.
const TYPE_BYTES_MAX: usize = 256;

const PADDING: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PADDING);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, PADDING);

/// A decoded part.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    /// It is text.
    Text(String),
    /// It is not, or not only.
    Bytes {
        /// The characters in it, for a scan that may find something all the same.
        readable: String,
        /// The kind of the part.
        unread: Unread,
    },
}

/// What a media type says about bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Media,
    Unknown,
}

impl Kind {
    /// The kind of a media type; its parameters do not matter.
    pub fn of(media_type: &str) -> Self {
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let (main, sub) = essence.split_once('/').unwrap_or((essence.as_str(), ""));
        const TEXTS: [&str; 14] = [
            "json",
            "xml",
            "yaml",
            "x-yaml",
            "javascript",
            "x-javascript",
            "ecmascript",
            "x-ndjson",
            "ndjson",
            "toml",
            "sql",
            "x-sh",
            "x-www-form-urlencoded",
            "graphql",
        ];
        let ends_as_text = ["+json", "+xml", "+yaml"].iter().any(|ending| sub.ends_with(ending));
        match main {
            "text" | "message" => Self::Text,
            _ if ends_as_text => Self::Text,
            "application" if TEXTS.contains(&sub) => Self::Text,
            "" => Self::Unknown,
            "application" if sub == "octet-stream" => Self::Unknown,
            _ => Self::Media,
        }
    }
}

/// Whether a string is worth decoding: every other one is done after its scan.
pub(super) fn may_hold_more(text: &str) -> bool {
    text.contains('\\') || may_be_json(text) || after_scheme(text, 0).is_some() || base64_digits(text).is_some()
}

/// Whether a string may be a list or an object.
pub(super) fn may_be_json(text: &str) -> bool {
    let text = text.trim();
    (text.starts_with('{') && text.ends_with('}'))
        || (text.starts_with('[') && text.ends_with(']'))
        || (text.len() > 2 && text.starts_with('"') && text.ends_with('"'))
}

/// Whether a string certainly holds text in another form.
pub(super) fn holds_more(text: &str) -> bool {
    may_be_json(text)
        || !data_urls(text).is_empty()
        || ["\\u", "\\x"].iter().any(|escape| text.contains(escape))
        || matches!(base64(text), Some(Decoded::Text(_)))
        || (text.len() >= UNKNOWN_BYTES_MIN && base64_digits(text).is_some())
}

/// The first place behind `data:` from a place on, in any case of letters.
fn after_scheme(text: &str, from: usize) -> Option<usize> {
    let colons = text.get(from..)?.match_indices(':').map(|(at, _)| from + at);
    colons
        .filter(|at| {
            let before = text.as_bytes().get(..*at).unwrap_or_default();
            let scheme_at = before.len().saturating_sub("data".len());
            let (before, scheme) = before.split_at_checked(scheme_at).unwrap_or_default();
            scheme.eq_ignore_ascii_case(b"data") && !before.last().is_some_and(u8::is_ascii_alphanumeric)
        })
        .map(|at| at + 1)
        .next()
}

/// A `data:` URL in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DataUrl {
    pub decoded: Decoded,
    /// Its data in the text, in bytes.
    pub data: Range<usize>,
    /// Whether the data is base64, and otherwise percent-encoded.
    pub is_base64: bool,
}

/// The `data:` URLs of a text, wherever they begin. One inside another belongs to the data of the other.
pub(super) fn data_urls(text: &str) -> Vec<DataUrl> {
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(begin) = after_scheme(text, from) {
        from = begin;
        if let Some(DataUrl { decoded, data, is_base64 }) = text.get(begin..).and_then(data_url) {
            from = begin + data.end;
            found.push(DataUrl { decoded, data: begin + data.start..from, is_base64 });
        }
    }
    found
}

/// The URL from behind its scheme on; `None` for a text that is not a URL.
fn data_url(rest: &str) -> Option<DataUrl> {
    let comma = rest.bytes().take(TYPE_BYTES_MAX).position(|byte| byte == b',')?;
    let (head, data) = (rest.get(..comma)?, rest.get(comma + 1..)?);
    let is_head = |byte: u8| byte.is_ascii_alphanumeric() || b"/;=+.-_%!#$&^'\"".contains(&byte);
    if !head.bytes().all(is_head) {
        return None;
    }
    let end = data.find(|character: char| character.is_whitespace() || "\"'<>)]}`".contains(character));
    let data = data.get(..end.unwrap_or(data.len()))?;
    let place = comma + 1..comma + 1 + data.len();
    let bytes = percent_decode_str(data).collect::<Vec<u8>>();
    let (media_type, is_base64) = match head.rsplit_once(';') {
        Some((media_type, last)) if last.eq_ignore_ascii_case("base64") => (media_type, true),
        Some(_) | None => (head, false),
    };
    let bytes = match (is_base64, std::str::from_utf8(&bytes)) {
        (true, Ok(digits)) => decode(digits),
        (true, Err(_)) => None,
        (false, _) => Some(bytes),
    };
    // Without a type, or with one that is invalid, it is a text.
    let kind = if media_type.contains('/') { Kind::of(media_type) } else { Kind::Text };
    let Some(bytes) = bytes else {
        let decoded = Decoded::Bytes { readable: String::new(), unread: Unread::Text };
        return Some(DataUrl { decoded, data: place, is_base64 });
    };
    let decoded = match (decoded(bytes), kind) {
        (Decoded::Text(text), Kind::Text | Kind::Unknown) => Decoded::Text(text),
        (Decoded::Text(readable), Kind::Media) => Decoded::Bytes { readable, unread: Unread::Media },
        (Decoded::Bytes { readable, .. }, Kind::Text) => Decoded::Bytes { readable, unread: Unread::Text },
        (Decoded::Bytes { readable, .. }, Kind::Media) => Decoded::Bytes { readable, unread: Unread::Media },
        (bytes @ Decoded::Bytes { .. }, Kind::Unknown) => bytes,
    };
    Some(DataUrl { decoded, data: place, is_base64 })
}

/// A text with its escapes resolved.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unescaped {
    pub text: String,
    /// Offsets of places in `text` and in its source, ascending in both: one for each character, and the ends.
    places: Vec<(usize, usize)>,
}

impl Unescaped {
    /// The source of a part of the text.
    pub fn source(&self, part: &Range<usize>) -> Range<usize> {
        let place = |at: usize| {
            let number = self.places.partition_point(|(text, _)| *text < at);
            self.places.get(number).map_or(0, |(_, source)| *source)
        };
        place(part.start)..place(part.end)
    }
}

/// A text with the escapes of JSON and of programming languages resolved; `None` without one. A string may be a part of a
/// document, or one that strict parsers reject.
pub(super) fn unescaped(text: &str) -> Option<Unescaped> {
    text.contains('\\').then(|| {
        let (mut units, mut sources, mut rest) = (Vec::with_capacity(text.len()), Vec::new(), text);
        let mut add = |units: &mut Vec<u16>, at: usize| sources.resize(units.len(), at);
        while let Some((before, behind)) = rest.split_once('\\') {
            plain(before, text.len() - rest.len(), &mut units, &mut add);
            let at = text.len() - behind.len() - 1;
            rest = escape(behind, &mut units);
            add(&mut units, at);
        }
        plain(rest, text.len() - rest.len(), &mut units, &mut add);
        located(&units, &sources, text.len())
    })
}

/// Adds characters that are no escape; the first one is at `from` of the source.
fn plain(text: &str, from: usize, units: &mut Vec<u16>, add: &mut impl FnMut(&mut Vec<u16>, usize)) {
    for (at, character) in text.char_indices() {
        units.extend(character.encode_utf16(&mut [0; 2]).iter());
        add(units, from + at);
    }
}

/// The text of UTF-16 units with their places in a source of this length.
fn located(units: &[u16], sources: &[usize], length: usize) -> Unescaped {
    let (mut text, mut places, mut number) = (String::with_capacity(units.len()), Vec::new(), 0);
    for character in char::decode_utf16(units.iter().copied()) {
        let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
        places.push((text.len(), sources.get(number).copied().unwrap_or(length)));
        // Half of a surrogate pair is one unit, as its replacement is.
        number += character.len_utf16();
        text.push(character);
    }
    places.push((text.len(), length));
    Unescaped { text, places }
}

/// Resolves the escape behind a backslash; returns the text behind it.
fn escape<'t>(behind: &'t str, units: &mut Vec<u16>) -> &'t str {
    let mut characters = behind.chars();
    let digits = match characters.next() {
        None => return behind,
        Some('u') => 4,
        Some('x') => 2,
        Some(other) => {
            let plain = match other {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                other => other,
            };
            units.extend(plain.encode_utf16(&mut [0; 2]).iter());
            return characters.as_str();
        }
    };
    let behind = characters.as_str();
    match behind.split_at_checked(digits).map(|(digits, rest)| (u16::from_str_radix(digits, 16), rest)) {
        Some((Ok(unit), rest)) => {
            units.push(unit);
            rest
        }
        Some((Err(_), _)) | None => behind,
    }
}

/// A string that is base64 as a whole, decoded.
pub(super) fn base64(text: &str) -> Option<Decoded> {
    decode(&base64_digits(text)?).map(decoded)
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte)
}

/// The digits of a string that is base64 as a whole; breaks of lines are left out.
fn base64_digits(text: &str) -> Option<std::borrow::Cow<'_, str>> {
    let text = text.trim();
    if text.len() < BASE64_BYTES_MIN {
        return None;
    }
    if text.bytes().all(is_digit) {
        return Some(text.into());
    }
    let is_broken = text.bytes().all(|byte| is_digit(byte) || matches!(byte, b'\r' | b'\n'));
    is_broken.then(|| text.chars().filter(|character| !matches!(character, '\r' | '\n')).collect::<String>().into())
}

/// The bytes of base64 in either alphabet. Digits that are left over at the end are dropped, as lenient readers do.
fn decode(digits: &str) -> Option<Vec<u8>> {
    if !digits.bytes().all(is_digit) {
        return None;
    }
    let digits = digits.trim_end_matches('=');
    let digits = if digits.len() % 4 == 1 { digits.get(..digits.len() - 1)? } else { digits };
    let engine = if digits.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    let Ok(bytes) = engine.decode(digits) else { return None };
    Some(bytes)
}

fn decoded(bytes: Vec<u8>) -> Decoded {
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Decoded::Text(text),
        Ok(text) => Decoded::Bytes { readable: text.replace('\0', ""), unread: Unread::Bytes },
        Err(error) => {
            // Texts in UTF-16 have a zero next to each letter.
            let bytes: Vec<u8> = error.into_bytes().into_iter().filter(|byte| *byte != 0).collect();
            Decoded::Bytes { readable: String::from_utf8_lossy(&bytes).into_owned(), unread: Unread::Bytes }
        }
    }
}
