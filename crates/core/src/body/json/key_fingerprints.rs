//! Detects duplicate keys by fingerprints.
//!
//! Knows: how to find two equal keys among many in little time, whoever chose them. Must not know: documents.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;

/// Up to this many are compared pair by pair, more by a table.
const PAIRWISE_MAX: usize = 16;
/// How far a print may stand from its place in the table. It is there to bound the time, whatever the prints.
const STEPS_MAX: usize = 32;

/// Nobody outside knows it, so nobody can choose keys whose prints are alike. That costs time only: texts decide.
static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0_u8));

/// Odd, and half of its bits are set: the fractional part of the golden ratio.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number that equal keys share, and others hardly ever.
pub(crate) fn print(key: &str) -> u64 {
    prints(key.as_bytes(), |word| word)
}

/// As [`print`], shared by keys of ASCII that differ by case only.
pub(crate) fn caseless_print(key: &str) -> u64 {
    prints(key.as_bytes(), lower)
}

/// A number that equal keys share, and others hardly ever, made character by character; not that of [`print`].
pub(crate) struct Print(u64);

impl Print {
    /// Of no character.
    pub(crate) fn new() -> Self {
        Self(*SEED)
    }

    /// Goes on.
    pub(crate) fn add(&mut self, character: char) {
        self.0 = mixed(self.0 ^ u64::from(character));
    }

    /// The number.
    pub(crate) fn finish(self) -> u64 {
        mixed(self.0)
    }
}

fn prints(key: &[u8], fold: impl Fn(u64) -> u64) -> u64 {
    let (words, rest) = key.as_chunks::<8>();
    let mut print = *SEED ^ (key.len() as u64);
    for word in words {
        print = mixed(print ^ fold(u64::from_le_bytes(*word)));
    }
    let rest = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    mixed(mixed(print ^ fold(rest)))
}

fn mixed(word: u64) -> u64 {
    let product = word.wrapping_mul(FACTOR);
    product ^ (product >> 32)
}

/// Eight bytes of UTF-8, the letters of ASCII in lower case.
fn lower(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let ascii = word & !HIGH;
    // A byte's high bit says whether it is at least `A`, and whether it is beyond `Z`.
    let from_a = ascii + (0x80 - b'A' as u64) * ONES;
    let beyond_z = ascii + (0x80 - (b'Z' as u64 + 1)) * ONES;
    let upper = from_a & !beyond_z & !word & HIGH;
    word | (upper >> 2)
}

/// How keys are alike.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Alike<K> {
    /// Not at all.
    No,
    /// Two of them share a caseless print.
    ByCase,
    /// This one occurs twice.
    Repeated(K),
}

/// How keys of one object are alike that come with their caseless prints.
pub(crate) fn alike<'a, K: Copy>(keys: &mut [(u64, K)], text: impl Fn(K) -> &'a str) -> Alike<K> {
    if !is_shared(keys) {
        return Alike::No;
    }
    keys.sort_unstable_by_key(|(print, _)| *print);
    let mut found = Alike::No;
    for shared in keys.chunk_by(|(a, _), (b, _)| a == b).filter(|shared| shared.len() > 1) {
        found = Alike::ByCase;
        let mut exact: Vec<(u64, K)> = shared.iter().map(|(_, key)| (print(text(*key)), *key)).collect();
        if let Some(key) = repeated(&mut exact, &text) {
            return Alike::Repeated(key);
        }
    }
    found
}

/// Whether two keys may share a print: never `false` where two do, and hardly ever `true` where none do.
fn is_shared<K>(keys: &[(u64, K)]) -> bool {
    if keys.len() > PAIRWISE_MAX {
        return is_in_table_twice(keys.iter().map(|(print, _)| *print), keys.len());
    }
    let mut rest = keys;
    while let [(print, _), later @ ..] = rest {
        if later.iter().any(|(other, _)| other == print) {
            return true;
        }
        rest = later;
    }
    false
}

/// [`is_shared`] in a time that grows as the number of keys.
fn is_in_table_twice(mut prints: impl Iterator<Item = u64>, count: usize) -> bool {
    // Half of it stays empty, so that a print finds a place near its own. Zero stands for an empty place.
    let mut table = vec![0_u64; 2 * count.next_power_of_two()];
    let places = table.len() as u64;
    prints.any(|print| {
        let place = usize::try_from(print % places).unwrap_or_default();
        let (before, from) = table.split_at_mut(place);
        let mut near = from.iter_mut().chain(before).take(STEPS_MAX);
        match near.find(|seen| **seen == 0 || **seen == print) {
            Some(empty) if *empty != print => {
                *empty = print;
                false
            }
            Some(_) | None => true,
        }
    })
}

