//! The active snapshot, and the loop that keeps it up to date.
//!
//! Knows: when to read, which reading is new, what stays when something is refused.
//! Must not know: Cedar; the [`Loader`] does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::parts::{self, Settled};
use super::slow::{self, Slow};
use super::status::{LoadOutcome, Why};
use super::{Directory, Loader, PLATFORM, PolicySource, Settings, Status};
use crate::cooperative::maybe_yield;
use picket_core::call::UnixMillis;
use picket_core::decision::Snapshot;
use picket_core::decision::load::{Base, Purpose};
use picket_core::decision::snapshot::{Loaded, Tree};
use picket_core::problem::{Problem, Severity};

/// How soon a source that could not be read is read again, unless the poll is shorter.
const RETRY: Duration = Duration::from_secs(1);

/// Holds the snapshot in force.
///
/// [`Store::current`] never waits. Loading is serial and happens off the async threads.
pub struct Store {
    source: Arc<dyn PolicySource>,
    loader: Loader,
    poll: Duration,
    current: ArcSwapOption<Snapshot>,
    status: ArcSwap<Status>,
    /// Held while loading.
    memory: tokio::sync::Mutex<Memory>,
    /// Notified when a slow namespace is loaded.
    ended: Arc<Notify>,
}

/// What loading remembers from one attempt to the next.
#[derive(Default)]
struct Memory {
    /// Digest of the last reading that went through the loader.
    digest: Option<String>,
    /// The files in force: what parts are compared with and refused units fall back on.
    in_force: Option<Tree>,
    /// Namespaces that take long.
    slow: Slow,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("poll", &self.poll).field("status", &self.status).finish_non_exhaustive()
    }
}

