//! Counts calls, and formats the metrics for Prometheus.
//!
//! Knows: judgements, the names in [`table`]. Must not know: who scrapes; what other modules count is read
//! through [`Metrics::add_source`], so that none of them needs to know telemetry.
//!
//! Labels are closed sets or bounded by what is loaded (see [`Metrics::loaded`]): nothing a caller sends
//! can add a series.

mod durations;
mod findings;
mod process;
mod series;
pub mod table;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use arc_swap::ArcSwap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Registry;

use super::Observed;
use crate::check::Judgement;
use durations::Durations;
use findings::Findings;
use picket_core::decision::verdict::{Decision, Verdict};
use series::{Loaded, Mode, SeriesKey, SeriesOutcome};
pub use table::{MetricKind, Spec, describe};

/// Media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One number of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Values of the metric's labels, in the order of [`Spec::labels`]; a closed or configured set.
    pub labels: Vec<String>,
    /// The number.
    pub value: f64,
}

impl Sample {
    /// A sample with these label values.
    pub fn new<const N: usize>(labels: [&str; N], value: f64) -> Self {
        Self { labels: labels.map(str::to_owned).to_vec(), value }
    }
}

/// A histogram that is counted elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// Sum of all observations.
    pub sum: f64,
    /// Upper bound, inclusive, and observations of each bucket, not cumulative; ascending, infinity last.
    pub buckets: Vec<(f64, u64)>,
}

/// All metrics of one server.
#[derive(Debug)]
pub struct Metrics {
    state: Arc<State>,
    registry: Registry,
}

struct Source {
    spec: &'static Spec,
    read: Read,
}

/// How a metric that is counted elsewhere is read.
enum Read {
    Samples(Box<dyn Fn() -> Vec<Sample> + Send + Sync>),
    Distribution(Box<dyn Fn() -> Option<Distribution> + Send + Sync>),
}

#[derive(Debug)]
struct State {
    version: &'static str,
    loaded: ArcSwap<Loaded>,
    divergence: Mutex<BTreeMap<(Decision, Decision), u64>>,
    durations: Durations,
    findings: Findings,
    sources: RwLock<Vec<Source>>,
}

impl Metrics {
    /// Metrics that are all 0.
    #[must_use]
    pub fn new(version: &'static str) -> Self {
        let state = Arc::new(State {
            version,
            loaded: ArcSwap::default(),
            divergence: Mutex::default(),
            durations: Durations::default(),
            findings: Findings::default(),
            sources: RwLock::default(),
        });
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Arc::clone(&state)));
        Self { state, registry }
    }

    /// Counts one call.
    pub fn observe(&self, seen: &Observed<'_>) {
        let judgement = seen.judgement;
        let loaded = self.state.loaded.load();
        let unit = loaded.unit(namespace(judgement));
        let key = |mode, decision, outcome| SeriesKey { protocol: judgement.protocol, mode, decision, outcome };
        match &judgement.result {
            Ok(verdict) => {
                unit.count(key(Mode::Enforce, verdict.decision(), SeriesOutcome::Verdict(verdict.reason())));
                for id in &verdict.determining {
                    loaded.decided(id);
                }
                for error in &verdict.errors {
                    loaded.failed(&error.policy);
                }
                if let Some(would_be) = &verdict.would_be {
                    unit.count(key(Mode::Shadow, would_be.decision, SeriesOutcome::Verdict(would_be.reason)));
                }
                self.count_divergence(verdict);
            }
            Err(failure) => unit.count(key(Mode::Enforce, Decision::Error, SeriesOutcome::Failure(failure.code))),
        }
        if let (Some(content), Some(service)) = (&judgement.content, &judgement.service) {
            self.state.findings.count(service, &content.found);
        }
        self.state.durations.observe(seen.elapsed);
    }

    /// Says what is loaded now, by unit (`mesh` or a namespace): ids of policies, and digests. To be called
    /// after every load. Counts of what stays go on; series of what is gone are dropped.
    pub fn loaded(&self, policies: &BTreeMap<String, Vec<String>>, digests: &BTreeMap<String, String>) {
        self.state.loaded.rcu(|before| before.next(policies, digests));
    }

    /// Reads a metric of [`table::SOURCES`] from elsewhere at each scrape. `read` must be quick and must
    /// not block; samples whose labels do not match the spec's are left out.
    pub fn add_source(&self, spec: &'static Spec, read: impl Fn() -> Vec<Sample> + Send + Sync + 'static) {
        self.add(Source { spec, read: Read::Samples(Box::new(read)) });
    }

    /// As [`Metrics::add_source`], for a histogram without labels; `None` leaves it out.
    pub fn add_distribution(
        &self,
        spec: &'static Spec,
        read: impl Fn() -> Option<Distribution> + Send + Sync + 'static,
    ) {
        self.add(Source { spec, read: Read::Distribution(Box::new(read)) });
    }

    fn add(&self, source: Source) {
        let mut sources = self.state.sources.write().unwrap_or_else(PoisonError::into_inner);
        sources.retain(|known| known.spec != source.spec);
        sources.push(source);
    }

    /// Everything as OpenMetrics text; media type [`CONTENT_TYPE`].
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        if prometheus_client::encoding::text::encode(&mut text, &self.registry).is_err() {
            // Without its `# EOF` the text is refused by whoever scrapes it, which is what should happen.
            tracing::error!("could not write the metrics");
        }
        text
    }

    fn count_divergence(&self, verdict: &Verdict) {
        let Some(would_be) = &verdict.would_be else { return };
        let pair = (verdict.decision(), would_be.decision);
        if pair.0 != pair.1 {
            *self.state.divergence.lock().unwrap_or_else(PoisonError::into_inner).entry(pair).or_default() += 1;
        }
    }
}

