//! Limits the cost and the time of evaluation for one call.
//!
//! Knows: estimates of [`super::policy::cost`]. Must not know: the clock's source, how a call is stopped.
//!
//! Cedar's evaluator cannot be interrupted. So an evaluation is started only if it cannot take too long where it runs,
//! and the deadline is checked between two policies.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Highest estimated cost of one policy in one call; a costlier policy is not evaluated and counts as failed. It is a
/// second at worst, usually far less: estimates assume the most adverse texts.
pub const POLICY_COST_MAX: u64 = 1_000_000_000;
/// Highest estimated cost of a call on a thread that other calls wait for: half a millisecond at worst.
pub const INLINE_COST_MAX: u64 = 500_000;
/// Cost of a query in addition to its policies: it is built, indexed and answered.
const QUERY_COST: u64 = 10_000;
/// Cost of the evaluations between two checks of the deadline.
const COST_BETWEEN_CHECKS: u64 = 50_000;

/// A deadline.
pub trait Deadline: Send + Sync {
    /// Returns whether an answer would be late now.
    fn is_over(&self) -> bool;
}

/// A deadline that never passes.
#[derive(Debug, Clone, Copy)]
struct Never;

impl Deadline for Never {
    fn is_over(&self) -> bool {
        false
    }
}

/// Where a call is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// On a thread that other calls wait for.
    Quick,
    /// Where only its own caller waits for it.
    Long,
}

/// Why a query has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// It does not fit the schema; a fragment says where.
    SchemaMismatch(String),
    /// The deadline has passed.
    Late,
    /// The evaluation would take longer than it may where it runs; see [`Allowance::is_exceeded`].
    TooCostly,
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::SchemaMismatch(detail) => detail,
            Self::Late => "the policies were not evaluated by the deadline",
            Self::TooCostly => "evaluating the policies takes longer than other calls may wait",
        })
    }
}

impl From<String> for Stopped {
    fn from(detail: String) -> Self {
        Self::SchemaMismatch(detail)
    }
}

/// The allowed cost of one call, for all of its queries together.
pub struct Allowance<'a> {
    deadline: &'a dyn Deadline,
    pace: Pace,
    spent: AtomicU64,
    exceeded: AtomicBool,
}

impl std::fmt::Debug for Allowance<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Allowance").field("pace", &self.pace).field("spent", &self.spent).finish_non_exhaustive()
    }
}

impl<'a> Allowance<'a> {
    /// The allowance of one call that is evaluated at this pace.
    #[must_use]
    pub fn new(deadline: &'a dyn Deadline, pace: Pace) -> Self {
        Self { deadline, pace, spent: AtomicU64::new(0), exceeded: AtomicBool::new(false) }
    }

    /// Returns whether it is too late to allow anything.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.deadline.is_over()
    }

    /// Returns whether an evaluation was not started because it would have taken too long at this pace.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Relaxed)
    }

    /// Starts one of the call's queries; a batch has many.
    ///
    /// # Errors
    /// As [`Allowance::spend`], and [`Stopped::Late`] if the deadline has passed and this is not the first query.
    pub(super) fn begin(&self) -> Result<(), Stopped> {
        let is_first = self.spent.load(Ordering::Relaxed) == 0;
        self.spend(QUERY_COST)?;
        if !is_first && self.is_over() { Err(Stopped::Late) } else { Ok(()) }
    }

    /// Subtracts `cost` from the remaining allowance.
    ///
    /// # Errors
    /// [`Stopped::TooCostly`] if less remains.
    pub(super) fn spend(&self, cost: u64) -> Result<(), Stopped> {
        // An estimate may be as large as the largest number.
        let cost = cost.min(u64::MAX / 1_000_000);
        let spent = self.spent.fetch_add(cost, Ordering::Relaxed).saturating_add(cost);
        match self.pace {
            Pace::Quick if spent > INLINE_COST_MAX => {
                self.exceeded.store(true, Ordering::Relaxed);
                Err(Stopped::TooCostly)
            }
            Pace::Quick | Pace::Long => Ok(()),
        }
    }
}

impl Allowance<'static> {
    /// An allowance without a limit but that of one policy: for work that no call waits for.
    #[must_use]
    pub fn unbounded() -> Self {
        Allowance::new(&Never, Pace::Long)
    }
}

/// Checks the deadline once in so much work.
#[derive(Debug)]
pub(super) struct DeadlineChecks<'a> {
    allowance: &'a Allowance<'a>,
    since: u64,
}

impl<'a> DeadlineChecks<'a> {
    pub(super) fn new(allowance: &'a Allowance<'a>) -> Self {
        Self { allowance, since: 0 }
    }

    /// Call it before work of this cost.
    ///
    /// # Errors
    /// [`Stopped::Late`] if the deadline has passed.
    pub(super) fn before(&mut self, cost: u64) -> Result<(), Stopped> {
        self.since = self.since.saturating_add(cost);
        if self.since <= COST_BETWEEN_CHECKS {
            return Ok(());
        }
        self.since = cost;
        if self.allowance.is_over() { Err(Stopped::Late) } else { Ok(()) }
    }
}
