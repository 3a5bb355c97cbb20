//! When to stop, and when to stop at once.
//!
//! Knows: SIGTERM and SIGINT. Must not know: what stopping means.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Two wishes: to leave in good order, and to leave now.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Cancelled when the server should begin to leave.
    pub begin: CancellationToken,
    /// Cancelled when it should not wait any longer.
    pub force: CancellationToken,
}

impl Shutdown {
    /// Does `work` while the process's signals are followed: the first begins, the second forces.
    ///
    /// # Errors
    /// The system's, where no handler can be installed.
    pub async fn on_signals<T>(&self, work: impl Future<Output = T>) -> io::Result<T> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        // Polled beside the work and not as one of its tasks: a second signal must count while those are ended.
        let follow = async {
            for wish in [&self.begin, &self.force] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                wish.cancel();
            }
            std::future::pending().await
        };
        Ok(tokio::select! {
            done = work => done,
            never = follow => never,
        })
    }
}
