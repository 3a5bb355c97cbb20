//! Checks of variable values: a value must not turn a URL into another request.
//!
//! Knows: the characters that separate parts of a URL, in every spelling that servers are known to read. Must not know:
//! queries, templates.
//!
//! A value is percent-encoded, but a source may decode more than once, fold look-alikes, or resolve dot segments. So a
//! value is refused that could separate anything for any of them, not only for a source that decodes exactly once.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Whether the values of a URL's path may hold slashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Slashes {
    /// A value is one segment, or it is not usable.
    #[default]
    Refused,
    /// A value may be several segments; none of them is a dot segment.
    Allowed,
}

/// Where in a URL a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UrlPosition {
    /// In the path.
    Path,
    /// Behind a `=` of the query.
    Query,
}

/// How often a value is decoded to see what it could become; one that changes even then is refused.
const DECODINGS_MAX: usize = 4;

/// Whether a value that stands at `place` leaves the request the one that the template asks for.
pub(super) fn is_usable(value: &str, place: UrlPosition, slashes: Slashes) -> bool {
    let escapes = match (place, slashes) {
        // A segment has no use for them, and what is decoded twice is another value.
        (UrlPosition::Path, Slashes::Refused) => Escapes::Refused,
        (UrlPosition::Path, Slashes::Allowed) | (UrlPosition::Query, _) => Escapes::Decoded,
    };
    let segments = |text: &str| text.matches('/').count();
    let mut text = Cow::Borrowed(value);
    for _ in 0..DECODINGS_MAX {
        let refused = text.chars().any(|character| separates(character, place, slashes, escapes));
        if refused || (place == UrlPosition::Path && (climbs(&text) || segments(&text) != segments(value))) {
            return false;
        }
        let Ok(decoded) = percent_decode_str(&text).decode_utf8() else { return false };
        if decoded == text {
            return true;
        }
        text = Cow::Owned(decoded.into_owned());
    }
    false
}

/// What becomes of a `%` in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Refused,
    /// The decoded value is checked.
    Decoded,
}

fn separates(character: char, place: UrlPosition, slashes: Slashes, escapes: Escapes) -> bool {
    if character.is_control() || is_unseen(character) || is_look_alike(character) {
        return true;
    }
    match (character, place) {
        ('%', _) => escapes == Escapes::Refused,
        ('/', UrlPosition::Path) => slashes == Slashes::Refused,
        ('\\' | ';' | '?' | '#', UrlPosition::Path) | ('&' | ';' | '#', UrlPosition::Query) => true,
        _ => false,
    }
}

/// Whether a segment of a text is nothing but dots and blanks: some servers drop blanks, and dots at the end.
pub(super) fn climbs(text: &str) -> bool {
    let is_nothing = |segment: &str| segment.chars().all(|character| character == '.' || character.is_whitespace());
    text.split('/').any(|segment| !segment.is_empty() && is_nothing(segment))
}

/// Characters that are not seen and that some readers drop.
fn is_unseen(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Characters that Unicode's compatibility forms (NFKC) make `/ \ % ; ? # & .` of, alone or with others, and those that
/// code pages of one byte put in their place. Numbers with a dot (`⒈`) and `㏂` are not among them: their dot stands
/// beside a digit or letter.
fn is_look_alike(character: char) -> bool {
    matches!(
        character,
        '\u{37e}'
            | '\u{2024}'..='\u{2026}'
            | '\u{2047}'..='\u{2049}'
            | '\u{2100}'..='\u{2101}'
            | '\u{2105}'..='\u{2106}'
            | '\u{fe14}'
            | '\u{fe16}'
            | '\u{fe19}'
            | '\u{fe30}'
            | '\u{fe52}'
            | '\u{fe54}'
            | '\u{fe56}'
            | '\u{fe5f}'..='\u{fe60}'
            | '\u{fe68}'
            | '\u{fe6a}'
            | '\u{ff03}'
            | '\u{ff05}'..='\u{ff06}'
            | '\u{ff0e}'..='\u{ff0f}'
            | '\u{ff1b}'
            | '\u{ff1f}'
            | '\u{ff3c}'
            // Best fit: yen, won, fraction and division slash, set minus, reverse solidus operator, big solidi.
            | '\u{a5}'
            | '\u{20a9}'
            | '\u{2044}'
            | '\u{2215}'..='\u{2216}'
            | '\u{29f5}'
            | '\u{29f8}'..='\u{29f9}'
    )
}
