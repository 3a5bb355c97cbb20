//! Size limits of each unit, so that no namespace uses up another's share. Pure.
//!
//! Knows: the bounds and what was taken of them. Must not know: the file system.
//!
//! Each namespace has bounds of its own. What all of them together may hold is bounded too; where that is passed, the
//! namespace that holds the most is refused, and not the one that happens to be read last.

use std::collections::BTreeMap;

use super::super::PLATFORM;

/// Most directory entries that are read: in the platform's folders, and in all namespaces together.
pub const ENTRIES_MAX: usize = 20_000;
/// Most entries of one namespace's folder, passed-over ones included.
pub const NAMESPACE_ENTRIES_MAX: usize = 2_000;
/// Most bytes that all files of a directory are held in, descriptor sets as base64.
pub const TREE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Most bytes of one namespace's policies together.
pub const NAMESPACE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most policies of one namespace, counted by their semicolons; those in comments and texts count as well. A policy takes
/// some 10 KiB of memory, however short it is written.
pub const NAMESPACE_POLICIES_MAX: usize = 20_000;

/// The bounds in force.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// As [`ENTRIES_MAX`].
    pub entries: usize,
    /// As [`TREE_BYTES_MAX`].
    pub tree_bytes: u64,
    /// As [`NAMESPACE_BYTES_MAX`].
    pub namespace_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: ENTRIES_MAX, tree_bytes: TREE_BYTES_MAX, namespace_bytes: NAMESPACE_BYTES_MAX }
    }
}

/// What was taken so far, by unit.
#[derive(Debug, Default)]
pub(super) struct Budget {
    limits: Limits,
    taken: BTreeMap<String, Taken>,
    entries: usize,
    bytes: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    entries: usize,
    bytes: u64,
    policies: usize,
}

