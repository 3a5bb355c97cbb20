//! The canonical path: one spelling, or rejection.
//!
//! What is decided on must be what the upstream understands. So nothing is repaired here: dot
//! segments, empty segments, encoded separators and second encodings are refused, not resolved.

use std::borrow::Cow;

use percent_encoding::AsciiSet;

use super::alike;

/// Most segments that a path may have; each costs one ancestor in every decision.
pub const SEGMENTS_MAX: usize = 32;
/// Longest path in bytes, as sent.
pub const BYTES_MAX: usize = 8192;

/// A path in its one canonical spelling.
///
/// Characters that are legal in a segment (RFC 3986 `pchar`) and UTF-8 stand as themselves, all others
/// as upper-case escapes; there is no trailing slash except in the root.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CanonicalPath(String);

/// Why a path has no single canonical reading; offsets count bytes of the path as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathProblem {
    /// It does not begin with `/`.
    #[error("the path does not begin with `/`")]
    NotAbsolute,
    /// More than [`BYTES_MAX`] bytes.
    #[error("the path is longer than {BYTES_MAX} bytes")]
    TooLong,
    /// More than [`SEGMENTS_MAX`] segments.
    #[error("the path has more than {SEGMENTS_MAX} segments")]
    TooDeep,
    /// `//`.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// `.` or `..`, in any spelling.
    #[error("the path has a dot segment")]
    DotSegment,
    /// A control character, raw or as an escape.
    #[error("the path has a control character at byte {0}")]
    Control(usize),
    /// `\`, `;` or `#`, or `/`, `\`, `;` as an escape, or a character that some readers fold to a separator or a dot.
    #[error("the path has a separator that servers read differently at byte {0}")]
    Separator(usize),
    /// `%` without two hexadecimal digits.
    #[error("the path has a broken escape at byte {0}")]
    BrokenEscape(usize),
    /// An escape that remains after decoding: `%252e`, however its characters are escaped.
    #[error("the path is escaped twice at byte {0}")]
    DoubleEscape(usize),
    /// A blank, which a request line cannot have.
    #[error("the path has a blank at byte {0}")]
    Blank(usize),
    /// Bytes that are not UTF-8, and that lenient decoders read as a shorter character: `%C0%AE`.
    #[error("the path has a longer form than UTF-8 has of a character at byte {0}")]
    Overlong(usize),
}

impl CanonicalPath {
    /// Reads a path as sent, without its query.
    ///
    /// # Errors
    /// [`PathProblem`] for every spelling that two servers could read differently.
    pub fn parse(sent: &str) -> Result<Self, PathProblem> {
        if sent.len() > BYTES_MAX {
            return Err(PathProblem::TooLong);
        }
        let Some(inside) = sent.strip_prefix('/') else { return Err(PathProblem::NotAbsolute) };
        let inside = inside.strip_suffix('/').unwrap_or(inside);
        if inside.is_empty() {
            // `//` also ends here: after one leading and one trailing slash nothing is left.
            return if sent.len() > 1 { Err(PathProblem::EmptySegment) } else { Ok(Self("/".to_owned())) };
        }
        let mut canonical = String::with_capacity(sent.len());
        let mut offset = 1;
        for (number, segment) in inside.split('/').enumerate() {
            if number >= SEGMENTS_MAX {
                return Err(PathProblem::TooDeep);
            }
            if segment.is_empty() {
                return Err(PathProblem::EmptySegment);
            }
            canonical.push('/');
            let begin = canonical.len();
            append_segment(segment, offset, &mut canonical)?;
            if matches!(canonical.get(begin..), Some("." | "..")) {
                return Err(PathProblem::DotSegment);
            }
            offset += segment.len() + 1;
        }
        // Escapes are longer than what they stand for; the canonical spelling has to be one that is taken.
        if canonical.len() > BYTES_MAX {
            return Err(PathProblem::TooLong);
        }
        Ok(Self(canonical))
    }

    /// The canonical text; `/` for the root.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same path in ASCII, as in a URL.
    #[must_use]
    pub fn ascii(&self) -> Cow<'_, str> {
        const NONE: AsciiSet = AsciiSet::EMPTY;
        percent_encoding::utf8_percent_encode(&self.0, &NONE).into()
    }

    /// The segments; none for the root.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }

    /// Every prefix by whole segments, from `/` to the path itself.
    pub fn prefixes(&self) -> impl Iterator<Item = &str> {
        let slashes = self.0.bytes().enumerate().filter(|(_, byte)| *byte == b'/').map(|(at, _)| at);
        let cuts = slashes.skip(1).chain(std::iter::once(self.0.len()));
        let root = (self.0.len() > 1).then_some("/");
        root.into_iter().chain(cuts.filter_map(|cut| self.0.get(..cut)))
    }
}

