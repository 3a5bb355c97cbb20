//! The deadline and the pace of a call.
//!
//! Knows: the clock. Must not know: how a call is judged.

use tokio::time::Instant;

use picket_core::decision::allowance::{Allowance, Deadline, Pace};
use picket_core::decision::decide::Decided;
use picket_core::decision::verdict::Decision;
use picket_core::failure::{Code, Failure};

/// Until when a call is judged, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    /// From then on nothing is allowed.
    pub deadline: Instant,
    /// Who waits for it.
    pub pace: Pace,
}

impl Time {
    /// Where only the call's own caller waits.
    pub fn long(deadline: Instant) -> Self {
        Self { deadline, pace: Pace::Long }
    }
}

impl Deadline for Time {
    fn is_over(&self) -> bool {
        self.deadline <= Instant::now()
    }
}

/// What was decided, unless it allows and comes too late: then the proxy may have given up on the call already.
///
/// # Errors
/// [`Code::Deadline`].
pub(super) fn in_time(decided: Decided, allowance: &Allowance<'_>) -> Result<Decided, Failure> {
    if decided.verdict.decision() == Decision::Allow && allowance.is_over() {
        return Err(Failure::new(Code::Deadline, "the call was judged after its deadline"));
    }
    Ok(decided)
}
