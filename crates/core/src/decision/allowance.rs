//! Limits the cost and the time of evaluation for one call.
//!
//! Knows: estimates of [`super::policy::cost`]. Must not know: where time comes from, who is asked to stop.
//!
//! Cedar's evaluator cannot be interrupted. So nothing is begun that could take too long where it is to run, and between
//! two policies the clock is asked.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The most that one policy may cost in one call, by its estimate; one that could cost more is not evaluated and counts
/// as failed. A second at worst, usually far less: estimates take texts for as adverse as they can be.
pub const POLICY_COST_MAX: u64 = 1_000_000_000;
/// The most that a call may cost on a thread that others' calls wait for: half a millisecond at worst.
pub const TURN_COST_MAX: u64 = 500_000;
/// What a question costs beside its policies: it is built, indexed and answered.
const QUESTION_COST: u64 = 10_000;
/// How much is evaluated between two looks at the clock.
const BETWEEN_LOOKS: u64 = 50_000;

/// Says whether it is too late.
pub trait Deadline: Send + Sync {
    /// Whether an answer would come too late now.
    fn is_over(&self) -> bool;
}

/// A deadline that never comes.
#[derive(Debug, Clone, Copy)]
struct Never;

impl Deadline for Never {
    fn is_over(&self) -> bool {
        false
    }
}

/// Where a call is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// On a thread that others' calls wait for.
    Quick,
    /// Where nobody waits for it but its own caller.
    Long,
}

/// Why a query has no findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// It does not fit the schema; a fragment says where.
    Unfit(String),
    /// The deadline came first.
    Late,
    /// It would take longer than it may where it is judged; see [`Allowance::is_exceeded`].
    Long,
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unfit(detail) => detail,
            Self::Late => "the policies were not evaluated by the deadline",
            Self::Long => "evaluating the policies takes longer than others may wait for it",
        })
    }
}

impl From<String> for Stopped {
    fn from(detail: String) -> Self {
        Self::Unfit(detail)
    }
}

/// What evaluating may cost one call, all of its questions together.
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
    /// For one call that is judged at this pace.
    #[must_use]
    pub fn new(deadline: &'a dyn Deadline, pace: Pace) -> Self {
        Self { deadline, pace, spent: AtomicU64::new(0), exceeded: AtomicBool::new(false) }
    }

    /// Whether it is too late to allow anything.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.deadline.is_over()
    }

    /// Whether evaluating was not begun, because it would have taken longer than it may at this pace.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Relaxed)
    }

    /// Begins one of the call's questions; a batch asks many.
    ///
    /// # Errors
    /// As [`Allowance::spend`], and [`Stopped::Late`] where it is not the first one and the deadline has come.
    pub(super) fn begin(&self) -> Result<(), Stopped> {
        let is_first = self.spent.load(Ordering::Relaxed) == 0;
        self.spend(QUESTION_COST)?;
        if !is_first && self.is_over() { Err(Stopped::Late) } else { Ok(()) }
    }

    /// Takes `cost` from what is left.
    ///
    /// # Errors
    /// [`Stopped::Long`] where less is left.
    pub(super) fn spend(&self, cost: u64) -> Result<(), Stopped> {
        // An estimate may be as large as there are numbers.
        let cost = cost.min(u64::MAX / 1_000_000);
        let spent = self.spent.fetch_add(cost, Ordering::Relaxed).saturating_add(cost);
        match self.pace {
            Pace::Quick if spent > TURN_COST_MAX => {
                self.exceeded.store(true, Ordering::Relaxed);
                Err(Stopped::Long)
            }
            Pace::Quick | Pace::Long => Ok(()),
        }
    }
}

impl Allowance<'static> {
    /// No bound but that on one policy: where nobody waits.
    #[must_use]
    pub fn unbounded() -> Self {
        Allowance::new(&Never, Pace::Long)
    }
}

/// Looks at the clock after every so much work.
#[derive(Debug)]
pub(super) struct Looks<'a> {
    allowance: &'a Allowance<'a>,
    since: u64,
}

impl<'a> Looks<'a> {
    pub(super) fn new(allowance: &'a Allowance<'a>) -> Self {
        Self { allowance, since: 0 }
    }

    /// To be called before work of this cost.
    ///
    /// # Errors
    /// [`Stopped::Late`] where the deadline has come.
    pub(super) fn before(&mut self, cost: u64) -> Result<(), Stopped> {
        self.since = self.since.saturating_add(cost);
        if self.since <= BETWEEN_LOOKS {
            return Ok(());
        }
        self.since = cost;
        if self.allowance.is_over() { Err(Stopped::Late) } else { Ok(()) }
    }
}
