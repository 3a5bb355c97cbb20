//! Several messages in one call: all go on, or none.
//!
//! Knows: verdicts. Must not know: how any of them came about.

use picket_core::decision::decide::{Cacheability, Decided};
use picket_core::decision::verdict::{Denial, Effect, Reason};
use picket_core::failure::{Code, Failure};

/// The verdict on a call from those on its messages, of which only the last may be no allow.
///
/// One answer carries one set of changes: messages whose permits ask for different ones cannot go on together.
///
/// # Errors
/// `message_refused` for a call without a message.
pub(super) fn together(decisions: Vec<Decided>) -> Result<Decided, Failure> {
    let mut decisions = decisions.into_iter();
    let empty = || Failure::new(Code::MessageRefused, "the call holds no message");
    let Decided { verdict: mut whole, mut cacheability } = decisions.next().ok_or_else(empty)?;
    for Decided { verdict: next, .. } in decisions {
        cacheability = Cacheability::Never;
        whole.determining.extend(next.determining);
        whole.errors.extend(next.errors);
        whole.effect = match (whole.effect, next.effect) {
            (Effect::Allow(before), Effect::Allow(after)) if before == after => Effect::Allow(after),
            (Effect::Allow(_), Effect::Allow(_)) => Effect::Deny(Denial {
                reason: Reason::ObligationConflict,
                status: None,
                public_reason: None,
                detail: "messages of one batch are allowed with different changes".to_owned(),
            }),
            (Effect::Allow(_), refused @ (Effect::Deny(_) | Effect::Challenge(..))) => refused,
            (refused @ (Effect::Deny(_) | Effect::Challenge(..)), _) => refused,
        };
        // A would-be verdict speaks of one question; the last one asked is the one that decided.
        whole.would_be = next.would_be;
    }
    whole.determining.sort();
    whole.determining.dedup();
    whole.errors.sort();
    whole.errors.dedup();
    Ok(Decided { verdict: whole, cacheability })
}
