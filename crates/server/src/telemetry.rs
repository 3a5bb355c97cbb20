//! Telemetry: turns each [`Observed`] call into metrics, a decision log line and a span.
//!
//! Knows nouns, verdicts and judgements only; nobody pure knows it. What other modules count themselves is
//! read through [`Metrics::add_source`], which the assembly wires.

pub mod decision_log;
pub mod metrics;
mod responses;
pub mod spans;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::check::Judgement;
use crate::check::response::ResponseRecord;
use decision_log::DecisionLog;
pub use metrics::Metrics;
use picket_core::call::{Call, UnixMillis};
use picket_core::setting::{CheckSettings, SettingProblem, of_parts};
use responses::Responses;
use spans::Spans;

/// The settings of telemetry.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Our own log, on standard error.
    pub log: spans::LogSettings,
    /// The decision log: one JSON object for each decision.
    pub decision_log: decision_log::Settings,
    /// Export of spans by OTLP. Default off.
    pub otlp: Option<spans::Settings>,
}

impl CheckSettings for Settings {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { log, decision_log, otlp } = self;
        of_parts(&[("log", log), ("decision_log", decision_log), ("otlp", otlp)])
    }
}

/// Why telemetry cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings cannot be used.
    #[error("{}", .0.join("; "))]
    Settings(Vec<String>),
    /// The decision log's thread cannot be started.
    #[error("could not start the thread that writes the decision log")]
    Thread(#[source] std::io::Error),
    /// The log's level does not parse.
    #[error("could not begin the log")]
    Log(#[from] tracing_subscriber::filter::ParseError),
    /// Spans cannot be sent.
    #[error("could not begin the export of spans")]
    Spans(#[from] spans::SpansError),
}

/// Metrics, decision log and spans of one server.
#[derive(Debug)]
pub struct Telemetry {
    metrics: Metrics,
    decision_log: Arc<DecisionLog>,
    spans: Option<Arc<Spans>>,
    responses: Arc<Responses>,
}

impl Telemetry {
    /// Begins our own log, the decision log and the export of spans. To be called inside a Tokio runtime
    /// where `otlp` is set.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub fn start(settings: &Settings, version: &'static str) -> Result<Arc<Self>, StartError> {
        let problems = settings.problems();
        if !problems.is_empty() {
            return Err(StartError::Settings(problems.iter().map(ToString::to_string).collect()));
        }
        spans::subscribe(&settings.log)?;
        let spans = settings.otlp.as_ref().map(|otlp| Spans::start(otlp, version)).transpose()?.map(Arc::new);
        let decision_log = Arc::new(DecisionLog::start(&settings.decision_log).map_err(StartError::Thread)?);
        let metrics = Metrics::new(version);
        let log = Arc::clone(&decision_log);
        metrics.add_source(&metrics::table::LOG_WRITTEN, move || vec![log.written()]);
        let log = Arc::clone(&decision_log);
        metrics.add_source(&metrics::table::LOG_DROPPED, move || log.dropped());
        let sent = spans.clone();
        metrics.add_source(&metrics::table::SPANS, move || sent.as_ref().map(|spans| spans.sent()).unwrap_or_default());
        let responses = Responses::shown_in(&metrics);
        Ok(Arc::new(Self { metrics, decision_log, spans, responses }))
    }

    /// Counts, logs and traces one call. To be called once for each call, after its answer is made; never
    /// waits for a sink.
    pub fn finish(&self, seen: &Observed<'_>) {
        self.metrics.observe(seen);
        self.decision_log.offer(seen);
        if let Some(spans) = &self.spans {
            spans.emit(seen);
        }
    }

    /// Counts and logs one evaluated response. To be called once for each, when it has ended; never waits for a sink.
    pub fn finish_response(&self, record: &ResponseRecord) {
        self.responses.observe(record);
        self.decision_log.offer_response(record);
    }

    /// The metrics.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Writes and sends what waits, until `deadline`; what is left then is counted as lost.
    pub async fn shutdown(&self, deadline: Instant) {
        let spans = async {
            if let Some(spans) = &self.spans {
                spans.shutdown(deadline).await;
            }
        };
        futures_util::future::join(self.decision_log.shutdown(deadline), spans).await;
    }
}

/// One answered call, as the edge saw it.
#[derive(Debug)]
pub struct Observed<'a> {
    /// Id of the decision: a UUID of version 7.
    pub decision_id: uuid::Uuid,
    /// The result.
    pub judgement: &'a Judgement,
    /// The call, where it could be decoded.
    pub call: Option<&'a Call>,
    /// Name of the listener (profile) it came in by.
    pub listener: &'a str,
    /// HTTP status that the caller gets; 200 for an allow.
    pub status: u16,
    /// W3C `traceparent`: the gRPC metadata's, else the checked call's.
    pub trace_parent: Option<&'a str>,
    /// `x-request-id` of the checked call.
    pub request_id: Option<&'a str>,
    /// When it came in.
    pub received_at: UnixMillis,
    /// How long it took us.
    pub elapsed: Duration,
}

#[cfg(test)]
mod tests;
