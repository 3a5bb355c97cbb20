//! Records of which services the requests reached a processor that can mask them.
//!
//! Knows: listeners, services, times. Must not know: clocks, the proxy's protocol.
//!
//! An operator promises in a profile that a processor reads requests. The promise counts for a service once a stream proved
//! it, and for a limited time: without a processor a request that is to be masked would reach its service as it came. The
//! records are in memory, so each process needs streams of its own.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use smol_str::SmolStr;

use picket_core::call::UnixMillis;

/// How long a stream proves the promise, in milliseconds: ten minutes.
const PROOF_MILLIS: u64 = 600_000;

/// The last stream of each service on each listener.
#[derive(Debug)]
pub struct RequestStreams(Seen);

#[derive(Debug)]
enum Seen {
    /// There are no streams, and the promise counts: offline.
    Assumed,
    /// Names of services come from sealed records, so the catalogue limits their number.
    Last(Mutex<HashMap<(SmolStr, SmolStr), UnixMillis>>),
}

impl Default for RequestStreams {
    /// No stream was seen.
    fn default() -> Self {
        Self(Seen::Last(Mutex::default()))
    }
}

impl RequestStreams {
    /// Counts every promise, for evaluations that no request follows.
    #[must_use]
    pub fn assumed() -> Self {
        Self(Seen::Assumed)
    }

    /// Records a stream that handed over a complete request to a service.
    pub fn record(&self, listener: &str, service: &str, at: UnixMillis) {
        match &self.0 {
            Seen::Assumed => {}
            Seen::Last(last) => {
                let key = (listener.into(), service.into());
                last.lock().unwrap_or_else(PoisonError::into_inner).insert(key, at);
            }
        }
    }

    /// Returns whether such a stream was recorded within ten minutes.
    #[must_use]
    pub fn is_recent(&self, listener: &str, service: &str, now: UnixMillis) -> bool {
        match &self.0 {
            Seen::Assumed => true,
            Seen::Last(last) => {
                let last = last.lock().unwrap_or_else(PoisonError::into_inner);
                let at = last.get(&(listener.into(), service.into()));
                at.is_some_and(|at| at.0.abs_diff(now.0) <= PROOF_MILLIS)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_proves_the_promise_of_its_service_and_listener_for_ten_minutes() {
        let streams = RequestStreams::default();
        streams.record("mesh", "shop/api", UnixMillis(1_000_000));
        let is_recent = |listener, service, at| streams.is_recent(listener, service, UnixMillis(at));
        assert!(is_recent("mesh", "shop/api", 1_000_000) && is_recent("mesh", "shop/api", 1_600_000));
        assert!(!is_recent("mesh", "shop/api", 1_600_001));
        // A clock that was set back proves nothing.
        assert!(!is_recent("mesh", "shop/api", 399_999));
        assert!(!is_recent("edge", "shop/api", 1_000_000) && !is_recent("mesh", "shop/other", 1_000_000));
        assert!(RequestStreams::assumed().is_recent("mesh", "shop/api", UnixMillis(0)));
    }
}
