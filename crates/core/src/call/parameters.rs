//! The keys of a URL's query, under the different parsing rules of servers.
//!
//! Knows: how servers name the keys that they find. Must not know: which keys matter, or why.
//!
//! Envoy compares keys byte by byte, servers decode them, and many do more: they mind no case (ASP.NET), read `role[]`
//! and `role.0` as parts of `role` (PHP, Rails, qs), drop blanks and marks (PHP, Spring), part at `;` (older Go, Python
//! and Java). A key may stand beside another only if no such reader takes it for that one.

use super::query_string::{QueryProblem, Seen, decoded, sent_pairs, visible};
use super::{Target, alike};

/// A key of a query as it was sent, without its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentKey<'a> {
    /// As sent.
    pub text: &'a str,
    /// The readers that parse it as a key.
    pub seen: Seen,
}

/// A name as it is to the most lenient reader: letters and digits, without case and marks, in steps (`a[b]`, `a.b`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reading {
    letters: String,
    /// Where in the letters a step ends and another begins.
    ends: Vec<usize>,
}

/// How near two names are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// Some reader takes one for the other: `role` and `Role`.
    Same,
    /// Some reader takes one for a part of the other: `role` and `role[]`.
    Within,
}

/// Every key that some reader finds in a target.
pub fn keys(target: &Target) -> impl Iterator<Item = SentKey<'_>> {
    let (path, query) = match target {
        Target::Path { path, query } => (path.as_str(), query.as_deref()),
        Target::Authority => ("", None),
    };
    // Readers that decode before they look for `?`. Canonical paths have their escapes in capitals.
    let in_path =
        path.split("%3F").skip(1).flat_map(sent_pairs).map(|pair| SentKey { text: pair.key, seen: Seen::BySome });
    let in_query = query.into_iter().flat_map(sent_pairs).map(|pair| SentKey { text: pair.key, seen: pair.seen });
    in_path.chain(in_query)
}

/// Whether a key, decoded once, is `name`, and only characters that need an escape are escaped.
#[must_use]
pub fn is_plainly(sent: &str, name: &str) -> bool {
    if sent == name {
        return !name.contains(['%', '+']);
    }
    let is_needless = |rest: &str| {
        let byte = rest.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_none_or(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    !sent.split('%').skip(1).any(is_needless) && decoded(sent).is_ok_and(|key| key == name)
}

/// Whether a text that was decoded once holds another escape, which a server that decodes twice takes away as well.
#[must_use]
pub fn would_decode_again(decoded: &str) -> bool {
    decoded.match_indices('%').any(|(at, _)| decoded.as_bytes().get(at..).is_some_and(alike::begins_with_escape))
}

/// All readings of a sent key: as a whole, and as the parts that a reader finds in it if it decodes before it
/// splits.
///
/// # Errors
/// [`QueryProblem`] where the key cannot be read at all.
pub fn readings(sent: &str) -> Result<Vec<Reading>, QueryProblem> {
    if sent.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
        return Ok(vec![Reading::of(sent)]);
    }
    decoded(sent)?;
    let whole = visible(String::from_utf8(decoded_to_the_end(sent)).map_err(|_| QueryProblem::NotText)?)?;
    let parts = whole.split(['&', ';', '?', '#', '=']).filter(|part| part.len() < whole.len());
    Ok(std::iter::once(whole.as_str()).chain(parts).map(Reading::of).collect())
}

/// The bytes that are left when no escape is, in whatever way its characters are escaped. Each turn makes the text
/// shorter, so this takes time by its length and no more.
fn decoded_to_the_end(sent: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(sent.len());
    for byte in sent.bytes() {
        bytes.push(byte);
        while let Some((escape, character)) = last_escape(&bytes) {
            bytes.truncate(bytes.len() - escape);
            match u8::try_from(character) {
                Ok(byte) => bytes.push(byte),
                Err(_) => bytes.extend(char::from_u32(character).unwrap_or('\u{FFFD}').to_string().bytes()),
            }
        }
    }
    bytes
}

/// The length of an escape at the end, and what it stands for.
fn last_escape(bytes: &[u8]) -> Option<(usize, u32)> {
    let value =
        |digits: &[u8]| digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?));
    match bytes {
        [.., b'%', a, b] => value(&[*a, *b]).map(|value| (3, value)),
        [.., b'%', b'u' | b'U', a, b, c, d] => value(&[*a, *b, *c, *d]).map(|value| (6, value)),
        _ => None,
    }
}

