//! Partial evaluation: the best verdict that a query could reach with any context. It filters the lists of tools and
//! models that a caller may use.
//!
//! Knows: Cedar's core crate, the verdict algebra. Must not know: lists, protocols.
//!
//! It errs to one side only: a verdict that some call gets is never reported as unreachable. Every test that reads the
//! context, or another [`Unknown`] part, can be true, false or fail, independently, and an unknown expression counts as such
//! a test. Cedar evaluates all other tests. Policies in shadow mode count as little as they do in a verdict.

use std::sync::Arc;

use cedar_policy_core::ast::{Expr, ExprKind, Literal, Policy, SlotEnv, UnaryOp, ValueKind, Var};
use cedar_policy_core::evaluator::{EvaluationError, Evaluator};
use cedar_policy_core::extensions::Extensions;

use super::allowance::{Allowance, DeadlineChecks, POLICY_COST_MAX};
use super::bundle::index::Index;
use super::decide::may_log_in;
use super::engine::eval_inputs::{self, EvalInputs};
use super::engine::projection::Projection;
use super::policy::entry::Entry;
use super::policy::mode::Mode;
use super::read_set::ReadSet;
use super::snapshot::Snapshot;
use super::snapshot::applicable_bundles;
use crate::failure::{Code, Failure};
use crate::query::Query;

/// Deepest nesting of `&&`, `||`, `!` and `if` that is followed; deeper parts count as unknown. Bounds the stack: a
/// chain of operators nests without brackets, and the loader only limits brackets.
const DEPTH_MAX: usize = 128;

/// The attribute of principal and resource that lookups give.
const FACTS: &str = "facts";

/// The best reachable verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reachable {
    /// Some call may be allowed.
    Allowed,
    /// No call is allowed, and some may get a challenge.
    Challenged,
    /// No call is allowed.
    Never,
}

impl Reachable {
    /// The stable text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Challenged => "challenged",
            Self::Never => "never",
        }
    }
}

/// The best reachable verdict, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Best {
    /// The verdict.
    pub reachable: Reachable,
    /// Ids of the permits that may hold if it is an allow, else of the forbids that always hold or fail; sorted.
    pub policies: Vec<String>,
}

/// Parts of a query that may have any value, in addition to its context.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unknown {
    /// Facts of principal and resource: a lookup may give another call others.
    pub facts: bool,
    /// The resource: it is one of the query's type inside the ancestors that the query names. Policies that name another
    /// entity of this type, or a group, may be about it.
    pub resource: bool,
}

/// The best verdict that a call with this principal, action and resource can reach.
///
/// It ignores the query's context. The query's facts are complete: they include those of a lookup.
///
/// # Errors
/// [`Code::BundleInvalid`] if the namespace's policies never loaded, [`Code::QueryInvalid`] if the schema does not have
/// a name of the query.
pub fn reachable(snapshot: &Snapshot, query: &Query) -> Result<Best, Failure> {
    reachable_within(snapshot, query, Unknown::default(), &Allowance::unbounded())
}

/// The same, where other parts of the query are unknown too.
///
/// # Errors
/// As [`reachable`], and [`Code::Deadline`] if the deadline of `allowance` passes first.
pub fn reachable_within(
    snapshot: &Snapshot,
    query: &Query,
    unknown: Unknown,
    allowance: &Allowance<'_>,
) -> Result<Best, Failure> {
    allowance.begin().map_err(|stopped| Failure::new(Code::Deadline, stopped.to_string()))?;
    let units = applicable_bundles(snapshot, &query.namespace)?;
    let mut read_set = ReadSet::default();
    (read_set.principal.whole, read_set.resource.whole) = (true, true);
    let projection = Projection::new(&read_set);
    let projected = projection.project(query);
    let bytes = projected.bytes();
    let eval_inputs = eval_inputs::build(&projected, snapshot.types());
    let EvalInputs { request, entities } = eval_inputs.map_err(|detail| Failure::new(Code::QueryInvalid, detail))?;
    let settled = Known {
        unknown,
        bytes,
        evaluator: Evaluator::new(request, &entities, Extensions::all_available()),
        // The loader rejects templates, so no policy has a slot to fill.
        slots: SlotEnv::new(),
    };
    let (mut permits, mut forbids) = (Vec::new(), Vec::new());
    let mut checks = DeadlineChecks::new(allowance);
    for unit in &units {
        let [permit_index, forbid_index] = unit.indexes(Mode::Enforce);
        // A permit that may be about the resource can help; a forbid has to be about it to be in the way.
        let permit_numbers =
            if unknown.resource { permit_index.possible_candidates(query) } else { permit_index.candidates(query) };
        permits.extend(settled.outcomes_of(permit_index, &permit_numbers, &mut checks)?);
        forbids.extend(settled.outcomes_of(forbid_index, &forbid_index.candidates(query), &mut checks)?);
    }
    let by_login = may_log_in(snapshot, query) && !permits.iter().any(|(_, outcomes)| outcomes.is_certain());
    let login = if by_login { Reachable::Challenged } else { Reachable::Never };
    Ok(best(&permits, &forbids, login))
}

type Candidate = (Arc<Entry>, Outcomes);

