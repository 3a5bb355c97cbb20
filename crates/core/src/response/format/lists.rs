//! Filters MCP's lists of tools, resources, templates and prompts.
//!
//! Knows: the results of the four list methods in every version. Must not know: who may see an entry, frames.
//!
//! An entry is removed where the caller's function says so, and where it has no name that every client reads the same. Order, cursor and
//! everything else stay; a page may end up empty. A list that depends on its reader is private to caches.

use smol_str::SmolStr;

use super::roles::strings;
use super::{Edit, Reading, Role};
use crate::body::case_variants::is_caseless;
use crate::body::json::{Node, Object};
pub use crate::body::mcp::ListKind;

/// The caller's choice about one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// It stays.
    Keep,
    /// It does not leave.
    Drop,
    /// It could not be evaluated, so the list must not leave.
    Fail,
}

/// A list that clients may read in several ways, that is not a list, or with an entry that could not be evaluated. It must not
/// leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the result is not a list that has one reading, or an entry could not be evaluated")]
pub struct Unreadable;

/// Chooses for each entry, by kind and name.
pub type Keep<'k> = dyn FnMut(ListKind, &str) -> Choice + Send + 'k;

/// The member of a result that has the list, and the member of an entry that names it.
fn members(kind: ListKind) -> (&'static str, &'static str) {
    match kind {
        ListKind::Tools => ("tools", "name"),
        ListKind::Resources => ("resources", "uri"),
        ListKind::ResourceTemplates => ("resourceTemplates", "uriTemplate"),
        ListKind::Prompts => ("prompts", "name"),
    }
}

/// The kind of list that a result looks like, for an answer to an unknown request. `None` for any other result.
///
/// # Errors
/// [`Unreadable`] for a result that looks like several.
pub(super) fn kind_of(result: Node<'_>) -> Result<Option<ListKind>, Unreadable> {
    let Some(object) = result.as_object() else { return Ok(None) };
    let resembles = |kind: &ListKind| object.iter().any(|(name, _)| is_caseless(name, members(*kind).0));
    let mut kinds = ListKind::ALL.into_iter().filter(resembles);
    match (kinds.next(), kinds.next()) {
        (kind, None) => Ok(kind),
        (_, Some(_)) => Err(Unreadable),
    }
}

/// Adds the changes of one result to a reading. Strings of removed entries are not scanned.
///
/// # Errors
/// [`Unreadable`]; nothing was added then.
pub fn filter(result: Node<'_>, kind: ListKind, keep: &mut Keep<'_>, reading: &mut Reading) -> Result<(), Unreadable> {
    let (list, name) = members(kind);
    let members = result.as_object().ok_or(Unreadable)?;
    let (entries, scope) = (one(members, list)?, one(members, "cacheScope")?);
    let entries = entries.map(|entries| entries.as_list().ok_or(Unreadable)).transpose()?;
    let entries: Vec<Node<'_>> = entries.into_iter().flat_map(|entries| entries.iter()).collect();
    let mut dropped = Vec::new();
    for entry in &entries {
        match name_of(*entry, name).map_or(Choice::Drop, |name| keep(kind, name)) {
            Choice::Keep => {}
            Choice::Drop => dropped.push(*entry),
            Choice::Fail => return Err(Unreadable),
        }
    }
    if let Some(scope) = scope.filter(|scope| scope.as_text() != Some("private")) {
        reading.edits.push(Edit::Replace(scope.place(), "\"private\"".to_owned()));
    }
    reading.lists.entries += entries.len() as u64;
    reading.lists.dropped += dropped.len() as u64;
    for entry in dropped {
        reading.edits.push(Edit::Remove(entry.place()));
        strings(entry, &mut |node| reading.role(Some(node), &SmolStr::default(), |_| Role::Exempt));
    }
    Ok(())
}

/// The name of an entry; none that clients could read in several ways.
fn name_of<'a>(entry: Node<'a>, key: &str) -> Option<&'a str> {
    match one(entry.as_object()?, key) {
        Ok(name) => name?.as_text(),
        Err(Unreadable) => None,
    }
}

/// A member that no other member resembles, to readers that do not mind case.
pub(super) fn one<'a>(object: Object<'a>, key: &str) -> Result<Option<Node<'a>>, Unreadable> {
    let mut alike = object.iter().filter(|(name, _)| is_caseless(name, key));
    match (alike.next(), alike.next()) {
        (None, _) => Ok(None),
        (Some((name, value)), None) if name == key => Ok(Some(value)),
        (Some(_), _) => Err(Unreadable),
    }
}

#[cfg(test)]
mod tests;
