//! The gRPC service that Envoy's ext_proc filter calls: responses on their way to the client.
//!
//! Knows: the filter's messages, deadlines, how many bytes and streams may be open. Must not know: what a response
//! contains, which policies are about it.
//!
//! To Envoy a stream that ends with `OK` means that the rest of the response passes unread. So a stream has an explicit
//! end: `answers::Answers` ends it with an error unless its exchange finished. A refusal is an answer and not an error,
//! because an error obeys the filter's `failure_mode_allow`.

mod answers;
mod denials;
mod exchange;
mod headers;
mod held;
mod messages;
mod mode;
mod reader;
mod stats;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::service::ext_proc::v3::ProcessingRequest;
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::{
    ExternalProcessor, ExternalProcessorServer,
};
use futures_util::{Stream, StreamExt as _};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, Streaming};

use super::authz::Clock;
use crate::check::response_phase::ResponsePhase;
use crate::incomplete::CaughtUp;
use crate::lanes::Lane;
use answers::Answers;
use exchange::Exchange;
use held::HeldTotal;
use picket_core::identity::SpiffeId;
use picket_core::identity::proxy::ProxyIdentity;
use picket_core::setting::{CheckSettings, SettingProblem};
pub use stats::ProcessorStats;

/// Least value of `message_bytes_max`. Envoy limits the headers of a response to 60 KiB by default.
const MESSAGE_BYTES_LEAST: usize = 65_536;
/// Highest value: within the part of one connection of the messages that have not arrived completely, 16 MiB.
const MESSAGE_BYTES_MOST: usize = 8 * 1024 * 1024;

/// Settings of the ext_proc service; one set for all listeners. Section `limits.responses`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessorSettings {
    /// How long evaluating the head of a response may take. Default 150ms; then the response is refused. The filter has no
    /// timeout of its own in the mode `FULL_DUPLEX_STREAMED`. Units: `ms`, `s`.
    #[serde(with = "humantime_serde")]
    pub deadline: Duration,
    /// Responses that are processed at once, of all listeners. Default 8192; one more is refused.
    pub streams_max: usize,
    /// Largest message in bytes. Default 4194304. Envoy hands over what it has buffered, which is limited by
    /// `per_connection_buffer_limit_bytes`, 1 MiB by default. A larger message ends the response.
    pub message_bytes_max: usize,
    /// Bytes of responses that are held in the whole process. Default 134217728; then the response that would hold more
    /// ends.
    pub held_bytes_max: usize,
    /// How long bytes of a response may be held. Default 30s; then the response ends, and what is held does not leave.
    /// Units: `ms`, `s`, `m`.
    #[serde(with = "humantime_serde")]
    pub hold_max: Duration,
}

impl Default for ProcessorSettings {
    fn default() -> Self {
        Self {
            deadline: Duration::from_millis(150),
            streams_max: 8192,
            message_bytes_max: 4 * 1024 * 1024,
            held_bytes_max: 128 * 1024 * 1024,
            hold_max: Duration::from_secs(30),
        }
    }
}

impl CheckSettings for ProcessorSettings {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { deadline, streams_max, message_bytes_max, held_bytes_max, hold_max } = self;
        let mut found = Vec::new();
        if !(Duration::from_millis(1)..=Duration::from_secs(60)).contains(deadline) {
            found.push(SettingProblem::error("deadline", "must be from 1ms to 60s: `0s` refuses every response"));
        }
        if *streams_max == 0 {
            found.push(SettingProblem::error("streams_max", "0 refuses every response; give at least 1"));
        }
        if !(MESSAGE_BYTES_LEAST..=MESSAGE_BYTES_MOST).contains(message_bytes_max) {
            let message = format!(
                "must be from {MESSAGE_BYTES_LEAST}, for the headers of a response are one message, to {MESSAGE_BYTES_MOST}, which fit \
                 into the part of one connection"
            );
            found.push(SettingProblem::error("message_bytes_max", message));
        }
        if *held_bytes_max == 0 {
            found.push(SettingProblem::error(
                "held_bytes_max",
                "0 refuses every response that is read; give at least 1",
            ));
        }
        if !(Duration::from_millis(1)..=Duration::from_secs(3600)).contains(hold_max) {
            found.push(SettingProblem::error(
                "hold_max",
                "must be from 1ms to 1h: `0s` refuses every response that is held",
            ));
        }
        found
    }
}

/// The limits that all listeners share.
#[derive(Debug, Clone)]
pub struct Shared {
    streams: Arc<Semaphore>,
    streams_max: usize,
    held: Arc<HeldTotal>,
    stats: Arc<ProcessorStats>,
}

impl Shared {
    /// The limits of these settings, with nothing used of them.
    #[must_use]
    pub fn new(settings: &ProcessorSettings) -> Self {
        let streams_max = settings.streams_max.min(Semaphore::MAX_PERMITS);
        let streams = Arc::new(Semaphore::new(streams_max));
        let held = Arc::new(HeldTotal::new(settings.held_bytes_max));
        Self { streams, streams_max, held, stats: Arc::default() }
    }

    /// Responses that are processed now.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams_max.saturating_sub(self.streams.available_permits())
    }

    /// Bytes of responses that are held now.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held.bytes()
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> &Arc<ProcessorStats> {
        &self.stats
    }
}

/// The service of one listener.
#[derive(Clone)]
pub struct Processor {
    phase: Arc<dyn ResponsePhase>,
    settings: ProcessorSettings,
    shared: Shared,
    clock: Clock,
}

impl std::fmt::Debug for Processor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Processor").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Processor {
    /// The service whose responses `phase` evaluates.
    #[must_use]
    pub fn new(phase: Arc<dyn ResponsePhase>, settings: ProcessorSettings, shared: Shared, clock: Clock) -> Self {
        Self { phase, settings, shared, clock }
    }

    /// The same as a tonic service, with the limit on a message's size.
    #[must_use]
    pub fn into_server(self) -> ExternalProcessorServer<Self> {
        let bytes_max = self.settings.message_bytes_max;
        ExternalProcessorServer::new(self).max_decoding_message_size(bytes_max)
    }

    /// The answers to the messages of one stream, which comes from `proxy` over the connection with this lane.
    fn answers<S>(&self, messages: S, proxy: Option<SpiffeId>, lane: Lane) -> Answers
    where
        S: Stream<Item = Result<ProcessingRequest, Status>> + Send + Unpin + 'static,
    {
        Answers::of(|outgoing| Exchange::new(self.clone(), outgoing, proxy, lane).run(messages))
    }
}

#[tonic::async_trait]
impl ExternalProcessor for Processor {
    type ProcessStream = Answers;

    async fn process(&self, request: Request<Streaming<ProcessingRequest>>) -> Result<Response<Answers>, Status> {
        let (_, mut extensions, messages) = request.into_parts();
        let lane = extensions.remove::<Lane>().unwrap_or_else(Lane::new);
        let proxy = extensions.remove::<ProxyIdentity>().map(|ProxyIdentity(id)| id);
        let caught_up = extensions.remove::<CaughtUp>().unwrap_or_default();
        let messages = messages.inspect(move |_| caught_up.set());
        Ok(Response::new(self.answers(messages, proxy, lane)))
    }
}
