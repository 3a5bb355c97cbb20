//! Obligations of permits: changes that must be carried out together with an allow.
//!
//! Knows: every obligation, and how those of several permits merge. Must not know: what a single obligation changes (its
//! own file says that), Cedar, the wire.
//!
//! A new obligation is a file, a variant of `Obligation` and a row of `PARSERS`. Every fold matches all variants by name,
//! and a variant without its row is never constructed, which the compiler reports.

mod assignments;
mod log;
mod metadata;
mod query_keys;
mod remove_headers;
mod remove_query;
mod response_headers;
mod set_headers;
mod set_query;
#[cfg(test)]
mod tests;

use super::template::{Template, Unmet};
use super::{Changeable, Mutations};
use crate::query::Query;
use log::Log;
use metadata::Metadata;
use remove_headers::RemoveHeaders;
use remove_query::RemoveQuery;
use response_headers::ResponseHeaders;
use set_headers::SetHeaders;
use set_query::SetQuery;

/// All obligations of one permit, at most one of each kind, in the order of `PARSERS`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Obligations(Vec<Obligation>);

/// One obligation: the value of one annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Obligation {
    SetHeaders(SetHeaders),
    ResponseHeaders(ResponseHeaders),
    Metadata(Metadata),
    SetQuery(SetQuery),
    RemoveHeaders(RemoveHeaders),
    RemoveQuery(RemoveQuery),
    Log(Log),
}

/// Why an allow cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unenforceable {
    /// Two permits contradict each other.
    #[error("two permits disagree about `{0}`")]
    Conflict(String),
    /// A value is missing or cannot be sent.
    #[error("{0}")]
    Unmet(#[from] Unmet),
}

/// Parses the value of an annotation; the names are the guarded header names that the manifest frees.
type Parser = fn(&str, &[String]) -> Result<Obligation, String>;

/// The parser of every annotation that makes an obligation, in the order in which obligations are applied.
const PARSERS: [(&str, Parser); 7] = [
    (SetHeaders::ANNOTATION, |text, allowed| SetHeaders::parse(text, allowed).map(Obligation::SetHeaders)),
    (ResponseHeaders::ANNOTATION, |text, allowed| {
        ResponseHeaders::parse(text, allowed).map(Obligation::ResponseHeaders)
    }),
    (Metadata::ANNOTATION, |text, _| Metadata::parse(text).map(Obligation::Metadata)),
    (SetQuery::ANNOTATION, |text, _| SetQuery::parse(text).map(Obligation::SetQuery)),
    (RemoveHeaders::ANNOTATION, |text, allowed| RemoveHeaders::parse(text, allowed).map(Obligation::RemoveHeaders)),
    (RemoveQuery::ANNOTATION, |text, _| RemoveQuery::parse(text).map(Obligation::RemoveQuery)),
    (Log::ANNOTATION, |text, _| Log::parse(text).map(Obligation::Log)),
];

/// The annotations that make obligations.
pub fn annotations() -> impl Iterator<Item = &'static str> {
    PARSERS.iter().map(|(annotation, _)| *annotation)
}

/// Where an annotation has its place among all.
fn place(annotation: &str) -> Option<usize> {
    annotations().position(|known| known == annotation)
}

impl Obligations {
    /// Adds one annotation, in place of an earlier one with this name; `allowed` are the guarded header names that the
    /// manifest frees.
    ///
    /// # Errors
    /// A lower-case fragment that says what is wrong.
    pub fn add(&mut self, annotation: &str, text: &str, allowed: &[String]) -> Result<(), String> {
        let Some((_, parse)) = PARSERS.iter().find(|(known, _)| *known == annotation) else {
            return Err(format!("`{annotation}` is not an obligation"));
        };
        let obligation = parse(text, allowed)?;
        self.0.retain(|other| other.annotation() != annotation);
        self.0.push(obligation);
        self.0.sort_by_key(|obligation| place(obligation.annotation()));
        self.0.shrink_to_fit();
        Ok(())
    }

