//! The one reader of query strings and form bodies: splits pairs and decodes them.
//!
//! Knows: separators, escapes, and how servers fold keys. Must not know: which keys matter, and for which reader.
//!
//! [`pairs`] returns the pairs of a query that all servers read in the same way; it rejects any other query.
//! [`sent_pairs`] returns every pair that *some* server finds, so that no spelling hides one. A key without a single
//! reading could mean anything.

use percent_encoding::percent_decode_str;

/// How often a key is decoded before it counts as a key without a single reading.
const LEVELS: usize = 4;

/// Characters that split a query for some servers, in addition to `&`.
const SPLITTING: [char; 3] = [';', '?', '#'];

/// A pair as it was sent, with its escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentPair<'a> {
    /// The text before its `=`.
    pub key: &'a str,
    /// The text behind its `=`, up to the next `&`, `;` or `?`. `#` does not end it: a body has no fragment.
    pub value: &'a str,
    /// The servers that read it as a pair.
    pub seen: Seen,
}

/// The servers that see a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// All servers: the pair is the first, or follows `&`.
    ByAll,
    /// Some servers: the pair follows `;`, `#`, a second `?`, or an escaped `?` of the path.
    BySome,
}

/// Why a query has no single reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueryProblem {
    /// `;` or `#`: only some servers split a query there.
    #[error("the query holds a separator that servers read differently")]
    Separator,
    /// `%` without two hexadecimal digits.
    #[error("the query has a broken escape")]
    BrokenEscape,
    /// A decoded key or value is not UTF-8.
    #[error("the query is not UTF-8")]
    NotText,
    /// A decoded key or value has a control character.
    #[error("the query holds a control character")]
    Control,
}

/// The decoded keys and values of a query that every server reads in the same way, in their order.
///
/// The caller decides whether a key may occur twice, and what a value with two levels of escapes means.
///
/// # Errors
/// [`QueryProblem`] instead of a pair that servers would read differently.
///
/// # Example
/// ```
/// use picket_core::call::query_string::{QueryProblem, pairs};
///
/// let found: Result<Vec<_>, _> = pairs("a=1&&b+c=%26&d").collect();
/// let text = |key: &str, value: &str| (key.to_owned(), value.to_owned());
/// assert_eq!(found, Ok(vec![text("a", "1"), text("b c", "&"), text("d", "")]));
/// assert_eq!(pairs("a=1;b=2").next(), Some(Err(QueryProblem::Separator)));
/// ```
pub fn pairs(raw: &str) -> impl Iterator<Item = Result<(String, String), QueryProblem>> {
    raw.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        if pair.contains([';', '#']) {
            return Err(QueryProblem::Separator);
        }
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decoded(key)?, decoded(value)?))
    })
}

/// Every pair that some server finds: `;`, `#` and a second `?` split pairs as `&` does.
pub fn sent_pairs(raw: &str) -> impl Iterator<Item = SentPair<'_>> {
    raw.split('&').flat_map(|part| {
        let behind = part.match_indices(SPLITTING).map(|(at, mark)| (at + mark.len(), Seen::BySome));
        std::iter::once((0, Seen::ByAll)).chain(behind).filter_map(|(start, seen)| {
            let rest = part.get(start..).unwrap_or_default();
            let before = |text: &'_ str, ends: &[char]| text.find(ends).unwrap_or(text.len());
            let (pair, _) = rest.split_at(before(rest, &SPLITTING));
            let key = pair.split_once('=').map_or(pair, |(key, _)| key);
            let value = rest.get(key.len()..).and_then(|rest| rest.strip_prefix('=')).unwrap_or_default();
            let (value, _) = value.split_at(before(value, &[';', '?']));
            (!pair.is_empty()).then_some(SentPair { key, value, seen })
        })
    })
}

/// A key or value, decoded once.
///
/// # Errors
/// [`QueryProblem`] if servers would read it differently.
pub fn decoded(sent: &str) -> Result<String, QueryProblem> {
    visible(unescaped(sent)?)
}

/// A text without control characters.
///
/// # Errors
/// [`QueryProblem::Control`].
pub fn visible(text: String) -> Result<String, QueryProblem> {
    if text.contains(char::is_control) { Err(QueryProblem::Control) } else { Ok(text) }
}

/// A text after one level of decoding (`+` and escapes), with any characters.
///
/// # Errors
/// [`QueryProblem`] if an escape is broken or the bytes are not UTF-8.
///
/// # Example
/// ```
/// use picket_core::call::query_string::{QueryProblem, unescaped};
///
/// assert_eq!(unescaped("a%20b+c").as_deref(), Ok("a b c"));
/// assert_eq!(unescaped("100%"), Err(QueryProblem::BrokenEscape));
/// assert_eq!(unescaped("%ff"), Err(QueryProblem::NotText));
/// ```
pub fn unescaped(text: &str) -> Result<String, QueryProblem> {
    without_escapes(&text.replace('+', " "))
}

