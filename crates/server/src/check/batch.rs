//! Combines the verdicts of a batch: all messages are allowed, or none.
//!
//! Knows: verdicts. Must not know: how any of them was reached.

use picket_core::decision::decide::{Cacheability, Decided};
use picket_core::decision::verdict::{Denial, Effect, Reason};
use picket_core::failure::{Code, Failure};

/// The verdict on a call from the verdicts on its messages. Only the last of these may not be an allow.
///
/// One answer carries one set of changes, so messages with permits that set different changes are denied together.
///
/// # Errors
/// `message_refused` for a call without a message.
pub(super) fn together(decisions: Vec<Decided>) -> Result<Decided, Failure> {
    let mut decisions = decisions.into_iter();
    let empty = || Failure::new(Code::MessageRefused, "the call has no message");
    let Decided { verdict: mut whole, mut cacheability, .. } = decisions.next().ok_or_else(empty)?;
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
                detail: "the permits for the messages of one batch set different changes".to_owned(),
            }),
            (Effect::Allow(_), refused @ (Effect::Deny(_) | Effect::Challenge(..))) => refused,
            (refused @ (Effect::Deny(_) | Effect::Challenge(..)), _) => refused,
        };
        // A would-be verdict is about one message; the last message is the one that decided.
        whole.would_be = next.would_be;
    }
    whole.determining.sort();
    whole.determining.dedup();
    whole.errors.sort();
    whole.errors.dedup();
    Ok(Decided { verdict: whole, cacheability, mask: None })
}
