//! Cache keys, and an approximate filter that admits a key to the cache on its second request.
//!
//! Knows: hashes of keys. Must not know: what is cached under a key.
//!
//! A key is hashed once, for the filter and the cache. Clients choose what is in a key, so the hash is seeded at
//! random: no client can construct collisions.
//!
//! Many calls never come again: their paths hold an id, or a header that a policy reads differs each time. Caching each
//! of them costs nearly as much as evaluating it, and evicts entries of calls that do come again. A filter of this kind
//! is called a doorkeeper in TinyLFU, an admission policy of caches.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};

/// How many keys the filter distinguishes: about four times the entries that fit into the cache.
const SLOTS: usize = 1 << 16;

/// The filter: the newest key of each slot, by its hash. A new key replaces an older one, so the table never fills up.
#[derive(Debug)]
pub struct Doorkeeper {
    slots: Box<[AtomicU32]>,
    hasher: RandomState,
}

impl Default for Doorkeeper {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU32::new(0)).collect(), hasher: RandomState::new() }
    }
}

/// A cache key with its hash. Two keys are equal only if all their bytes are.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    hash: u64,
    bytes: Vec<u8>,
}

/// Returns the hash that a [`Key`] holds, without hashing again.
#[derive(Debug, Default, Clone, Copy)]
pub struct PrehashedHasher(u64);

/// Builds [`PrehashedHasher`].
#[derive(Debug, Default, Clone, Copy)]
pub struct BuildPrehashed;

impl Key {
    /// Length in bytes.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The key without spare capacity, to be stored in a cache.
    pub fn into_shrunk(mut self) -> Self {
        self.bytes.shrink_to_fit();
        self
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl BuildHasher for BuildPrehashed {
    type Hasher = PrehashedHasher;

    fn build_hasher(&self) -> PrehashedHasher {
        PrehashedHasher::default()
    }
}

impl Hasher for PrehashedHasher {
    fn write(&mut self, bytes: &[u8]) {
        // A key writes nothing but its hash.
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Doorkeeper {
    /// A key of these bytes, for this filter and the cache behind it.
    pub fn key(&self, bytes: Vec<u8>) -> Key {
        Key { hash: self.hasher.hash_one(bytes.as_slice()), bytes }
    }

    /// Records the key and reports whether it was seen before. The report is wrong for one key in 2^32, which is then
    /// cached one call early.
    pub fn seen_before(&self, key: &Key) -> bool {
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
    fn a_key_is_seen_before_from_its_second_time_on_and_no_other_is() {
        let doorkeeper = Doorkeeper::default();
        let keys: Vec<Key> = (0_u32..200).map(|number| doorkeeper.key(number.to_be_bytes().to_vec())).collect();
        assert!(keys.iter().all(|key| !doorkeeper.seen_before(key)));
        let again = keys.iter().filter(|key| doorkeeper.seen_before(key)).count();
        // Two of 200 keys may share a slot, and then replace each other.
        assert!(again > 190, "{again}");
    }

    #[test]
    fn keys_of_equal_hashes_differ_and_the_hasher_returns_the_stored_hash() {
        let key = |bytes: &[u8]| Key { hash: 7, bytes: bytes.into() };
        assert!(key(b"a") != key(b"b") && key(b"a") == key(b"a"));
        assert_eq!(BuildPrehashed.hash_one(key(b"a")), 7);
        let doorkeeper = Doorkeeper::default();
        let [one, other] = [doorkeeper.key(b"a".to_vec()), Doorkeeper::default().key(b"a".to_vec())];
        assert_eq!(one, doorkeeper.key(b"a".to_vec()));
        assert_ne!(one.hash, other.hash, "two processes have one hash, so a client could construct collisions");
    }

    #[test]
    fn keys_that_never_come_again_take_no_memory() {
        let doorkeeper = Doorkeeper::default();
        let again = (0_u32..1_000_000)
            .filter(|number| doorkeeper.seen_before(&doorkeeper.key(number.to_be_bytes().to_vec())))
            .count();
        assert!(again < 10, "{again} of a million different keys were reported as seen before");
        assert_eq!(doorkeeper.slots.len(), SLOTS);
    }
}
