//! Counts of connections and of the reasons why they ended, for the metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Closed {
    /// The peer ended it gracefully.
    Peer,
    /// It failed, or the peer did not send HTTP/2.
    Protocol,
    /// The peer sent nothing, or not enough, in time.
    Silent,
    /// The TLS handshake failed.
    Handshake,
    /// The peer's certificate is valid, and names a workload that may not connect.
    Refused,
    /// There were too many connections.
    Limit,
    /// It reached its maximum age.
    Age,
    /// The server drained.
    Drain,
    /// It was aborted at the deadline of a drain.
    Aborted,
}

impl Closed {
    /// All reasons.
    pub const ALL: [Self; 9] = [
        Self::Peer,
        Self::Protocol,
        Self::Silent,
        Self::Handshake,
        Self::Refused,
        Self::Limit,
        Self::Age,
        Self::Drain,
        Self::Aborted,
    ];

    /// The value of the metrics' label `reason`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Protocol => "protocol",
            Self::Silent => "silent",
            Self::Handshake => "handshake",
            Self::Refused => "refused",
            Self::Limit => "limit",
            Self::Age => "age",
            Self::Drain => "drain",
            Self::Aborted => "aborted",
        }
    }
}

/// Counts of connections; shared between the listeners and the metrics.
#[derive(Debug, Default)]
pub struct ConnStats {
    open: AtomicU64,
    accept_errors: AtomicU64,
    closed: [AtomicU64; Closed::ALL.len()],
}

impl ConnStats {
    /// Connections open now.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Accepts that failed since the start.
    #[must_use]
    pub fn accept_errors(&self) -> u64 {
        self.accept_errors.load(Ordering::Relaxed)
    }

    /// Connections that ended for `reason` since the start.
    #[must_use]
    pub fn closed(&self, reason: Closed) -> u64 {
        self.closed.get(reason as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    pub(super) fn accept_failed(&self) {
        self.accept_errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn opened(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open { stats: Arc::clone(self), reason: Closed::Aborted }
    }
}

/// One open connection. Counts its end exactly once, also if its task panics.
#[derive(Debug)]
pub(super) struct Open {
    stats: Arc<ConnStats>,
    reason: Closed,
}

impl Open {
    pub(super) fn close(mut self, reason: Closed) {
        self.reason = reason;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.stats.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(count) = self.stats.closed.get(self.reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}
