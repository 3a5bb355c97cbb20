//! Readiness: whether clients should send calls to this server.
//!
//! Knows: whether the services are ready and whether the server drains. Must not know: what the services need.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The readiness of what a server serves.
pub trait Readiness: Send + Sync {
    /// Returns whether the services can answer. The server calls it often; it must not block.
    fn is_ready(&self) -> bool;
}

/// The health of the server, shared by everyone who reports it.
#[derive(Clone)]
pub struct Health {
    services: Arc<dyn Readiness>,
    draining: Arc<AtomicBool>,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Health").field("draining", &self.draining()).finish_non_exhaustive()
    }
}

impl Health {
    /// The health of a server of `services` that does not drain.
    #[must_use]
    pub fn new(services: Arc<dyn Readiness>) -> Self {
        Self { services, draining: Arc::default() }
    }

    /// Returns whether clients should send calls here.
    #[must_use]
    pub fn ready(&self) -> bool {
        !self.draining() && self.services.is_ready()
    }

    /// Returns whether the server drains.
    #[must_use]
    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub(super) fn begin_drain(&self) {
        self.draining.store(true, Ordering::Release);
    }
}
