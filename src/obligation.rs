//! What must be carried out with a verdict: the catalogue of obligations and what becomes of them.
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

/// Changes to the call and its response that an allow carries. Names are lower case; names and values were checked.
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