/// Combines permits and forbids as [`decide`](super::decide()) does; `without_permit` is the best verdict if no permit
/// holds.
fn best(permits: &[Candidate], forbids: &[Candidate], without_permit: Reachable) -> Best {
    let ids = |candidates: &[&Candidate]| {
        let mut ids: Vec<String> = candidates.iter().map(|(entry, _)| entry.id.clone()).collect();
        ids.sort();
        ids
    };
    let open: Vec<&Candidate> = permits.iter().filter(|(_, outcomes)| outcomes.yes).collect();
    let blocking: Vec<&Candidate> = forbids.iter().filter(|(_, outcomes)| !outcomes.no).collect();
    if !open.is_empty() && blocking.is_empty() {
        return Best { reachable: Reachable::Allowed, policies: ids(&open) };
    }
    let by_remedy = !open.is_empty() && blocking.iter().all(|(entry, _)| entry.remedy.is_some());
    // A forbid that fails overrides everything, and no remedy lifts it.
    let always_fails = blocking.iter().any(|(_, outcomes)| !outcomes.yes);
    let reachable = if always_fails {
        Reachable::Never
    } else if by_remedy {
        Reachable::Challenged
    } else {
        without_permit
    };
    Best { reachable, policies: ids(&blocking) }
}

/// Possible outcomes of a condition; at least one is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outcomes {
    yes: bool,
    no: bool,
    fails: bool,
}

impl Outcomes {
    const ANY: Self = Self { yes: true, no: true, fails: true };
    const YES: Self = Self { yes: true, no: false, fails: false };
    const NO: Self = Self { yes: false, no: true, fails: false };
    const FAILS: Self = Self { yes: false, no: false, fails: true };

    /// It holds with every context.
    fn is_certain(self) -> bool {
        self == Self::YES
    }

    fn negated(self) -> Self {
        Self { yes: self.no, no: self.yes, fails: self.fails }
    }

    /// `if self { then } else { other }`. A branch that is never taken is not evaluated.
    fn choose(self, then: impl FnOnce() -> Self, other: impl FnOnce() -> Self) -> Self {
        let nothing = Self { yes: false, no: false, fails: false };
        let then = if self.yes { then() } else { nothing };
        let other = if self.no { other() } else { nothing };
        Self { yes: then.yes || other.yes, no: then.no || other.no, fails: self.fails || then.fails || other.fails }
    }
}

/// The known parts of a query.
struct Known<'a> {
    unknown: Unknown,
    /// Size of the inputs.
    bytes: usize,
    evaluator: Evaluator<'a>,
    slots: SlotEnv,
}

impl Known<'_> {
    /// The policies with these numbers, each with its possible outcomes.
    fn outcomes_of(
        &self,
        index: &Index,
        numbers: &[u32],
        checks: &mut DeadlineChecks<'_>,
    ) -> Result<Vec<Candidate>, Failure> {
        let entries = numbers.iter().filter_map(|number| index.entry(*number));
        let outcomes = entries.map(|entry| {
            let cost = entry.cost.with(self.bytes);
            checks.before(cost.min(POLICY_COST_MAX)).map_err(|late| Failure::new(Code::Deadline, late.to_string()))?;
            // Whether a call fails for the cost depends on its context too.
            let outcomes = if cost > POLICY_COST_MAX { Outcomes::ANY } else { self.policy(entry) };
            Ok((Arc::clone(entry), outcomes))
        });
        outcomes.collect()
    }

    fn policy(&self, entry: &Entry) -> Outcomes {
        let core: &Policy = entry.policy.as_ref();
        let mut condition = core.non_scope_constraints();
        if self.unknown.resource {
            // The resource is in the namespace of its service, whichever it is.
            for _ in 0..entry.settled {
                condition = condition.and_then(|joined| match joined.expr_kind() {
                    ExprKind::And { right, .. } => Some(right.as_ref()),
                    _ => None,
                });
            }
        }
        condition.map_or(Outcomes::YES, |condition| self.outcomes(condition, 0))
    }

    fn outcomes(&self, expr: &Expr, depth: usize) -> Outcomes {
        if !self.unknown.is_read_by(expr) {
            return self.evaluated(expr);
        }
        if depth == DEPTH_MAX {
            return Outcomes::ANY;
        }
        let part = |part: &Expr| self.outcomes(part, depth + 1);
        match expr.expr_kind() {
            ExprKind::And { left, right } => part(left).choose(|| part(right), || Outcomes::NO),
            ExprKind::Or { left, right } => part(left).choose(|| Outcomes::YES, || part(right)),
            ExprKind::If { test_expr, then_expr, else_expr } => {
                part(test_expr).choose(|| part(then_expr), || part(else_expr))
            }
            ExprKind::UnaryApp { op: UnaryOp::Not, arg } => part(arg).negated(),
            _ => Outcomes::ANY,
        }
    }

    fn evaluated(&self, expr: &Expr) -> Outcomes {
        match self.evaluator.interpret(expr, &self.slots).map(|value| value.value) {
            Ok(ValueKind::Lit(Literal::Bool(true))) => Outcomes::YES,
            Ok(ValueKind::Lit(Literal::Bool(false))) => Outcomes::NO,
            // The error depends on the thread's stack, and another call has another.
            Err(EvaluationError::RecursionLimit(_)) => Outcomes::ANY,
            Ok(_) | Err(_) => Outcomes::FAILS,
        }
    }
}

impl Unknown {
    /// Returns whether the context, or another unknown part, is read.
    fn is_read_by(self, expr: &Expr) -> bool {
        expr.subexpressions().any(|part| match part.expr_kind() {
            ExprKind::Var(Var::Context) => true,
            ExprKind::Var(Var::Resource) => self.resource,
            ExprKind::GetAttr { attr, .. } | ExprKind::HasAttr { attr, .. } => self.facts && attr == FACTS,
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests;
