//! Keys that are one key to readers that do not mind case.
//!
//! Knows: how such readers compare. Must not know: which keys matter to whom.
//!
//! Some widely used readers match members without regard to case and take the last one, so `name` beside `Name` is
//! read in two ways; and `Name` alone is a name to them and nothing to others.

use super::json::{Json, SmolStr};

/// A key of `members` that is one of `known` but for its case.
pub(super) fn disguised<'a>(members: &'a [(SmolStr, Json)], known: &[&str]) -> Option<&'a str> {
    let keys = members.iter().map(|(key, _)| key.as_str());
    keys.into_iter().find(|key| !known.contains(key) && known.iter().any(|known| is_same(known, key)))
}

/// A key that another member of the same object has in another case, at any depth.
pub(super) fn doubled(json: &Json) -> Option<&str> {
    match json {
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) => None,
        Json::List(items) => items.iter().find_map(doubled),
        Json::Object(members) => in_object(members).or_else(|| members.iter().find_map(|(_, value)| doubled(value))),
    }
}

fn in_object(members: &[(SmolStr, Json)]) -> Option<&str> {
    let keys = || members.iter().map(|(key, _)| key.as_str());
    // Pairs while there are few, else sorted by the folded key.
    if members.len() <= 16 && keys().all(str::is_ascii) {
        let earlier = |at: usize, key: &str| keys().take(at).any(|earlier| earlier.eq_ignore_ascii_case(key));
        return keys().enumerate().find(|(at, key)| earlier(*at, key)).map(|(_, key)| key);
    }
    let mut sorted: Vec<(String, &str)> = keys().map(|key| (folded(key), key)).collect();
    sorted.sort_unstable();
    sorted.windows(2).find_map(|pair| match pair {
        [(a, _), (b, key)] if a == b => Some(*key),
        _ => None,
    })
}

fn is_same(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() { a.eq_ignore_ascii_case(b) } else { folded(a) == folded(b) }
}

/// Up and down again: the long s and the Kelvin sign are letters to readers that fold all of Unicode.
fn folded(key: &str) -> String {
    if key.is_ascii() { key.to_ascii_lowercase() } else { key.to_uppercase().to_lowercase() }
}
