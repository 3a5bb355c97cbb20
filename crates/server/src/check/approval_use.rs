//! Decides whether a verdict uses up an approval.
//!
//! Knows: the whole request, and the verdict without the approval. Must not know: where approvals come from.

use crate::approval::{Found, digest};
use picket_core::decision::Snapshot;
use picket_core::decision::allowance::Allowance;
use picket_core::decision::decide;
use picket_core::decision::verdict::{Decision, Verdict};
use picket_core::failure::{Code, Failure};
use picket_core::mapping::action::Asked;
use picket_core::query::{Facts, Query, Reads};

/// The digest of everything that a call requests, if a policy can see an approval.
///
/// `None` for calls with an unread body: the body could hold anything, so no digest fits.
pub(super) fn digest(asked: &Asked, query: &Query, reads: &Reads) -> Option<String> {
    if !reads.approval {
        return None;
    }
    let arguments = asked.arguments().map(|arguments| arguments.node().canonical());
    digest::of_query(query, arguments.as_deref())
}

/// The approval that a verdict uses up: the verdict allows, and would not have allowed the same without the approval. A
/// call that is allowed anyway leaves the approval to the call that it was made for. Policies in shadow mode use up
/// nothing.
///
/// # Errors
/// The deadline has passed, or the second evaluation would take longer than it may here.
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
    // The facts are in the query already.
    match decide::decide_within(snapshot, &mut without, &Facts::default(), allowance) {
        Ok(other) => Ok((other.verdict.effect != verdict.effect).then_some(approval)),
        Err(failure) if failure.code == Code::Deadline => Err(failure),
        Err(_) => Ok(Some(approval)),
    }
}
