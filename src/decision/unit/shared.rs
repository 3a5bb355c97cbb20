//! What many policies of a unit have alike, kept once: fewer bytes, and what every call looks at stays near.
//!
//! Knows: entries. Must not know: calls.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use cedar_policy::Policy;
use cedar_policy_core::ast::{self, Expr, LinkingError, PolicyID, Template};

use super::Entry;
use crate::decision::reach::Reach;

/// Conditions and reaches of the policies so far.
#[derive(Default)]
pub(super) struct Shared {
    reaches: BTreeSet<Arc<Reach>>,
    conditions: HashSet<Arc<Expr>>,
}

impl Shared {
    /// Gives an entry what an earlier one has alike.
    pub(super) fn share(&mut self, entry: &mut Entry) {
        match self.reaches.get(&entry.reach) {
            Some(known) => entry.reach = Arc::clone(known),
            None => drop(self.reaches.insert(Arc::clone(&entry.reach))),
        }
        let core: &ast::Policy = entry.policy.as_ref();
        let template = core.template();
        let Some(condition) = template.non_scope_constraints_arc() else { return };
        match self.conditions.get(condition) {
            Some(known) => {
                // Only a policy with a slot could not be made, and that is refused at load.
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