/// A unit that holds too much: its name, what is too much, and what helps.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overdrawn {
    pub unit: String,
    pub what: String,
    pub help: &'static str,
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// How many entries of a unit's folder are looked at: one more than it may have.
    pub(super) fn entries_read(&self, unit: &str) -> usize {
        self.entries_max(unit) + 1
    }

    /// Counts a folder's entries.
    pub(super) fn add_entries(&mut self, unit: &str, entries: usize) -> Vec<Overdrawn> {
        let most = self.entries_max(unit);
        let taken = self.taken.entry(unit.to_owned()).or_default();
        taken.entries += entries;
        let own = taken.entries;
        if unit != PLATFORM {
            self.entries += entries;
        }
        if own > most {
            return vec![self.refuse(unit, format!("more than {most} files and folders"))];
        }
        let mut over = Vec::new();
        while self.entries > self.limits.entries {
            let Some(unit) = self.largest(|taken| taken.entries as u64) else { break };
            let most = self.limits.entries;
            over.push(self.refuse(&unit, format!("the most files and folders, where all hold more than {most}")));
        }
        over
    }

    /// Counts a file.
    pub(super) fn add_file(&mut self, unit: &str, text: &str) -> Vec<Overdrawn> {
        let bytes = text.len() as u64;
        let taken = self.taken.entry(unit.to_owned()).or_default();
        taken.bytes += bytes;
        taken.policies += text.bytes().filter(|byte| *byte == b';').count();
        let own = *taken;
        self.bytes += bytes;
        if unit != PLATFORM && own.bytes > self.limits.namespace_bytes {
            return vec![self.refuse(unit, format!("more than {} MiB of policies", self.limits.namespace_bytes >> 20))];
        }
        if unit != PLATFORM && own.policies > NAMESPACE_POLICIES_MAX {
            return vec![self.refuse(unit, format!("more than {NAMESPACE_POLICIES_MAX} policies"))];
        }
        let mut over = Vec::new();
        while self.bytes > self.limits.tree_bytes {
            let message =
                format!("the most bytes, where all files take more than {} MiB", self.limits.tree_bytes >> 20);
            let unit = self.largest(|taken| taken.bytes).unwrap_or_else(|| PLATFORM.to_owned());
            over.push(self.refuse(&unit, message));
        }
        over
    }

    fn entries_max(&self, unit: &str) -> usize {
        if unit == PLATFORM { self.limits.entries } else { NAMESPACE_ENTRIES_MAX.min(self.limits.entries) }
    }

    /// The namespace with the most of something; none that has nothing.
    fn largest(&self, of: impl Fn(&Taken) -> u64) -> Option<String> {
        let namespaces = self.taken.iter().filter(|(unit, taken)| *unit != PLATFORM && of(taken) > 0);
        namespaces.max_by_key(|(_, taken)| of(taken)).map(|(unit, _)| unit.clone())
    }

    /// Gives back what a unit took; nothing more is read of it.
    fn refuse(&mut self, unit: &str, what: String) -> Overdrawn {
        let taken = self.taken.insert(unit.to_owned(), Taken::default()).unwrap_or_default();
        self.bytes = self.bytes.saturating_sub(taken.bytes);
        if unit == PLATFORM {
            return Overdrawn { unit: unit.to_owned(), what, help: "point Picket at the policy directory alone" };
        }
        self.entries = self.entries.saturating_sub(taken.entries);
        Overdrawn { unit: unit.to_owned(), what, help: "remove files that no policy needs" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(entries: usize, tree_bytes: u64, namespace_bytes: u64) -> Budget {
        Budget::new(Limits { entries, tree_bytes, namespace_bytes })
    }

    fn units(over: &[Overdrawn]) -> Vec<&str> {
        let mut units: Vec<&str> = over.iter().map(|over| over.unit.as_str()).collect();
        units.dedup();
        units
    }

    #[test]
    fn a_namespace_is_refused_by_its_own_bounds_and_gives_its_room_back() {
        let mut budget = limits(100, 1000, 50);
        assert!(budget.add_file("evil", &"x".repeat(50)).is_empty());
        assert_eq!(units(&budget.add_file("evil", "x")), ["evil"]);
        assert_eq!(budget.bytes, 0);
        assert!(budget.add_file("shop", &";".repeat(50)).is_empty());
        let mut budget = Budget::new(Limits::default());
        assert!(budget.add_file("shop", &";".repeat(NAMESPACE_POLICIES_MAX)).is_empty());
        assert_eq!(units(&budget.add_file("shop", ";")), ["shop"]);
        assert!(budget.add_entries("evil", NAMESPACE_ENTRIES_MAX).is_empty());
        assert_eq!(units(&budget.add_entries("evil", 1)), ["evil"]);
        assert_eq!(budget.entries, 0);
    }

    #[test]
    fn the_largest_namespace_is_rejected_in_any_order_if_all_hold_too_much() {
        for order in [["a", "evil", "z"], ["evil", "a", "z"], ["z", "a", "evil"]] {
            let mut budget = limits(100, 100, 1000);
            let mut over = Vec::new();
            for unit in [PLATFORM].iter().chain(&order) {
                over.extend(budget.add_file(unit, &"x".repeat(if *unit == "evil" { 60 } else { 20 })));
                over.extend(budget.add_entries(unit, if *unit == "evil" { 90 } else { 10 }));
            }
            assert_eq!(units(&over), ["evil"], "{order:?}");
        }
    }

    #[test]
    fn the_platform_is_rejected_only_for_its_own_files() {
        let mut budget = limits(100, 100, 100);
        assert!(budget.add_file("shop", &"x".repeat(100)).is_empty());
        assert_eq!(units(&budget.add_file(PLATFORM, &"x".repeat(100))), ["shop"]);
        assert_eq!(units(&budget.add_file(PLATFORM, "x")), [PLATFORM]);
        assert!(budget.add_entries(PLATFORM, 100).is_empty());
        assert_eq!(units(&budget.add_entries(PLATFORM, 1)), [PLATFORM]);
    }
}
