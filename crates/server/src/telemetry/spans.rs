//! Picket's own log, and one span for each decision.
//!
//! Knows: `tracing`'s subscriber, OpenTelemetry. Must not know: what is decided, or why. Baggage is neither
//! read nor sent on: callers choose it.
//!
//! A span is made after its decision, with both its times given, so that nothing is done where export is
//! off and where the parent is not sampled.

pub mod traceparent;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Span, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, SpanData, SpanExporter};
use tokio::time::Instant;

use super::Observed;
use super::metrics::Sample;
use picket_core::decision::verdict::Decision;
use picket_core::failure::{Blame, Failure};
use picket_core::setting::{CheckSettings, SettingProblem};

/// Most determining policies that a span names.
const POLICIES_MAX: usize = 32;

/// Our own log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// How lines look: `text` (default) or `json`. They go to standard error.
    pub format: Format,
    /// The log level: `error`, `warn`, `info` (default), `debug`, `trace`, or directives for single modules
    /// (`info,picket_server::policy=debug`).
    pub level: String,
    /// Whether text lines are coloured: `never` (default) or `always`. The command line sets it for a
    /// terminal unless `NO_COLOR` is set.
    pub color: Color,
}

/// How lines of our own log look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Whether lines of our own log are coloured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Color {
    /// Never.
    #[default]
    Never,
    /// Always.
    Always,
}

/// Where spans go.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The collector's OTLP/gRPC endpoint, `http://<host>:<port>`; in the clear, so it should be a local agent.
    pub endpoint: String,
    /// Share of calls without a parent that begin a trace, 0 to 1. Default 0: the mesh decides. Calls with a
    /// parent follow its sampling.
    #[serde(default)]
    pub sample_roots: f64,
    /// How long one export may take. Default 5s.
    #[serde(default = "default_timeout", with = "humantime_serde")]
    pub timeout: Duration,
}

fn default_timeout() -> Duration {
    Duration::from_secs(5)
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: Format::Text, level: "info".to_owned(), color: Color::Never }
    }
}

impl CheckSettings for LogSettings {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { format: _, level, color: _ } = self;
        let parsed = tracing_subscriber::EnvFilter::builder().parse(level);
        let message = |error| format!("`{level}` is not a level, nor a list of directives ({error})");
        parsed.err().map(|error| SettingProblem::error("level", message(error))).into_iter().collect()
    }
}

impl CheckSettings for Settings {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { endpoint, sample_roots, timeout } = self;
        let mut found = Vec::new();
        let uri: Option<http::Uri> = endpoint.parse().ok();
        if !uri.is_some_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some()) {
            let message = format!("`{endpoint}` is not an endpoint; give `http://<host>:<port>`");
            found.push(SettingProblem::error("endpoint", message));
        }
        if !(0.0..=1.0).contains(sample_roots) {
            let message = format!("{sample_roots} is not a share; give a number from 0 to 1");
            found.push(SettingProblem::error("sample_roots", message));
        }
        if timeout.is_zero() {
            found.push(SettingProblem::error("timeout", "`0s` would fail every export; give a longer time"));
        }
        found
    }
}

