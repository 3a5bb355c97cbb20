//! Counters of one key set's fetches, for the metrics.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Counters of one issuer. Read at any time, from anywhere.
#[derive(Debug, Default)]
pub struct Stats {
    succeeded: AtomicU64,
    failed: AtomicU64,
    keys: AtomicU64,
    last_success: AtomicI64,
}

impl Stats {
    /// Fetches that brought a usable key set.
    pub fn fetches_succeeded(&self) -> u64 {
        self.succeeded.load(Ordering::Relaxed)
    }

    /// Fetches that did not.
    pub fn fetches_failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Usable keys in force; 0 until the first success.
    pub fn keys(&self) -> u64 {
        self.keys.load(Ordering::Relaxed)
    }

    /// When the last good fetch ended, in seconds since the Unix epoch; `None` before the first.
    pub fn last_success_seconds(&self) -> Option<i64> {
        match self.last_success.load(Ordering::Relaxed) {
            0 => None,
            seconds => Some(seconds),
        }
    }

    pub(super) fn succeeded(&self, keys: usize) {
        self.succeeded.fetch_add(1, Ordering::Relaxed);
        self.keys.store(u64::try_from(keys).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.last_success.store(jiff::Timestamp::now().as_second(), Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}
