//! Hints that the policy directory may have changed.
//!
//! Knows: which folders' events matter, links and volumes included. Must not know: what lies in them.
//!
//! Only a hint: inotify loses events, does not work on every file system, and follows the folder that
//! a link once led to. So everything is watched anew after each change, unless all that changed is what
//! stands in files, and the store polls as well.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::time::Instant;

use crate::cooperative::maybe_yield;
use picket_core::catalog::grpc;

/// How long it must be quiet before a burst of events counts as over.
const QUIET: Duration = Duration::from_millis(100);
/// How many quiet periods are waited for at most: a directory that is never quiet is read all the same.
const QUIET_MAX: u32 = 2;

/// A watch on a directory, on its sub-folders, and on every link that leads to it.
#[derive(Debug)]
pub struct Watch {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    signal: Arc<Signal>,
    watcher: Mutex<Option<RecommendedWatcher>>,
    /// The last attempt to watch failed, and a log line reported it.
    failing: AtomicBool,
    /// Some namespace's folder cannot be watched, and a log line reported it.
    partly: AtomicBool,
}

#[derive(Debug, Default)]
struct Signal {
    dirty: AtomicBool,
    /// Names changed, so that some paths may lead to other folders than the watched ones.
    stale: AtomicBool,
    notify: tokio::sync::Notify,
}

impl Watch {
    /// A watch on `root`; nothing is watched before the first [`Watch::changed`].
    #[must_use]
    pub fn new(root: &Path) -> Self {
        let signal = Arc::new(Signal::default());
        // The first call returns at once, after arming: what changed before that must be read.
        signal.stale.store(true, Ordering::SeqCst);
        signal.dirty.store(true, Ordering::SeqCst);
        Self {
            inner: Arc::new(Inner {
                root: root.to_owned(),
                signal,
                watcher: Mutex::new(None),
                failing: AtomicBool::new(false),
                partly: AtomicBool::new(false),
            }),
        }
    }

    /// Waits until something changed and it is quiet again (100 to 200 ms). May be dropped at any time.
    pub async fn changed(&self) {
        let signal = &self.inner.signal;
        if self.inner.lost() && !self.arm().await {
            // Nothing is watched: the poll has to do, and calls again.
            std::future::pending::<()>().await;
        }
        while !signal.dirty.load(Ordering::SeqCst) {
            signal.notify.notified().await;
        }
        // By the clock, and not by the events: a burst of three would end it at once.
        let until = Instant::now() + QUIET * QUIET_MAX;
        while Instant::now() < until {
            let pause = until.min(Instant::now() + QUIET);
            if tokio::time::timeout_at(pause, signal.notify.notified()).await.is_err() {
                break;
            }
        }
        // Armed before the caller reads: what changes from here on is the next hint. Until then the hint is
        // not given, so whoever drops this meanwhile gets it again.
        signal.dirty.store(false, Ordering::SeqCst);
        if signal.stale.swap(false, Ordering::SeqCst) {
            let owed = Owed(signal);
            self.arm().await;
            std::mem::forget(owed);
        }
    }

    /// Watches everything anew; false where nothing can be watched.
    async fn arm(&self) -> bool {
        let inner = self.inner.clone();
        tokio::task::spawn_blocking(move || inner.arm()).await.unwrap_or(false)
    }
}

/// A hint that was taken and not given yet; dropping it puts the hint back.
struct Owed<'a>(&'a Signal);

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        self.0.stale.store(true, Ordering::SeqCst);
        self.0.dirty.store(true, Ordering::SeqCst);
    }
}