    /// Every template, for type checking.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        self.0.iter().flat_map(Obligation::assignments).map(|(_, template)| template)
    }

    /// The parts of a call that it can change.
    #[must_use]
    pub fn changeable(&self) -> Changeable {
        let mut all = Changeable::default();
        self.0.iter().for_each(|obligation| obligation.collect_changeable(&mut all));
        all
    }

    /// Whether it has no obligation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

// Each of these matches every variant by name: a new one does not compile until each says what it does with it.
impl Obligation {
    fn annotation(&self) -> &'static str {
        match self {
            Self::SetHeaders(_) => SetHeaders::ANNOTATION,
            Self::ResponseHeaders(_) => ResponseHeaders::ANNOTATION,
            Self::Metadata(_) => Metadata::ANNOTATION,
            Self::SetQuery(_) => SetQuery::ANNOTATION,
            Self::RemoveHeaders(_) => RemoveHeaders::ANNOTATION,
            Self::RemoveQuery(_) => RemoveQuery::ANNOTATION,
            Self::Log(_) => Log::ANNOTATION,
        }
    }

    /// The names and templates of its value; none where the value has no variables.
    fn assignments(&self) -> &[(String, Template)] {
        match self {
            Self::SetHeaders(headers) => headers.assignments(),
            Self::ResponseHeaders(headers) => headers.assignments(),
            Self::Metadata(metadata) => metadata.assignments(),
            Self::SetQuery(query) => query.assignments(),
            Self::RemoveHeaders(_) | Self::RemoveQuery(_) | Self::Log(_) => &[],
        }
    }

    /// Adds the parts of a call that it can change.
    fn collect_changeable(&self, all: &mut Changeable) {
        match self {
            Self::SetHeaders(headers) => headers.collect_changeable(all),
            Self::SetQuery(query) => query.collect_changeable(all),
            Self::RemoveHeaders(headers) => headers.collect_changeable(all),
            Self::RemoveQuery(query) => query.collect_changeable(all),
            // The client sends none of these.
            Self::ResponseHeaders(_) | Self::Metadata(_) | Self::Log(_) => {}
        }
    }

    /// Adds its changes for one query.
    ///
    /// # Errors
    /// [`Unenforceable`] where it contradicts the changes of other permits, or a value cannot be had.
    fn apply(&self, query: &Query, all: &mut Mutations) -> Result<(), Unenforceable> {
        match self {
            Self::SetHeaders(headers) => headers.apply(query, all),
            Self::ResponseHeaders(headers) => headers.apply(query, all),
            Self::Metadata(metadata) => metadata.apply(query, all),
            Self::SetQuery(set) => set.apply(query, all),
            Self::RemoveHeaders(headers) => {
                headers.apply(all);
                Ok(())
            }
            Self::RemoveQuery(keys) => {
                keys.apply(all);
                Ok(())
            }
            Self::Log(log) => {
                log.apply(all);
                Ok(())
            }
        }
    }
}

/// Carries out the obligations of all satisfied permits together.
///
/// # Errors
/// [`Unenforceable`] where two disagree or a value cannot be had: the call is then denied.
pub fn mutations<'a>(
    permits: impl IntoIterator<Item = &'a Obligations>,
    query: &Query,
) -> Result<Mutations, Unenforceable> {
    let mut all = Mutations::default();
    for obligation in permits.into_iter().flat_map(|permit| &permit.0) {
        obligation.apply(query, &mut all)?;
    }
    match contradicted(&all) {
        Some(name) => Err(Unenforceable::Conflict(name.clone())),
        None => Ok(all),
    }
}

/// A name that is both set and removed. Two values for one name are found earlier, when the second is set.
fn contradicted(all: &Mutations) -> Option<&String> {
    // A field that is missing here does not compile.
    let Mutations {
        set_headers,
        remove_headers,
        response_headers: _,
        set_query,
        remove_query,
        metadata: _,
        log_full: _,
    } = all;
    remove_headers::contradicted(remove_headers, set_headers)
        .or_else(|| remove_query::contradicted(remove_query, set_query))
}
