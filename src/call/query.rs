//! The name-value pairs of a query or a form body, under the parsing rules of any server.
//!
//! Knows: separators, escapes, and how servers fold keys. Must not know: which keys matter, and to whom.
//!
//! This asks what a key *could* mean to somebody, so that nothing hides in a spelling. A key that has no one reading
//! could mean anything.

use percent_encoding::percent_decode_str;

/// How often a key is decoded before it counts as one without a reading.
const LEVELS: usize = 4;

/// Keys and values as sent. `;` and a second `?` part pairs as `&` does: some servers read them so.
pub fn pairs(raw: &str) -> impl Iterator<Item = (&str, &str)> {
    raw.split(['&', ';', '?']).filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// A text with its escapes taken away once; `None` where an escape is broken or the bytes are not UTF-8.
///
/// # Example
/// ```
/// use picket::call::query::decoded;
///
/// assert_eq!(decoded("a%20b+c").as_deref(), Some("a b c"));
/// assert_eq!(decoded("100%"), None);
/// assert_eq!(decoded("%ff"), None);
/// ```
#[must_use]
pub fn decoded(text: &str) -> Option<String> {
    unescaped(&text.replace('+', " "))
}

fn unescaped(text: &str) -> Option<String> {
    let is_hex = |rest: &str| rest.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    if !text.split('%').skip(1).all(is_hex) {
        return None;
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Some(text.into_owned()),
        Err(_) => None,
    }
}

/// Whether some server reads the key `sent` as `name`: regardless of escapes, case, blanks around it, `-`, `.` or a
/// blank for `_`, and an index behind it (`name[]`). A key that cannot be decoded could be any.
///
/// # Example
/// ```
/// use picket::call::query::could_mean;
///
/// assert!(could_mean("%61ccess-Token[]", "access_token"));
/// assert!(could_mean("%ff", "access_token"));
/// assert!(!could_mean("access_tokens", "access_token"));
/// ```
#[must_use]
pub fn could_mean(sent: &str, name: &str) -> bool {
    let name = folded(name);
    let Some(mut key) = decoded(sent) else { return true };
    for _ in 0..LEVELS {
        if is_read_as(&key, &name) {
            return true;
        }
        match unescaped(&key) {
            // Decoded once it is a plain text; only a server that decodes twice would stumble.
            None => return false,
            Some(again) if again == key => return false,
            Some(again) => key = again,
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
        let found: Vec<_> = pairs("a=1&&b=2;access_token=x?c&=d").collect();
        assert_eq!(found, [("a", "1"), ("b", "2"), ("access_token", "x"), ("c", ""), ("", "d")]);
    }
}
