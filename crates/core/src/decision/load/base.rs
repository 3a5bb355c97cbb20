//! The snapshot a load starts from, and the time limit for each namespace.
//!
//! Knows: earlier snapshots. Must not know: clocks; whoever loads has one.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::decision::snapshot::{Part, Platform, Snapshot};

/// What waits while a namespace is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stakes {
    /// The first snapshot: nothing is in force yet.
    Start,
    /// Everybody's next snapshot. Without its namespace loaded, that namespace's calls are denied for now: what its policies
    /// are checked against is new.
    Denial,
    /// Everybody's next snapshot. The namespace keeps the version it has for now.
    Delay,
}

/// What becomes of the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It comes into force.
    Force,
    /// The next one takes a namespace from it.
    Donor,
}

/// Says whether time is up.
pub type Late = Box<dyn Fn() -> bool>;

/// What a load builds on.
pub struct Base<'a> {
    /// The snapshot in force.
    pub previous: Option<&'a Arc<Snapshot>>,
    /// Snapshots that took too long to be waited for, and are there now: the next one takes from them what fits.
    pub donors: &'a [Arc<Snapshot>],
    /// What becomes of the snapshot.
    pub purpose: Purpose,
    /// Called with its name when a namespace is begun; says from then on whether it takes too long.
    pub begin: &'a dyn Fn(&str, Stakes) -> Late,
    /// Called between two policies and between two namespaces, so that whoever loads can let calls run first.
    pub pause: fn(),
}

impl<'a> Base<'a> {
    /// Builds on a snapshot, and takes as long as it takes.
    #[must_use]
    pub fn patient(previous: Option<&'a Arc<Snapshot>>) -> Self {
        Self { previous, donors: &[], purpose: Purpose::Force, begin: &|_, _| Box::new(|| false), pause: || {} }
    }

    /// The versions of a namespace that were loaded on this platform's ground, the one in force first.
    pub(super) fn versions<'b>(&'b self, name: &'b str, platform: &'b Platform) -> impl Iterator<Item = &'b Part> {
        let known = self.previous.into_iter().chain(self.donors);
        let on_this_ground = known.filter(move |known| known.platform().ground == platform.ground);
        on_this_ground.filter_map(move |known| known.parts().get(name))
    }

    /// The version in force, on whatever ground.
    pub(super) fn in_force(&self, name: &str) -> Option<&'a Part> {
        self.previous.map(|snapshot| snapshot.parts()).and_then(|parts: &BTreeMap<String, Part>| parts.get(name))
    }

    /// What waits for a namespace on this platform's ground.
    pub(super) fn stakes(&self, platform: &Platform) -> Stakes {
        match self.previous {
            None => Stakes::Start,
            Some(previous) if previous.platform().ground == platform.ground => Stakes::Delay,
            Some(_) => Stakes::Denial,
        }
    }
}
