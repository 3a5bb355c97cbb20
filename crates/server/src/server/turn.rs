//! Runs a connection's quick calls inline, on the connection's own task, and writes their answers together.
//!
//! Knows: a turn of the task (the work between two waits), and what is written in it. Must not know: HTTP, what is
//! requested.
//!
//! A proxy sends its checks over few connections, and in batches. A task, a wake-up of another core and a write for
//! every answer would cost more than finding most of the answers does.

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
use crate::inline_task::{Progress, poll_inline};

/// How long a turn answers calls inline. Later calls get tasks of their own, so that one busy connection uses more than
/// one core.
const INLINE_TIME: Duration = Duration::from_micros(100);
/// Bytes that are buffered before they are written, even within a turn.
const GATHERED_MAX: usize = 64 * 1024;
/// Bytes that are read in one turn. A peer that always sends more lets other connections run in between.
const READ_MAX: usize = 64 * 1024;
/// The largest buffer that an idle connection keeps.
const IDLE_BUFFER_MAX: usize = 16 * 1024;

/// The work on one call: from its request to the end of its answer.
type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs the calls of one connection.
pub(super) struct InlineExecutor {
    socket: Socket,
    calls: Calls,
    open: FuturesUnordered<Open>,
    turn: Arc<Turn>,
}

/// The current turn.
struct Turn {
    /// When its first call began; `None` until there is a call.
    answering: Mutex<Option<Instant>>,
    tracker: TaskTracker,
    abort: CancellationToken,
}

/// The calls that arrived in this turn, as HTTP hands them over.
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

impl InlineExecutor {
    /// Runs the calls of a connection over `socket`, which gives its calls to `calls`. Detached tasks belong to
    /// `tracker`, and end by `abort`.
    pub fn new(socket: Socket, calls: Calls, tracker: TaskTracker, abort: CancellationToken) -> Self {
        let turn = Turn { answering: Mutex::new(None), tracker, abort };
        Self { socket, calls, open: FuturesUnordered::new(), turn: Arc::new(turn) }
    }

    /// One turn: reads, answers quick calls, writes.
    pub fn poll<T, E: From<io::Error>>(
        &mut self,
        mut connection: Pin<&mut impl Future<Output = Result<T, E>>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, E>> {
        *locked(&self.turn.answering) = None;
        self.socket.buffers().read = 0;
        loop {
            let ended = connection.as_mut().poll(cx);
            match (ended, self.socket.buffers().send(cx)) {
                (Poll::Pending, Poll::Ready(Err(error))) => return Poll::Ready(Err(error.into())),
                // The connection is closed, so a failed last write cannot be reported.
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

    /// Polls all calls that can continue; returns whether one of them was answered.
    fn has_answered(&mut self, cx: &mut Context<'_>) -> bool {
        let mut has_answered = false;
        while let Poll::Ready(Some(is_answered)) = self.open.poll_next_unpin(cx) {
            has_answered |= is_answered;
        }
        has_answered
    }
}

impl Turn {
    /// Returns whether the turn has time for one more answer.
    fn has_time(&self) -> bool {
        let mut answering = locked(&self.answering);
        let now = Instant::now();
        now.duration_since(*answering.get_or_insert(now)) < INLINE_TIME
    }
}

/// A call on the connection's own task, until it is answered (`true`) or detached (`false`).
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
            match poll_inline(poll) {
                (Poll::Ready(()), _) => return Poll::Ready(true),
                (Poll::Pending, Progress::Inline) => return Poll::Pending,
                (Poll::Pending, Progress::Detached) => {}
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

/// A connection's byte stream, which writes at the end of the turn.
#[derive(Clone)]
pub(super) struct Socket(Arc<Mutex<Buffers>>);

struct Buffers {
    io: BoxIo,
    received: u64,
    /// Bytes that arrived in this turn.
    read: usize,
    gathered: Vec<u8>,
    /// How many of the buffered bytes are written.
    sent: usize,
    is_flushed: bool,
}

impl Socket {
    /// Wraps an open stream.
    pub fn new(io: BoxIo) -> Self {
        Self(Arc::new(Mutex::new(Buffers {
            io,
            received: 0,
            read: 0,
            gathered: Vec::new(),
            sent: 0,
            is_flushed: true,
        })))
    }

    /// Bytes that the peer has sent so far.
    pub fn received(&self) -> u64 {
        self.buffers().received
    }

    fn buffers(&self) -> MutexGuard<'_, Buffers> {
        locked(&self.0)
    }
}

impl Buffers {
    /// Writes the buffered bytes.
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
        self.gathered.shrink_to(IDLE_BUFFER_MAX);
        if !self.is_flushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until the buffer has room.
    fn make_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gathered.len() < GATHERED_MAX { Poll::Ready(Ok(())) } else { self.send(cx) }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut buffers = self.buffers();
        if buffers.read >= READ_MAX {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut buffers.io).poll_read(cx, buffer);
        let read = buffer.filled().len() - before;
        buffers.read += read;
        buffers.received += u64::try_from(read).unwrap_or(u64::MAX);
        polled
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    /// Does nothing: the end of the turn writes.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut buffers = self.buffers();
        ready!(buffers.send(cx))?;
        Pin::new(&mut buffers.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut buffers = self.buffers();
        ready!(buffers.make_room(cx))?;
        slices.iter().for_each(|slice| buffers.gathered.extend_from_slice(slice));
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }
}

#[cfg(test)]
mod tests;