impl Reading {
    /// Reads a decoded name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let mut read = Self { letters: String::with_capacity(name.len()), ends: Vec::new() };
        for character in alike::folded(name).chars() {
            let at = read.letters.len();
            match character {
                '[' | ']' | '.' | ':' if at > 0 && read.ends.last() != Some(&at) => read.ends.push(at),
                c if c.is_alphanumeric() => read.letters.push(c),
                _ => {}
            }
        }
        read
    }

    /// How near another name is; `None` where no reader takes one for the other.
    #[must_use]
    pub fn likeness(&self, other: &Self) -> Option<Likeness> {
        // `user.id` and `user_id` are the same to some, so steps are compared by their letters alone.
        let is_within = |outer: &Self, inner: &Self| {
            inner.letters.starts_with(&outer.letters) && inner.ends.contains(&outer.letters.len())
        };
        if self.letters == other.letters {
            return Some(Likeness::Same);
        }
        (is_within(self, other) || is_within(other, self)).then_some(Likeness::Within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::CanonicalPath;

    fn likeness(sent: &str, name: &str) -> Option<Likeness> {
        let name = Reading::of(name);
        readings(sent).unwrap().iter().find_map(|reading| reading.likeness(&name))
    }

    #[test]
    fn p47_a_key_that_a_reader_accepts_for_another_is_similar_to_it() {
        use Likeness::{Same, Within};
        for (sent, expected) in [
            ("user_id", Some(Same)),
            ("User_Id", Some(Same)),
            ("userId", Some(Same)),
            ("user-id", Some(Same)),
            ("user.id", Some(Same)),
            ("user+id", Some(Same)),
            ("%75ser_id", Some(Same)),
            ("%2575ser_id", Some(Same)),
            ("%25%37%35ser_id", Some(Same)),
            ("%25u0075ser_id", Some(Same)),
            ("+user_id", Some(Same)),
            ("user_id%20", Some(Same)),
            ("_user_id", Some(Same)),
            ("!user_id", Some(Same)),
            ("user_id[]", Some(Same)),
            ("user_id%5B%5D", Some(Same)),
            ("user_id[0]", Some(Within)),
            ("user_id[a][b]", Some(Within)),
            ("user_id[", Some(Same)),
            ("user_id.", Some(Same)),
            ("user_id.x", Some(Within)),
            ("user_id:int", Some(Within)),
            ("user[id]", Some(Same)),
            ("user.id[0]", Some(Within)),
            ("user.id.x", Some(Within)),
            ("\u{FF55}ser_id", Some(Same)),
            ("%EF%BD%95ser_id", Some(Same)),
            ("u\u{17F}er_id", Some(Same)),
            ("user\u{AD}_id", Some(Same)),
            ("a%26user_id", Some(Same)),
            ("a%3Buser_id", Some(Same)),
            ("user_id%3Da", Some(Same)),
            ("user_ids", None),
            ("user", None),
            ("id", None),
            ("x_user_id", None),
            ("", None),
        ] {
            assert_eq!(likeness(sent, "user_id"), expected, "{sent}");
        }
        assert_eq!(likeness("user", "user[id]"), Some(Within));
        assert_eq!(likeness("page[number]", "page[size]"), None);
    }

    #[test]
    fn p47_a_key_that_cannot_be_read_is_a_problem() {
        for (sent, problem) in [
            ("%", QueryProblem::BrokenEscape),
            ("a%u0062", QueryProblem::BrokenEscape),
            ("a%zz", QueryProblem::BrokenEscape),
            ("%C1%B4enant", QueryProblem::NotText),
            ("%ff", QueryProblem::NotText),
            ("%25ff", QueryProblem::NotText),
            ("a%00", QueryProblem::Control),
            ("a%2500", QueryProblem::Control),
            ("a%0Ab", QueryProblem::Control),
        ] {
            assert_eq!(readings(sent), Err(problem), "{sent}");
        }
    }

    #[test]
    fn a_chain_of_escapes_takes_time_by_its_length() {
        let chain = format!("%{}74", "25".repeat(30_000));
        assert_eq!(readings(&chain).unwrap(), [Reading::of("t")]);
    }

    #[test]
    fn every_key_that_some_reader_finds_is_listed() {
        let target = |path: &str, query: Option<&str>| Target::Path {
            path: CanonicalPath::parse(path).unwrap(),
            query: query.map(str::to_owned),
        };
        let found = |target: &Target| -> Vec<String> {
            let mark = |key: SentKey<'_>| match key.seen {
                Seen::ByAll => key.text.to_owned(),
                Seen::BySome => format!("({})", key.text),
            };
            keys(target).map(mark).collect()
        };
        for (path, query, expected) in [
            ("/a", None, ""),
            ("/a", Some(""), ""),
            ("/a", Some("a=1&b&&=c&d==e"), "a b  d"),
            ("/a", Some("a=1;b=2&c?d=3#e"), "a (b) c (d) (e)"),
            ("/a", Some("?a=1"), "(a)"),
            ("/a", Some("a=1&amp;b=2"), "a amp (b)"),
            ("/a%3Fb=1&c=2", Some("d"), "(b) (c) d"),
            ("/a%3Fb%3Fc", None, "(b) (c)"),
        ] {
            assert_eq!(found(&target(path, query)).join(" "), expected, "{path} {query:?}");
        }
        assert_eq!(keys(&Target::Authority).count(), 0);
    }

    #[test]
    fn only_characters_that_need_an_escape_may_have_one() {
        for (sent, name, is_plain) in [
            ("role", "role", true),
            ("r%6fle", "role", false),
            ("r%6Fle", "role", false),
            ("Role", "role", false),
            ("ids[]", "ids[]", true),
            ("ids%5b%5D", "ids[]", true),
            ("a+b", "a b", true),
            ("a%20b", "a b", true),
            ("a+b", "a+b", false),
            ("a%2Bb", "a+b", true),
            ("%C3%A9", "\u{e9}", true),
            ("\u{e9}", "\u{e9}", true),
            ("100%", "100%", false),
            ("100%25", "100%", true),
        ] {
            assert_eq!(is_plainly(sent, name), is_plain, "{sent} for {name}");
        }
    }
}
