//! Counters of the ext_proc service.
//!
//! Knows: what is counted. Must not know: who reads them.

use std::sync::atomic::{AtomicU64, Ordering};

/// The service's own counters; read at every scrape.
#[derive(Debug, Default)]
pub struct ProcessorStats {
    pub(super) panics: AtomicU64,
    pub(super) sheds: AtomicU64,
    pub(super) unfit_modes: AtomicU64,
    pub(super) unfinished: AtomicU64,
    pub(super) masked_requests: AtomicU64,
    pub(super) refused_requests: AtomicU64,
}

impl ProcessorStats {
    /// Panics caught; every one is a defect.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Responses refused because too many were processed, or too many bytes were held.
    #[must_use]
    pub fn sheds(&self) -> u64 {
        self.sheds.load(Ordering::Relaxed)
    }

    /// Calls refused because the filter's mode does not hand over the complete response.
    #[must_use]
    pub fn unfit_modes(&self) -> u64 {
        self.unfit_modes.load(Ordering::Relaxed)
    }

    /// Streams that ended with an error: the proxy gave the response up, or sent messages in no order.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        self.unfinished.load(Ordering::Relaxed)
    }

    /// Requests that left masked.
    #[must_use]
    pub fn masked_requests(&self) -> u64 {
        self.masked_requests.load(Ordering::Relaxed)
    }

    /// Requests that had to be masked and did not leave.
    #[must_use]
    pub fn refused_requests(&self) -> u64 {
        self.refused_requests.load(Ordering::Relaxed)
    }
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
