//! Reads a policy directory: a folder, a link to one, or a Kubernetes volume.
//!
//! Knows: which units hold still from one reading to the next. Must not know: the file system; `read` does. Cedar, snapshots.
//!
//! Writers that do not swap are noticed by reading twice. Each unit is judged by itself: it counts as steady where two readings
//! agree in contents, times and inodes, or where it holds what it last held when it was steady. A unit that is not steady is
//! withheld, and keeps nobody else's news back.

mod budget;
mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::watch::Watch;
use super::{PLATFORM, PolicySource, Reading, Settings};
use budget::Limits;
pub use budget::{ENTRIES_MAX, NAMESPACE_BYTES_MAX, NAMESPACE_ENTRIES_MAX, NAMESPACE_POLICIES_MAX, TREE_BYTES_MAX};
use picket_core::problem::Problem;
use read::Units;
pub use read::{POLICY_FILE_BYTES_MAX, WHOLE_FILE_BYTES_MAX};

/// How long two readings that must agree lie apart.
const PAUSE: Duration = Duration::from_millis(100);
/// How often a directory is read before what does not hold still is withheld for now. With the watch's quiet period it must
/// stay well below the second within which a change of the mesh is promised.
const READINGS_MAX: usize = 3;

/// A policy directory and the watch on it.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    watch: Watch,
    /// Digest of each unit when it was last steady: seen again, it needs no second look.
    steady: Mutex<BTreeMap<String, String>>,
}

impl Directory {
    /// Reads the directory that the settings name.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self { root: settings.dir.clone(), watch: Watch::new(&settings.dir), steady: Mutex::default() }
    }

    async fn read_once(&self) -> Result<Units, Vec<Problem>> {
        let root = self.root.clone();
        match tokio::task::spawn_blocking(move || read::units(&root, Limits::default())).await {
            Ok(result) => result,
            Err(_) => Err(vec![Problem::error("", "reading the policy directory was interrupted")]),
        }
    }

    async fn read_steady(&self) -> Result<Reading, Vec<Problem>> {
        let mut before = None;
        for left in (0..READINGS_MAX).rev() {
            match self.read_once().await {
                Ok(units) => {
                    let digests = digests(&units);
                    let moving = moving(&units, &digests, before.as_ref(), &lock(&self.steady));
                    if moving.is_empty() || left == 0 {
                        remember(&mut lock(&self.steady), digests, &moving);
                        return Ok(steady(units, moving));
                    }
                    before = Some(units);
                }
                Err(problems) if left == 0 => return Err(problems),
                Err(_) => before = None,
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(vec![Problem::error("", "the policy directory was not read")])
    }
}

impl PolicySource for Directory {
    fn read(&self) -> BoxFuture<'_, Result<Reading, Vec<Problem>>> {
        self.read_steady().boxed()
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        self.watch.changed().boxed()
    }
}

/// Reads a policy directory once.
///
/// # Errors
/// The directory itself cannot be read.
pub fn read(root: &Path) -> Result<Reading, Vec<Problem>> {
    Ok(steady(read::units(root, Limits::default())?, BTreeSet::new()))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn digests(units: &Units) -> BTreeMap<String, String> {
    units.iter().map(|(name, unit)| (name.clone(), unit.digest())).collect()
}

/// Units that are neither as they last were when steady, nor as they were in the reading before. One that is gone, or
/// has just come, is looked at twice as any other.
fn moving(
    now: &Units,
    digests: &BTreeMap<String, String>,
    before: Option<&Units>,
    steady: &BTreeMap<String, String>,
) -> BTreeSet<String> {
    let names: BTreeSet<&String> =
        now.keys().chain(before.into_iter().flat_map(Units::keys)).chain(steady.keys()).collect();
    let holds_still = |name: &String| {
        digests.get(name) == steady.get(name) || before.is_some_and(|before| before.get(name) == now.get(name))
    };
    names.into_iter().filter(|name| !holds_still(name)).cloned().collect()
}

fn remember(steady: &mut BTreeMap<String, String>, digests: BTreeMap<String, String>, moving: &BTreeSet<String>) {
    steady.retain(|name, _| moving.contains(name) || digests.contains_key(name));
    steady.extend(digests.into_iter().filter(|(name, _)| !moving.contains(name)));
}

/// The units together, those that do not hold still withheld.
fn steady(units: Units, moving: BTreeSet<String>) -> Reading {
    let mut reading = Reading::default();
    for (name, unit) in units.into_iter().filter(|(name, _)| !moving.contains(name)) {
        // A unit is read whole or not at all; what was read of a withheld one is dropped.
        if unit.problems.is_empty() {
            reading.tree.files.extend(unit.files);
            reading.tree.folders.extend(unit.folders);
        } else {
            reading.withheld.insert(name, unit.problems);
        }
    }
    for name in &moving {
        reading.withheld.insert(name.clone(), vec![still_changing(name)]);
    }
    reading.changing = moving;
    reading
}

fn still_changing(unit: &str) -> Problem {
    let (file, what) = match unit {
        PLATFORM => (String::new(), "the policy directory".to_owned()),
        namespace => (format!("namespaces/{namespace}"), format!("the folder of namespace `{namespace}`")),
    };
    Problem::error(file, format!("{what} is still changing"))
        .help("publish by swapping a symbolic link or renaming a folder; it is read again shortly")
}

#[cfg(test)]
mod tests;
