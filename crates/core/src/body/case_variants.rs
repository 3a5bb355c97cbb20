//! Keys that differ only by case: case-insensitive readers confuse them.
//!
//! Knows: how such readers compare. Must not know: which keys matter to whom.
//!
//! Some widely used readers match members without regard to case and take the last one, so `name` beside `Name` is
//! read in two ways; and `Name` alone is a name to them and nothing to others.

use std::borrow::Cow;
use std::sync::OnceLock;

use super::json::{Node, Object, key_fingerprints};
use super::members::same_but_for_spelling;

/// Up to this many names are compared with every known one.
const FEW: usize = 4;

/// A key of `object` that is one of `known`, which are ASCII, but for its case.
pub(super) fn disguised<'a>(object: Node<'a>, known: &[&str]) -> Option<&'a str> {
    let longest = known.iter().map(|known| known.len()).max().unwrap_or(0);
    let mut prints: Vec<u64> = known.iter().map(|known| key_fingerprints::caseless_print(known)).collect();
    prints.sort_unstable();
    let is_known = |key: &str| {
        prints.binary_search(&key_fingerprints::caseless_print(key)).is_ok()
            && known.iter().any(|known| known.eq_ignore_ascii_case(key))
    };
    let mut keys = object.as_object().into_iter().flat_map(Object::iter).map(|(key, _)| key);
    keys.find(|key| match (known.contains(key), key.is_ascii()) {
        (true, _) => false,
        (false, true) => is_known(key),
        // No further than a known key is long: a megabyte of such keys must not take long.
        (false, false) => is_known(&folded(&key.chars().take(longest + 1).collect::<String>())),
    })
}

/// Of `names`, one that is among `known` but for case, `_` and `-`.
pub(super) fn misspelt<'a>(names: impl Iterator<Item = &'a str>, known: &[&str]) -> Option<&'a str> {
    let is_known = |name: &&str| known.iter().any(|known| same_but_for_spelling(known, name));
    let mut others = names.filter(|name| !known.contains(name));
    // Few are compared with each that is known, more by their prints.
    if let Some(found) = others.by_ref().take(FEW).find(is_known) {
        return Some(found);
    }
    let first = others.next()?;
    let print = |name: &str| print(name.chars().filter(|c| !matches!(c, '_' | '-')));
    let mut prints: Vec<u64> = known.iter().map(|known| print(known)).collect();
    prints.sort_unstable();
    std::iter::once(first).chain(others).find(|name| prints.binary_search(&print(name)).is_ok() && is_known(name))
}

/// A key on the way of a JSON pointer that differs from the pointer's own by its case alone, whether or not that one is
/// there too. Pointers are ASCII where this finds everything.
#[must_use]
pub fn beside<'a>(document: Node<'a>, pointer: &str) -> Option<&'a str> {
    document.objects_on_the_way(pointer).find_map(|(object, key)| disguised(object, &[&key]))
}

/// Whether a key is `name`, which is ASCII, to a reader that does not mind case.
#[must_use]
pub fn is_caseless(key: &str, name: &str) -> bool {
    folded(key).eq_ignore_ascii_case(name)
}

/// A key that another member of the same object has in another case, at any depth.
#[must_use]
pub fn doubled(json: Node<'_>) -> Option<&str> {
    let mut own = Vec::new();
    json.mixed_objects().find_map(|object| {
        own.clear();
        own.extend(object.iter().map(|(key, _)| (print(key.chars()), key)));
        key_fingerprints::repeated(&mut own, |key| folded(key).to_ascii_lowercase())
    })
}

/// A number that keys share which are one in one case.
fn print(key: impl Iterator<Item = char>) -> u64 {
    let mut print = key_fingerprints::Print::new();
    key.for_each(|character| fold(character, |folded| print.add(folded)));
    print.finish()
}

