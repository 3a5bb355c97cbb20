//! Calls that are polled inline, on the connection's task, until they turn out to take long.
//!
//! Knows: futures. Must not know: what a call does.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;

/// Where work that was started inline continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Inline, on the connection's task.
    Inline,
    /// In a task of its own: the rest takes long.
    Detached,
}

thread_local! {
    /// Where the work that is polled inline now continues; `None` outside of [`poll_inline`].
    static INLINE: Cell<Option<Progress>> = const { Cell::new(None) };
}

/// Polls work inline, on the connection's task, and reports where the work continues. `poll` must not panic.
pub(crate) fn poll_inline<T>(poll: impl FnOnce() -> T) -> (T, Progress) {
    let outer = INLINE.replace(Some(Progress::Inline));
    let done = poll();
    (done, INLINE.replace(outer).unwrap_or(Progress::Inline))
}

/// Moves the rest of this work to a task of its own if it runs inline. For work that no other call should wait for.
///
/// It wakes no task: the executor that polls inline polls all of the work again elsewhere. So await it directly, not
/// inside a combinator that polls only futures that were woken.
pub(crate) async fn detach() {
    let leave = || match INLINE.get() {
        None => Poll::Ready(()),
        Some(_) => {
            INLINE.set(Some(Progress::Detached));
            Poll::Pending
        }
    };
    poll_fn(|_| leave()).await;
}
