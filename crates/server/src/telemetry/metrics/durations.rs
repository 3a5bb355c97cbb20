//! Durations of calls, counted without a shared lock.
//!
//! Knows: bounds and counters. Must not know: the exposition format.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Distribution;

/// Upper bounds of all buckets but the last, inclusive: most decisions take some 10 µs, Envoy's default timeout is 200 ms.
const BOUNDS: [Duration; 15] = {
    const fn us(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }
    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }
    [
        us(25),
        us(50),
        us(100),
        us(250),
        us(500),
        ms(1),
        us(2500),
        ms(5),
        ms(10),
        ms(25),
        ms(50),
        ms(100),
        ms(250),
        ms(500),
        ms(1000),
    ]
};

/// Counters of the buckets. One call may be in its bucket and not yet in the sum, or the other way round.
#[derive(Debug, Default)]
pub(super) struct Durations {
    /// By bucket, not cumulative; what is beyond all bounds comes last.
    counts: [AtomicU64; BOUNDS.len() + 1],
    /// Of all calls, in nanoseconds; the sum wraps after 584 years.
    nanos: AtomicU64,
}

impl Durations {
    /// Counts one call.
    pub fn observe(&self, elapsed: Duration) {
        let at = BOUNDS.partition_point(|bound| *bound < elapsed);
        if let Some(count) = self.counts.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// All calls so far, in seconds.
    pub fn read(&self) -> Distribution {
        let bounds = BOUNDS.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let sum = Duration::from_nanos(self.nanos.load(Ordering::Relaxed)).as_secs_f64();
        Distribution { sum, buckets: bounds.zip(counts).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_in_the_first_bucket_with_a_bound_not_below_it() {
        let durations = Durations::default();
        for nanos in [0, 25_000, 25_001, 1_000_000_000, 1_000_000_001] {
            durations.observe(Duration::from_nanos(nanos));
        }
        let Distribution { sum, buckets } = durations.read();
        let filled: Vec<(f64, u64)> = buckets.iter().copied().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(0.000_025, 2), (0.000_05, 1), (1.0, 1), (f64::INFINITY, 1)]);
        assert_eq!(buckets.len(), 16);
        assert!(buckets.is_sorted_by(|one, next| one.0 < next.0));
        assert!((sum - 2.000_050_002).abs() < 1e-12, "{sum}");
    }
}