impl Inner {
    fn lost(&self) -> bool {
        self.watcher.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn arm(&self) -> bool {
        // A new watcher, not new watches: a path that now leads to another folder keeps its old watch.
        let armed = self.watcher_over(Places::of(&self.root));
        match &armed {
            Ok(_) if self.failing.swap(false, Ordering::SeqCst) => {
                tracing::info!("watching the policy directory works again")
            }
            Err(error) if !self.failing.swap(true, Ordering::SeqCst) => {
                tracing::warn!("could not watch the policy directory, polling finds its changes: {error}");
            }
            Ok(_) | Err(_) => {}
        }
        let is_armed = armed.is_ok();
        let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        // What went wrong was logged above.
        *watcher = armed.into_iter().next();
        is_armed
    }

    fn watcher_over(&self, places: Places) -> notify::Result<RecommendedWatcher> {
        let signal = self.signal.clone();
        let (platform, namespaces) = places.folders();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // An error (a full queue) means lost events, which is a reason to look.
            let (counts, is_stale) = event.map_or((true, true), |event| {
                (is_change(event.kind) && places.concern(&event.paths), !is_in_a_file(event.kind))
            });
            if counts {
                signal.stale.fetch_or(is_stale, Ordering::SeqCst);
                signal.dirty.store(true, Ordering::SeqCst);
                signal.notify.notify_one();
            }
        })?;
        let mut watched = false;
        let mut failed = None;
        for folder in &platform {
            maybe_yield();
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => watched = true,
                // A folder may vanish between listing and watching; any other failure loses events.
                Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound) => {}
                Err(error) => failed = Some(error),
            }
        }
        // One that cannot be watched is found by the poll, and takes no event from the others.
        let mut unwatched = None;
        for folder in &namespaces {
            maybe_yield();
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => watched = true,
                Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound) => {}
                Err(error) => unwatched = Some((folder, error)),
            }
        }
        let was_said = self.partly.swap(unwatched.is_some(), Ordering::SeqCst);
        if let (Some((folder, error)), false) = (unwatched, was_said) {
            let folder = folder.display();
            tracing::warn!("could not watch `{folder}`, polling finds its changes: {error}");
        }
        match failed {
            Some(error) => Err(error),
            None if watched => Ok(watcher),
            None => Err(notify::Error::path_not_found()),
        }
    }
}

/// Our own reading opens and closes files, which must not look like a change.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}

/// No name leads elsewhere after this.
fn is_in_a_file(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(AccessKind::Close(AccessMode::Write)) | EventKind::Modify(ModifyKind::Data(_)))
}

/// Most links that are followed on the way to the tree.
const LINKS_MAX: usize = 32;

/// Where an event may mean a change.
#[derive(Debug, Default)]
struct Places {
    /// The platform's own folders: everything in them counts.
    tree: BTreeSet<PathBuf>,
    /// The namespaces' folders; everything in them counts as well.
    namespaces: BTreeSet<PathBuf>,
    /// Names around the tree: the directory itself, or where it will appear, and every link on the way. What
    /// else lies beside them does not count: a log may be written there all the time.
    around: BTreeSet<PathBuf>,
}

impl Places {
    fn of(root: &Path) -> Self {
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        let mut places = Self::default();
        let mut paths = vec![root.clone()];
        // Links lead to further paths, each of which may vanish and return; a circle ends after as many.
        for _ in 0..LINKS_MAX {
            let Some(path) = paths.pop() else { break };
            // The nearest step that is missing, or the path itself: it appears in a folder that exists.
            let appears = path.ancestors().find(|step| step.parent().is_some_and(Path::is_dir));
            places.around.extend(appears.map(Path::to_owned));
            for link in path.ancestors().filter(|step| step.is_symlink()) {
                places.around.insert(link.to_owned());
                let target = std::fs::read_link(link).map(|target| link.parent().unwrap_or(link).join(target));
                paths.extend(target);
            }
        }
        tree_folders(&root, &mut places);
        places
    }

    /// The folders to watch: the platform's, and the namespaces'.
    fn folders(&self) -> (BTreeSet<PathBuf>, BTreeSet<PathBuf>) {
        let around = self.around.iter().filter_map(|name| name.parent()).map(Path::to_owned);
        (self.tree.iter().cloned().chain(around).collect(), self.namespaces.clone())
    }

    /// Whether an event about these paths counts; one about none stands for any number of them.
    fn concern(&self, paths: &[PathBuf]) -> bool {
        let is_ours = |path: &Path| self.tree.contains(path) || self.namespaces.contains(path);
        let counts = |path: &PathBuf| self.around.contains(path) || is_ours(path) || path.parent().is_some_and(is_ours);
        paths.is_empty() || paths.iter().any(counts)
    }
}

fn tree_folders(root: &Path, places: &mut Places) {
    let Ok(home) = root.canonicalize() else { return };
    // A volume has its links in the folder, its files behind `..data`; a swap shows in the folder.
    let with_data = |folder: PathBuf| [folder.join("..data"), folder].into_iter().filter(|path| path.is_dir());
    for top in with_data(root.to_owned()) {
        for inner in [super::PLATFORM, grpc::FOLDER] {
            places.tree.extend(with_data(top.join(inner)));
        }
        for namespaces in with_data(top.join("namespaces")) {
            for entry in std::fs::read_dir(&namespaces).into_iter().flatten().flatten() {
                maybe_yield();
                // A namespace's own link could lead anywhere, to where much is written all the time.
                let is_inside = |path: &PathBuf| path.canonicalize().is_ok_and(|path| path.starts_with(&home));
                places.namespaces.extend(with_data(entry.path()).filter(is_inside));
            }
            places.tree.insert(namespaces);
        }
        places.tree.insert(top);
    }
}

#[cfg(test)]
mod tests;
