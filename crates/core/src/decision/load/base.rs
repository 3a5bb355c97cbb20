//! The snapshot a load starts from, and the time limit for each namespace.
//!
//! Knows: earlier snapshots. Must not know: clocks; the caller has one.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::decision::snapshot::{NamespaceVersion, Platform, Snapshot};

/// The part that waits while a namespace is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stakes {
    /// The first snapshot: no policies are active yet.
    Start,
    /// The next snapshot of all units. Until its namespace is loaded, that namespace's calls are denied, because its
    /// active version was checked against an older platform.
    Denial,
    /// The next snapshot of all units. The namespace keeps its active version for now.
    Delay,
}

/// The use of the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It becomes the active one.
    Activate,
    /// The next load takes a namespace from it.
    Donor,
}

/// Returns whether time is up.
pub type Late = Box<dyn Fn() -> bool>;

/// The base of a load.
pub struct Base<'a> {
    /// The active snapshot.
    pub previous: Option<&'a Arc<Snapshot>>,
    /// Snapshots that took too long to wait for and are now ready: the next load takes matching parts from them.
    pub donors: &'a [Arc<Snapshot>],
    /// The use of the snapshot.
    pub purpose: Purpose,
    /// Called with its name when a namespace is started; the returned function says whether it takes too long.
    pub begin: &'a dyn Fn(&str, Stakes) -> Late,
    /// Called between two policies and between two namespaces, so that whoever loads can let calls run first.
    pub pause: fn(),
}

impl<'a> Base<'a> {
    /// Builds on a snapshot, without a time limit.
    #[must_use]
    pub fn patient(previous: Option<&'a Arc<Snapshot>>) -> Self {
        Self { previous, donors: &[], purpose: Purpose::Activate, begin: &|_, _| Box::new(|| false), pause: || {} }
    }

    /// The versions of a namespace that were loaded under an equal platform, the active one first.
    pub(super) fn versions<'b>(
        &'b self,
        name: &'b str,
        platform: &'b Platform,
    ) -> impl Iterator<Item = &'b NamespaceVersion> {
        let known = self.previous.into_iter().chain(self.donors);
        let fits_platform = known.filter(move |known| known.platform().validation_digest == platform.validation_digest);
        fits_platform.filter_map(move |known| known.parts().get(name))
    }

    /// The active version, under any platform.
    pub(super) fn active(&self, name: &str) -> Option<&'a NamespaceVersion> {
        self.previous
            .map(|snapshot| snapshot.parts())
            .and_then(|parts: &BTreeMap<String, NamespaceVersion>| parts.get(name))
    }

    /// The part that waits for a namespace under this platform.
    pub(super) fn stakes(&self, platform: &Platform) -> Stakes {
        match self.previous {
            None => Stakes::Start,
            Some(previous) if previous.platform().validation_digest == platform.validation_digest => Stakes::Delay,
            Some(_) => Stakes::Denial,
        }
    }
}
