//! Threads for long work: at a lower priority than calls, and shared fairly between lanes.
//!
//! Knows: threads, futures, lanes. Must not know: what the work is, what a lane is for.
//!
//! A thread only computes: work that waits leaves its thread and returns later. No lane ever has more than half of the
//! threads, so long work of one lane does not block that of another.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll, Wake, Waker};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

/// Niceness of the threads. On a busy CPU they get about a tenth of the time that calls get, by Linux' table of
/// weights.
const NICENESS: i32 = 10;
/// The highest niceness.
#[cfg(target_os = "linux")]
const NICENESS_MAX: i32 = 19;
/// Most lanes that are kept; beyond it, unused lanes are dropped.
const LANES_KEPT: usize = 1024;
/// Stack of a thread, in bytes: the size that calls have elsewhere, and some more.
const STACK_BYTES: usize = 4 * 1024 * 1024;

type Job = Box<dyn FnOnce() + Send>;
type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The process's threads for long work. They start with the first work.
static LANES: LazyLock<Lanes> = LazyLock::new(Lanes::start);
/// How many they are.
static THREADS: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(2, std::num::NonZero::get).max(2));

/// A part of the threads: the work in one lane never has more than half of them.
#[derive(Debug, Clone)]
pub(crate) struct Lane(Arc<Semaphore>);

impl Lane {
    /// A lane for whoever holds it or a clone of it.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(share())))
    }

    /// The lane of this name.
    pub fn named(name: &str) -> Self {
        LANES.named(name)
    }

    /// Lets no work into the lane until the permit is dropped.
    #[cfg(test)]
    pub async fn closed(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.0).acquire_many_owned(u32::try_from(share()).unwrap()).await.unwrap()
    }

    /// Whether both are the same lane.
    #[cfg(test)]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// How many threads one lane may have at a time.
fn share() -> usize {
    (*THREADS / 2).max(1)
}

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The work panicked with this value.
    Panicked(Box<dyn Any + Send>),
    /// No thread could be started.
    NoThread,
}

/// Runs the work in a lane and waits for its result. A dropped future stops the work at its next wait.
///
/// # Errors
/// The work panicked, or no thread could be started.
pub(crate) async fn run<T: Send + 'static>(
    lane: Lane,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Broken> {
    LANES.run(lane, Box::pin(work)).await
}

/// Frees a large value where nobody waits for it. At most one for each piece of work that was done in a lane: values that wait to
/// be freed are not counted.
pub(crate) fn discard(value: impl Send + 'static) {
    // Where there is no thread, the error holds the value, which is freed here.
    drop(LANES.jobs.send(Box::new(move || drop(value))));
}

struct Lanes {
    jobs: mpsc::Sender<Job>,
    threads: Arc<Semaphore>,
    lanes: Mutex<HashMap<String, Lane>>,
}

/// State of work after one poll on a thread.
enum Went<T> {
    /// The work has its result.
    Done(T),
    /// The work waits.
    Waits(Work<T>),
    Panicked(Box<dyn Any + Send>),
}

/// Wakes work that can continue.
struct Ready(Notify);

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

impl Lanes {
    fn start() -> Self {
        let threads = *THREADS;
        let (jobs, received) = mpsc::channel::<Job>();
        let received = Arc::new(Mutex::new(received));
        for number in 0..threads {
            let received = Arc::clone(&received);
            let thread = std::thread::Builder::new().name(format!("long-{number}")).stack_size(STACK_BYTES);
            if let Err(error) = thread.spawn(move || work_off(&received)) {
                tracing::error!(error = %error, "could not start a thread for long work");
            }
        }
        Self { jobs, threads: Arc::new(Semaphore::new(threads)), lanes: Mutex::default() }
    }

    async fn run<T: Send + 'static>(&self, lane: Lane, mut work: Work<T>) -> Result<T, Broken> {
        let ready = Arc::new(Ready(Notify::new()));
        loop {
            // Take the lane's permit first: only the lane's own work waits for it, so no lane fills the queue for the
            // threads.
            let held = [Arc::clone(&lane.0), Arc::clone(&self.threads)].map(Semaphore::acquire_owned);
            let [lane_held, thread_held] = held;
            let held = (permit(lane_held).await?, permit(thread_held).await?);
            match self.piece(work, Waker::from(Arc::clone(&ready)), held).await? {
                Went::Done(result) => return Ok(result),
                Went::Panicked(panic) => return Err(Broken::Panicked(panic)),
                Went::Waits(waiting) => work = waiting,
            }
            ready.0.notified().await;
        }
    }

    /// Lets a thread poll the work until it is done or waits.
    async fn piece<T: Send + 'static>(
        &self,
        mut work: Work<T>,
        waker: Waker,
        held: (OwnedSemaphorePermit, OwnedSemaphorePermit),
    ) -> Result<Went<T>, Broken> {
        let (tell, told) = oneshot::channel();
        let runtime = tokio::runtime::Handle::current();
        let job = move || {
            let _held = held;
            // The caller has dropped the future.
            if tell.is_closed() {
                return;
            }
            let _timers = runtime.enter();
            let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(&mut Context::from_waker(&waker))));
            let went = match polled {
                Ok(Poll::Ready(result)) => Went::Done(result),
                Ok(Poll::Pending) => Went::Waits(work),
                Err(panic) => Went::Panicked(panic),
            };
            drop(tell.send(went));
        };
        self.jobs.send(Box::new(job)).map_err(|_| Broken::NoThread)?;
        told.await.map_err(|_| Broken::NoThread)
    }

    fn named(&self, name: &str) -> Lane {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(name) {
            return lane.clone();
        }
        if lanes.len() >= LANES_KEPT {
            lanes.retain(|_, lane| Arc::strong_count(&lane.0) > 1);
        }
        let lane = Lane::new();
        lanes.insert(name.to_owned(), lane.clone());
        lane
    }
}

async fn permit(
    held: impl Future<Output = Result<OwnedSemaphorePermit, tokio::sync::AcquireError>>,
) -> Result<OwnedSemaphorePermit, Broken> {
    held.await.map_err(|_| Broken::NoThread)
}

/// The loop of a thread, until the process ends.
fn work_off(jobs: &Mutex<mpsc::Receiver<Job>>) {
    yield_to_calls();
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        // A panic in a destructor ends with its job.
        drop(catch_unwind(AssertUnwindSafe(job)));
    }
}

/// Lowers the priority of this thread and of the threads that it starts. Only Linux has a niceness for each thread.
#[cfg(target_os = "linux")]
pub(crate) fn yield_to_calls() {
    use rustix::process::{getpriority_process, setpriority_process};
    let below = |niceness: i32| setpriority_process(None, (niceness + NICENESS).min(NICENESS_MAX));
    if let Err(error) = getpriority_process(None).and_then(below) {
        tracing::warn!(error = %error, "could not lower the priority of background work; it may delay checks");
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn yield_to_calls() {}

#[cfg(test)]
mod tests;
