//! `@set_headers("x-caller=${principal.id}")`: request headers that replace the client's values.
//!
//! Knows: request headers. Must not know: other obligations.

use super::Unenforceable;
use super::assignments::{self, Assignments};
use crate::call::headers::folded;
use crate::obligation::template::Template;
use crate::obligation::{Changeable, Mutations};
use crate::query::Query;

/// Request headers to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SetHeaders(Assignments);

impl SetHeaders {
    pub(super) const ANNOTATION: &'static str = "set_headers";

    pub(super) fn parse(text: &str, allowed: &[String]) -> Result<Self, String> {
        assignments::parse_headers(text, allowed).map(Self)
    }

    pub(super) fn assignments(&self) -> &[(String, Template)] {
        &self.0
    }

    pub(super) fn collect_changeable(&self, all: &mut Changeable) {
        all.set_headers.extend(self.0.iter().map(|(name, _)| folded(name)));
    }

    pub(super) fn apply(&self, query: &Query, all: &mut Mutations) -> Result<(), Unenforceable> {
        assignments::set(&mut all.set_headers, &self.0, query, folded)
    }
}
