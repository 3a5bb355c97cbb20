//! Evaluates policies: the only place where the engine runs Cedar's evaluator.
//!
//! Knows: prepared policies, inputs, the allowance. Must not know: how policies are selected, or where results are kept.
//!
//! [`crate::decision::reference`] is the specification that this is held to. Sets with disjoint ids may be evaluated apart
//! and united.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cedar_policy::{Effect, Policy};
use cedar_policy_core::ast::{self, Expr, ExprKind, Literal, SlotEnv, ValueKind};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;

use super::eval_inputs::EvalInputs;
use crate::decision::allowance::{Allowance, DeadlineChecks, POLICY_COST_MAX, Stopped};
use crate::decision::policy::cost::Cost;
use crate::decision::verdict::PolicyError;

/// The satisfied policies, and the policies that failed to evaluate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Satisfied {
    /// Satisfied permits, by id.
    pub permits: BTreeSet<String>,
    /// Satisfied forbids, by id.
    pub forbids: BTreeSet<String>,
    /// Permits that failed to evaluate: id to message.
    pub permit_errors: BTreeMap<String, String>,
    /// Forbids that failed to evaluate: id to message.
    pub forbid_errors: BTreeMap<String, String>,
}

impl Satisfied {
    /// Adds the result of another evaluation.
    pub fn unite(&mut self, other: &Self) {
        self.permits.extend(other.permits.iter().cloned());
        self.forbids.extend(other.forbids.iter().cloned());
        self.permit_errors.extend(other.permit_errors.iter().map(|(id, m)| (id.clone(), m.clone())));
        self.forbid_errors.extend(other.forbid_errors.iter().map(|(id, m)| (id.clone(), m.clone())));
    }

    /// Approximate memory, including the allocator's overhead.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // Nodes of a B-tree hold eleven entries, and six on average once there are several; most results need one node.
        let node = |len: usize, item: usize| len.div_ceil(6) * (11 * item + 48);
        let sets = [&self.permits, &self.forbids]
            .map(|ids| node(ids.len(), size_of::<String>()) + ids.iter().map(|id| id.len() + 16).sum::<usize>());
        let maps = [&self.permit_errors, &self.forbid_errors].map(|errors| {
            let texts = errors.iter().map(|(id, message)| id.len() + message.len() + 32).sum::<usize>();
            node(errors.len(), 2 * size_of::<String>()) + texts
        });
        size_of::<Self>() + 32 + sets.iter().chain(&maps).sum::<usize>()
    }

    /// The lists of satisfied and failed policies of an effect.
    pub(in crate::decision) fn of_effect(
        &mut self,
        effect: Effect,
    ) -> (&mut BTreeSet<String>, &mut BTreeMap<String, String>) {
        match effect {
            Effect::Permit => (&mut self.permits, &mut self.permit_errors),
            Effect::Forbid => (&mut self.forbids, &mut self.forbid_errors),
        }
    }

    /// Every failed policy, sorted by id.
    #[must_use]
    pub fn errors(&self) -> Vec<PolicyError> {
        let all = self.permit_errors.iter().chain(&self.forbid_errors);
        let mut errors: Vec<_> =
            all.map(|(policy, message)| PolicyError { policy: policy.clone(), message: message.clone() }).collect();
        errors.sort();
        errors
    }
}

/// The remaining condition of a selected policy: its scope and its confinement hold already.
#[derive(Debug)]
pub(in crate::decision) struct Prepared {
    id: String,
    effect: Effect,
    /// `None` if no condition remains, so that the policy is satisfied.
    condition: Option<Arc<Expr>>,
    /// Cost of the condition.
    cost: Cost,
}

