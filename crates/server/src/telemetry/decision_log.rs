//! The decision log: one JSON object for each decision, on one line.
//!
//! Knows: settings, sampling, which records matter more. Must not know: the network, metrics' names.
//!
//! A record is made where the call is answered and handed to a bounded queue; one thread writes it. No
//! sink, however slow or broken, holds up a decision: what cannot be kept is counted and told by a gap record.

mod json;
mod mask;
mod queue;
mod record;
mod writer;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::Observed;
use super::metrics::Sample;
use crate::check::response::{Outcome, ResponseRecord};
use picket_core::decision::verdict::Decision;
use picket_core::setting::{CheckSettings, SettingProblem};
use queue::{Queue, Weight};

/// Where the decision log goes and what it holds.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where records go: `stdout` (default), `none`, or `{file: /path}`. A file is appended to and opened
    /// again once it was renamed or removed; its folder must exist.
    pub sink: Sink,
    /// Most records that wait to be written. Default 10000, at least 4. Above three quarters new allows
    /// are dropped, so that denies still find room.
    pub queue_events_max: usize,
    /// Most bytes of the records that wait. Default 16777216 (16 MiB), at least 262144.
    pub queue_bytes_max: usize,
    /// Share of allows that are logged, 0 to 1. Default 1. Everything else is always logged.
    pub sample_allows: f64,
    /// Names of headers and attributes with values that are never written, in addition to the built-in ones
    /// (client certificates, and names that hold `authorization`, `cookie`, `token`, `secret`, `password`,
    /// `credential` or `api-key`).
    /// Case does not count, and `_` reads as `-`. Default none.
    pub mask: Vec<String>,
    /// Headers that a record holds where a policy says `@log("full")`. Masked ones are left out even if
    /// listed here. Default `accept`, `content-type`, `content-length`, `user-agent`.
    pub full_headers: Vec<String>,
}

/// Where records go.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sink {
    /// Nowhere.
    None,
    /// Standard output.
    #[default]
    Stdout,
    /// A file.
    File(PathBuf),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sink: Sink::Stdout,
            queue_events_max: 10_000,
            queue_bytes_max: 16 * 1024 * 1024,
            sample_allows: 1.0,
            mask: Vec::new(),
            full_headers: ["accept", "content-type", "content-length", "user-agent"].map(str::to_owned).to_vec(),
        }
    }
}

impl CheckSettings for Settings {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { sink, queue_events_max, queue_bytes_max, sample_allows, mask: _, full_headers: _ } = self;
        let mut found = Vec::new();
        let mut wrong = |key, message| found.push(SettingProblem::error(key, message));
        if !(0.0..=1.0).contains(sample_allows) {
            wrong("sample_allows", format!("{sample_allows} is not a share; give a number from 0 to 1"));
        }
        if *queue_events_max < 4 {
            wrong("queue_events_max", format!("{queue_events_max} is too low; give at least 4"));
        }
        let least = 4 * record::RECORD_BYTES_MAX;
        if *queue_bytes_max < least {
            wrong("queue_bytes_max", format!("{queue_bytes_max} is too low; give at least {least}"));
        }
        if let Sink::File(path) = sink {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            if folder.is_some_and(|folder| !folder.is_dir()) || path.is_dir() {
                let message = format!("`{}` cannot be written; give a file in a folder that exists", path.display());
                wrong("sink.file", message);
            }
        }
        found
    }
}

/// The decision log of one server.
#[derive(Debug)]
pub struct DecisionLog {
    queue: Option<Arc<Queue>>,
    shape: record::Shape,
    sample_allows: f64,
    unserializable: AtomicU64,
    finished: Mutex<Option<oneshot::Receiver<()>>>,
}

