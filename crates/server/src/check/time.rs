//! The deadline and the pace of a call.
//!
//! Knows: the clock. Must not know: how a call is evaluated.

use tokio::time::Instant;

use picket_core::decision::allowance::{Allowance, Deadline, Pace};
use picket_core::decision::decide::Decided;
use picket_core::decision::verdict::Decision;
use picket_core::failure::{Code, Failure};

/// The deadline of an evaluation, and where it runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    /// No call is allowed from then on.
    pub deadline: Instant,
    /// The callers that wait for the evaluation.
    pub pace: Pace,
}

impl Time {
    /// For an evaluation that only the call's own caller waits for.
    pub fn long(deadline: Instant) -> Self {
        Self { deadline, pace: Pace::Long }
    }
}

impl Deadline for Time {
    fn is_over(&self) -> bool {
        self.deadline <= Instant::now()
    }
}

/// The decision, unless it is a late allow: then the proxy may have given up on the call already.
///
/// # Errors
/// [`Code::Deadline`].
pub(super) fn in_time(decided: Decided, allowance: &Allowance<'_>) -> Result<Decided, Failure> {
    if decided.verdict.decision() == Decision::Allow && allowance.is_over() {
        return Err(Failure::new(Code::Deadline, "the call was decided after its deadline"));
    }
    Ok(decided)
}
