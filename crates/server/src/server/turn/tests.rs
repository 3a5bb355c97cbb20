use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::rt::Executor as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::oneshot;

use super::*;
use crate::inline_task::detach;

/// A connection that a test plays, and its executor.
struct Stage {
    executor: InlineExecutor,
    calls: Calls,
    tracker: TaskTracker,
    answers: Arc<AtomicUsize>,
}

/// Counts the writes of a stream.
struct Writes(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Writes {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Writes {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

fn stage(io: impl super::super::socket::Io + 'static) -> Stage {
    let (calls, tracker) = (Calls::default(), TaskTracker::new());
    let executor =
        InlineExecutor::new(Socket::new(Box::new(io)), calls.clone(), tracker.clone(), CancellationToken::new());
    Stage { executor, calls, tracker, answers: Arc::default() }
}

impl Stage {
    /// A call that ends as `work` does.
    fn call(&self, work: impl Future<Output = ()> + Send + 'static) {
        let answers = Arc::clone(&self.answers);
        self.calls.execute(async move {
            work.await;
            answers.fetch_add(1, Ordering::Relaxed);
        });
    }

    fn answers(&self) -> usize {
        self.answers.load(Ordering::Relaxed)
    }

    /// One turn in which the connection itself has nothing to do.
    async fn turn(&mut self) {
        let mut idle = std::pin::pin!(std::future::pending::<io::Result<()>>());
        let is_open = poll_fn(|cx| Poll::Ready(self.executor.poll(idle.as_mut(), cx).is_pending())).await;
        assert!(is_open);
    }
}

fn ours() -> (DuplexStream, DuplexStream) {
    duplex(1024)
}

#[tokio::test]
async fn quick_calls_are_answered_by_the_connections_own_task() {
    let mut stage = stage(ours().0);
    (0..3).for_each(|_| stage.call(async {}));
    stage.turn().await;
    assert_eq!((stage.answers(), stage.tracker.len()), (3, 0));
}

#[tokio::test]
async fn answers_of_one_turn_leave_in_one_write() {
    let (own, mut far) = duplex(1024);
    let writes = Arc::new(AtomicUsize::new(0));
    let mut stage = stage(Writes(own, Arc::clone(&writes)));
    (0..3).for_each(|_| stage.call(async {}));
    let (mut socket, answers) = (stage.executor.socket.clone(), Arc::clone(&stage.answers));
    // Writes each answer since the last turn on its own, as HTTP does.
    let mut connection = std::pin::pin!(poll_fn(move |cx| {
        for _ in 0..answers.swap(0, Ordering::Relaxed) {
            assert!(Pin::new(&mut socket).poll_write(cx, b"answer").is_ready());
            assert!(Pin::new(&mut socket).poll_flush(cx).is_ready());
        }
        Poll::<io::Result<()>>::Pending
    }));
    let is_open = poll_fn(|cx| Poll::Ready(stage.executor.poll(connection.as_mut(), cx).is_pending())).await;
    assert!(is_open);
    let mut read = [0; 18];
    far.read_exact(&mut read).await.unwrap();
    assert_eq!((&read, writes.load(Ordering::Relaxed)), (b"answeransweranswer", 1));
}

#[tokio::test]
async fn a_call_that_waits_stays_and_is_answered_when_it_can_be() {
    let mut stage = stage(ours().0);
    let (come, body) = oneshot::channel::<()>();
    stage.call(async { body.await.unwrap() });
    stage.turn().await;
    assert_eq!((stage.answers(), stage.tracker.len()), (0, 0));
    come.send(()).unwrap();
    stage.turn().await;
    assert_eq!((stage.answers(), stage.tracker.len()), (1, 0));
}

#[tokio::test]
async fn long_work_continues_in_a_task_of_its_own() {
    let mut stage = stage(ours().0);
    let (tell, told) = oneshot::channel();
    stage.call(async move {
        let before = tokio::task::try_id();
        detach().await;
        tell.send((before, tokio::task::try_id())).unwrap();
    });
    stage.turn().await;
    assert_eq!((stage.answers(), stage.tracker.len()), (0, 1));
    let (before, after) = told.await.unwrap();
    assert!(after.is_some() && before != after, "{before:?} {after:?}");
}

#[tokio::test]
async fn outside_of_a_turn_long_work_just_continues() {
    assert_eq!(futures_util::FutureExt::now_or_never(detach()), Some(()));
}

#[tokio::test]
async fn late_calls_of_a_turn_get_tasks_and_the_next_turn_has_time_again() {
    let mut stage = stage(ours().0);
    stage.call(async { std::thread::sleep(2 * INLINE_TIME) });
    (0..2).for_each(|_| stage.call(async {}));
    stage.turn().await;
    assert_eq!((stage.answers(), stage.tracker.len()), (1, 2));
    stage.call(async {});
    stage.turn().await;
    assert_eq!((stage.answers(), stage.tracker.len()), (2, 2));
    stage.tracker.close();
    stage.tracker.wait().await;
    assert_eq!(stage.answers(), 4);
}

#[tokio::test]
async fn a_call_that_panics_ends_alone() {
    let mut stage = stage(ours().0);
    stage.call(async { panic!("on purpose") });
    stage.call(async {});
    stage.turn().await;
    // Reporting the panic may have taken all of the turn's time.
    stage.tracker.close();
    stage.tracker.wait().await;
    assert_eq!(stage.answers(), 1);
}

#[tokio::test]
async fn a_slow_peer_gets_everything_and_holds_no_more_than_is_allowed() {
    let (own, mut far) = duplex(100);
    let mut stage = stage(own);
    let mut socket = stage.executor.socket.clone();
    let whole = GATHERED_MAX + 2 * IDLE_BUFFER_MAX;
    let mut written = 0;
    // Writes for as long as the stream accepts bytes.
    let mut connection = std::pin::pin!(poll_fn(move |cx| {
        while written < whole {
            match Pin::new(&mut socket).poll_write(cx, &[7; IDLE_BUFFER_MAX]) {
                Poll::Ready(bytes) => written += bytes?,
                Poll::Pending => return Poll::Pending,
            }
        }
        Pin::new(&mut socket).poll_shutdown(cx)
    }));
    let mut most = 0;
    let sent = poll_fn(|cx| {
        let polled = stage.executor.poll::<(), io::Error>(connection.as_mut(), cx);
        most = most.max(stage.executor.socket.buffers().gathered.len());
        polled
    });
    let mut read = Vec::new();
    let (sent, got) = tokio::join!(sent, far.read_to_end(&mut read));
    sent.unwrap();
    assert_eq!((got.unwrap(), read.iter().all(|byte| *byte == 7)), (whole, true));
    assert_eq!(most, GATHERED_MAX);
}

#[tokio::test]
async fn a_peer_that_disconnects_ends_the_connection() {
    let (own, far) = duplex(100);
    let mut stage = stage(own);
    drop(far);
    let mut socket = stage.executor.socket.clone();
    let mut connection = std::pin::pin!(poll_fn(move |cx| {
        assert!(Pin::new(&mut socket).poll_write(cx, b"answer").is_ready());
        Poll::<io::Result<()>>::Pending
    }));
    let ended = poll_fn(|cx| stage.executor.poll(connection.as_mut(), cx)).await;
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn a_turn_reads_no_more_than_its_share_and_the_next_one_continues() {
    let (own, mut far) = duplex(4 * READ_MAX);
    far.write_all(&vec![0; 4 * READ_MAX]).await.unwrap();
    let mut stage = stage(own);
    let mut socket = stage.executor.socket.clone();
    let mut came = Vec::new();
    for _ in 0..3 {
        let mut connection = std::pin::pin!(poll_fn(|cx| {
            let mut bytes = vec![0; 1024];
            loop {
                let mut buffer = ReadBuf::new(&mut bytes);
                std::task::ready!(Pin::new(&mut socket).poll_read(cx, &mut buffer)).unwrap();
            }
            #[expect(unreachable_code, reason = "names the type")]
            Poll::<io::Result<()>>::Pending
        }));
        let (waker, wakes) = counting_waker();
        let mut cx = Context::from_waker(&waker);
        // Tokio's own budget of a task is smaller.
        let polled = poll_fn(|_| Poll::Ready(stage.executor.poll(connection.as_mut(), &mut cx).is_pending()));
        assert!(tokio::task::unconstrained(polled).await);
        came.push((socket.received(), wakes.load(Ordering::Relaxed)));
    }
    let share = u64::try_from(READ_MAX).unwrap();
    for (turn, (received, woken)) in (1..).zip(came) {
        assert_eq!(received, turn * share, "turn {turn}");
        assert_eq!(woken, 1, "turn {turn}");
    }
}

/// A waker that counts.
fn counting_waker() -> (std::task::Waker, Arc<AtomicUsize>) {
    struct Counts(Arc<AtomicUsize>);
    impl std::task::Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let count = Arc::<AtomicUsize>::default();
    (Arc::new(Counts(Arc::clone(&count))).into(), count)
}
