//! Obligations on permits: what must be done with an allow.

use std::collections::BTreeMap;

use super::template::{self, Template, Unmet};
use super::{Changeable, Mutations, headers};
use crate::call::headers::folded;
use crate::query::Query;

/// All obligations of one permit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Obligations {
    set_headers: Vec<(String, Template)>,
    remove_headers: Vec<String>,
    response_headers: Vec<(String, Template)>,
    set_query: Vec<(String, Template)>,
    remove_query: Vec<String>,
    metadata: Vec<(String, Template)>,
    log_full: bool,
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

/// The annotations that make obligations.
pub const ANNOTATIONS: [&str; 7] =
    ["set_headers", "remove_headers", "response_headers", "set_query", "remove_query", "metadata", "log"];

impl Obligations {
    /// Takes in one annotation; `allowed` are the guarded header names that the manifest frees.
    ///
    /// # Errors
    /// A lower-case fragment that says what is wrong.
    pub fn add(&mut self, annotation: &str, text: &str, allowed: &[String]) -> Result<(), String> {
        match annotation {
            "set_headers" => self.set_headers = header_assignments(text, allowed)?,
            "response_headers" => self.response_headers = header_assignments(text, allowed)?,
            "remove_headers" => {
                self.remove_headers = template::items(text)?;
                self.remove_headers.iter().try_for_each(|name| headers::check_name(name, allowed).map(drop))?;
            }
            "set_query" => self.set_query = query_assignments(text)?,
            "remove_query" => {
                self.remove_query = template::items(text)?;
                self.remove_query.iter().try_for_each(|name| query_key(name))?;
            }
            "metadata" => self.metadata = metadata_assignments(text)?,
            "log" if text == "full" => self.log_full = true,
            "log" => return Err(format!("`{text}` is not a log level; the only one is `full`")),
            other => return Err(format!("`{other}` is not an obligation")),
        }
        Ok(())
    }

    /// Every template, for type checking.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        // A field that is missing here does not compile.
        let Self {
            set_headers,
            remove_headers: _,
            response_headers,
            set_query,
            remove_query: _,
            metadata,
            log_full: _,
        } = self;
        [set_headers, response_headers, set_query, metadata].into_iter().flatten().map(|(_, template)| template)
    }

    /// The parts of a call that it can change.
    #[must_use]
    pub fn changeable(&self) -> Changeable {
        let Self {
            set_headers,
            remove_headers,
            response_headers: _,
            set_query,
            remove_query,
            metadata: _,
            log_full: _,
        } = self;
        let set = |items: &[(String, Template)]| items.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        Changeable {
            set_headers: set(set_headers).iter().map(|name| folded(name)).collect(),
            remove_headers: remove_headers.iter().map(|name| folded(name)).collect(),
            set_query: set(set_query).into_iter().collect(),
            remove_query: remove_query.iter().cloned().collect(),
        }
    }

    /// Whether it has no obligation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { set_headers, remove_headers, response_headers, set_query, remove_query, metadata, log_full } = self;
        let assigned = [set_headers, response_headers, set_query, metadata].into_iter().all(Vec::is_empty);
        assigned && remove_headers.is_empty() && remove_query.is_empty() && !log_full
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
    for permit in permits.into_iter().filter(|permit| !permit.is_empty()) {
        set(&mut all.set_headers, &permit.set_headers, query, folded)?;
        set(&mut all.response_headers, &permit.response_headers, query, folded)?;
        set(&mut all.metadata, &permit.metadata, query, str::to_owned)?;
        for (name, template) in &permit.set_query {
            let value = encode_query(&template.render(query)?);
            insert(&mut all.set_query, name, value, str::to_owned)?;
        }
        all.remove_headers.extend(permit.remove_headers.iter().cloned());
        all.remove_query.extend(permit.remove_query.iter().cloned());
        all.log_full |= permit.log_full;
    }
    let removed = all.remove_headers.iter().find(|name| {
        let name = folded(name);
        all.set_headers.keys().any(|set| folded(set) == name)
    });
    let removed = removed.or_else(|| all.remove_query.iter().find(|name| all.set_query.contains_key(*name)));
    match removed {
        Some(name) => Err(Unenforceable::Conflict(name.clone())),
        None => Ok(all),
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
#[must_use]
pub fn encode_query(text: &str) -> String {
    const KEPT: percent_encoding::AsciiSet =
        percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(text, &KEPT).to_string()
}

fn set(
    into: &mut BTreeMap<String, String>,
    items: &[(String, Template)],
    query: &Query,
    fold: fn(&str) -> String,
) -> Result<(), Unenforceable> {
    items.iter().try_for_each(|(name, template)| insert(into, name, template.render(query)?, fold))
}

fn insert(
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

fn header_assignments(text: &str, allowed: &[String]) -> Result<Vec<(String, Template)>, String> {
    let items = template::assignments(text)?;
    items.iter().try_for_each(|(name, _)| headers::check_name(name, allowed).map(drop))?;
    unique(items)
}

fn query_assignments(text: &str) -> Result<Vec<(String, Template)>, String> {
    let items = template::assignments(text)?;
    items.iter().try_for_each(|(name, _)| query_key(name))?;
    unique(items)
}

/// Checks a key that a policy sets or removes. The proxy compares it byte by byte, so only keys with one spelling will do.
fn query_key(name: &str) -> Result<(), String> {
    let is_legal = !name.is_empty() && encode_query(name) == name;
    if is_legal { Ok(()) } else { Err(format!("`{name}` is not a query key of letters, digits and -._~")) }
}

fn metadata_assignments(text: &str) -> Result<Vec<(String, Template)>, String> {
    let items = template::assignments(text)?;
    let legal = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    match items.iter().find(|(name, _)| !legal(name)) {
        Some((name, _)) => Err(format!("`{name}` is not a metadata key of letters, digits and -._")),
        None => unique(items),
    }
}

fn unique(items: Vec<(String, Template)>) -> Result<Vec<(String, Template)>, String> {
    let mut seen = std::collections::BTreeSet::new();
    match items.iter().find(|(name, _)| !seen.insert(folded(name))) {
        Some((name, _)) => Err(format!("`{name}` is set twice")),
        None => Ok(items),
    }
}
