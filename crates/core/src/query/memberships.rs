//! An interned set of ancestors, built at load and shared by all calls.
//!
//! Knows: names. Must not know: whose they are.

use std::fmt;
use std::hash::{BuildHasher as _, BuildHasherDefault};
use std::num::NonZeroU32;

use smol_str::SmolStr;

use super::Uid;
use super::quick::Quick;

/// Names of what an entity is declared to lie in, such as a workload's groups; immutable.
pub struct Memberships {
    /// Ascending, each once.
    names: Box<[Uid]>,
    /// Ascending, each once.
    kinds: Box<[SmolStr]>,
    /// A table over the names: at least half of it is free, and its length is a power of two.
    slots: Box<[Option<Slot>]>,
}

/// A taken place of the table. It holds no name, so that a look for a name that is not there stays within the table.
#[derive(Clone, Copy)]
struct Slot {
    /// Half of the name's hash; the other half says where the search begins.
    tag: u32,
    /// The number of the name, from one.
    number: NonZeroU32,
}

impl Memberships {
    /// The names, ascending, each once.
    #[must_use]
    pub fn names(&self) -> &[Uid] {
        &self.names
    }

    /// The names' types, ascending, each once.
    #[must_use]
    pub fn kinds(&self) -> &[SmolStr] {
        &self.kinds
    }

    /// Whether `uid` is one of the names.
    #[must_use]
    pub fn contains(&self, uid: &Uid) -> bool {
        let (tag, start) = self.search(uid);
        let (before, after) = self.slots.split_at(start);
        let taken = after.iter().chain(before).map_while(Option::as_ref);
        taken.filter(|slot| slot.tag == tag).any(|slot| self.name(*slot) == Some(uid))
    }

    fn name(&self, slot: Slot) -> Option<&Uid> {
        self.names.get(slot.number.get() as usize - 1)
    }

    /// A name's tag, and where in the table the search for it begins.
    fn search(&self, uid: &Uid) -> (u32, usize) {
        let hash = BuildHasherDefault::<Quick>::default().hash_one(uid);
        ((hash >> 32) as u32, (hash & 0xffff_ffff) as usize & (self.slots.len() - 1))
    }
}

impl FromIterator<Uid> for Memberships {
    fn from_iter<I: IntoIterator<Item = Uid>>(names: I) -> Self {
        let mut names: Vec<Uid> = names.into_iter().collect();
        names.sort_unstable();
        names.dedup();
        let mut kinds: Vec<SmolStr> = names.iter().map(|uid| uid.kind.clone()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let slots = vec![None; (2 * names.len()).next_power_of_two()].into();
        let mut all = Self { names: names.into(), kinds: kinds.into(), slots };
        // Four thousand million names would not fit into memory, so every name has its number.
        for (place, number) in (0..all.names.len()).zip((1..=u32::MAX).filter_map(NonZeroU32::new)) {
            let Some((tag, start)) = all.names.get(place).map(|uid| all.search(uid)) else { break };
            let (before, after) = all.slots.split_at_mut(start);
            if let Some(free) = after.iter_mut().chain(before).find(|slot| slot.is_none()) {
                *free = Some(Slot { tag, number });
            }
        }
        all
    }
}

impl fmt::Debug for Memberships {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(count: u32) -> Memberships {
        (0..count).map(|number| Uid::new("Group", format!("g{number}"))).collect()
    }

    #[test]
    fn a_name_among_a_thousand_is_found_beside_one_or_two_others() {
        let all = groups(1000);
        // How many taken places are met before the name's own one.
        let met = |uid: &Uid| {
            let (_, start) = all.search(uid);
            let (before, after) = all.slots.split_at(start);
            let others = after.iter().chain(before).flatten().take_while(|slot| all.name(**slot) != Some(uid));
            others.count()
        };
        let mut counts: Vec<usize> = all.names().iter().map(met).collect();
        counts.sort_unstable();
        let mean = counts.iter().sum::<usize>() as f64 / 1000.0;
        assert!(mean < 1.0 && counts[989] <= 6, "{mean} on average, {:?} at worst", &counts[980..]);
    }

    #[test]
    fn a_table_always_has_a_free_place_to_end_a_search_at() {
        for count in [0, 1, 2, 3, 4, 5, 127, 128, 129] {
            let all = groups(count);
            assert!(all.slots.iter().flatten().count() == all.names.len() && all.slots.iter().any(Option::is_none));
            assert!(all.names().iter().all(|uid| all.contains(uid)), "{count}");
            assert!(!all.contains(&Uid::new("Group", "other")) && !all.contains(&Uid::new("Team", "g0")), "{count}");
        }
    }

    #[test]
    fn names_and_their_types_come_sorted_and_once() {
        let all: Memberships = [("Team", "a"), ("Group", "b"), ("Group", "a"), ("Team", "a")]
            .map(|(kind, id)| Uid::new(kind, id))
            .into_iter()
            .collect();
        assert_eq!(all.names(), [("Group", "a"), ("Team", "a"), ("Group", "b")].map(|(kind, id)| Uid::new(kind, id)));
        assert_eq!(all.kinds(), ["Group", "Team"]);
    }

    #[test]
    fn two_names_of_one_hash_differ() {
        let slot = |tag| Some(Slot { tag, number: NonZeroU32::MIN });
        let mut all = groups(1);
        let other = Uid::new("Group", "other");
        let (tag, _) = all.search(&other);
        all.slots = [slot(tag), None].into();
        let (tag, start) = all.search(&other);
        all.slots[start] = slot(tag);
        assert!(!all.contains(&other));
    }
}
