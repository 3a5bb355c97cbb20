//! Shutdown signals: when to stop, and when to stop at once.
//!
//! Knows: SIGTERM and SIGINT. Must not know: what stopping means.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Two requests: to shut down gracefully, and to stop now.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Cancelled when the server should begin to shut down.
    pub begin: CancellationToken,
    /// Cancelled when the server should not wait any longer.
    pub force: CancellationToken,
}

impl Shutdown {
    /// Runs `work` and follows the process's signals: the first begins a shutdown, the second forces it.
    ///
    /// # Errors
    /// The system's, if no handler can be installed.
    pub async fn on_signals<T>(&self, work: impl Future<Output = T>) -> io::Result<T> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        // Polled next to the work and not as one of its tasks: a second signal must count while those tasks are ended.
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
