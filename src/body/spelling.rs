//! Keys that are one key to readers that do not mind case.
//!
//! Knows: how such readers compare. Must not know: which keys matter to whom.
//!
//! Some widely used readers match members without regard to case and take the last one, so `name` beside `Name` is
//! read in two ways; and `Name` alone is a name to them and nothing to others.

use super::json::{Json, SmolStr};

/// A key of `members` that is one of `known`, which are ASCII, but for its case.
pub(super) fn disguised<'a>(members: &'a [(SmolStr, Json)], known: &[&str]) -> Option<&'a str> {
    let mut keys = members.iter().map(|(key, _)| key.as_str());
    keys.find(|key| match key.is_ascii() {
        true => known.iter().any(|known| known.eq_ignore_ascii_case(key)) && !known.contains(key),
        false => known.iter().any(|known| folds_to(key, known)),
    })
}

/// Whether a key that is not ASCII is this ASCII key to a reader that folds all of Unicode.
///
/// It ends at the first letter that differs and keeps nothing: a megabyte of such keys must not take long.
fn folds_to(key: &str, known: &str) -> bool {
    let letters = key.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    letters.eq(known.chars().map(|letter| letter.to_ascii_lowercase()))
}

/// A key on the way of a JSON pointer that differs from the pointer's own by its case alone, whether or not that one is
/// there too. Pointers are ASCII where this finds everything.
#[must_use]
pub fn beside<'a>(document: &'a Json, pointer: &'a str) -> Option<&'a str> {
    document.objects_on_the_way(pointer).find_map(|(members, key)| disguised(members, &[&key]))
}

/// A key that another member of the same object has in another case, at any depth.
#[must_use]
pub fn doubled(json: &Json) -> Option<&str> {
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

/// Up and down again: the long s and the Kelvin sign are letters to readers that fold all of Unicode.
fn folded(key: &str) -> String {
    if key.is_ascii() { key.to_ascii_lowercase() } else { key.to_uppercase().to_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::json::{Limits, parse};

    fn object(keys: &[&str]) -> Json {
        Json::Object(keys.iter().map(|key| (SmolStr::from(*key), Json::Null)).collect())
    }

    #[test]
    fn a_key_beside_the_way_of_a_pointer_is_found_at_every_step() {
        for (document, pointer, found) in [
            (r#"{"amount": 1}"#, "/amount", None),
            (r#"{"Amount": 1}"#, "/amount", Some("Amount")),
            (r#"{"amount": 1, "AMOUNT": 2}"#, "/amount", Some("AMOUNT")),
            (r#"{"Item": {"price": 1}}"#, "/item/price", Some("Item")),
            (r#"{"item": {"Price": 1}}"#, "/item/price", Some("Price")),
            (r#"{"items": [{"Price": 1}]}"#, "/items/0/price", Some("Price")),
            (r#"{"items": [{"Price": 1}]}"#, "/items/1/price", None),
            (r#"{"A/b": 1}"#, "/a~1b", Some("A/b")),
            (r#"{"tas\u212a": 1}"#, "/task", Some("tas\u{212a}")),
            (r#"{"other": {"Price": 1}, "prices": 2}"#, "/item/price", None),
            (r#"["Amount"]"#, "/amount", None),
            (r#""Amount""#, "/amount", None),
            (r#"{"Amount": 1}"#, "", None),
        ] {
            let json = parse(document.as_bytes(), Limits::default()).unwrap();
            assert_eq!(beside(&json, pointer), found, "{document} {pointer}");
        }
    }

    #[test]
    fn a_known_key_is_found_under_every_disguise() {
        let cases = [
            (&["name", "other"][..], None),
            (&["Name"], Some("Name")),
            (&["name", "NAME"], Some("NAME")),
            (&["argument\u{17f}"], Some("argument\u{17f}")),
            (&["tas\u{212a}"], Some("tas\u{212a}")),
            (&["o\u{fb03}ce"], Some("o\u{fb03}ce")),
            (&["argument\u{17f}\u{17f}"], None),
            (&["nam\u{e9}", "names", "nam", ""], None),
            (&["\u{e9}"], None),
        ];
        for (keys, expected) in cases {
            let known = ["name", "arguments", "task", "office"];
            let json = object(keys);
            assert_eq!(disguised(json.as_object().unwrap(), &known), expected, "{keys:?}");
        }
    }

    #[test]
    fn two_keys_that_differ_by_case_are_found_in_objects_of_every_size() {
        for count in [0, 1, 14, 15, 16, 100] {
            let filler: Vec<String> = (0..count).map(|n| format!("k{n}")).collect();
            for (pair, is_doubled) in [
                (["amount", "Amount"], true),
                (["key", "\u{212a}ey"], true),
                (["\u{e9}", "\u{c9}"], true),
                (["stra\u{df}e", "STRASSE"], true),
                (["amount", "amounts"], false),
                (["\u{e9}", "e"], false),
            ] {
                let keys: Vec<&str> = filler.iter().map(String::as_str).chain(pair).collect();
                assert_eq!(doubled(&object(&keys)).is_some(), is_doubled, "{pair:?} beside {count}");
            }
        }
        let nested = parse(br#"{"a":[{"b":{"x":1,"X":2}}]}"#, Limits::default()).unwrap();
        assert!(doubled(&nested).is_some());
    }
}
