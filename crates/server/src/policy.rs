//! The PRP: fetches the policies, and holds the active snapshot.
//!
//! Knows: files and their units, when to read them again, the last good snapshot.
//! Must not know: what a policy means; a [`Loader`] makes the snapshot, nobody here evaluates.
//!
//! A bad update never opens anything. It is refused by unit: the platform's files (`mesh`) are one, each namespace is
//! another, and a refused unit keeps the version it had. A namespace that a good update of the platform leaves without
//! a version that fits is denied. Whatever a namespace does, the others' updates come into force.

pub mod directory;
pub mod layout;
pub mod parts;
mod slow;
pub mod status;
pub mod store;
pub mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};

use crate::cooperative::maybe_yield;
pub use directory::Directory;
use picket_core::decision::load::Base;
use picket_core::decision::snapshot::{Loaded, Tree};
use picket_core::problem::Problem;
use picket_core::setting::{CheckSettings, SettingProblem};
pub use status::Status;
pub use store::Store;

/// The unit of `mesh/`, schema, facts, catalogue, entities and manifest: refused or accepted as one.
pub const PLATFORM: &str = picket_core::catalog::MESH;

/// Where policies are read from, and how often; section `policies`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The policy directory: a plain folder, a symbolic link to one (swap the link to publish), or a
    /// ConfigMap or projected volume. Default `policies`, relative to the working directory.
    pub dir: PathBuf,
    /// How often the files are compared with the active ones, in addition to the watch for changes, which
    /// normally notices within a second. Default 5s; at least 100ms. Units: `ms`, `s`, `m`.
    #[serde(with = "humantime_serde")]
    pub poll: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { dir: PathBuf::from("policies"), poll: Duration::from_secs(5) }
    }
}

impl Settings {
    /// Settings for a directory, the rest by default.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), ..Self::default() }
    }
}

impl CheckSettings for Settings {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { dir, poll } = self;
        let mut found = Vec::new();
        if dir.as_os_str().is_empty() {
            found.push(SettingProblem::error("dir", "is empty; name the policy directory"));
        }
        if *poll < Duration::from_millis(100) {
            let message = format!("`{}` is too short; give at least 100ms", humantime::format_duration(*poll));
            found.push(SettingProblem::error("poll", message));
        }
        found
    }
}

/// Makes a snapshot of a tree; what is bad keeps its version of the snapshot in force.
pub type Loader = Arc<dyn Fn(&Tree, &Base<'_>) -> Loaded + Send + Sync>;

/// One complete, stable reading of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Every file of the units that could be read.
    pub tree: Tree,
    /// Units that could not be read, and why: [`PLATFORM`] or a namespace's name. Their files are not in `tree`.
    pub withheld: BTreeMap<String, Vec<Problem>>,
    /// Those of them that did not hold still: they are worth another reading soon.
    pub changing: BTreeSet<String>,
}

impl Reading {
    /// Hex SHA-256 over names, contents and what could not be read: equal digests, equal readings.
    #[must_use]
    pub fn digest(&self) -> String {
        let withheld = self.withheld.iter().map(|(unit, problems)| (unit.as_str(), problems.as_slice()));
        digest(&self.tree.folders, &self.tree.files, withheld)
    }
}

fn digest<'a>(
    folders: &BTreeSet<String>,
    files: &BTreeMap<String, Arc<str>>,
    withheld: impl IntoIterator<Item = (&'a str, &'a [Problem])>,
) -> String {
    let mut hash = Sha256::new();
    let mut add = |tag: &str, text: &str| {
        hash.update(tag.as_bytes());
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    };
    for folder in folders {
        add("folder", folder);
    }
    for (path, text) in files {
        maybe_yield();
        add("path", path);
        add("text", text);
    }
    for (unit, problems) in withheld {
        add("withheld", unit);
        problems.iter().for_each(|problem| add("problem", &problem.to_string()));
    }
    hex::encode(hash.finalize())
}

/// A place that policies are read from.
pub trait PolicySource: Send + Sync {
    /// Reads everything, from one moment: never a mixture of two versions.
    ///
    /// # Errors
    /// Nothing can be read. What ails one unit only is in [`Reading::withheld`] instead.
    fn read(&self) -> BoxFuture<'_, Result<Reading, Vec<Problem>>>;

    /// Waits for a hint that something may have changed. A hint may be false and may be missed; callers
    /// poll as well. May be dropped and called again at any time.
    fn changed(&self) -> BoxFuture<'_, ()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_shorter_than_100_ms_is_a_problem() {
        let mut settings = Settings::new("/policies");
        assert_eq!(settings.problems(), []);
        settings.poll = Duration::from_millis(99);
        assert_eq!(settings.problems().len(), 1);
    }

    #[test]
    fn readings_that_differ_in_where_a_text_ends_have_different_digests() {
        let reading = |files: &[(&str, &str)]| Reading {
            tree: Tree {
                files: files.iter().map(|(p, t)| ((*p).to_owned(), (*t).into())).collect(),
                ..Tree::default()
            },
            ..Reading::default()
        };
        let digests = [
            reading(&[]),
            reading(&[("mesh/a.cedar", "bc")]),
            reading(&[("mesh/a.cedar", "b")]),
            reading(&[("mesh/a.cedar", "b"), ("mesh/c.cedar", "")]),
        ]
        .map(|reading| reading.digest());
        for (index, digest) in digests.iter().enumerate() {
            assert!(!digests[..index].contains(digest), "reading {index} shares its digest with an earlier one");
        }
    }
}
