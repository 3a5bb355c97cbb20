//! Work that nobody should wait behind: on threads of its own, at a lower rank than calls, and fair.
//!
//! Knows: threads, futures, lanes. Must not know: what the work is, what a lane stands for.
//!
//! A thread only computes: what has to wait for others leaves it and comes back. No lane ever has more than half of the
//! threads, so that what is long in one lane does not stand before what is long in another.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll, Wake, Waker};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

/// How much less of a busy processor the work gets than calls do: a tenth, by Linux' table of weights.
const NICENESS: i32 = 10;
/// Beyond it there is none.
#[cfg(target_os = "linux")]
const NICENESS_MAX: i32 = 19;
/// Lanes that are remembered before those that nobody uses are forgotten.
const LANES_KEPT: usize = 1024;
/// Stack of a thread, in bytes: as calls have it elsewhere, and some more.
const STACK_BYTES: usize = 4 * 1024 * 1024;

type Job = Box<dyn FnOnce() + Send>;
type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The process's threads for long work; they start when there is some first.
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
    /// The work panicked with this.
    Panicked(Box<dyn Any + Send>),
    /// There is no thread to work on.
    NoThread,
}

/// Does the work in a lane, and waits for its end. Dropped, it stops at its next wait.
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

/// What became of work in one piece of time.
enum Went<T> {
    /// It is done.
    Done(T),
    /// It waits.
    Waits(Work<T>),
    Panicked(Box<dyn Any + Send>),
}

/// Says that work can go on.
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
            // The lane first: only its own work waits for it, and so no lane fills the queue for the threads.
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

    /// Lets a thread work until the work is done or waits.
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
            // Whoever waited has given up.
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

/// What a thread does until the process ends.
fn work_off(jobs: &Mutex<mpsc::Receiver<Job>>) {
    yield_to_calls();
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        // What panics when it is dropped ends alone.
        drop(catch_unwind(AssertUnwindSafe(job)));
    }
}

/// From now on this thread and those that it starts come after all others. Elsewhere than on Linux a thread has no such rank
/// of its own.
#[cfg(target_os = "linux")]
pub(crate) fn yield_to_calls() {
    use rustix::process::{getpriority_process, setpriority_process};
    let below = |niceness: i32| setpriority_process(None, (niceness + NICENESS).min(NICENESS_MAX));
    if let Err(error) = getpriority_process(None).and_then(below) {
        tracing::warn!(error = %error, "work beside calls is done at their rank");
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn yield_to_calls() {}

#[cfg(test)]
mod tests;
