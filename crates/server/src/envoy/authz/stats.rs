//! Counters of the service.
//!
//! Knows: what is counted. Must not know: who reads them.

use std::sync::atomic::{AtomicU64, Ordering};

/// The service's own counters; read at every scrape.
#[derive(Debug, Default)]
pub struct Stats {
    pub(super) panics: AtomicU64,
    pub(super) sheds: AtomicU64,
    pub(super) abandoned: AtomicU64,
}

impl Stats {
    /// Panics caught; every one is a defect.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Checks denied because too many were in flight.
    #[must_use]
    pub fn sheds(&self) -> u64 {
        self.sheds.load(Ordering::Relaxed)
    }

    /// Checks that the proxy abandoned before the answer; they are not observed.
    #[must_use]
    pub fn abandoned(&self) -> u64 {
        self.abandoned.load(Ordering::Relaxed)
    }
}

/// Counts a check whose future is dropped before the answer: the proxy gave up on it.
pub(super) struct Abandoned<'a> {
    /// `None` once the check is answered.
    pub stats: Option<&'a Stats>,
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if let Some(stats) = self.stats {
            stats.abandoned.fetch_add(1, Ordering::Relaxed);
        }
    }
}