/// Resident memory of this process in bytes, where the system says it.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    process::resident()
}

/// The namespace whose policies judged a call, as far as it was found out.
pub(super) fn namespace(judgement: &Judgement) -> Option<&str> {
    judgement.query.as_ref().map(|query| query.namespace.as_str()).or_else(|| judgement.namespace())
}

impl Collector for State {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let loaded = self.loaded.load();
        family(&mut encoder, &table::DECISIONS, &loaded.decisions())?;
        family(&mut encoder, &table::DETERMINING_POLICY, &loaded.determining())?;
        family(&mut encoder, &table::POLICY_ERRORS, &loaded.failures())?;
        family(&mut encoder, &table::POLICY_SNAPSHOT, &loaded.digests())?;
        family(&mut encoder, &table::POLICIES, &loaded.sizes())?;
        family(&mut encoder, &table::SHADOW_DIVERGENCE, &self.divergence())?;
        family(&mut encoder, &table::CONTENT_FINDINGS, &self.findings.samples())?;
        family(&mut encoder, &table::BUILD, &[Sample::new([self.version], 1.0)])?;
        family(&mut encoder, &table::PROCESS_MEMORY, &process::memory())?;
        family(&mut encoder, &table::PROCESS_FDS, &process::open_fds())?;
        family(&mut encoder, &table::PROCESS_CPU, &process::cpu_seconds())?;
        distribution(&mut encoder, &table::DECISION_DURATION, Some(self.durations.read()))?;
        for source in self.sources.read().unwrap_or_else(PoisonError::into_inner).iter() {
            match &source.read {
                Read::Samples(read) => family(&mut encoder, source.spec, &read())?,
                Read::Distribution(read) => distribution(&mut encoder, source.spec, read())?,
            }
        }
        Ok(())
    }
}

impl State {
    fn divergence(&self) -> Vec<Sample> {
        let divergence = self.divergence.lock().unwrap_or_else(PoisonError::into_inner);
        let sample = |((from, to), count): (&(Decision, Decision), &u64)| {
            Sample::new([from.as_str(), to.as_str()], *count as f64)
        };
        divergence.iter().map(sample).collect()
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("spec", &self.spec).finish_non_exhaustive()
    }
}

fn describe_family<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    spec: &'static Spec,
) -> Result<MetricEncoder<'a>, std::fmt::Error> {
    let (name, kind) = match spec.kind {
        // OpenMetrics names a family without the suffix that its samples carry.
        MetricKind::Counter => (spec.name.strip_suffix("_total").unwrap_or(spec.name), MetricType::Counter),
        MetricKind::Gauge => (spec.name, MetricType::Gauge),
        MetricKind::Histogram => (spec.name, MetricType::Histogram),
    };
    encoder.encode_descriptor(name, &format!("{}.", spec.help), None, kind)
}

fn family(encoder: &mut DescriptorEncoder<'_>, spec: &'static Spec, samples: &[Sample]) -> Result<(), std::fmt::Error> {
    let mut metric = describe_family(encoder, spec)?;
    for sample in samples.iter().filter(|sample| sample.labels.len() == spec.labels.len()) {
        let labels: Vec<(&str, &str)> =
            spec.labels.iter().copied().zip(sample.labels.iter().map(String::as_str)).collect();
        if labels.is_empty() {
            number(&mut metric, spec.kind, sample.value)?;
        } else {
            number(&mut metric.encode_family(&labels)?, spec.kind, sample.value)?;
        }
    }
    Ok(())
}

fn distribution(
    encoder: &mut DescriptorEncoder<'_>,
    spec: &'static Spec,
    read: Option<Distribution>,
) -> Result<(), std::fmt::Error> {
    let mut metric = describe_family(encoder, spec)?;
    let Some(Distribution { sum, buckets }) = read else { return Ok(()) };
    let count = buckets.iter().map(|(_, count)| count).sum();
    metric.encode_histogram(sum, count, &buckets, None::<&std::collections::HashMap<usize, Exemplar<NoLabelSet, f64>>>)
}

fn number(metric: &mut MetricEncoder<'_>, kind: MetricKind, value: f64) -> Result<(), std::fmt::Error> {
    match kind {
        MetricKind::Counter => metric.encode_counter(&value, None::<&Exemplar<NoLabelSet, f64>>),
        MetricKind::Gauge => metric.encode_gauge(&value),
        // A histogram has no single number; it is encoded on its own.
        MetricKind::Histogram => Ok(()),
    }
}

#[cfg(test)]
mod tests;
