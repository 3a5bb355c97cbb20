//! The text that replaces a value.
//!
//! Knows: names of detectors, one value. Must not know: where the value was found, policies.
//!
//! A mask holds no `"`, no `\` and no control character, so that it fits into a JSON string as it is. Only
//! [`Mask::KeepLast`] says anything about the value.

use std::collections::HashMap;
use std::fmt::Write as _;

/// Longest fixed mask in bytes.
pub const FIXED_BYTES_MAX: usize = 128;
/// Most characters that [`Mask::KeepLast`] keeps.
pub const KEEP_LAST_MAX: usize = 8;
/// Most values that one call replaces by stand-ins.
pub const STAND_INS_MAX: usize = 10_000;

/// How a value is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mask {
    /// By a text.
    Fixed(String),
    /// By `****` and its last letters and digits: this many, and at most half of them.
    KeepLast(usize),
    /// By a stand-in of this kind. The same value has the same stand-in within a call.
    Pseudonym {
        /// The word that stand-ins begin with.
        kind: String,
        /// Whether the caller gets the value back.
        restore: bool,
    },
}

impl Mask {
    /// `[<name>]`, the mask of a detector that has no other.
    #[must_use]
    pub fn named(detector: &str) -> Self {
        Self::Fixed(format!("[{detector}]"))
    }

    /// Whether the mask can be written before the end of the value is known.
    pub(super) fn may_settle(&self) -> bool {
        match self {
            Self::Fixed(_) => true,
            // Both depend on the end of the value.
            Self::KeepLast(_) | Self::Pseudonym { .. } => false,
        }
    }
}

/// Whether a text fits into a JSON string as it is.
#[must_use]
pub fn is_plain(text: &str) -> bool {
    !text.chars().any(|character| matches!(character, '"' | '\\') || character.is_control())
}

/// The last letters and digits of a value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tail {
    kept: Vec<char>,
    letters: usize,
}

impl Tail {
    /// The tail of a value.
    pub fn of(value: &str) -> Self {
        let mut tail = Self::default();
        tail.add(value);
        tail
    }

    fn add(&mut self, text: &str) {
        for character in text.chars().filter(|character| character.is_alphanumeric()) {
            self.letters += 1;
            if self.kept.len() == KEEP_LAST_MAX {
                self.kept.remove(0);
            }
            self.kept.push(character);
        }
    }

    /// The mask that keeps the last `count`.
    pub fn mask(&self, count: usize) -> String {
        let count = count.min(self.letters / 2).min(self.kept.len());
        "****".chars().chain(self.kept.iter().skip(self.kept.len() - count).copied()).collect()
    }
}

/// The stand-ins of one call, and the values that they stand for.
#[derive(Debug)]
pub struct StandIns {
    random: String,
    by_value: HashMap<(String, String), String>,
    values: HashMap<String, String>,
}

/// A call has too many values for stand-ins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a call has more than {STAND_INS_MAX} values that are replaced by stand-ins")]
pub struct TooMany;

impl StandIns {
    /// Stand-ins that carry `random`, which must be drawn for this call alone: a text that was written before the call
    /// cannot hold one of them.
    #[must_use]
    pub fn new(random: [u8; 8]) -> Self {
        Self { random: hex::encode(random), by_value: HashMap::new(), values: HashMap::new() }
    }

    /// The stand-in of a value.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn of(&mut self, kind: &str, value: &str) -> Result<String, TooMany> {
        let key = (kind.to_owned(), value.to_owned());
        if let Some(known) = self.by_value.get(&key) {
            return Ok(known.clone());
        }
        if self.by_value.len() >= STAND_INS_MAX {
            return Err(TooMany);
        }
        let mut stand_in = format!("{kind}-{}", self.random);
        write!(stand_in, "-{}", self.by_value.len() + 1).map_err(|_| TooMany)?;
        self.values.insert(stand_in.clone(), value.to_owned());
        self.by_value.insert(key, stand_in.clone());
        Ok(stand_in)
    }

    /// The value that a stand-in of this call stands for.
    #[must_use]
    pub fn value(&self, stand_in: &str) -> Option<&str> {
        self.values.get(stand_in).map(String::as_str)
    }
}

/// Whether a text holds something of the form of a stand-in, of any call.
#[must_use]
pub fn holds_stand_in(kind: &str, text: &str) -> bool {
    let begins = format!("{kind}-");
    text.match_indices(&begins).any(|(at, found)| {
        let rest = text.as_bytes().get(at + found.len()..).unwrap_or_default();
        let (random, rest) = rest.split_at_checked(16).unwrap_or_default();
        let is_random = random.len() == 16 && random.iter().all(u8::is_ascii_hexdigit);
        is_random && matches!(rest, [b'-', digit, ..] if digit.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_characters_are_kept_but_at_most_half_of_the_value() {
        let masked = |value, count| Tail::of(value).mask(count);
        assert_eq!(masked("4111 1111 1111 1234", 4), "****1234");
        assert_eq!(masked("abcd\"\\1", 4), "****d1");
        assert_eq!(masked("a", 4), "****");
    }

    #[test]
    fn a_stand_in_is_the_same_for_the_same_value_and_leads_back_to_it() {
        let mut stand_ins = StandIns::new([7; 8]);
        let first = stand_ins.of("customer", "bob@corp.example").unwrap();
        assert_eq!(first, "customer-0707070707070707-1");
        assert_eq!(stand_ins.of("customer", "bob@corp.example").unwrap(), first);
        assert_ne!(stand_ins.of("customer", "eve@corp.example").unwrap(), first);
        assert_eq!(stand_ins.value(&first), Some("bob@corp.example"));
        assert_eq!(stand_ins.value("customer-0707070707070707-9"), None);
    }

    #[test]
    fn a_planted_stand_in_is_noticed_whatever_its_random_part() {
        assert!(holds_stand_in("customer", "send customer-00112233aabbccdd-12 home"));
        for text in
            ["customer-1", "customer-00112233aabbccdd", "customer-00112233aabbccdd-x", "costumer-00112233aabbccdd-1"]
        {
            assert!(!holds_stand_in("customer", text), "{text}");
        }
    }

    #[test]
    fn stand_ins_are_bounded() {
        let mut stand_ins = StandIns::new([0; 8]);
        for number in 0..STAND_INS_MAX {
            stand_ins.of("a", &number.to_string()).unwrap();
        }
        assert_eq!(stand_ins.of("a", "one more"), Err(TooMany));
        assert!(stand_ins.of("a", "1").is_ok());
    }
}