/// Appends one segment in canonical spelling. `offset` is where it begins in the path as sent.
fn append_segment(segment: &str, offset: usize, out: &mut String) -> Result<(), PathProblem> {
    let bytes = segment.as_bytes();
    // Most segments are spelt canonically as they came.
    if bytes.iter().all(|byte| byte.is_ascii() && is_pchar(char::from(*byte))) {
        out.push_str(segment);
        return Ok(());
    }
    let mut decoded: Vec<(u8, usize, bool)> = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        let at = offset + (bytes.len() - rest.len());
        if *first != b'%' {
            decoded.push((*first, at, false));
            rest = tail;
            continue;
        }
        let (&[high, low], tail) = tail.split_first_chunk::<2>().ok_or(PathProblem::BrokenEscape(at))?;
        let byte = hex_pair(high, low).ok_or(PathProblem::BrokenEscape(at))?;
        decoded.push((byte, at, true));
        rest = tail;
    }
    append_decoded(&decoded, out)
}

/// Writes decoded bytes: text as itself, everything else as escapes.
fn append_decoded(decoded: &[(u8, usize, bool)], out: &mut String) -> Result<(), PathProblem> {
    let raw: Vec<u8> = decoded.iter().map(|(byte, _, _)| *byte).collect();
    let place = |at: usize| decoded.get(at).map_or(0, |(_, at, _)| *at);
    if let Some(at) = (0..raw.len()).find(|at| raw.get(*at..).is_some_and(alike::begins_with_escape)) {
        return Err(PathProblem::DoubleEscape(place(at)));
    }
    if let Some(at) = alike::overlong(&raw) {
        return Err(PathProblem::Overlong(place(at)));
    }
    let begin = out.len();
    let mut from = 0;
    for chunk in raw.utf8_chunks() {
        for character in chunk.valid().chars() {
            let (at, escaped) = decoded.get(from).map_or((0, false), |(_, at, escaped)| (*at, *escaped));
            from += character.len_utf8();
            match character {
                c if c.is_control() => return Err(PathProblem::Control(at)),
                '/' | '\\' | ';' => return Err(PathProblem::Separator(at)),
                '#' if !escaped => return Err(PathProblem::Separator(at)),
                ' ' if !escaped => return Err(PathProblem::Blank(at)),
                c if alike::hides_separator(c) => return Err(PathProblem::Separator(at)),
                c if !c.is_ascii() || is_pchar(c) => out.push(c),
                c => escape(u8::try_from(c).unwrap_or(b'?'), out),
            }
        }
        for byte in chunk.invalid() {
            from += 1;
            escape(*byte, out);
        }
    }
    // Digits of other sets behind a percent sign: an escape to a reader that folds them before it decodes.
    if let Some(at) = raw.iter().position(|byte| *byte == b'%')
        && out.get(begin..).is_some_and(|written| !written.is_ascii())
        && alike::compatible(&String::from_utf8_lossy(&raw)).split('%').skip(1).any(is_escape_behind)
    {
        return Err(PathProblem::DoubleEscape(place(at)));
    }
    Ok(())
}

/// Whether what follows a percent sign makes an escape of it.
fn is_escape_behind(text: &str) -> bool {
    alike::begins_with_escape(format!("%{text}").as_bytes())
}

/// RFC 3986 `pchar` without `;`, which is refused, and without `%`.
fn is_pchar(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '-' | '.' | '_' | '~' | '!' | '$' | '&' | '\'' | '(' | ')' | '*' | '+' | ',' | '=' | ':' | '@')
}

fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(high)? * 16 + digit(low)?)
}

fn escape(byte: u8, out: &mut String) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    out.push('%');
    for nibble in [byte >> 4, byte & 15] {
        out.push(DIGITS.get(usize::from(nibble)).copied().unwrap_or('0'));
    }
}

