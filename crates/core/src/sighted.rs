//! Cache keys, and an approximate filter that admits a key to the cache on its second request.
//!
//! Knows: hashes of keys. Must not know: what is remembered under a key.
//!
//! A key is hashed once, for every look at it. Callers choose what stands in it, so the hash is one that nobody can
//! aim at.
//!
//! Many calls never come again: their paths hold an id, or a header that a policy reads is different each time. To
//! remember each of them costs nearly as much as to judge it, and pushes out those that do come again.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};

/// How many keys are told apart: some four times the judgements that fit into the memory.
const SLOTS: usize = 1 << 16;

/// The newest key of each slot, by its hash. Older ones are forgotten, so the table never fills up.
#[derive(Debug)]
pub struct Sighted {
    slots: Box<[AtomicU32]>,
    hasher: RandomState,
}

impl Default for Sighted {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU32::new(0)).collect(), hasher: RandomState::new() }
    }
}

/// A key of a memory, with its hash. Equal only where all its bytes are.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    hash: u64,
    bytes: Vec<u8>,
}

/// Takes the hash that a [`Key`] has.
#[derive(Debug, Default, Clone, Copy)]
pub struct Kept(u64);

/// Makes [`Kept`].
#[derive(Debug, Default, Clone, Copy)]
pub struct KeptHash;

impl Key {
    /// How many bytes it has.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The key without room for more, to be kept.
    pub fn into_kept(mut self) -> Self {
        self.bytes.shrink_to_fit();
        self
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl BuildHasher for KeptHash {
    type Hasher = Kept;

    fn build_hasher(&self) -> Kept {
        Kept::default()
    }
}

impl Hasher for Kept {
    fn write(&mut self, bytes: &[u8]) {
        // No key writes anything but its hash.
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Sighted {
    /// A key of these bytes, for this and for the memory that goes with it.
    pub fn key(&self, bytes: Vec<u8>) -> Key {
        Key { hash: self.hasher.hash_one(bytes.as_slice()), bytes }
    }

    /// Whether the key was asked for before; from now on it was. Wrong for one key in 2^32, which is then remembered
    /// one call early.
    pub fn again(&self, key: &Key) -> bool {
        let [a, b, c, d, slot @ ..] = key.hash.to_le_bytes();
        let (tag, slot) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes(slot));
        let slot = usize::try_from(slot).map_or(0, |slot| slot % SLOTS);
        self.slots.get(slot).is_some_and(|slot| slot.swap(tag, Ordering::Relaxed) == tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_from_its_first_sight_on_and_no_other_is() {
        let sighted = Sighted::default();
        let keys: Vec<Key> = (0_u32..200).map(|number| sighted.key(number.to_be_bytes().to_vec())).collect();
        assert!(keys.iter().all(|key| !sighted.again(key)));
        let again = keys.iter().filter(|key| sighted.again(key)).count();
        // Of 200 keys some pair may share a slot, and then push each other out.
        assert!(again > 190, "{again}");
    }

    #[test]
    fn two_keys_of_one_hash_are_two_keys_and_a_memory_takes_the_hash_that_is_kept() {
        let key = |bytes: &[u8]| Key { hash: 7, bytes: bytes.into() };
        assert!(key(b"a") != key(b"b") && key(b"a") == key(b"a"));
        assert_eq!(KeptHash.hash_one(key(b"a")), 7);
        let sighted = Sighted::default();
        let [one, other] = [sighted.key(b"a".to_vec()), Sighted::default().key(b"a".to_vec())];
        assert_eq!(one, sighted.key(b"a".to_vec()));
        assert_ne!(one.hash, other.hash, "nobody can know a hash from another process");
    }

    #[test]
    fn keys_that_never_come_again_take_no_more_room() {
        let sighted = Sighted::default();
        let again =
            (0_u32..1_000_000).filter(|number| sighted.again(&sighted.key(number.to_be_bytes().to_vec()))).count();
        assert!(again < 10, "{again} of a million different keys were taken for known ones");
        assert_eq!(sighted.slots.len(), SLOTS);
    }
}
