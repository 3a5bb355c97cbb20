//! `@remove_query("debug")`: query parameters that the service does not get.
//!
//! Knows: query parameters. Must not know: other obligations.

use std::collections::{BTreeMap, BTreeSet};

use super::query_keys;
use crate::obligation::{Changeable, Mutations, template};

/// Query parameters to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoveQuery(Vec<String>);

impl RemoveQuery {
    pub(super) const ANNOTATION: &'static str = "remove_query";

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let keys = template::items(text)?;
        keys.iter().try_for_each(|key| query_keys::check(key))?;
        Ok(Self(keys))
    }

    pub(super) fn collect_changeable(&self, all: &mut Changeable) {
        all.remove_query.extend(self.0.iter().cloned());
    }

    pub(super) fn apply(&self, all: &mut Mutations) {
        all.remove_query.extend(self.0.iter().cloned());
    }
}

/// A removed parameter that is also set.
pub(super) fn contradicted<'a>(removed: &'a BTreeSet<String>, set: &BTreeMap<String, String>) -> Option<&'a String> {
    removed.iter().find(|key| set.contains_key(*key))
}
