//! The part of an exchange that is about the request: it passes, or leaves masked.
//!
//! Knows: the states of a request and the filter's modes. Must not know: what is masked, and why.

use std::panic::{AssertUnwindSafe, catch_unwind};

use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request;
use envoy_types::pb::envoy::service::ext_proc::v3::{HttpBody, HttpHeaders, ProcessingRequest};

use super::{Exchange, Unfinished};
use crate::check::request_forward;
use crate::check::request_mask::depends_on_body;
use crate::check::response_phase::{Denial, Forward, QUICK_BYTES_MAX, RequestBodies, RequestBody, RequestStream};
use crate::envoy::ext_proc::headers;
use crate::envoy::ext_proc::messages::{self, Direction, Last};
use crate::envoy::ext_proc::mode::{BodyMode, Modes};
use crate::envoy::ext_proc::reader::Failed;
use crate::envoy::ext_proc::stats;
use crate::lanes::{self, Lane};

/// How far a request is.
pub(super) enum Sending {
    /// It passes unread.
    Passing,
    /// It has to be masked, and its body has not arrived.
    Waiting(Box<dyn RequestBody>),
    /// It left masked.
    Masked,
}

impl Exchange {
    /// Why a request is refused at the first message of its stream.
    pub(super) fn begin_request(&mut self, first: &ProcessingRequest, modes: Modes) -> Option<Denial> {
        let bodies = match (&first.request, modes.request) {
            (Some(Request::ResponseHeaders(_) | Request::ResponseBody(_) | Request::ResponseTrailers(_)), _) => {
                RequestBodies::Passed
            }
            (_, BodyMode::Whole) => RequestBodies::Whole,
            (_, BodyMode::Duplex | BodyMode::Unfit(_)) => RequestBodies::Incomplete,
        };
        let at = (self.processor.clock)();
        let stream = RequestStream { record: self.record.as_deref(), proxy: self.proxy.as_ref(), at, bodies };
        match self.processor.phase.forward(&stream) {
            Forward::AsItCame => None,
            Forward::Masked(body) => {
                self.sending = Sending::Waiting(body);
                None
            }
            Forward::Refuse(denial) => {
                tracing::error!(
                    reason = denial.reason,
                    "refused a request: the ext_proc filter does not hand it over as its listener's profile promises"
                );
                Some(denial)
            }
        }
    }

    /// The reason to refuse a response with a request that had to be masked and was not.
    pub(super) fn bypassed(&self) -> Option<Denial> {
        match self.sending {
            Sending::Waiting(_) => Some(request_forward::bypassed()),
            Sending::Passing | Sending::Masked => None,
        }
    }

    pub(super) async fn request_head(&mut self, head: HttpHeaders) -> Result<(), Unfinished> {
        if matches!(self.sending, Sending::Waiting(_)) {
            let is_bodiless = head.end_of_stream;
            let headers = headers::all(head);
            if is_bodiless || headers.iter().any(|(name, value)| depends_on_body(name, value)) {
                return self.refuse_request(request_forward::changed()).await;
            }
        }
        self.send(messages::head(Direction::Request, None)).await
    }

    pub(super) async fn request_body(&mut self, body: HttpBody, mode: BodyMode) -> Result<(), Unfinished> {
        let HttpBody { body, end_of_stream, .. } = body;
        match std::mem::replace(&mut self.sending, Sending::Masked) {
            Sending::Passing => {
                self.sending = Sending::Passing;
                self.send(messages::passed(Direction::Request, mode, body, Last::of(end_of_stream))).await
            }
            Sending::Masked => Err(Unfinished::Malformed("a request has a second body")),
            Sending::Waiting(waiting) => match masked(self.lane.clone(), waiting, body).await? {
                Ok(masked) => {
                    stats::count(&self.processor.shared.stats.masked_requests);
                    self.send(messages::whole_request(masked)).await
                }
                Err(denial) => self.refuse_request(denial).await,
            },
        }
    }

    pub(super) async fn request_trailers(&mut self) -> Result<(), Unfinished> {
        match self.sending {
            Sending::Waiting(_) => self.refuse_request(request_forward::changed()).await,
            Sending::Passing | Sending::Masked => self.send(messages::trailers(Direction::Request, None)).await,
        }
    }

    async fn refuse_request(&mut self, denial: Denial) -> Result<(), Unfinished> {
        stats::count(&self.processor.shared.stats.refused_requests);
        tracing::error!(reason = denial.reason, "refused a request that could not be masked as its check decided");
        self.deny(denial).await
    }
}

/// Masks a body: at once, or in `lane` if that takes long.
async fn masked(lane: Lane, waiting: Box<dyn RequestBody>, body: Vec<u8>) -> Result<Result<Vec<u8>, Denial>, Failed> {
    if body.len() > QUICK_BYTES_MAX / 8 {
        return lanes::run(lane, async move { waiting.mask(&body) }).await.map_err(Failed::of);
    }
    catch_unwind(AssertUnwindSafe(|| waiting.mask(&body))).map_err(|_panic| Failed::Panicked)
}