/// Of keys with their prints, one whose text occurs twice. Takes n log n steps at most, whatever the prints.
pub(crate) fn repeated<K: Copy, T: Ord>(keys: &mut [(u64, K)], text: impl Fn(K) -> T) -> Option<K> {
    if !is_shared(keys) {
        return None;
    }
    keys.sort_unstable_by_key(|(print, _)| *print);
    keys.chunk_by(|(a, _), (b, _)| a == b).filter(|alike| alike.len() > 1).find_map(|alike| {
        // Where two of them are one key, the first two nearly always are.
        if let [(_, first), (_, second), ..] = alike
            && text(*first) == text(*second)
        {
            return Some(*second);
        }
        let mut texts: Vec<(T, K)> = alike.iter().map(|(_, key)| (text(*key), *key)).collect();
        texts.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        texts.windows(2).find_map(|pair| match pair {
            [(a, _), (b, key)] if a == b => Some(*key),
            _ => None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_prints_of_different_keys_find_nothing() {
        for size in [2, 16, 17, 200] {
            let texts: Vec<String> = (0..size).map(|n| format!("k{n}")).collect();
            let mut keys: Vec<(u64, &str)> = texts.iter().map(|text| (7, text.as_str())).collect();
            assert_eq!(repeated(&mut keys, |key| key), None, "{size}");
            keys.push((7, "k1"));
            assert_eq!(repeated(&mut keys, |key| key), Some("k1"), "{size}");
        }
    }

    /// Prints that all belong to one place of the table, and prints of nothing.
    #[test]
    fn colliding_fingerprints_hide_nothing_and_find_nothing() {
        for size in [17, 40, 300] {
            let texts: Vec<String> = (0..size).map(|n| format!("k{n}")).collect();
            for step in [0, 1 << 32, 1] {
                let mut keys: Vec<(u64, &str)> =
                    (0_u64..).map(|n| n * step).zip(texts.iter().map(String::as_str)).collect();
                assert_eq!(repeated(&mut keys.clone(), |key| key), None, "{size} by {step}");
                keys.push(keys[size - 2]);
                assert_eq!(repeated(&mut keys, |key| key), Some(texts[size - 2].as_str()), "{size} by {step}");
            }
        }
    }

    #[test]
    fn keys_are_equal_by_case_or_repeated_or_different() {
        let seen = |texts: &[String]| {
            let mut keys: Vec<(u64, usize)> = (0..texts.len()).map(|at| (caseless_print(&texts[at]), at)).collect();
            match alike(&mut keys, |at| texts[at].as_str()) {
                Alike::No => "no".to_owned(),
                Alike::ByCase => "by case".to_owned(),
                Alike::Repeated(at) => texts[at].clone(),
            }
        };
        for size in [0, 1, 13, 14, 15, 16, 17, 300] {
            let with = |more: &[&str]| {
                let filler = (0..size).map(|n| format!("k{n}"));
                filler.chain(more.iter().map(|text| (*text).to_owned())).collect::<Vec<_>>()
            };
            assert_eq!(seen(&with(&[])), "no", "{size}");
            assert_eq!(seen(&with(&["amount", "x"])), "no", "{size}");
            assert_eq!(seen(&with(&["amount", "Amount"])), "by case", "{size}");
            assert_eq!(seen(&with(&["amount", "Amount", "amount"])), "amount", "{size}");
        }
        // Every spelling of one word: many keys share a print, and none occurs twice until one does.
        let mut words: Vec<String> =
            (0..1024_u32).map(|bits| (0..10).map(|n| if bits >> n & 1 == 1 { 'A' } else { 'a' }).collect()).collect();
        assert_eq!(seen(&words), "by case");
        words.push("AaAaAaAaAa".to_owned());
        assert_eq!(seen(&words), "AaAaAaAaAa");
    }

    #[test]
    fn a_print_without_case_is_that_of_lower_case_and_of_nothing_else() {
        for key in ["", "A", "Z", "[", "@", "`", "AbCdEfGh", "AbCdEfGhI", "\u{c4}\u{df}A", "0\u{0}P"] {
            let folded = key.to_ascii_lowercase();
            assert_eq!(caseless_print(key), print(&folded), "{key:?}");
            assert_eq!(caseless_print(&folded), print(&folded), "{key:?}");
        }
        for byte in 0..=0x7f_u8 {
            assert_eq!(lower(u64::from(byte) << 24), u64::from(byte.to_ascii_lowercase()) << 24, "{byte}");
        }
        for (a, b) in [("a", "a\0"), ("", "\0"), ("12345678", "12345678\0"), ("ab", "ba"), ("@", "`"), ("[", "{")] {
            assert_ne!(print(a), print(b), "{a:?} {b:?}");
            assert_ne!(caseless_print(a), caseless_print(b), "{a:?} {b:?}");
        }
    }
}
