//! `@remove_headers("x-debug, x-trace")`: request headers that the service does not get.
//!
//! Knows: request headers. Must not know: other obligations.

use std::collections::{BTreeMap, BTreeSet};

use crate::call::headers::folded;
use crate::obligation::{Changeable, Mutations, headers, template};

/// Request headers to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoveHeaders(Vec<String>);

impl RemoveHeaders {
    pub(super) const ANNOTATION: &'static str = "remove_headers";

    pub(super) fn parse(text: &str, allowed: &[String]) -> Result<Self, String> {
        let names = template::items(text)?;
        names.iter().try_for_each(|name| headers::check_name(name, allowed).map(drop))?;
        Ok(Self(names))
    }

    pub(super) fn collect_changeable(&self, all: &mut Changeable) {
        all.remove_headers.extend(self.0.iter().map(|name| folded(name)));
    }

    pub(super) fn apply(&self, all: &mut Mutations) {
        all.remove_headers.extend(self.0.iter().cloned());
    }
}

/// A removed header that is also set, in any spelling.
pub(super) fn contradicted<'a>(removed: &'a BTreeSet<String>, set: &BTreeMap<String, String>) -> Option<&'a String> {
    removed.iter().find(|name| {
        let name = folded(name);
        set.keys().any(|set| folded(set) == name)
    })
}
