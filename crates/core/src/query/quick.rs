//! A fast hash for maps with trusted keys: policies, the schema, the operator's files.
//!
//! The standard one defends a map whose keys an attacker chooses. Here whoever writes those files chooses them, and a
//! call can at worst ask for a key that is not there. It was a fifth of a decision.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// A map that calls only read.
pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;

/// A set that calls only read.
pub type Set<K> = HashSet<K, BuildHasherDefault<Quick>>;

/// Multiplies word by word.
#[derive(Debug, Default, Clone, Copy)]
pub struct Quick(u64);

/// An odd number without a pattern: the golden ratio's fraction in 64 bits.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl Quick {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    }
}

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.add(u64::from_le_bytes(*word)));
        // Ends are told apart by their length as well, so that zeros count.
        let last = rest.iter().fold(rest.len() as u64, |word, byte| (word << 8) | u64::from(*byte));
        self.add(last);
    }

    fn write_u8(&mut self, number: u8) {
        self.add(u64::from(number));
    }

    fn finish(&self) -> u64 {
        // The map looks at the highest and the lowest bits; a product's lowest know little of what went in.
        self.0 ^ (self.0 >> 32)
    }
}
