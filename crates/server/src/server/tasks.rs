//! Background tasks, which end with the server.
//!
//! Knows: names of tasks and whether they still run. Must not know: what they do.
//!
//! A task that ends early or panics is a defect. Picket then stays live *and* ready: calls are still evaluated by the
//! last good state, and a defect that every replica meets at the same time would otherwise take all of them away at
//! once. The end of the task is logged as an error, counted, and named in `/readyz?verbose`.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The background tasks of a server.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    stop: CancellationToken,
    tracker: TaskTracker,
    failed: Arc<Mutex<BTreeMap<&'static str, u64>>>,
}

impl Tasks {
    /// Cancelled when the tasks should end; for work that ends gracefully by itself.
    #[must_use]
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// The tracker, for work that spawns further work.
    #[must_use]
    pub fn tracker(&self) -> TaskTracker {
        self.tracker.clone()
    }

    /// Runs `work` until it ends or the server does. Work that ends first has failed.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let (stop, failed) = (self.stop.clone(), Arc::clone(&self.failed));
        self.tracker.spawn(async move {
            let guarded = AssertUnwindSafe(work).catch_unwind();
            let Some(ended) = stop.run_until_cancelled(guarded).await else { return };
            if stop.is_cancelled() {
                return;
            }
            let how = if ended.is_ok() { "ended early" } else { "panicked" };
            tracing::error!(task = name, "background task `{name}` {how}");
            *failed.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
        });
    }

    /// Tasks that ended before the server did, and how often.
    #[must_use]
    pub fn failed(&self) -> BTreeMap<&'static str, u64> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the tasks and waits for them.
    pub async fn end(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}
