//! `@response_headers("x-judged=yes")`: headers that the client gets with the response.
//!
//! Knows: response headers. Must not know: other obligations.

use super::Unenforceable;
use super::assignments::{self, Assignments};
use crate::call::headers::folded;
use crate::obligation::Mutations;
use crate::obligation::template::Template;
use crate::query::Query;

/// Response headers to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResponseHeaders(Assignments);

impl ResponseHeaders {
    pub(super) const ANNOTATION: &'static str = "response_headers";

    pub(super) fn parse(text: &str, allowed: &[String]) -> Result<Self, String> {
        assignments::parse_headers(text, allowed).map(Self)
    }

    pub(super) fn assignments(&self) -> &[(String, Template)] {
        &self.0
    }

    pub(super) fn apply(&self, query: &Query, all: &mut Mutations) -> Result<(), Unenforceable> {
        assignments::set(&mut all.response_headers, &self.0, query, folded)
    }
}
