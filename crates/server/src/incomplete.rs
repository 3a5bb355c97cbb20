//! Requests that have not come whole: how many bytes of them are held, and for how long.
//!
//! Knows: bytes and time. Must not know: what is asked, who asks, how a message is framed.
//!
//! Whoever reaches a port may begin a request and never end it. What came of it stays in memory, so it counts: for its
//! connection, and for the process. The first bytes of each connection are free of the process's account, so that those
//! who fill it take nothing from a proxy whose checks are small.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

/// What a connection may hold beside the process's account: some checks of usual size.
const FREE_BYTES: usize = 16 * 1024;
/// One connection may hold this part of the process's account.
const CONNECTION_PART: usize = 4;

/// What went wrong below a body.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a request is given up before it came whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GivenUp {
    /// The connection, or the process, holds as much as it may.
    #[error("too many bytes of unfinished requests are held")]
    Full,
    /// It took too long.
    #[error("the request did not come whole in time")]
    Late,
}

impl GivenUp {
    /// The reason in an error, or in what it came from.
    #[must_use]
    pub fn find(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref().copied())
    }
}

/// The process's account.
#[derive(Debug)]
pub struct Account {
    bytes_max: usize,
    held: AtomicUsize,
}

impl Account {
    /// An account of so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, held: AtomicUsize::new(0) })
    }

    /// The part of one more connection.
    #[must_use]
    pub fn part(self: &Arc<Self>) -> Arc<Part> {
        Arc::new(Part { account: Arc::clone(self), held: Mutex::new(0) })
    }

    fn take(&self, bytes: usize) -> Result<(), GivenUp> {
        let add = |held: usize| held.checked_add(bytes).filter(|held| *held <= self.bytes_max);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).map(drop).map_err(|_held| GivenUp::Full)
    }
}

/// The part of one connection.
#[derive(Debug)]
pub struct Part {
    account: Arc<Account>,
    held: Mutex<usize>,
}

impl Part {
    fn take(&self, bytes: usize) -> Result<(), GivenUp> {
        let mut held = self.held();
        let bytes_max = self.account.bytes_max / CONNECTION_PART;
        let next = held.checked_add(bytes).filter(|next| *next <= bytes_max).ok_or(GivenUp::Full)?;
        self.account.take(counted(next) - counted(*held))?;
        *held = next;
        Ok(())
    }

    fn give_back(&self, bytes: usize) {
        let mut held = self.held();
        let next = held.saturating_sub(bytes);
        self.account.held.fetch_sub(counted(*held) - counted(next), Ordering::Relaxed);
        *held = next;
    }

    fn held(&self) -> MutexGuard<'_, usize> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of what a connection holds, the bytes that count for the process.
fn counted(held: usize) -> usize {
    held.saturating_sub(FREE_BYTES)
}

/// A request's body that counts while it is not whole. One that came whole before anybody waited costs nothing.
#[derive(Debug)]
pub struct Counted<B> {
    body: B,
    part: Arc<Part>,
    /// Bytes that came since the last wait.
    fresh: usize,
    held: usize,
    timeout: Duration,
    late: Option<Pin<Box<Sleep>>>,
}

impl<B> Counted<B> {
    /// `body`, which counts for `part`. `head_bytes` is what the request's headers hold; `timeout` is how long the
    /// body may make its reader wait.
    pub fn new(body: B, head_bytes: usize, timeout: Duration, part: Arc<Part>) -> Self {
        Self { body, part, fresh: head_bytes, held: 0, timeout, late: None }
    }

    /// Counts what is held until the rest comes, and ends the wait when it was long enough.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<GivenUp> {
        if let Err(full) = self.part.take(self.fresh) {
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
            self.part.give_back(self.held);
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
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
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
