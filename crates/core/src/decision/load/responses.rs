//! Notes policies that apply to responses only because their scope names no action.
//!
//! Knows: scopes of policies. Must not know: how responses are evaluated, who prints a note.

use std::sync::Arc;

use cedar_policy::ActionConstraint;

use crate::decision::bundle::{Bundle, release};
use crate::decision::policy::entry::Entry;
use crate::decision::snapshot::Snapshot;
use crate::problem::Problem;

/// A note for each such policy, where another policy names responses. In another tree none of them can matter before an
/// operator writes one.
pub(super) fn notes(snapshot: &Snapshot) -> Vec<Problem> {
    let units = super::units(snapshot);
    let entries = || units.iter().flat_map(|unit: &Arc<Bundle>| unit.entries.values());
    if !entries().any(|entry| names_responses(entry)) {
        return Vec::new();
    }
    let applies = |entry: &&Arc<Entry>| {
        let is_unnamed = matches!(entry.policy.action_constraint(), ActionConstraint::Any);
        is_unnamed && release::names_content(&entry.policy.resource_constraint())
    };
    let note = |entry: &Arc<Entry>| {
        let message =
            format!("policy `{}` names no action, so it applies to responses as well as to requests", entry.id);
        let help = "write `action in Action::\"any\"` for requests alone, or name the actions";
        Problem::note(entry.file.as_ref(), message).help(help).at(Some(entry.span.clone()))
    };
    entries().filter(applies).map(note).collect()
}

/// Whether the scope of a policy names responses.
fn names_responses(entry: &Entry) -> bool {
    let scope = entry.policy.action_constraint();
    !matches!(scope, ActionConstraint::Any) && release::names_action(&scope)
}