impl std::fmt::Display for CanonicalPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(sent: &str) -> Result<String, PathProblem> {
        CanonicalPath::parse(sent).map(|p| p.0)
    }

    #[test]
    fn every_spelling_of_a_path_is_one_path() {
        let cases = [
            ("/", "/"),
            ("/a", "/a"),
            ("/a/", "/a"),
            ("/%61", "/a"),
            ("/A", "/A"),
            ("/a%3ab", "/a:b"),
            ("/a%20b", "/a%20b"),
            ("/a%c3%a9", "/aé"),
            ("/aé", "/aé"),
            ("/a%ff", "/a%FF"),
            ("/a%23", "/a%23"),
            ("/a%3fb", "/a%3Fb"),
            ("/a|b", "/a%7Cb"),
            ("/a%7cb", "/a%7Cb"),
            ("/100%25", "/100%25"),
            ("/100%25zz", "/100%25zz"),
            ("/...", "/..."),
        ];
        for (sent, expected) in cases {
            assert_eq!(canonical(sent).as_deref(), Ok(expected), "{sent}");
        }
    }

    #[test]
    fn p1_dot_segments_are_refused_in_every_spelling() {
        for sent in ["/a/../b", "/./a", "/a/..", "/%2e%2e/a", "/a/.%2E", "/..", "/a/./"] {
            assert_eq!(canonical(sent), Err(PathProblem::DotSegment), "{sent}");
        }
        assert_eq!(canonical("/a\\..\\b"), Err(PathProblem::Separator(2)));
    }

    #[test]
    fn p2_empty_segments_are_refused() {
        for sent in ["//admin", "/x//admin", "/admin//", "//"] {
            assert_eq!(canonical(sent), Err(PathProblem::EmptySegment), "{sent}");
        }
    }

    #[test]
    fn p3_p4_separators_are_refused_raw_and_escaped() {
        for sent in ["/public%2f..%2fadmin", "/a%5cb", "/a%2Fb", "/admin;x", "/public/..;/admin", "/a%3Bb"] {
            assert!(matches!(canonical(sent), Err(PathProblem::Separator(_))), "{sent}");
        }
    }

    #[test]
    fn p5_a_fragment_is_refused() {
        assert_eq!(canonical("/admin#x"), Err(PathProblem::Separator(6)));
    }

    #[test]
    fn p6_controls_are_refused_raw_and_escaped() {
        for byte in (0u8..0x20).chain([0x7f]) {
            assert_eq!(canonical(&format!("/a{}", char::from(byte))), Err(PathProblem::Control(2)), "{byte}");
            assert_eq!(canonical(&format!("/a%{byte:02x}")), Err(PathProblem::Control(2)), "{byte}");
        }
        assert_eq!(canonical("/a%c2%85"), Err(PathProblem::Control(2)));
    }

    #[test]
    fn p7_case_is_kept() {
        assert_ne!(canonical("/Admin"), canonical("/admin"));
    }

    #[test]
    fn p9_a_second_escape_is_refused() {
        assert_eq!(canonical("/%252e%252e"), Err(PathProblem::DoubleEscape(1)));
        assert_eq!(canonical("/a%"), Err(PathProblem::BrokenEscape(2)));
        assert_eq!(canonical("/a%2"), Err(PathProblem::BrokenEscape(2)));
        assert_eq!(canonical("/a%zz"), Err(PathProblem::BrokenEscape(2)));
    }

    #[test]
    fn p9_an_escape_in_escapes_is_refused() {
        for sent in [
            "/%25%32%65",
            "/%252%65",
            "/%25%32e",
            "/%25%32%66",
            "/%25%30%30",
            "/%2525",
            "/%25%32%35",
            "/%25u002e",
            "/%25%75002e",
            "/%25\u{FF12}\u{FF45}",
            "/%25%EF%BC%922e",
        ] {
            assert!(matches!(canonical(sent), Err(PathProblem::DoubleEscape(1))), "{sent}: {:?}", canonical(sent));
        }
        for sent in ["/100%25", "/100%25/2e", "/%25zz", "/%25\u{e9}2e", "/%25u00", "/%25-2e"] {
            assert!(canonical(sent).is_ok(), "{sent}");
        }
    }

    #[test]
    fn p8_characters_that_lenient_decoders_turn_into_separators_are_rejected() {
        for sent in ["/%c0%ae", "/a%C1%9C", "/%e0%80%ae%e0%80%ae", "/%F0%80%80%AF", "/%f8%80%80%80%ae", "/%c0x"] {
            assert!(matches!(canonical(sent), Err(PathProblem::Overlong(_))), "{sent}");
        }
        for sent in [
            "/%EF%BC%8E",
            "/\u{FF0E}\u{FF0E}/a",
            "/a\u{FF0F}b",
            "/a\u{2215}b",
            "/a%E2%80%A4",
            "/a\u{FF1B}b",
            "/\u{2025}",
        ] {
            assert!(matches!(canonical(sent), Err(PathProblem::Separator(_))), "{sent}");
        }
    }

    #[test]
    fn bounds_are_kept() {
        assert_eq!(canonical(&format!("/{}", "|".repeat(BYTES_MAX / 2))), Err(PathProblem::TooLong));
        assert!(canonical(&"/a".repeat(SEGMENTS_MAX)).is_ok());
        assert_eq!(canonical(&"/a".repeat(SEGMENTS_MAX + 1)), Err(PathProblem::TooDeep));
        assert_eq!(canonical(&format!("/{}", "a".repeat(BYTES_MAX))), Err(PathProblem::TooLong));
        assert_eq!(canonical("a"), Err(PathProblem::NotAbsolute));
        assert_eq!(canonical(""), Err(PathProblem::NotAbsolute));
    }

    #[test]
    fn prefixes_go_by_whole_segments() {
        let path = CanonicalPath::parse("/v1/orders/42").unwrap();
        assert_eq!(path.prefixes().collect::<Vec<_>>(), ["/", "/v1", "/v1/orders", "/v1/orders/42"]);
        let root = CanonicalPath::parse("/").unwrap();
        assert_eq!(root.prefixes().collect::<Vec<_>>(), ["/"]);
    }
}
