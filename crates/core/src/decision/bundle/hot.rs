//! Marks a bundle as hot when very many of its policies can apply to one call.

use std::sync::atomic::{AtomicBool, Ordering};

/// With more candidates than this, a query takes longer than all other steps of a call.
const HOT_CANDIDATES: usize = 24;

/// Set once the bundle had very many candidates for one query.
#[derive(Debug, Default)]
pub(in crate::decision) struct Hot(AtomicBool);

impl Hot {
    /// Records a query with so many candidates.
    pub fn observe(&self, candidates: usize) {
        if candidates > HOT_CANDIDATES && !self.is_hot() {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Returns whether a query had very many.
    pub fn is_hot(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
