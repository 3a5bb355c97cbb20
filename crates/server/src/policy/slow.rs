//! Loads slow namespaces on threads of their own, so that they do not delay the edits of others.
//!
//! Knows: when a namespace has taken long, and which are being loaded. Must not know: how.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Loader, digest};
use crate::cooperative::maybe_yield;
use picket_core::decision::Snapshot;
use picket_core::decision::load::{Base, Late, Purpose, Stakes};
use picket_core::decision::snapshot::{Loaded, Tree};

/// How long a namespace is waited for before anything is in force.
const START: Duration = Duration::from_secs(10);
/// How long a namespace is waited for where its calls would be denied without it: 4,500 policies of the usual length
/// (`benches/all flat`). Everybody's change of the catalogue waits with it.
const DENIAL: Duration = Duration::from_secs(1);
/// How long all edited namespaces together are waited for where what they have stays in force.
const DELAY: Duration = Duration::from_millis(300);
/// Most namespaces that are loaded at a time; others wait their turn.
const JOBS_MAX: usize = 4;

/// The namespaces that are being loaded.
#[derive(Default)]
pub(super) struct Slow {
    jobs: BTreeMap<String, Job>,
}

struct Job {
    /// Digest of what it loads, the mesh's own policies aside.
    digest: String,
    stop: Arc<AtomicBool>,
    task: JoinHandle<Loaded>,
}

/// For one load: how long each of its namespaces may take. Those that are being loaded are not waited for again.
pub(super) fn patience(running: BTreeSet<String>) -> impl Fn(&str, Stakes) -> Late {
    // From the first namespace on: the platform's own time is not theirs.
    let begun = OnceCell::new();
    move |namespace, stakes| {
        if running.contains(namespace) {
            return Box::new(|| true);
        }
        let until = match stakes {
            Stakes::Start => Instant::now() + START,
            Stakes::Denial => Instant::now() + DENIAL,
            Stakes::Delay => *begun.get_or_init(Instant::now) + DELAY,
        };
        Box::new(move || Instant::now() > until)
    }
}

impl Slow {
    /// What has been loaded since it was last asked; `None` where nothing has come to its end.
    pub(super) async fn ended(&mut self) -> Option<Vec<Arc<Snapshot>>> {
        let ended: Vec<String> =
            self.jobs.iter().filter(|(_, job)| job.task.is_finished()).map(|(name, _)| name.clone()).collect();
        if ended.is_empty() {
            return None;
        }
        let mut snapshots = Vec::new();
        for name in ended {
            let Some(job) = self.jobs.remove(&name) else { continue };
            match job.task.await {
                Ok(loaded) => snapshots.extend(loaded.snapshot),
                Err(error) => tracing::error!("loading namespace `{name}` was interrupted: {error}"),
            }
        }
        Some(snapshots)
    }

    /// The namespaces that are being loaded.
    pub(super) fn running(&self) -> BTreeSet<String> {
        self.jobs.keys().cloned().collect()
    }

    #[cfg(test)]
    pub(super) fn are_ended(&self) -> bool {
        self.jobs.values().all(|job| job.task.is_finished())
    }

    /// Sees to it that these namespaces are being loaded and no others, each in the tree that comes with it.
    pub(super) fn want(
        &mut self,
        wanted: BTreeMap<String, Tree>,
        loader: &Loader,
        previous: Option<&Arc<Snapshot>>,
        ended: &Arc<Notify>,
    ) {
        let wanted: BTreeMap<String, (String, Tree)> =
            wanted.into_iter().map(|(name, tree)| (name.clone(), (key(&tree, &name), tree))).collect();
        self.jobs.retain(|name, job| {
            let is_wanted = wanted.get(name).is_some_and(|(digest, _)| *digest == job.digest);
            job.stop.store(!is_wanted, Ordering::Relaxed);
            is_wanted
        });
        for (name, (digest, tree)) in wanted {
            if self.jobs.len() < JOBS_MAX && !self.jobs.contains_key(&name) {
                let stop = Arc::new(AtomicBool::new(false));
                let task = start(tree, loader.clone(), previous.cloned(), (stop.clone(), ended.clone()));
                self.jobs.insert(name, Job { digest, stop, task });
            }
        }
    }
}

/// Stands for all that a namespace is loaded from, itself and what it is checked against.
fn key(tree: &Tree, unit: &str) -> String {
    let counts =
        |path: &str| !path.starts_with("mesh/") && super::layout::namespace_of(path).is_none_or(|name| name == unit);
    let files = tree.files.iter().filter(|(path, _)| counts(path));
    digest(&tree.folders, &files.map(|(path, text)| (path.clone(), text.clone())).collect(), [])
}

fn start(
    tree: Tree,
    loader: Loader,
    previous: Option<Arc<Snapshot>>,
    (stop, ended): (Arc<AtomicBool>, Arc<Notify>),
) -> JoinHandle<Loaded> {
    tokio::task::spawn_blocking(move || {
        let begin = |_: &str, _: Stakes| -> Late {
            let stop = stop.clone();
            Box::new(move || stop.load(Ordering::Relaxed))
        };
        // Told also where it panics.
        let _told = Told(ended);
        loader(
            &tree,
            &Base {
                previous: previous.as_ref(),
                donors: &[],
                purpose: Purpose::Donor,
                begin: &begin,
                pause: maybe_yield,
            },
        )
    })
}

struct Told(Arc<Notify>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}
