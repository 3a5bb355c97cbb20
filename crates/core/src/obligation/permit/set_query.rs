//! `@set_query("tenant=acme")`: query parameters that replace the client's values.
//!
//! Knows: query parameters. Must not know: other obligations.

use super::assignments::{self, Assignments};
use super::{Unenforceable, query_keys};
use crate::obligation::template::Template;
use crate::obligation::{Changeable, Mutations};
use crate::query::Query;

/// Query parameters to set; keys are plain, values are encoded when they are rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SetQuery(Assignments);

impl SetQuery {
    pub(super) const ANNOTATION: &'static str = "set_query";

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        assignments::parse(text, query_keys::check).map(Self)
    }

    pub(super) fn assignments(&self) -> &[(String, Template)] {
        &self.0
    }

    pub(super) fn collect_changeable(&self, all: &mut Changeable) {
        all.set_query.extend(self.0.iter().map(|(name, _)| name.clone()));
    }

    pub(super) fn apply(&self, query: &Query, all: &mut Mutations) -> Result<(), Unenforceable> {
        self.0.iter().try_for_each(|(name, template)| {
            let value = query_keys::encode(&template.render(query)?);
            assignments::insert(&mut all.set_query, name, value, str::to_owned)
        })
    }
}