impl Store {
    /// A store over the directory that the settings name. Nothing is loaded yet.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self::over(Arc::new(Directory::new(settings)), Arc::new(Snapshot::load_on), settings.poll)
    }

    /// A store over any source and loader. Nothing is loaded yet.
    #[must_use]
    pub fn over(source: Arc<dyn PolicySource>, loader: Loader, poll: Duration) -> Self {
        Self {
            source,
            loader,
            poll,
            current: ArcSwapOption::empty(),
            status: ArcSwap::from_pointee(Status::default()),
            memory: tokio::sync::Mutex::default(),
            ended: Arc::default(),
        }
    }

    /// The snapshot in force, if any was ever good. Take it once per decision.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Snapshot>> {
        self.current.load_full()
    }

    /// The result of the last attempt.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.status.load_full()
    }

    /// Reads the source now and puts in force what is new and good.
    pub async fn load_now(&self) -> LoadOutcome {
        let mut memory = self.memory.lock().await;
        let attempted_at = now();
        let ended = memory.slow.ended().await;
        if ended.is_some() {
            memory.digest = None;
        }
        let donors = ended.unwrap_or_default();
        let reading = match self.source.read().await {
            Ok(reading) => reading,
            Err(problems) => return self.unreadable(problems, attempted_at),
        };
        let digest = reading.digest();
        if memory.digest.as_ref() == Some(&digest) {
            return self.unchanged(attempted_at);
        }
        let settled = match parts::settle(reading, memory.in_force.as_ref()) {
            Ok(settled) => settled,
            Err(problems) => return self.unreadable(problems, attempted_at),
        };
        if memory.in_force.as_ref() == Some(&settled.tree) {
            // All that is new was refused.
            let loaded = Loaded { snapshot: self.current(), ..Loaded::default() };
            memory.slow.want(BTreeMap::new(), &self.loader, None, &self.ended);
            memory.digest = Some(digest.clone());
            let loading = self.status.load().loading;
            return self.loaded(&mut memory, settled, loaded, Report { digest, attempted_at, loading });
        }
        let started = tokio::time::Instant::now();
        let loader = self.loader.clone();
        let (tree, previous) = (settled.tree.clone(), self.current());
        let running = memory.slow.running();
        let load = move || {
            let begin = slow::patience(running);
            loader(
                &tree,
                &Base {
                    previous: previous.as_ref(),
                    donors: &donors,
                    purpose: Purpose::Activate,
                    begin: &begin,
                    pause: maybe_yield,
                },
            )
        };
        let Ok(loaded) = tokio::task::spawn_blocking(load).await else {
            // Our own defect. The digest is not remembered, so that it is tried, and told, again.
            return self.unreadable(vec![Problem::error("", "loading the policies was interrupted")], attempted_at);
        };
        memory.digest = Some(digest.clone());
        self.loaded(&mut memory, settled, loaded, Report { digest, attempted_at, loading: started.elapsed() })
    }

    /// Keeps the snapshot up to date until cancelled: by the source's hints, and by polling.
    pub async fn run(&self, cancel: CancellationToken) {
        loop {
            if cancel.run_until_cancelled(self.load_now()).await.is_none() {
                break;
            }
            let pause = if self.status.load().is_passing() { self.poll.min(RETRY) } else { self.poll };
            tokio::select! {
                () = cancel.cancelled() => break,
                () = self.source.changed() => {}
                () = self.ended.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.memory.lock().await.slow.want(BTreeMap::new(), &self.loader, None, &self.ended);
    }

    fn loaded(&self, memory: &mut Memory, settled: Settled, loaded: Loaded, report: Report) -> LoadOutcome {
        let Loaded { snapshot, refused, postponed, problems } = loaded;
        let mut refused: BTreeMap<String, Why> = refused.into_iter().map(|unit| (unit, Why::Invalid)).collect();
        refused.extend(postponed.iter().map(|unit| (unit.clone(), Why::Loading)));
        if let Some(snapshot) = snapshot {
            let is_new = self.current.load().as_ref().is_none_or(|current| !Arc::ptr_eq(current, &snapshot));
            // The very snapshot in force, and something refused: no file was taken over, whatever `refused` names.
            if is_new || refused.is_empty() {
                let kept: BTreeSet<String> = refused.keys().cloned().collect();
                memory.in_force = Some(parts::accepted(&settled.tree, memory.in_force.as_ref(), &kept));
                self.current.store(Some(snapshot));
            }
            let wanted = postponed.into_iter().map(|unit| {
                let tree = parts::with_unit(memory.in_force.as_ref(), &settled.tree, &unit);
                (unit, tree)
            });
            memory.slow.want(wanted.collect(), &self.loader, self.current().as_ref(), &self.ended);
        } else {
            // Nothing can be used: the snapshot in force, if any, stays.
            refused.insert(PLATFORM.to_owned(), Why::Invalid);
        }
        refused.extend(settled.refused);
        let mut found = settled.problems;
        found.extend(problems.into_iter().filter(|problem| !settled.stand_ins.contains(&problem.file)));
        found.sort_by_key(|problem| std::cmp::Reverse(problem.severity));

        let outcome = if refused.is_empty() { LoadOutcome::Ok } else { LoadOutcome::Refused };
        let before = self.status.load_full();
        self.publish(outcome, report.attempted_at, |status| {
            status.digest = Some(report.digest);
            status.loading = report.loading;
            status.refused = refused;
            status.problems = found;
            status.unreadable = Vec::new();
        });
        log(&before, &self.status.load(), outcome);
        outcome
    }

    fn unchanged(&self, attempted_at: UnixMillis) -> LoadOutcome {
        if !self.status.load().unreadable.is_empty() {
            tracing::info!("the policy source is readable again and has not changed since the last load");
        }
        self.publish(LoadOutcome::Unchanged, attempted_at, |status| status.unreadable = Vec::new());
        LoadOutcome::Unchanged
    }

    fn unreadable(&self, problems: Vec<Problem>, attempted_at: UnixMillis) -> LoadOutcome {
        // Said once, not every second for as long as it lasts.
        if self.status.load().unreadable != problems {
            for problem in &problems {
                tracing::error!("could not read the policies: {problem}");
            }
        }
        self.publish(LoadOutcome::Refused, attempted_at, |status| status.unreadable = problems);
        LoadOutcome::Refused
    }

    fn publish(&self, outcome: LoadOutcome, attempted_at: UnixMillis, change: impl FnOnce(&mut Status)) {
        let mut status = Status::clone(&self.status.load());
        change(&mut status);
        status.ready = self.current.load().is_some();
        status.attempted_at = Some(attempted_at);
        if status.is_current() {
            status.succeeded_at = Some(attempted_at);
        }
        match outcome {
            LoadOutcome::Ok => status.counts.ok += 1,
            LoadOutcome::Refused => status.counts.refused += 1,
            LoadOutcome::Unchanged => status.counts.unchanged += 1,
        }
        self.status.store(Arc::new(status));
    }
}

/// What is known of an attempt beside its result.
struct Report {
    digest: String,
    attempted_at: UnixMillis,
    loading: Duration,
}

/// What was said before is not said again: a namespace that is edited all the time would fill the log with what is wrong
/// with another.
fn log(before: &Status, status: &Status, outcome: LoadOutcome) {
    for problem in status.problems.iter().filter(|problem| !before.problems.contains(problem)) {
        match problem.severity {
            Severity::Error => tracing::error!(policy.file = %problem.file, "policies rejected: {problem}"),
            Severity::Warning => tracing::warn!(policy.file = %problem.file, "policies: {problem}"),
            Severity::Note => tracing::info!(policy.file = %problem.file, "policies: {problem}"),
        }
    }
    let digest = status.digest.as_deref().unwrap_or_default();
    let millis = status.loading.as_millis();
    match outcome {
        LoadOutcome::Ok => tracing::info!(policy.digest = digest, "policies active, loaded in {millis} ms"),
        LoadOutcome::Refused => {
            let units: Vec<String> =
                status.refused.iter().map(|(unit, why)| format!("{unit} ({})", why.as_str())).collect();
            let units = units.join(", ");
            if before.refused == status.refused {
                tracing::debug!(policy.digest = digest, "still rejected: {units}");
            } else {
                tracing::error!(
                    policy.digest = digest,
                    "rejected: {units}; their last good versions stay active where they still fit"
                );
            }
        }
        LoadOutcome::Unchanged => {}
    }
}

fn now() -> UnixMillis {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    UnixMillis(i64::try_from(millis).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