impl DecisionLog {
    /// Starts the thread that writes; none where the sink is `none`.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn start(settings: &Settings) -> std::io::Result<Self> {
        let mut log = Self {
            queue: None,
            shape: record::Shape {
                mask: mask::Mask::new(&settings.mask),
                full_headers: settings.full_headers.iter().map(|name| name.to_ascii_lowercase()).collect(),
            },
            sample_allows: settings.sample_allows,
            unserializable: AtomicU64::new(0),
            finished: Mutex::new(None),
        };
        let target = match &settings.sink {
            Sink::None => return Ok(log),
            Sink::Stdout => writer::Target::Stdout,
            Sink::File(path) => writer::Target::File(path.clone()),
        };
        let queue = Arc::new(Queue::new(settings.queue_events_max, settings.queue_bytes_max));
        let (finish, finished) = oneshot::channel();
        let writers = Arc::clone(&queue);
        // A thread of its own and not a task: a write to a stalled pipe never returns, and a runtime waits
        // for its blocking tasks before it stops.
        std::thread::Builder::new().name("decision-log".into()).spawn(move || {
            writer::run(&writers, target);
            // Nobody listens where the deadline of the shutdown has passed.
            finish.send(()).unwrap_or(());
        })?;
        log.queue = Some(queue);
        log.finished = Mutex::new(Some(finished));
        Ok(log)
    }

    /// Logs one call; never waits for the sink.
    pub fn offer(&self, seen: &Observed<'_>) {
        let Some(queue) = &self.queue else { return };
        let weight = weight(seen);
        if weight == Weight::Allow && !self.is_sampled(seen.decision_id) {
            return;
        }
        match record::bytes(seen, &self.shape) {
            Ok(bytes) => queue.offer(weight, bytes),
            Err(error) => self.count_unserializable(&error, Some(seen.decision_id)),
        }
    }

    /// Queues the record of one response; never waits. A response is sampled as its request is.
    pub fn offer_response(&self, record: &ResponseRecord) {
        let Some(queue) = &self.queue else { return };
        let weight = match record.outcome {
            Outcome::Released => Weight::Allow,
            Outcome::Filtered | Outcome::Masked | Outcome::Refused => Weight::Other,
        };
        if weight == Weight::Allow && record.decision_id.is_some_and(|id| !self.is_sampled(id)) {
            return;
        }
        match record::response(record) {
            Ok(bytes) => queue.offer(weight, bytes),
            Err(error) => self.count_unserializable(&error, record.decision_id),
        }
    }

    fn count_unserializable(&self, error: &serde_json::Error, decision_id: Option<Uuid>) {
        self.unserializable.fetch_add(1, Ordering::Relaxed);
        let decision_id = decision_id.unwrap_or_default();
        tracing::error!(error = %error, decision_id = %decision_id, "could not log a decision");
    }

    /// Writes what waits, until `deadline`; counts the rest as lost. Later calls are not logged.
    pub async fn shutdown(&self, deadline: Instant) {
        let Some(queue) = &self.queue else { return };
        queue.close();
        let finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(finished) = finished
            && tokio::time::timeout_at(deadline, finished).await.is_err()
        {
            let lost = queue.abandon();
            tracing::error!("could not write `{lost}` records of the decision log before the end");
        }
    }

    /// How many records were written.
    pub fn written(&self) -> Sample {
        Sample::new([], self.count(|counts| &counts.written))
    }

    /// How many records were lost, by reason.
    pub fn dropped(&self) -> Vec<Sample> {
        vec![
            Sample::new(["allow_shed"], self.count(|counts| &counts.allow_shed)),
            Sample::new(["queue_full"], self.count(|counts| &counts.queue_full)),
            Sample::new(["write_failed"], self.count(|counts| &counts.write_failed)),
            Sample::new(["shutdown"], self.count(|counts| &counts.shutdown)),
            Sample::new(["unserializable"], self.unserializable.load(Ordering::Relaxed) as f64),
        ]
    }

    fn count(&self, which: impl Fn(&queue::Counts) -> &AtomicU64) -> f64 {
        self.queue.as_ref().map_or(0.0, |queue| which(&queue.counts).load(Ordering::Relaxed) as f64)
    }

    /// The decision's own id decides, so that replicas and restarts need no common state.
    fn is_sampled(&self, decision_id: Uuid) -> bool {
        let (_, random) = decision_id.as_u64_pair();
        let share = f64::from(u32::try_from(random & u64::from(u32::MAX)).unwrap_or(u32::MAX)) / f64::from(u32::MAX);
        self.sample_allows >= 1.0 || share < self.sample_allows
    }
}

fn weight(seen: &Observed<'_>) -> Weight {
    match seen.judgement.result.as_ref().map(picket_core::decision::Verdict::decision) {
        Ok(Decision::Allow) => Weight::Allow,
        Ok(Decision::Deny | Decision::Challenge | Decision::Error) | Err(_) => Weight::Other,
    }
}

#[cfg(test)]
mod tests;
