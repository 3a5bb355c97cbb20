//! The exchange of messages about one call: the order in which the filter's messages are answered.
//!
//! Knows: the states of a response, deadlines. Must not know: what a body contains, how an answer is encoded.
//!
//! Everything after the end of a response is ignored: the filter may send a second end. Messages in an order that the
//! filter does not have end the stream with an error, and so does its end before the response's.

mod request;
mod response;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request;
use envoy_types::pb::envoy::service::ext_proc::v3::{ProcessingRequest, ProcessingResponse};
use envoy_types::pb::google::protobuf::value::Kind;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tonic::Status;

use super::answers::{Gone, Outgoing};
use super::held::HeldShare;
use super::messages;
use super::mode::{BodyMode, Modes};
use super::reader::{Failed, Reader};
use super::{Processor, denials, stats};
use crate::check::response_phase::{BodyCopy, Denial, Guard, RECORD_KEY, Stop};
use crate::inline_task::detach;
use crate::lanes::Lane;
use picket_core::identity::SpiffeId;
use request::Sending;

/// Where the ext_authz filter leaves our metadata, and under which name attributes arrive.
const EXT_AUTHZ: &str = "envoy.filters.http.ext_authz";
const EXT_PROC: &str = "envoy.filters.http.ext_proc";
const CODE_DETAILS: &str = "response.code_details";
/// How long the filter may take to end a stream that has its last answer. Envoy ends it at once.
const LINGER: std::time::Duration = std::time::Duration::from_secs(5);

/// The exchange about one call.
pub(super) struct Exchange {
    processor: Processor,
    outgoing: Outgoing,
    proxy: Option<SpiffeId>,
    lane: Lane,
    /// `None` if too many responses are processed already.
    permit: Option<OwnedSemaphorePermit>,
    held: HeldShare,
    /// `None` before the first message.
    modes: Option<Modes>,
    record: Option<String>,
    sending: Sending,
    state: State,
}

/// How far a response is.
enum State {
    /// Its head has not arrived.
    Ahead,
    /// It passes unread.
    Passing,
    /// It passes, and a copy of its body is read.
    Watching(Box<dyn BodyCopy>),
    /// It is read.
    Reading(Reader),
    /// It has its last answer.
    Over(Instant),
}

/// Why an exchange ends before its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unfinished {
    /// The proxy gave the response up.
    Proxy,
    /// The messages have no order, or a message cannot be read.
    Malformed(&'static str),
    /// Reading failed.
    Failed(Failed),
}

impl From<Gone> for Unfinished {
    fn from(_: Gone) -> Self {
        Self::Proxy
    }
}

impl From<Failed> for Unfinished {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}

/// What an exchange waited for.
enum Next {
    Message(Box<ProcessingRequest>),
    /// The proxy sends no more.
    End,
    /// The time for holding bytes, or for ending the stream, is over.
    Timeout,
}

impl Exchange {
    pub fn new(processor: Processor, outgoing: Outgoing, proxy: Option<SpiffeId>, lane: Lane) -> Self {
        let permit = Arc::clone(&processor.shared.streams).try_acquire_owned().ok();
        let held = HeldShare::new(Arc::clone(&processor.shared.held));
        Self {
            processor,
            outgoing,
            proxy,
            lane,
            permit,
            held,
            modes: None,
            record: None,
            sending: Sending::Passing,
            state: State::Ahead,
        }
    }

    /// Answers the messages until the response has its last answer and the proxy ends the stream.
    pub async fn run<S>(mut self, mut incoming: S)
    where
        S: Stream<Item = Result<ProcessingRequest, Status>> + Unpin,
    {
        // A stream is open for as long as its response: the turn of a connection is for calls.
        detach().await;
        let ended = AssertUnwindSafe(self.process(&mut incoming)).catch_unwind().await;
        let ended = ended.unwrap_or(Err(Unfinished::Failed(Failed::Panicked)));
        let counters = &self.processor.shared.stats;
        let Err(unfinished) = ended else { return self.outgoing.finish().await };
        stats::count(&counters.unfinished);
        let status = match unfinished {
            Unfinished::Proxy => Status::cancelled("the proxy gave the response up"),
            Unfinished::Malformed(what) => Status::invalid_argument(what),
            Unfinished::Failed(Failed::NoThread) => Status::unavailable("no thread is free to read a response"),
            Unfinished::Failed(Failed::Panicked) => {
                stats::count(&counters.panics);
                Status::internal("reading a response panicked")
            }
        };
        self.outgoing.fail(status).await;
    }

