//! Whether many policies speak of one call, so that others should not wait behind its judging.

use std::sync::atomic::{AtomicBool, Ordering};

/// More candidates of one query than this take longer than all else that is done for a call.
const CROWD: usize = 24;

/// Whether a unit was ever seen to have a crowd.
#[derive(Debug, Default)]
pub(in crate::decision) struct Crowd(AtomicBool);

impl Crowd {
    /// Takes note of a query with so many candidates.
    pub fn met(&self, candidates: usize) {
        if candidates > CROWD && !self.was_met() {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Whether there was one with many.
    pub fn was_met(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