impl Prepared {
    /// The first `settled` conditions are known to hold. `cost` is that of all conditions.
    pub(in crate::decision) fn new(policy: &Policy, settled: usize, cost: Cost) -> Self {
        let core: &ast::Policy = policy.as_ref();
        let mut condition = core.non_scope_constraints_arc();
        for _ in 0..settled {
            // Conditions are joined as `a && (b && c)`; the last one is not joined.
            condition = condition.and_then(|joined| match joined.expr_kind() {
                ExprKind::And { right, .. } => Some(right),
                _ => None,
            });
        }
        Self { id: policy.id().to_string(), effect: policy.effect(), condition: condition.cloned(), cost }
    }

    /// Approximate memory, without the parts that it shares with its policy.
    pub(in crate::decision) fn bytes(&self) -> usize {
        size_of::<Self>() + self.id.len()
    }

    /// Estimated cost of its evaluation.
    pub(in crate::decision) fn cost(&self) -> Cost {
        if self.is_settled() { Cost::default() } else { self.cost }
    }

    /// Returns whether no condition remains.
    pub(in crate::decision) fn is_settled(&self) -> bool {
        self.condition.is_none()
    }
}

/// The result if no condition of these policies remains; else `None`.
pub(in crate::decision) fn settled(policies: &[Prepared]) -> Option<Satisfied> {
    let mut findings = Satisfied::default();
    for Prepared { id, effect, .. } in policies.iter().filter(|policy| policy.is_settled()) {
        findings.of_effect(*effect).0.insert(id.clone());
    }
    policies.iter().all(Prepared::is_settled).then_some(findings)
}

/// Evaluates each of these policies, with the evaluator that the authorizer uses. `bytes` is the size of their inputs.
///
/// A policy that could cost too much is not evaluated and fails: a permit then grants nothing, and a forbid denies.
///
/// # Errors
/// [`Stopped::Late`] if the deadline passes first.
pub(in crate::decision) fn evaluate_each<'a>(
    policies: impl IntoIterator<Item = &'a Prepared>,
    inputs: EvalInputs,
    bytes: usize,
    allowance: &Allowance<'_>,
) -> Result<Satisfied, Stopped> {
    let EvalInputs { request, entities } = inputs;
    let evaluator = Evaluator::new(request, &entities, Extensions::all_available());
    let mut findings = Satisfied::default();
    // The loader rejects templates, so no policy has a slot to fill.
    let slots = SlotEnv::new();
    let mut looks = DeadlineChecks::new(allowance);
    for Prepared { id, effect, condition, cost } in policies {
        let (satisfied, failed) = findings.of_effect(*effect);
        let Some(condition) = condition else {
            satisfied.insert(id.clone());
            continue;
        };
        let cost = cost.with(bytes);
        if cost > POLICY_COST_MAX {
            failed.insert(id.clone(), too_costly(bytes));
            continue;
        }
        looks.before(cost)?;
        match evaluator.interpret(condition, &slots).map(|value| value.value) {
            Ok(ValueKind::Lit(Literal::Bool(true))) => drop(satisfied.insert(id.clone())),
            Ok(ValueKind::Lit(Literal::Bool(false))) => {}
            // The conditions are joined to the scope by `&&`, which fails for anything but a truth value.
            Ok(_) => drop(failed.insert(id.clone(), "the condition is neither true nor false".to_owned())),
            Err(error) => drop(failed.insert(id.clone(), message(&error.to_string()))),
        }
    }
    Ok(findings)
}

/// Why a policy was not evaluated.
pub(in crate::decision) fn too_costly(bytes: usize) -> String {
    format!("evaluating it on the {bytes} bytes that it can reach of this call could take too long")
}

/// Cedar quotes values, and a value may be as long as a call.
pub(in crate::decision) fn message(error: &str) -> String {
    const BYTES_MAX: usize = 512;
    if error.len() <= BYTES_MAX {
        return error.to_owned();
    }
    let end = (0..=BYTES_MAX).rev().find(|at| error.is_char_boundary(*at)).unwrap_or_default();
    format!("{}…", error.get(..end).unwrap_or_default())
}
