//! Decodes large checks and evaluates costly calls on threads for long work.
//!
//! Knows: lanes, and who shares one. Must not know: what is in a check, how a call is judged.
//!
//! A call is evaluated in the lane of its namespace.
//! The namespace of a call is not known before its check is decoded. So the lane is the connection's: however many large
//! checks come over one connection, they never have more than half of the threads for long work.

use std::sync::Arc;

use prost::bytes::Bytes;
use tokio::time::Instant;

use super::read::Large;
use super::{Authz, Judged, failed, late};
use crate::check::Judgement;
use crate::envoy::decode::{self, CheckView, Limits, OwnedOutline};
use crate::inline_task::detach;
use crate::lanes::{self, Broken, Lane};
use picket_core::call::{Call, UnixMillis};
use picket_core::failure::{Code, Failure};

/// A decoded check that is independent of its message.
pub(super) struct Decoded {
    /// The parts for the response and the log; empty where the message is not readable.
    pub outline: OwnedOutline,
    /// The call, or why there is none.
    pub call: Result<Call, Failure>,
}

impl Decoded {
    fn of(message: &Bytes, limits: Limits, received_at: UnixMillis) -> Self {
        match CheckView::read(message) {
            Ok(check) => {
                Self { outline: decode::outline(&check).into_owned(), call: decode::call(&check, limits, received_at) }
            }
            Err(failure) => Self::failed(failure),
        }
    }

    fn failed(failure: Failure) -> Self {
        Self { outline: OwnedOutline::default(), call: Err(failure) }
    }
}

impl Authz {
    /// Joins and decodes a large check in `lane`, or in one that all share who have none.
    pub(super) async fn decode_large(
        &self,
        check: Large,
        lane: Option<Lane>,
        received_at: UnixMillis,
        deadline: Instant,
    ) -> Decoded {
        detach().await;
        let (Large { join, counted }, limits) = (check, self.settings.limits());
        let lane = lane.unwrap_or_else(|| Lane::named(""));
        let decoding = lanes::run(lane, async move { Decoded::of(&join(), limits, received_at) });
        let decoded = match tokio::time::timeout_at(deadline, decoding).await {
            Ok(decoded) => decoded.unwrap_or_else(|broken| Decoded::failed(self.broken(broken))),
            Err(_) => Decoded::failed(Failure::new(Code::Deadline, "the check was not decoded by its deadline")),
        };
        // Here and not in the lane: it takes a lock of the connection, for which calls must not wait on a thread of low rank.
        drop(counted);
        decoded
    }

    /// The judgement of a call that takes long: made beside the calls, in the lane of the called namespace. Whatever it
    /// does there, the answer does not wait for it beyond the deadline.
    pub(super) async fn waited_long(&self, begun: &Judgement, call: Call, deadline: Instant) -> Judged {
        detach().await;
        let lane = Lane::named(begun.namespace().unwrap_or_default());
        let call = Arc::new(call);
        let (judge, theirs) = (Arc::clone(&self.judge), Arc::clone(&call));
        let judging = lanes::run(lane, async move { judge.judge_long(&theirs, deadline).await });
        let (judgement, is_large) = match tokio::time::timeout_at(deadline, judging).await {
            Ok(Ok(judgement)) => (judgement, true),
            Ok(Err(broken)) => (failed(self.broken(broken)), false),
            Err(_) => (failed(late()), false),
        };
        Judged { judgement, call: Some(Arc::unwrap_or_clone(call)), is_large }
    }

    /// Why work in a lane has no result.
    fn broken(&self, broken: Broken) -> Failure {
        match broken {
            Broken::Panicked(panic) => self.panicked(panic.as_ref()),
            Broken::NoThread => Failure::new(Code::Internal, "no thread is free for a slow check"),
        }
    }
}
