//! Long work returns its result, gets a fair share of the threads, and yields to calls.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::*;

/// Holds its thread until the gate is open.
fn stuck(open: &Arc<AtomicBool>, at_work: &Arc<AtomicUsize>) -> Work<()> {
    let (open, at_work) = (Arc::clone(open), Arc::clone(at_work));
    Box::pin(async move {
        at_work.fetch_add(1, Ordering::SeqCst);
        while !open.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
    })
}

#[tokio::test]
async fn work_that_waits_continues_and_returns_its_result() {
    let work = async {
        let name = || std::thread::current().name().unwrap_or_default().to_owned();
        let before = name();
        tokio::time::sleep(Duration::from_millis(1)).await;
        tokio::task::yield_now().await;
        [before, name()].map(|name| name.starts_with("long-"))
    };
    assert_eq!(run(Lane::named("a"), work).await.unwrap(), [true, true]);
}

#[tokio::test]
async fn a_panic_ends_the_work_alone() {
    for _ in 0..8 {
        let ended = run(Lane::named("a"), async { panic!("on purpose") }).await;
        assert!(matches!(ended, Err(Broken::Panicked(_))));
    }
    assert_eq!(run(Lane::named("a"), async { 7 }).await.unwrap(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_lane_does_not_block_another() {
    let lanes = Lanes::start();
    let slow = lanes.named("slow");
    let (open, at_work) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let stuck_ones = (0..64).map(|_| lanes.run(slow.clone(), stuck(&open, &at_work)));
    let mut all_stuck = Box::pin(futures_util::future::join_all(stuck_ones));
    assert!(futures_util::poll!(&mut all_stuck).is_pending());
    let other = tokio::time::timeout(Duration::from_secs(20), lanes.run(lanes.named("quick"), Box::pin(async { 1 })));
    assert_eq!(other.await.unwrap().unwrap(), 1);
    assert!(at_work.load(Ordering::SeqCst) <= share());
    open.store(true, Ordering::SeqCst);
    assert!(all_stuck.await.iter().all(Result::is_ok));
    assert_eq!(at_work.load(Ordering::SeqCst), 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_of_a_caller_that_gave_up_is_not_started() {
    let lanes = Lanes::start();
    let slow = lanes.named("slow");
    let (open, at_work) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    for _ in 0..32 {
        let given_up = lanes.run(slow.clone(), stuck(&open, &at_work));
        assert!(tokio::time::timeout(Duration::from_millis(2), given_up).await.is_err());
    }
    open.store(true, Ordering::SeqCst);
    lanes.run(slow.clone(), Box::pin(async {})).await.unwrap();
    assert!(at_work.load(Ordering::SeqCst) <= share());
}

/// Tells the name of the thread that drops it.
struct Told(mpsc::Sender<String>);

impl Drop for Told {
    fn drop(&mut self) {
        drop(self.0.send(std::thread::current().name().unwrap_or_default().to_owned()));
    }
}

#[test]
fn a_discarded_value_is_dropped_on_a_thread_for_long_work() {
    let (tell, told) = mpsc::channel();
    discard(Told(tell));
    let name = told.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(name.starts_with("long-"), "{name}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn long_work_yields_to_calls() {
    let niceness = || {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split(' ').nth(16).unwrap().parse::<i32>().unwrap()
    };
    let before = niceness();
    assert_eq!(run(Lane::named("a"), async move { niceness() }).await.unwrap(), (before + NICENESS).min(NICENESS_MAX));
    assert_eq!(niceness(), before);
}
