//! Partial evaluation: the best verdict that some context could lead to. The lists of what a caller may use are
//! filtered by it.
//!
//! Knows: Cedar's core crate, the verdict algebra. Must not know: lists, protocols.
//!
//! It errs to one side only: what some call is allowed is never called impossible. Every test that reads the context
//! can come out either way or fail, each on its own, and what is not understood counts as such a test. What does not
//! read it is evaluated by Cedar. Policies in shadow mode count as little as they do in a verdict.

use std::sync::Arc;

use cedar_policy_core::ast::{Expr, ExprKind, Literal, Policy, SlotEnv, UnaryOp, ValueKind, Var};
use cedar_policy_core::evaluator::{EvaluationError, Evaluator};
use cedar_policy_core::extensions::Extensions;

use super::bundle::index::Index;
use super::decide::may_log_in;
use super::engine::eval_inputs::{self, EvalInputs};
use super::engine::projection::Projection;
use super::policy::entry::Entry;
use super::policy::mode::Mode;
use super::read_set::ReadSet;
use super::snapshot::Snapshot;
use super::snapshot::judging;
use crate::failure::{Code, Failure};
use crate::query::Query;

/// Deepest nesting of `&&`, `||`, `!` and `if` that is followed; what lies deeper counts as unknown. Bounds the stack:
/// a chain of operators nests without brackets, which is all that the loader bounds.
const DEPTH_MAX: usize = 128;

/// The best that could become of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reachable {
    /// Some call may be allowed.
    Allowed,
    /// None is allowed, and some may be told how to get a yes.
    Challenged,
    /// None is allowed.
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

/// The best that could become of a call, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Best {
    /// What it is.
    pub reachable: Reachable,
    /// Ids of the permits that may hold where it is allowed, else of the forbids that cannot but hold or fail; sorted.
    pub policies: Vec<String>,
}

/// The best that could become of a call with this principal, action and resource.
///
/// The query's context is not looked at. Its facts are complete: what a look-up would add is in it.
///
/// # Errors
/// [`Code::BundleInvalid`] where the namespace's policies never loaded, [`Code::QueryInvalid`] where the schema does
/// not have a name of the query.
pub fn reachable(snapshot: &Snapshot, query: &Query) -> Result<Best, Failure> {
    let units = judging(snapshot, &query.namespace)?;
    let mut read_set = ReadSet::default();
    (read_set.principal.whole, read_set.resource.whole) = (true, true);
    let projection = Projection::new(&read_set);
    let eval_inputs = eval_inputs::build(&projection.project(query), snapshot.types());
    let EvalInputs { request, entities } = eval_inputs.map_err(|detail| Failure::new(Code::QueryInvalid, detail))?;
    let settled = ContextFree {
        evaluator: Evaluator::new(request, &entities, Extensions::all_available()),
        // Templates are refused at load, so no policy has a slot to fill.
        slots: SlotEnv::new(),
    };
    let (mut permits, mut forbids) = (Vec::new(), Vec::new());
    for unit in &units {
        let [permit_index, forbid_index] = unit.indexes(Mode::Enforce);
        permits.extend(settled.candidates(permit_index, query));
        forbids.extend(settled.candidates(forbid_index, query));
    }
    let by_login = may_log_in(snapshot, query) && !permits.iter().any(|(_, outcomes)| outcomes.is_certain());
    let login = if by_login { Reachable::Challenged } else { Reachable::Never };
    Ok(best(&permits, &forbids, login))
}

type Judged = (Arc<Entry>, Outcomes);

/// As [`decide`](super::decide()) puts permits and forbids together; `without_permit` is the best where none permits.
fn best(permits: &[Judged], forbids: &[Judged], without_permit: Reachable) -> Best {
    let ids = |judged: &[&Judged]| {
        let mut ids: Vec<String> = judged.iter().map(|(entry, _)| entry.id.clone()).collect();
        ids.sort();
        ids
    };
    let open: Vec<&Judged> = permits.iter().filter(|(_, outcomes)| outcomes.yes).collect();
    let blocking: Vec<&Judged> = forbids.iter().filter(|(_, outcomes)| !outcomes.no).collect();
    if !open.is_empty() && blocking.is_empty() {
        return Best { reachable: Reachable::Allowed, policies: ids(&open) };
    }
    let by_remedy = !open.is_empty() && blocking.iter().all(|(entry, _)| entry.remedy.is_some());
    // A forbid that fails goes before all else, and nothing lifts it.
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

/// How a condition can come out; at least one is true.
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

    /// It holds whatever the context says.
    fn is_certain(self) -> bool {
        self == Self::YES
    }

    fn negated(self) -> Self {
        Self { yes: self.no, no: self.yes, fails: self.fails }
    }

    /// `if self { then } else { other }`. The branches are not looked at where they are never taken.
    fn choose(self, then: impl FnOnce() -> Self, other: impl FnOnce() -> Self) -> Self {
        let nothing = Self { yes: false, no: false, fails: false };
        let then = if self.yes { then() } else { nothing };
        let other = if self.no { other() } else { nothing };
        Self { yes: then.yes || other.yes, no: then.no || other.no, fails: self.fails || then.fails || other.fails }
    }
}

/// What does not hang on the context.
struct ContextFree<'a> {
    evaluator: Evaluator<'a>,
    slots: SlotEnv,
}

impl ContextFree<'_> {
    /// The policies whose scope names the query, each with how it can come out.
    fn candidates<'s>(&'s self, index: &'s Index, query: &Query) -> impl Iterator<Item = Judged> + 's {
        let entries = index.candidates(query).into_iter().filter_map(|number| index.entry(number));
        entries.map(|entry| (Arc::clone(entry), self.policy(entry)))
    }

    fn policy(&self, entry: &Entry) -> Outcomes {
        let core: &Policy = entry.policy.as_ref();
        core.non_scope_constraints().map_or(Outcomes::YES, |condition| self.outcomes(condition, 0))
    }

    fn outcomes(&self, expr: &Expr, depth: usize) -> Outcomes {
        if !reads_context(expr) {
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
            // It comes of the stack of the moment, and another call has another.
            Err(EvaluationError::RecursionLimit(_)) => Outcomes::ANY,
            Ok(_) | Err(_) => Outcomes::FAILS,
        }
    }
}

fn reads_context(expr: &Expr) -> bool {
    expr.subexpressions().any(|part| matches!(part.expr_kind(), ExprKind::Var(Var::Context)))
}
