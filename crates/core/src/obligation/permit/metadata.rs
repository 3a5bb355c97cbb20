//! `@metadata("tier=core")`: dynamic metadata for the proxy's access log and later filters.
//!
//! Knows: keys of metadata. Must not know: other obligations, the keys that Picket itself sends.

use super::Unenforceable;
use super::assignments::{self, Assignments};
use crate::obligation::Mutations;
use crate::obligation::template::Template;
use crate::query::Query;

/// Dynamic metadata to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metadata(Assignments);

impl Metadata {
    pub(super) const ANNOTATION: &'static str = "metadata";

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        assignments::parse(text, check_key).map(Self)
    }

    pub(super) fn assignments(&self) -> &[(String, Template)] {
        &self.0
    }

    pub(super) fn apply(&self, query: &Query, all: &mut Mutations) -> Result<(), Unenforceable> {
        assignments::set(&mut all.metadata, &self.0, query, str::to_owned)
    }
}

fn check_key(name: &str) -> Result<(), String> {
    let is_legal = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if is_legal { Ok(()) } else { Err(format!("`{name}` is not a metadata key of letters, digits and -._")) }
}
