//! One turn of a connection: what its task does between two waits.
//!
//! Knows: that what is quick is answered by the connection's own task, and that what is written in one turn leaves
//! together. Must not know: HTTP, what is asked.
//!
//! A proxy asks over few connections, and in batches. A task, a wake-up of another core and a write for every answer would
//! cost a server more than finding most of the answers does.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::socket::BoxIo;
use crate::courtesy::{Went, in_turn};

/// How long a turn goes on answering by itself. What comes after that goes to tasks of its own, so that one busy
/// connection keeps more than one core at work.
const QUICK: Duration = Duration::from_micros(100);
/// Bytes that are gathered before they are written, whether the turn is over or not.
const GATHERED_MAX: usize = 64 * 1024;
/// Bytes that are read in one turn. Whoever sends more, and all the time, lets other connections go on in between.
const READ_MAX: usize = 64 * 1024;
/// The largest buffer that an idle connection keeps.
const KEPT_MAX: usize = 16 * 1024;

/// The work on one call: from its request to the end of its answer.
type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The turns of one connection.
pub(super) struct Turns {
    socket: Socket,
    calls: Calls,
    open: FuturesUnordered<Open>,
    turn: Arc<Turn>,
}

/// The present turn.
struct Turn {
    /// Since when it answers; `None` until it is asked something.
    answering: Mutex<Option<Instant>>,
    tracker: TaskTracker,
    abort: CancellationToken,
}

/// The calls that came in this turn; what HTTP hands them to.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<Mutex<Vec<Work>>>);

impl<F> hyper::rt::Executor<F> for Calls
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        locked(&self.0).push(Box::pin(call));
    }
}

impl Turns {
    /// The turns of a connection over `socket`, which gives its calls to `calls`. Tasks of their own belong to
    /// `tracker`, and end by `abort`.
    pub fn new(socket: Socket, calls: Calls, tracker: TaskTracker, abort: CancellationToken) -> Self {
        let turn = Turn { answering: Mutex::new(None), tracker, abort };
        Self { socket, calls, open: FuturesUnordered::new(), turn: Arc::new(turn) }
    }

    /// One turn: reads what came, answers what is quick, sends what was written.
    pub fn poll<T, E: From<io::Error>>(
        &mut self,
        mut connection: Pin<&mut impl Future<Output = Result<T, E>>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, E>> {
        *locked(&self.turn.answering) = None;
        self.socket.held().read = 0;
        loop {
            let ended = connection.as_mut().poll(cx);
            match (ended, self.socket.held().send(cx)) {
                (Poll::Pending, Poll::Ready(Err(error))) => return Poll::Ready(Err(error.into())),
                // Of a connection that ended nobody can learn any more that its last words were lost.
                (Poll::Ready(ended), _) => return Poll::Ready(ended),
                (Poll::Pending, _) => {}
            }
            let open = |work| Open { work: Some(work), turn: Arc::clone(&self.turn) };
            self.open.extend(locked(&self.calls.0).drain(..).map(open));
            if !self.has_answered(cx) {
                return Poll::Pending;
            }
        }
    }

    /// Goes on with all calls that can go on; whether one of them was answered.
    fn has_answered(&mut self, cx: &mut Context<'_>) -> bool {
        let mut has_answered = false;
        while let Poll::Ready(Some(is_answered)) = self.open.poll_next_unpin(cx) {
            has_answered |= is_answered;
        }
        has_answered
    }
}

impl Turn {
    /// Whether the turn is young enough for one more answer.
    fn has_time(&self) -> bool {
        let mut answering = locked(&self.answering);
        let now = Instant::now();
        now.duration_since(*answering.get_or_insert(now)) < QUICK
    }
}

/// A call that the connection's own task works on, until it is answered (`true`) or goes to a task of its own (`false`).
struct Open {
    work: Option<Work>,
    turn: Arc<Turn>,
}

impl Future for Open {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let has_time = self.turn.has_time();
        if let Some(work) = self.work.as_mut().filter(|_| has_time) {
            // A call that panics ends alone, as a task does.
            let poll = || catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))).unwrap_or(Poll::Ready(()));
            match in_turn(poll) {
                (Poll::Ready(()), _) => return Poll::Ready(true),
                (Poll::Pending, Went::On) => return Poll::Pending,
                (Poll::Pending, Went::Away) => {}
            }
        }
        if let Some(work) = self.work.take() {
            self.turn.tracker.spawn(self.turn.abort.clone().run_until_cancelled_owned(work));
        }
        Poll::Ready(false)
    }
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection's stream of bytes: what is written to it leaves at the end of the turn.
#[derive(Clone)]
pub(super) struct Socket(Arc<Mutex<Held>>);

struct Held {
    io: BoxIo,
    heard: u64,
    /// Bytes that came in this turn.
    read: usize,
    gathered: Vec<u8>,
    /// How many of the gathered bytes have left.
    sent: usize,
    is_flushed: bool,
}

impl Socket {
    /// Wraps an open stream.
    pub fn new(io: BoxIo) -> Self {
        Self(Arc::new(Mutex::new(Held { io, heard: 0, read: 0, gathered: Vec::new(), sent: 0, is_flushed: true })))
    }

    /// Bytes that came from the peer so far.
    pub fn heard(&self) -> u64 {
        self.held().heard
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        locked(&self.0)
    }
}

impl Held {
    /// Writes what is gathered.
    fn send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.gathered.get(self.sent..).filter(|rest| !rest.is_empty()) {
            self.is_flushed = false;
            match ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.sent += written,
            }
        }
        self.sent = 0;
        self.gathered.clear();
        self.gathered.shrink_to(KEPT_MAX);
        if !self.is_flushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Makes sure that there is room for more.
    fn make_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gathered.len() < GATHERED_MAX { Poll::Ready(Ok(())) } else { self.send(cx) }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut held = self.held();
        if held.read >= READ_MAX {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut held.io).poll_read(cx, buffer);
        let read = buffer.filled().len() - before;
        held.read += read;
        held.heard += u64::try_from(read).unwrap_or(u64::MAX);
        polled
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    /// Does nothing: the turn's end is what sends.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut held = self.held();
        ready!(held.send(cx))?;
        Pin::new(&mut held.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut held = self.held();
        ready!(held.make_room(cx))?;
        slices.iter().for_each(|slice| held.gathered.extend_from_slice(slice));
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }
}

#[cfg(test)]
mod tests;
