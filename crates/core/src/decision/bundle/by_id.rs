//! DeadlineChecks up the policies of a bundle by id.
//!
//! In a tree of 10,000 ids one lookup costs a dozen reads of cold memory.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::decision::policy::entry::Entry;
use crate::query::quick::Set;

/// Policies by their ids.
#[derive(Debug, Default)]
pub(in crate::decision) struct ById(Set<Named>);

/// A policy that is hashed and compared by its id.
#[derive(Debug)]
struct Named(Arc<Entry>);

impl ById {
    /// The policy with this id.
    pub fn get(&self, id: &str) -> Option<&Arc<Entry>> {
        self.0.get(id).map(|Named(entry)| entry)
    }
}

impl FromIterator<Arc<Entry>> for ById {
    fn from_iter<I: IntoIterator<Item = Arc<Entry>>>(entries: I) -> Self {
        Self(entries.into_iter().map(Named).collect())
    }
}

impl Borrow<str> for Named {
    fn borrow(&self) -> &str {
        &self.0.id
    }
}

impl Hash for Named {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.as_str().hash(state);
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Named {}