fn without_escapes(text: &str) -> Result<String, QueryProblem> {
    let is_hex = |rest: &str| rest.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    if !text.split('%').skip(1).all(is_hex) {
        return Err(QueryProblem::BrokenEscape);
    }
    let text = percent_decode_str(text).decode_utf8().map_err(|_| QueryProblem::NotText)?;
    Ok(text.into_owned())
}

/// Returns whether some server reads the key `sent` as `name`. It ignores escapes, case, blanks around the key, an
/// index behind it (`name[]`), and reads `-`, `.` or a blank as `_`. An invalid key could be any.
///
/// # Example
/// ```
/// use picket_core::call::query_string::could_mean;
///
/// assert!(could_mean("%61ccess-Token[]", "access_token"));
/// assert!(could_mean("%ff", "access_token"));
/// assert!(!could_mean("access_tokens", "access_token"));
/// ```
#[must_use]
pub fn could_mean(sent: &str, name: &str) -> bool {
    let name = folded(name);
    let Ok(mut key) = unescaped(sent) else { return true };
    for _ in 0..LEVELS {
        if is_read_as(&key, &name) {
            return true;
        }
        match without_escapes(&key) {
            // Decoded once it is a plain text; only a server that decodes twice would stumble.
            Err(_) => return false,
            Ok(again) if again == key => return false,
            Ok(again) => key = again,
        }
    }
    true
}

fn is_read_as(key: &str, name: &str) -> bool {
    // To a server written in C the text ends at a zero byte.
    let key = key.split('\0').next().unwrap_or_default();
    let whole = folded(key);
    // PHP takes an open bracket that is never closed for `_`, and what stands in brackets for an index.
    let index_cut = key.split_once('[').map(|(before, _)| folded(before));
    whole == *name || index_cut.is_some_and(|before| before == *name)
}

/// A name as the most lenient server compares it.
fn folded(name: &str) -> String {
    let narrow = |character: char| match character {
        // Full-width forms of ASCII.
        '\u{ff01}'..='\u{ff5e}' => {
            u32::from(character).checked_sub(0xfee0).and_then(char::from_u32).unwrap_or(character)
        }
        other => other,
    };
    let plain = |character: char| match character {
        '-' | '.' | ' ' | '[' => '_',
        other => other,
    };
    let ignored = |character: char| character.is_whitespace() || character.is_control() || "?._".contains(character);
    // Upper case first: a long s is an `S` to those who fold by upper case, a Kelvin sign a `k` to the others.
    name.trim_matches(ignored)
        .chars()
        .map(narrow)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .map(plain)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_key_is_found() {
        for key in [
            "access_token",
            "ACCESS_TOKEN",
            "Access_Token",
            "access%5ftoken",
            "%61%63cess_token",
            "%2561ccess_token",
            "%252561ccess_token",
            "+access_token",
            "access_token+",
            "%09access_token%0a",
            "access_token%00x",
            "access-token",
            "access.token",
            "access+token",
            "access%20token",
            "access[token",
            "access_token[]",
            "access_token[0]",
            "access_token%5B%5D",
            "access_token.",
            "_access_token",
            "acce\u{17f}s_to\u{212a}en",
            "\u{ff41}ccess_token",
            "?access_token",
            // No one reading: it could be any key.
            "%c1%a1ccess_token",
            "%u0061ccess_token",
            "%",
            "%zz",
            "%ff",
            "%2525252525252561",
        ] {
            assert!(could_mean(key, "access_token"), "{key}");
        }
    }

    #[test]
    fn other_keys_are_left_alone() {
        for key in
            ["access_tokens", "token", "access", "accesstoken", "x_access_token", "q", "100%25", "caf%C3%A9", "[]"]
        {
            assert!(!could_mean(key, "access_token"), "{key}");
        }
    }

    #[test]
    fn pairs_are_parted_as_the_most_eager_server_parts_them() {
        let show = |pair: SentPair<'_>| match pair.seen {
            Seen::ByAll => format!("{}={}", pair.key, pair.value),
            Seen::BySome => format!("({}={})", pair.key, pair.value),
        };
        for (sent, expected) in [
            ("a=1&&b=2;access_token=x?c&=d", "a=1 b=2 (access_token=x) (c=) =d"),
            ("a=1#b=2;c", "a=1#b=2 (b=2) (c=)"),
            ("a#b=1", "a= (b=1)"),
            ("?a=1=2", "(a=1=2)"),
            ("", ""),
        ] {
            let found: Vec<_> = sent_pairs(sent).map(show).collect();
            assert_eq!(found.join(" "), expected, "{sent}");
        }
    }
}