/// Begins our own log, to standard error. Where the program already has a subscriber, that one stays.
///
/// # Errors
/// Where `level` does not parse.
pub fn subscribe(settings: &LogSettings) -> Result<(), tracing_subscriber::filter::ParseError> {
    let filter = tracing_subscriber::EnvFilter::builder().parse(&settings.level)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match settings.format {
        Format::Text => builder.with_ansi(settings.color == Color::Always).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    if set.is_err() {
        tracing::debug!("the program's own log subscriber stays");
    }
    Ok(())
}

/// The way of spans to the collector.
#[derive(Debug)]
pub struct Spans {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    exported: AtomicU64,
    failed: AtomicU64,
}

/// Why no spans can be sent.
#[derive(Debug, thiserror::Error)]
pub enum SpansError {
    /// There is no Tokio runtime, which the connection needs.
    #[error("spans can only be sent from inside a Tokio runtime")]
    NoRuntime,
    /// The exporter cannot be made.
    #[error("could not set up the export of spans to `{endpoint}`")]
    Exporter {
        /// The configured endpoint.
        endpoint: String,
        /// The exporter's error.
        #[source]
        source: opentelemetry_otlp::ExporterBuildError,
    },
}

impl Spans {
    /// Sets up the export. The connection is made with the first spans; a collector that is away costs
    /// spans, never a decision.
    ///
    /// # Errors
    /// [`SpansError`].
    pub fn start(settings: &Settings, version: &'static str) -> Result<Self, SpansError> {
        // The exporter panics where it finds no runtime.
        tokio::runtime::Handle::try_current().map_err(|_| SpansError::NoRuntime)?;
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&settings.endpoint)
            .with_timeout(settings.timeout)
            .build()
            .map_err(|source| SpansError::Exporter { endpoint: settings.endpoint.clone(), source })?;
        Ok(Self::with_exporter(exporter, settings.sample_roots, version))
    }

    fn with_exporter<E: SpanExporter + 'static>(exporter: E, sample_roots: f64, version: &'static str) -> Self {
        let counts = Arc::new(Counts::default());
        let resource = Resource::builder()
            .with_service_name("picket")
            .with_attribute(KeyValue::new("service.version", version))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(sample_roots))))
            .with_resource(resource)
            .with_batch_exporter(Counted { exporter, counts: Arc::clone(&counts) })
            .build();
        let tracer = provider.tracer("picket");
        Self { provider, tracer, counts }
    }

    /// Sends the span of one call.
    pub fn emit(&self, seen: &Observed<'_>) {
        let parent = seen.trace_parent.and_then(traceparent::parse);
        let context = match parent {
            Some(parent) => Context::new().with_remote_span_context(parent),
            None => Context::new(),
        };
        let start = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(seen.received_at.0).unwrap_or(0));
        let builder = self.tracer.span_builder("picket.decision").with_kind(SpanKind::Server).with_start_time(start);
        let mut span = self.tracer.build_with_context(builder, &context);
        if span.is_recording() {
            describe(&mut span, seen);
        }
        span.end_with_timestamp(start + seen.elapsed);
    }

    /// Sends what waits, until `deadline`.
    pub async fn shutdown(&self, deadline: Instant) {
        let provider = self.provider.clone();
        let left = deadline.saturating_duration_since(Instant::now());
        let flushed = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(left));
        match tokio::time::timeout_at(deadline, flushed).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(error = %error, "could not send the last spans"),
            Ok(Err(_)) | Err(_) => tracing::warn!("could not send the last spans before the end"),
        }
    }

    /// How many spans were taken by the collector, and how many were not.
    #[must_use]
    pub fn sent(&self) -> Vec<Sample> {
        vec![
            Sample::new(["exported"], self.counts.exported.load(Ordering::Relaxed) as f64),
            Sample::new(["failed"], self.counts.failed.load(Ordering::Relaxed) as f64),
        ]
    }
}

fn describe(span: &mut impl Span, seen: &Observed<'_>) {
    let judgement = seen.judgement;
    let (decision, reason, policies) = match &judgement.result {
        Ok(verdict) => (verdict.decision(), verdict.reason().as_str(), verdict.determining.as_slice()),
        Err(failure) => (Decision::Error, failure.code.as_str(), &[][..]),
    };
    let policies: Vec<StringValue> = policies.iter().take(POLICIES_MAX).map(|id| id.clone().into()).collect();
    span.set_attribute(KeyValue::new("picket.decision", decision.as_str()));
    span.set_attribute(KeyValue::new("picket.reason", reason));
    span.set_attribute(KeyValue::new("picket.policy.ids", Value::Array(Array::String(policies))));
    span.set_attribute(KeyValue::new("picket.decision_id", seen.decision_id.to_string()));
    span.set_attribute(KeyValue::new("picket.listener", seen.listener.to_owned()));
    if let Some(protocol) = judgement.protocol {
        span.set_attribute(KeyValue::new("picket.protocol", protocol.as_str()));
    }
    if judgement.result.as_ref().is_err_and(is_ours) {
        span.set_status(Status::error(reason));
    }
}

/// A deny is an answer; only trouble of our own or of a source makes a span an error.
fn is_ours(failure: &Failure) -> bool {
    match failure.code.blame() {
        Blame::Caller | Blame::Policy => false,
        Blame::Source | Blame::Picket => true,
    }
}

/// Counts what became of the spans.
#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    counts: Arc<Counts>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let result = self.exporter.export(batch).await;
        let counter = if result.is_ok() { &self.counts.exported } else { &self.counts.failed };
        counter.fetch_add(spans, Ordering::Relaxed);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests;