    async fn process<S>(&mut self, incoming: &mut S) -> Result<(), Unfinished>
    where
        S: Stream<Item = Result<ProcessingRequest, Status>> + Unpin,
    {
        loop {
            let next = self.next(incoming).await?;
            let (is_passing, is_over) =
                (matches!(self.state, State::Passing | State::Watching(_)), matches!(self.state, State::Over(_)));
            match next {
                // The rest of a response that passes unread needs no answer.
                Next::End if is_over || is_passing => return Ok(()),
                Next::End => return Err(Unfinished::Proxy),
                Next::Timeout if is_over => return Ok(()),
                Next::Timeout => self.stop(Stop::HeldTooLong).await?,
                Next::Message(_) if is_over => {}
                Next::Message(message) => self.answer(*message).await?,
            }
        }
    }

    /// The next message, or what ends the wait for it.
    async fn next<S>(&mut self, incoming: &mut S) -> Result<Next, Unfinished>
    where
        S: Stream<Item = Result<ProcessingRequest, Status>> + Unpin,
    {
        let deadline = match &self.state {
            State::Ahead | State::Passing | State::Watching(_) => None,
            State::Reading(reader) => reader.held_since().map(|since| since + self.processor.settings.hold_max),
            State::Over(since) => Some(*since + LINGER),
        };
        let next = match deadline {
            None => incoming.next().await,
            Some(deadline) => match tokio::time::timeout_at(deadline, incoming.next()).await {
                Ok(next) => next,
                Err(_elapsed) => return Ok(Next::Timeout),
            },
        };
        match next {
            Some(Ok(message)) => Ok(Next::Message(Box::new(message))),
            None => Ok(Next::End),
            // A proxy often ends a stream by a reset, also after the last answer.
            Some(Err(_)) if matches!(self.state, State::Over(_)) => Ok(Next::End),
            Some(Err(status)) if status.code() == tonic::Code::OutOfRange => {
                Err(Unfinished::Malformed("a message is larger than allowed"))
            }
            Some(Err(_)) => Err(Unfinished::Proxy),
        }
    }

    async fn answer(&mut self, mut message: ProcessingRequest) -> Result<(), Unfinished> {
        let (record, details) = (record(&message), code_details(&message));
        if record.is_some() {
            self.record = record;
        }
        let modes = match self.modes {
            Some(modes) => modes,
            None => {
                let modes = Modes::of(&message);
                self.modes = Some(modes);
                if let Some(denial) = self.refusal(modes).or_else(|| self.begin_request(&message, modes)) {
                    return self.deny(denial).await;
                }
                modes
            }
        };
        match message.request.take() {
            // A message about the flow of bytes only.
            None => Ok(()),
            Some(Request::RequestHeaders(head)) => self.request_head(head).await,
            Some(Request::RequestBody(body)) => self.request_body(body, modes.request).await,
            Some(Request::RequestTrailers(_)) => self.request_trailers().await,
            Some(Request::ResponseHeaders(head)) => match self.bypassed() {
                Some(denial) => self.deny(denial).await,
                None => self.head(head, details, modes).await,
            },
            Some(Request::ResponseBody(body)) => self.body(body, modes.response).await,
            Some(Request::ResponseTrailers(trailers)) => self.trailers(trailers, modes.response).await,
        }
    }

    /// Why a call is refused at its first message, before its service gets it.
    fn refusal(&self, modes: Modes) -> Option<Denial> {
        let counters = &self.processor.shared.stats;
        if self.permit.is_none() {
            stats::count(&counters.sheds);
            return Some(denials::overload());
        }
        let BodyMode::Unfit(mode) = modes.response else { return None };
        match self.processor.phase.guard(self.record.as_deref(), self.proxy.as_ref(), (self.processor.clock)()) {
            Guard::Open => None,
            Guard::Guarded => {
                stats::count(&counters.unfit_modes);
                tracing::error!(
                    mode,
                    "refused a call: its responses are guarded, and the ext_proc filter's mode `{mode}` does not hand them over"
                );
                Some(denials::unfit_mode())
            }
        }
    }

    async fn deny(&mut self, denial: Denial) -> Result<(), Unfinished> {
        self.state = State::Over(Instant::now());
        self.send(messages::denied(denial)).await
    }

    async fn send(&mut self, answer: ProcessingResponse) -> Result<(), Unfinished> {
        Ok(self.outgoing.send(answer).await?)
    }
}

/// The release record, as the ext_authz filter got it. Text only: any other value counts as none.
fn record(message: &ProcessingRequest) -> Option<String> {
    let metadata = message.metadata_context.as_ref()?.filter_metadata.get(EXT_AUTHZ)?;
    text(metadata.fields.get(RECORD_KEY)?.kind.as_ref()?)
}

fn code_details(message: &ProcessingRequest) -> Option<String> {
    text(message.attributes.get(EXT_PROC)?.fields.get(CODE_DETAILS)?.kind.as_ref()?)
}

fn text(kind: &Kind) -> Option<String> {
    match kind {
        Kind::StringValue(text) => Some(text.clone()),
        Kind::NullValue(_) | Kind::NumberValue(_) | Kind::BoolValue(_) | Kind::StructValue(_) | Kind::ListValue(_) => {
            None
        }
    }
}
