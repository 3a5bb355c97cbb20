//! The bounded queue between decisions and the log's writer.
//!
//! Knows: sizes and which records matter more. Must not know: what is in a record or where it goes.
//!
//! [`Queue::offer`] never waits for the writer. Above three quarters new allows are shed; when it is full, a
//! deny pushes out the oldest allow. What is lost is counted and told in the log itself by a gap record.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most that the writer takes at once: enough to make a write cheap, little to lose when the sink hangs.
const BATCH_EVENTS: usize = 256;
const BATCH_BYTES: usize = 256 * 1024;

/// How long the writer lets a batch fill up: a write, and looking whether the file was rotated, cost ten times
/// what a record costs.
const LINGER: Duration = Duration::from_millis(5);

/// How much a record matters when not all can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// An allow: shed first.
    Allow,
    /// Anything else: kept as long as there is room.
    Other,
}

/// Why records were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    AllowShed,
    QueueFull,
    WriteFailed,
    Shutdown,
}

/// What became of records so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub written: AtomicU64,
    pub allow_shed: AtomicU64,
    pub queue_full: AtomicU64,
    pub write_failed: AtomicU64,
    pub shutdown: AtomicU64,
}

/// What the writer gets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// Records lost since the last batch that was written.
    pub gap: u64,
    /// Records, oldest first.
    pub records: Vec<Vec<u8>>,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    wake: Condvar,
    events_max: usize,
    bytes_max: usize,
    pub counts: Counts,
}

#[derive(Debug, Default)]
struct Inner {
    // Two lines instead of one, so that the oldest allow is at hand; the number keeps the common order.
    allows: VecDeque<(u64, Vec<u8>)>,
    others: VecDeque<(u64, Vec<u8>)>,
    bytes: usize,
    next: u64,
    gap: u64,
    in_flight: u64,
    closed: bool,
    abandoned: bool,
}

impl Queue {
    /// An empty queue with these bounds.
    pub fn new(events_max: usize, bytes_max: usize) -> Self {
        Self { inner: Mutex::default(), wake: Condvar::new(), events_max, bytes_max, counts: Counts::default() }
    }

    /// Takes a record, or drops it and counts that.
    pub fn offer(&self, weight: Weight, record: Vec<u8>) {
        let mut inner = self.lock();
        if inner.closed {
            self.lose(&mut inner, Loss::Shutdown, 1);
            return;
        }
        let before = inner.len();
        match weight {
            Weight::Allow if !inner.fits(record.len(), self.events_max / 4 * 3, self.bytes_max / 4 * 3) => {
                self.lose(&mut inner, Loss::AllowShed, 1);
            }
            Weight::Allow => inner.push(weight, record),
            Weight::Other => {
                while !inner.fits(record.len(), self.events_max, self.bytes_max) {
                    let Some((_, shed)) = inner.allows.pop_front() else {
                        self.lose(&mut inner, Loss::QueueFull, 1);
                        return;
                    };
                    inner.bytes -= shed.len();
                    self.lose(&mut inner, Loss::AllowShed, 1);
                }
                inner.push(weight, record);
            }
        }
        // The writer sleeps while there is nothing, and while it lets a batch fill up; no other record wakes it,
        // since a wake-up costs more than a record.
        let wakes = before == 0 || inner.len() == BATCH_EVENTS;
        drop(inner);
        if wakes {
            self.wake.notify_one();
        }
    }

