//! Values of the form `name=template, name=template`, which several annotations share.
//!
//! Knows: how such a value is parsed, and when two values of one name conflict. Must not know: what the names mean.

use std::collections::{BTreeMap, BTreeSet};

use super::Unenforceable;
use crate::call::headers::folded;
use crate::obligation::headers;
use crate::obligation::template::{self, Template};
use crate::query::Query;

/// Names and their templates, each name once in any spelling.
pub(super) type Assignments = Vec<(String, Template)>;

/// Parses assignments; `check` says what is wrong with a name.
///
/// # Errors
/// A lower-case fragment that says what is wrong.
pub(super) fn parse(text: &str, check: impl Fn(&str) -> Result<(), String>) -> Result<Assignments, String> {
    let items = template::assignments(text)?;
    items.iter().try_for_each(|(name, _)| check(name))?;
    let mut seen = BTreeSet::new();
    match items.iter().find(|(name, _)| !seen.insert(folded(name))) {
        Some((name, _)) => Err(format!("`{name}` is set twice")),
        None => Ok(items),
    }
}

/// Parses assignments to headers; `allowed` are the guarded names that the manifest frees.
///
/// # Errors
/// A lower-case fragment that says what is wrong.
pub(super) fn parse_headers(text: &str, allowed: &[String]) -> Result<Assignments, String> {
    parse(text, |name| headers::check_name(name, allowed).map(drop))
}

/// Sets every name to its value for one query; `fold` turns spellings of one name into the same text.
///
/// # Errors
/// [`Unenforceable`] where a value cannot be had, or the name has another value.
pub(super) fn set(
    into: &mut BTreeMap<String, String>,
    items: &[(String, Template)],
    query: &Query,
    fold: fn(&str) -> String,
) -> Result<(), Unenforceable> {
    items.iter().try_for_each(|(name, template)| insert(into, name, template.render(query)?, fold))
}

/// Sets one name; `fold` turns spellings of one name into the same text.
///
/// # Errors
/// [`Unenforceable::Conflict`] where the name has another value.
pub(super) fn insert(
    into: &mut BTreeMap<String, String>,
    name: &str,
    value: String,
    fold: fn(&str) -> String,
) -> Result<(), Unenforceable> {
    // `x-a` and `x_a` are one header to many servers, so they must agree like two values of one name.
    let clash = into.iter().any(|(known, has)| fold(known) == fold(name) && (known != name || *has != value));
    if clash {
        return Err(Unenforceable::Conflict(name.to_owned()));
    }
    into.insert(name.to_owned(), value);
    Ok(())
}
