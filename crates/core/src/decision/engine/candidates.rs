//! A histogram of the number of candidate policies per decision.
//!
//! Knows: numbers. Must not know: who reads them, or how they are shown.

use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of the buckets, inclusive, ascending; a last bucket takes what is above.
pub const BOUNDS: [u64; 11] = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 1024];

/// Candidate policies per decision, including those in shadow mode.
#[derive(Debug, Default)]
pub struct Candidates {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum: AtomicU64,
}

impl Candidates {
    /// Counts one decision.
    pub(in crate::decision) fn observe(&self, candidates: usize) {
        let candidates = u64::try_from(candidates).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < candidates);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(candidates, Ordering::Relaxed);
    }

    /// Decisions in each bucket, in the order of [`BOUNDS`], then those above; not cumulative.
    #[must_use]
    pub fn counts(&self) -> [u64; BOUNDS.len() + 1] {
        self.buckets.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    /// Candidates of all decisions together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_own_bucket_and_nothing_is_lost_above_the_last() {
        let counted = Candidates::default();
        for number in [0, 1, 2, 3, 4, 5, 256, 257, 1024, 1025, usize::MAX] {
            counted.observe(number);
        }
        assert_eq!(counted.counts(), [1, 1, 1, 2, 1, 0, 0, 0, 0, 1, 2, 2]);
    }
}