    /// Waits for records, and then a moment for more; `None` once the queue is closed and empty, or abandoned.
    pub fn take(&self) -> Option<Batch> {
        let mut inner = self.lock();
        loop {
            if inner.abandoned {
                return None;
            }
            if inner.len() > 0 || inner.gap > 0 {
                let fills = |inner: &mut Inner| !inner.closed && !inner.abandoned && inner.len() < BATCH_EVENTS;
                let waited = self.wake.wait_timeout_while(inner, LINGER, fills);
                inner = waited.unwrap_or_else(PoisonError::into_inner).0;
                return (!inner.abandoned).then(|| inner.batch());
            }
            if inner.closed {
                return None;
            }
            inner = self.wake.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Reports the result of the last batch: the number of records written and lost, and the unreported part of the
    /// gap.
    pub fn done(&self, written: u64, lost: u64, gap_untold: u64) {
        let mut inner = self.lock();
        inner.in_flight = 0;
        if inner.abandoned {
            return;
        }
        self.counts.written.fetch_add(written, Ordering::Relaxed);
        inner.gap += gap_untold;
        self.lose(&mut inner, Loss::WriteFailed, lost);
    }

    /// Waits `pause`, or less once the queue is closed. Returns whether it is.
    pub fn rest(&self, pause: Duration) -> bool {
        let inner = self.lock();
        let (inner, _) =
            self.wake.wait_timeout_while(inner, pause, |inner| !inner.closed).unwrap_or_else(PoisonError::into_inner);
        inner.closed
    }

    /// Takes no more records; what is there can still be taken out.
    pub fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_all();
    }

    /// Gives up what is still there and what the writer has not finished. Returns how many that were.
    pub fn abandon(&self) -> u64 {
        let mut inner = self.lock();
        let lost = u64::try_from(inner.len()).unwrap_or(u64::MAX).saturating_add(inner.in_flight);
        self.lose(&mut inner, Loss::Shutdown, lost);
        *inner = Inner { closed: true, abandoned: true, ..Inner::default() };
        self.wake.notify_all();
        lost
    }

    fn lose(&self, inner: &mut Inner, loss: Loss, records: u64) {
        inner.gap += records;
        let counter = match loss {
            Loss::AllowShed => &self.counts.allow_shed,
            Loss::QueueFull => &self.counts.queue_full,
            Loss::WriteFailed => &self.counts.write_failed,
            Loss::Shutdown => &self.counts.shutdown,
        };
        counter.fetch_add(records, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn len(&self) -> usize {
        self.allows.len() + self.others.len()
    }

    fn fits(&self, bytes: usize, events_max: usize, bytes_max: usize) -> bool {
        self.len() < events_max && self.bytes.saturating_add(bytes) <= bytes_max
    }

    fn push(&mut self, weight: Weight, record: Vec<u8>) {
        self.bytes += record.len();
        let entry = (self.next, record);
        self.next += 1;
        match weight {
            Weight::Allow => self.allows.push_back(entry),
            Weight::Other => self.others.push_back(entry),
        }
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
        let allow_first = match (self.allows.front(), self.others.front()) {
            (Some((allow, _)), Some((other, _))) => allow < other,
            (Some(_), None) => true,
            (None, _) => false,
        };
        let line = if allow_first { &mut self.allows } else { &mut self.others };
        let (_, record) = line.pop_front()?;
        self.bytes -= record.len();
        Some(record)
    }

    fn batch(&mut self) -> Batch {
        let mut batch = Batch { gap: std::mem::take(&mut self.gap), records: Vec::new() };
        let mut bytes = 0;
        while batch.records.len() < BATCH_EVENTS && bytes < BATCH_BYTES {
            let Some(record) = self.pop() else { break };
            bytes += record.len();
            batch.records.push(record);
        }
        self.in_flight = u64::try_from(batch.records.len()).unwrap_or(u64::MAX);
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(queue: &Queue) -> (u64, Vec<String>) {
        let batch = queue.take().unwrap();
        (batch.gap, batch.records.into_iter().map(|record| String::from_utf8(record).unwrap()).collect())
    }

    fn offer(queue: &Queue, weight: Weight, texts: &[&str]) {
        for text in texts {
            queue.offer(weight, text.as_bytes().to_vec());
        }
    }

    #[test]
    fn records_come_out_in_the_order_of_their_decisions() {
        let queue = Queue::new(8, 1024);
        offer(&queue, Weight::Allow, &["a"]);
        offer(&queue, Weight::Other, &["d"]);
        offer(&queue, Weight::Allow, &["b"]);
        assert_eq!(texts(&queue), (0, vec!["a".to_owned(), "d".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn above_three_quarters_allows_are_shed_and_denies_are_kept() {
        let queue = Queue::new(4, 1024);
        offer(&queue, Weight::Allow, &["a", "b", "c", "shed"]);
        offer(&queue, Weight::Other, &["d", "e"]);
        assert_eq!(queue.counts.allow_shed.load(Ordering::Relaxed), 2);
        assert_eq!(texts(&queue), (2, ["b", "c", "d", "e"].map(str::to_owned).to_vec()), "`e` pushed out `a`");
    }

    #[test]
    fn a_queue_full_of_denies_drops_the_newest() {
        let queue = Queue::new(4, 1024);
        offer(&queue, Weight::Other, &["1", "2", "3", "4", "5"]);
        assert_eq!(queue.counts.queue_full.load(Ordering::Relaxed), 1);
        assert_eq!(texts(&queue), (1, ["1", "2", "3", "4"].map(str::to_owned).to_vec()));
    }

    #[test]
    fn bytes_bound_the_queue_as_events_do() {
        let queue = Queue::new(1000, 8);
        offer(&queue, Weight::Allow, &["aaaa", "bbbb"]);
        offer(&queue, Weight::Other, &["cccc", "dddd", "eeee"]);
        assert_eq!(texts(&queue), (3, ["cccc", "dddd"].map(str::to_owned).to_vec()));
    }

    #[test]
    fn abandoned_records_are_counted_with_those_of_the_writer() {
        let queue = Queue::new(8, 1024);
        offer(&queue, Weight::Other, &["taken"]);
        let _held = queue.take();
        offer(&queue, Weight::Other, &["left", "behind"]);
        assert_eq!(queue.abandon(), 3);
        queue.done(1, 0, 0);
        assert_eq!(queue.counts.written.load(Ordering::Relaxed), 0, "lost is lost, even if it is written later");
        assert_eq!(queue.take(), None);
    }
}
