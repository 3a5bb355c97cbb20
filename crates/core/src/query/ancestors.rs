//! The ancestors of an entity: a few of its own, and many that calls share without a copy.
//!
//! Knows: names. Must not know: where they come from.
//!
//! A caller in a thousand groups brings them with every call; copied into each, they were the dearest part of it.

use std::fmt;
use std::sync::Arc;

use smol_str::SmolStr;

use super::{Memberships, Uid};

/// All ancestors of an entity, listed flat: the union of all parts, duplicates included.
#[derive(Clone, Default)]
pub struct Ancestors {
    /// Ascending, each once; a call has three to ten.
    own: Vec<Uid>,
    /// None of them empty, none twice.
    shared: Vec<Arc<Memberships>>,
}

impl Ancestors {
    /// Whether `uid` is one of the names.
    #[must_use]
    pub fn contains(&self, uid: &Uid) -> bool {
        self.own.binary_search(uid).is_ok() || self.shared.iter().any(|part| part.contains(uid))
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.shared.is_empty()
    }

    /// At most how many names there are: one that is in several parts counts several times.
    #[must_use]
    pub fn len_max(&self) -> usize {
        self.own.len() + self.shared.iter().map(|part| part.names().len()).sum::<usize>()
    }

    /// The names, ascending, each once.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter { own: &self.own, shared: self.shared.iter().map(|part| part.names()).collect() }
    }

    /// The names, in any order; one that is in several parts comes several times.
    pub fn unsorted(&self) -> impl Iterator<Item = &Uid> {
        self.own.iter().chain(self.shared.iter().flat_map(|part| part.names()))
    }

    /// The names' types, in any order; one may come several times.
    pub fn kinds(&self) -> impl Iterator<Item = &SmolStr> {
        self.own.iter().map(|uid| &uid.kind).chain(self.shared.iter().flat_map(|part| part.kinds()))
    }

    /// Adds one name.
    pub fn insert(&mut self, uid: Uid) {
        if let Err(place) = self.own.binary_search(&uid) {
            self.own.insert(place, uid);
        }
    }

    /// Adds names without copying them.
    pub fn share(&mut self, part: &Arc<Memberships>) {
        if !part.names().is_empty() && !self.shared.iter().any(|known| Arc::ptr_eq(known, part)) {
            self.shared.push(Arc::clone(part));
        }
    }

    /// Adds all names of `other`; what is shared stays so.
    pub fn merge(&mut self, other: Self) {
        self.extend(other.own);
        if self.shared.is_empty() {
            self.shared = other.shared;
        } else {
            other.shared.iter().for_each(|part| self.share(part));
        }
    }
}

impl Extend<Uid> for Ancestors {
    fn extend<I: IntoIterator<Item = Uid>>(&mut self, names: I) {
        let before = self.own.len();
        self.own.extend(names);
        if self.own.len() > before {
            self.own.sort_unstable();
            self.own.dedup();
        }
    }
}

impl FromIterator<Uid> for Ancestors {
    fn from_iter<I: IntoIterator<Item = Uid>>(names: I) -> Self {
        let mut all = Self::default();
        all.extend(names);
        all
    }
}

impl<const N: usize> From<[Uid; N]> for Ancestors {
    fn from(names: [Uid; N]) -> Self {
        names.into_iter().collect()
    }
}

impl PartialEq for Ancestors {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other)
    }
}

impl Eq for Ancestors {}

impl fmt::Debug for Ancestors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self).finish()
    }
}

impl<'a> IntoIterator for &'a Ancestors {
    type Item = &'a Uid;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Walks the parts of [`Ancestors`] side by side.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    own: &'a [Uid],
    shared: Vec<&'a [Uid]>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Uid;

    fn next(&mut self) -> Option<&'a Uid> {
        if self.shared.is_empty() {
            let (first, rest) = self.own.split_first()?;
            self.own = rest;
            return Some(first);
        }
        let heads = self.shared.iter().filter_map(|part| part.first());
        let least = self.own.first().into_iter().chain(heads).min()?;
        for part in std::iter::once(&mut self.own).chain(&mut self.shared) {
            if let Some((_, rest)) = part.split_first().filter(|(first, _)| *first == least) {
                *part = rest;
            }
        }
        Some(least)
    }
}

#[cfg(test)]
mod tests;
