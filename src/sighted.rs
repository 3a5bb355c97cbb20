//! Which keys were asked for before, approximately.
//!
//! Knows: hashes of keys. Must not know: what is remembered under a key.
//!
//! Many calls never come again: their paths hold an id, or a header that a policy reads is different each time. To
//! remember each of them costs nearly as much as to judge it, and pushes out those that do come again.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};

/// How many keys are told apart: some four times the judgements that fit into the memory.
const SLOTS: usize = 1 << 16;

/// The newest key of each slot, by its hash. Older ones are forgotten, so the table never fills up.
#[derive(Debug)]
pub(crate) struct Sighted {
    slots: Box<[AtomicU32]>,
    hasher: RandomState,
}

impl Default for Sighted {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU32::new(0)).collect(), hasher: RandomState::new() }
    }
}

impl Sighted {
    /// Whether the key was asked for before; from now on it was. Wrong for one key in 2^32, which is then remembered
    /// one call early.
    pub(crate) fn again(&self, key: &[u8]) -> bool {
        let [a, b, c, d, slot @ ..] = self.hasher.hash_one(key).to_le_bytes();
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
        let keys: Vec<Vec<u8>> = (0_u32..200).map(|number| number.to_be_bytes().to_vec()).collect();
        assert!(keys.iter().all(|key| !sighted.again(key)));
        let again = keys.iter().filter(|key| sighted.again(key)).count();
        // Of 200 keys some pair may share a slot, and then push each other out.
        assert!(again > 190, "{again}");
    }

    #[test]
    fn keys_that_never_come_again_take_no_more_room() {
        let sighted = Sighted::default();
        let again = (0_u32..1_000_000).filter(|number| sighted.again(&number.to_be_bytes())).count();
        assert!(again < 10, "{again} of a million different keys were taken for known ones");
        assert_eq!(sighted.slots.len(), SLOTS);
    }
}
