//! Interns the equal parts of policies: fewer bytes, and hot data stays in the CPU's caches.
//!
//! Knows: entries. Must not know: calls.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use cedar_policy::Policy;
use cedar_policy_core::ast::{self, Expr, LinkingError, PolicyID, Template};

use super::entry::Entry;
use crate::decision::read_set::ReadSet;

/// Conditions and read sets of the policies so far.
#[derive(Default)]
pub(in crate::decision) struct Interner {
    read_sets: BTreeSet<Arc<ReadSet>>,
    conditions: HashSet<Arc<Expr>>,
}

impl Interner {
    /// Replaces the parts of an entry that equal those of an earlier one.
    pub(in crate::decision) fn share(&mut self, entry: &mut Entry) {
        match self.read_sets.get(&entry.read_set) {
            Some(known) => entry.read_set = Arc::clone(known),
            None => drop(self.read_sets.insert(Arc::clone(&entry.read_set))),
        }
        let core: &ast::Policy = entry.policy.as_ref();
        let template = core.template();
        let Some(condition) = template.non_scope_constraints_arc() else { return };
        match self.conditions.get(condition) {
            Some(known) => {
                // Linking fails only for a policy with a slot, and the loader rejects those.
                if let Ok(policy) = with_condition(core.id(), template, Arc::clone(known)) {
                    entry.policy = Policy::from(policy);
                }
            }
            None => drop(self.conditions.insert(Arc::clone(condition))),
        }
    }
}

/// The same policy with an equal condition.
fn with_condition(id: &PolicyID, template: &Template, condition: Arc<Expr>) -> Result<ast::Policy, LinkingError> {
    let template = Template::new_shared(
        id.clone(),
        None,
        Arc::clone(template.annotations_arc()),
        template.effect(),
        template.principal_constraint().clone(),
        template.action_constraint().clone(),
        template.resource_constraint().clone(),
        Some(condition),
    );
    Template::try_as_policy(Arc::new(template))
}