/// The key with all but ASCII folded, in which keys of readers that fold all of Unicode are one.
fn folded(key: &str) -> Cow<'_, str> {
    if key.is_ascii() {
        return Cow::Borrowed(key);
    }
    let mut folded = String::with_capacity(key.len());
    key.chars().for_each(|character| fold(character, |character| folded.push(character)));
    Cow::Owned(folded)
}

/// Says the characters that one becomes in one case. Up and down again: the long s and the Kelvin sign are letters to
/// readers that fold all of Unicode.
fn fold(character: char, mut say: impl FnMut(char)) {
    let at = character as usize;
    if at < 0x80 {
        return say(character.to_ascii_lowercase());
    }
    // Beyond the blocks nothing has a case, and the test below holds every character to that.
    let Some(block) = FOLDED.get(at / BLOCK) else { return say(character) };
    let block = block.get_or_init(|| std::array::from_fn(|offset| single(at - at % BLOCK + offset)));
    match block.get(at % BLOCK).copied().flatten() {
        Some(folded) => say(folded),
        None => folds(character).for_each(say),
    }
}

fn folds(character: char) -> impl Iterator<Item = char> {
    character.to_uppercase().flat_map(char::to_lowercase)
}

/// What a code point folds to, where that is one character.
fn single(code: usize) -> Option<char> {
    let mut folded = folds(u32::try_from(code).map_or(None, char::from_u32)?);
    folded.next().filter(|_| folded.next().is_none())
}

/// Code points of one table.
const BLOCK: usize = 256;

/// What the characters of the first two planes fold to, each block made when one of it is met: to search Unicode's own
/// tables takes ten times as long.
static FOLDED: [OnceLock<[Option<char>; BLOCK]>; 0x2_0000 / BLOCK] = [const { OnceLock::new() }; 0x2_0000 / BLOCK];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::json::{Json, Limits, parse};

    fn object(keys: &[&str]) -> Json {
        let members: Vec<String> = keys.iter().map(|key| format!("{}:null", serde_json::Value::from(*key))).collect();
        parse(format!("{{{}}}", members.join(",")).as_bytes(), Limits::default()).unwrap()
    }

    #[test]
    fn a_case_variant_next_to_a_pointers_key_is_found_at_every_step() {
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
            ("{\"\u{e9}\": 1}", "/\u{e9}", None),
        ] {
            let json = parse(document.as_bytes(), Limits::default()).unwrap();
            assert_eq!(beside(json.node(), pointer), found, "{document} {pointer}");
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
            assert_eq!(disguised(object(keys).node(), &known), expected, "{keys:?}");
        }
    }

    #[test]
    fn every_character_folds_as_in_unicode() {
        for c in '\0'..=char::MAX {
            let mut folded = String::new();
            fold(c, |character| folded.push(character));
            assert!(folded.chars().eq(folds(c)), "{c:?} became {folded}");
        }
    }

    #[test]
    fn a_name_is_misspelt_by_case_and_by_what_joins_its_words() {
        let known = ["task_id", "maxTokens", "url"];
        for (name, is_misspelt) in [
            ("task_id", false),
            ("taskId", true),
            ("TASK-ID", true),
            ("tas\u{212a}_id", true),
            ("taskid_", true),
            ("max_tokens", true),
            ("maxTokens", false),
            ("maxToken", false),
            ("tokens", false),
            ("URL", true),
            ("\u{fb03}", false),
            ("", false),
        ] {
            for others in [0, 3, 4, 5, 100] {
                let names = std::iter::repeat_n("x", others).chain([name]);
                assert_eq!(misspelt(names, &known).is_some(), is_misspelt, "{name} behind {others}");
            }
        }
        assert_eq!(misspelt(["x"; 9].into_iter(), &[]), None);
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
                assert_eq!(doubled(object(&keys).node()).is_some(), is_doubled, "{pair:?} beside {count}");
            }
        }
        let nested = parse(br#"{"a":[{"b":{"x":1,"X":2}}]}"#, Limits::default()).unwrap();
        assert!(doubled(nested.node()).is_some());
    }
}
