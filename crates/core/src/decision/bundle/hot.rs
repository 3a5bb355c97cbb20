//! Marks a bundle as hot when very many of its policies can apply to one call.

use std::sync::atomic::{AtomicBool, Ordering};

/// More candidates of one query than this take longer than all else that is done for a call.
const HOT_CANDIDATES: usize = 24;

/// Whether a bundle ever had very many candidates for one query.
#[derive(Debug, Default)]
pub(in crate::decision) struct Hot(AtomicBool);

impl Hot {
    /// Takes note of a query with so many candidates.
    pub fn met(&self, candidates: usize) {
        if candidates > HOT_CANDIDATES && !self.was_met() {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Whether there was one with many.
    pub fn was_met(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
