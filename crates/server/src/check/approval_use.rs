//! Decides whether a verdict uses up an approval.
//!
//! Knows: what is asked whole, and what a verdict would be without the approval. Must not know: where approvals come from.

use crate::approval::{Found, digest};
use picket_core::decision::Snapshot;
use picket_core::decision::allowance::Allowance;
use picket_core::decision::decide;
use picket_core::decision::verdict::{Decision, Verdict};
use picket_core::failure::{Code, Failure};
use picket_core::mapping::action::Asked;
use picket_core::query::{Facts, Query, Reads};

/// The digest of everything that a call asks for, where a policy can see an approval.
///
/// Absent for calls whose body is not read: it could hold anything, so no digest is theirs.
pub(super) fn digest(asked: &Asked, query: &Query, reads: &Reads) -> Option<String> {
    if !reads.approval {
        return None;
    }
    let arguments = asked.arguments().map(|arguments| arguments.node().canonical());
    digest::of_query(query, arguments.as_deref())
}

/// The approval that a verdict uses up: it allows, and would not have allowed the same without it. A call that is allowed
/// anyway leaves the approval to the one it was made for, and policies in shadow mode use up nothing.
///
/// # Errors
/// The deadline has passed, or judging again would take longer than it may here.
pub(super) fn used_up(
    snapshot: &Snapshot,
    query: &Query,
    approval: Option<Found>,
    verdict: &Verdict,
    allowance: &Allowance<'_>,
) -> Result<Option<Found>, Failure> {
    let Some(approval) = approval.filter(|found| found.is_one_use() && verdict.decision() == Decision::Allow) else {
        return Ok(None);
    };
    let mut without = query.clone();
    without.context.remove("approval");
    // The query has taken its facts in already.
    match decide::decided(snapshot, &mut without, &Facts::default(), allowance) {
        Ok(other) => Ok((other.verdict.effect != verdict.effect).then_some(approval)),
        Err(failure) if failure.code == Code::Deadline => Err(failure),
        Err(_) => Ok(Some(approval)),
    }
}
