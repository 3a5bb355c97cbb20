//! Obligations: terms that must be carried out together with a verdict.
//!
//! Knows: annotations' grammar, templates, headers' and queries' rules. Must not know: the wire, Cedar.

pub mod challenge;
pub mod deny;
pub mod elicit;
pub mod headers;
pub mod metadata;
pub mod permit;
pub mod template;

use std::collections::{BTreeMap, BTreeSet};

use crate::call::headers::fold;

/// Changes to the call and its response that an allow carries. Names are lower case; names and values were checked.
///
/// Each place that carries changes out names every field, so a new field does not compile until all of them handle it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mutations {
    /// Request headers to set, replacing all values.
    pub set_headers: BTreeMap<String, String>,
    /// Request headers to remove.
    pub remove_headers: BTreeSet<String>,
    /// Response headers to set.
    pub response_headers: BTreeMap<String, String>,
    /// Query parameters to set; key and value percent-encoded.
    pub set_query: BTreeMap<String, String>,
    /// Query parameters to remove.
    pub remove_query: BTreeSet<String>,
    /// Dynamic metadata for the proxy.
    pub metadata: BTreeMap<String, String>,
    /// `@log("full")`: the decision log keeps the whole query.
    pub log_full: bool,
}

/// The parts of a call that the permits of a unit can change, whichever is satisfied: a client's own value never passes
/// under a name that can be set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changeable {
    /// Request headers that can be set: lower case, marks read as `-`.
    pub set_headers: BTreeSet<String>,
    /// Request headers that can be removed, in the same form.
    pub remove_headers: BTreeSet<String>,
    /// Query keys that can be set, as they are written.
    pub set_query: BTreeSet<String>,
    /// Query keys that can be removed, as they are written.
    pub remove_query: BTreeSet<String>,
}

impl Changeable {
    /// Adds what another unit can change.
    pub fn merge(&mut self, other: &Self) {
        let Self { set_headers, remove_headers, set_query, remove_query } = other;
        self.set_headers.extend(set_headers.iter().cloned());
        self.remove_headers.extend(remove_headers.iter().cloned());
        self.set_query.extend(set_query.iter().cloned());
        self.remove_query.extend(remove_query.iter().cloned());
    }

    /// Whether a query can be changed.
    #[must_use]
    pub fn has_query(&self) -> bool {
        let Self { set_headers: _, remove_headers: _, set_query, remove_query } = self;
        !set_query.is_empty() || !remove_query.is_empty()
    }

    /// Whether a header can be set or removed, in any spelling.
    #[must_use]
    pub fn has_header(&self, name: &str) -> bool {
        let Self { set_headers, remove_headers, set_query: _, remove_query: _ } = self;
        if set_headers.is_empty() && remove_headers.is_empty() {
            return false;
        }
        let name = fold(name);
        set_headers.contains(name.as_ref()) || remove_headers.contains(name.as_ref())
    }
}

impl Mutations {
    /// Whether nothing is changed; what is logged has no say in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { set_headers, remove_headers, response_headers, set_query, remove_query, metadata, log_full: _ } =
            self;
        let maps = [set_headers, response_headers, set_query, metadata].into_iter().all(BTreeMap::is_empty);
        maps && remove_headers.is_empty() && remove_query.is_empty()
    }
}
