//! Incomplete requests: limits how many of their bytes are held, and for how long.
//!
//! Knows: bytes and time. Must not know: what is requested, who sends it, how a message is framed.
//!
//! Any client that reaches a port may begin a request and never end it. Its bytes stay in memory, so they count: for
//! the connection, and for the process. The first bytes of each connection do not count for the process, so that
//! clients that exhaust the process's limit do not affect a proxy with small checks.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

/// Bytes of a connection that do not count for the process: some checks of usual size.
const FREE_BYTES: usize = 16 * 1024;
/// One connection may hold one in so many bytes of the process's limit.
const CONNECTION_PART: usize = 4;

/// The error of the body below.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a request is given up before it is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GivenUp {
    /// The connection or the process holds as many bytes as it may.
    #[error("too many bytes of unfinished requests are held")]
    Full,
    /// The rest did not arrive in time.
    #[error("the request did not arrive completely in time")]
    Late,
}

impl GivenUp {
    /// Finds the reason in an error or in its sources.
    #[must_use]
    pub fn find(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref().copied())
    }
}

/// The limit of the process, and what is held of it.
#[derive(Debug)]
pub struct Budget {
    bytes_max: usize,
    held: AtomicUsize,
}

impl Budget {
    /// A limit of so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, held: AtomicUsize::new(0) })
    }

    /// The share of one more connection.
    #[must_use]
    pub fn share(self: &Arc<Self>) -> Arc<Share> {
        Arc::new(Share { budget: Arc::clone(self), held: Mutex::new(0) })
    }

    fn take(&self, bytes: usize) -> Result<(), GivenUp> {
        let add = |held: usize| held.checked_add(bytes).filter(|held| *held <= self.bytes_max);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).map(drop).map_err(|_held| GivenUp::Full)
    }
}

/// The share of one connection.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    held: Mutex<usize>,
}

impl Share {
    fn take(&self, bytes: usize) -> Result<(), GivenUp> {
        let mut held = self.held();
        let bytes_max = self.budget.bytes_max / CONNECTION_PART;
        let next = held.checked_add(bytes).filter(|next| *next <= bytes_max).ok_or(GivenUp::Full)?;
        self.budget.take(counted(next) - counted(*held))?;
        *held = next;
        Ok(())
    }

    fn give_back(&self, bytes: usize) {
        let mut held = self.held();
        let next = held.saturating_sub(bytes);
        self.budget.held.fetch_sub(counted(*held) - counted(next), Ordering::Relaxed);
        *held = next;
    }

    fn held(&self) -> MutexGuard<'_, usize> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes that count for the process, of those that a connection holds.
fn counted(held: usize) -> usize {
    held.saturating_sub(FREE_BYTES)
}

/// How the reader of a stream of messages reports that it has every message so far. Nothing counts then until more of the
/// stream arrives, and no time passes: such a stream is open for as long as its sender needs.
#[derive(Debug, Clone, Default)]
pub struct CaughtUp(Arc<AtomicBool>);

impl CaughtUp {
    /// Reports that the reader has a complete message.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// A request's body, which counts while it is incomplete. A body that is complete before its reader waits costs
/// nothing.
#[derive(Debug)]
pub struct Counted<B> {
    body: B,
    share: Arc<Share>,
    /// Bytes that arrived since the last wait.
    fresh: usize,
    held: usize,
    timeout: Duration,
    late: Option<Pin<Box<Sleep>>>,
    /// `None` for a request of one message.
    caught_up: Option<CaughtUp>,
    /// Whether the reader has every message so far.
    is_idle: bool,
}

impl<B> Counted<B> {
    /// Counts `body` for `share`. `head_bytes` is the size of the request's headers; `timeout` is how long the body may
    /// make its reader wait.
    pub fn new(body: B, head_bytes: usize, timeout: Duration, share: Arc<Share>) -> Self {
        let fresh = head_bytes;
        Self { body, share, fresh, held: 0, timeout, late: None, caught_up: None, is_idle: false }
    }

    /// The same for a stream of messages, with a reader that reports by `caught_up`.
    #[must_use]
    pub fn streamed(mut self, caught_up: CaughtUp) -> Self {
        self.caught_up = Some(caught_up);
        self
    }

    /// Gives everything back if the reader has every message so far.
    fn catch_up(&mut self) {
        if self.caught_up.as_ref().is_some_and(CaughtUp::take) {
            self.share.give_back(std::mem::take(&mut self.held));
            (self.fresh, self.late, self.is_idle) = (0, None, true);
        }
    }

    /// Counts the bytes that are held until the rest arrives, and ends the wait at the timeout.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<GivenUp> {
        if self.is_idle {
            return Poll::Pending;
        }
        if let Err(full) = self.share.take(self.fresh) {
            return Poll::Ready(full);
        }
        self.held += self.fresh;
        self.fresh = 0;
        let timeout = self.timeout;
        let late = self.late.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(late.as_mut().poll(cx));
        Poll::Ready(GivenUp::Late)
    }
}

impl<B> Drop for Counted<B> {
    fn drop(&mut self) {
        if self.held > 0 {
            self.share.give_back(self.held);
        }
    }
}

impl<B> Body for Counted<B>
where
    B: Body<Data = Bytes, Error: Into<Source>> + Unpin,
{
    type Data = Bytes;
    type Error = Source;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Source>>> {
        self.catch_up();
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.is_idle = false;
                self.fresh += frame.data_ref().map_or(0, Bytes::len);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => self.wait(cx).map(|given_up| Some(Err(given_up.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
