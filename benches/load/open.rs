//! The open load: a thread that starts checks at their intended times, and a histogram that counts from these.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::runtime::Handle;

/// Most checks under way; beyond it the server is far behind, and the rest of the step is not sent.
const UNDER_WAY_MAX: usize = 5_000;

/// Result of one step.
pub struct Step {
    latencies: Histogram<u64>,
    /// Offered checks a second.
    pub rate: usize,
    /// Answered checks a second, from the first one's intended time to the last answer.
    pub answered: f64,
    /// Checks that were not sent, because too many were under way.
    pub unsent: usize,
}

impl Step {
    /// Microseconds from the intended time to the answer.
    pub fn at(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64
    }
}

/// Something that makes one check; the number says which.
pub trait Ask: Send + Sync + 'static {
    /// Sends a check and waits for the answer; panics on a wrong one.
    fn ask(&self, number: usize) -> impl Future<Output = ()> + Send;
}

/// Offers `rate` checks a second for `length`.
pub async fn offer(target: Arc<impl Ask>, rate: usize, length: Duration) -> Step {
    let count = rate * usize::try_from(length.as_millis()).unwrap() / 1000;
    let (under_way, histogram) = (Arc::new(AtomicUsize::new(0)), Histogram::<u64>::new(3).unwrap());
    let latencies = Arc::new(Mutex::new(histogram));
    let handle = Handle::current();
    let begin = Instant::now();
    // On a thread of its own: Tokio's timers tick by the millisecond.
    let (counted, shared) = (Arc::clone(&under_way), Arc::clone(&latencies));
    let pace = move || {
        for number in 0..count {
            let intended = begin + Duration::from_secs_f64(number as f64 / rate as f64);
            if let Some(wait) = intended.checked_duration_since(Instant::now()) {
                std::thread::sleep(wait);
            }
            if counted.load(Ordering::Relaxed) >= UNDER_WAY_MAX {
                return count - number;
            }
            counted.fetch_add(1, Ordering::Relaxed);
            let (target, counted, shared) = (Arc::clone(&target), Arc::clone(&counted), Arc::clone(&shared));
            handle.spawn(async move {
                target.ask(number).await;
                let microseconds = u64::try_from(intended.elapsed().as_micros()).unwrap();
                shared.lock().unwrap().record(microseconds).unwrap();
                counted.fetch_sub(1, Ordering::Relaxed);
            });
        }
        0
    };
    let unsent = tokio::task::spawn_blocking(pace).await.unwrap();
    while under_way.load(Ordering::Relaxed) > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let seconds = begin.elapsed().as_secs_f64();
    let latencies = latencies.lock().unwrap().clone();
    Step { answered: latencies.len() as f64 / seconds, latencies, rate, unsent }
}
