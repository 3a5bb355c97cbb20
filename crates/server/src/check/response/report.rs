//! Reports the outcome of one response, exactly once.
//!
//! Knows: the record so far, when the head has to be evaluated. Must not know: policies, bodies.
//!
//! A report that is dropped is sent: a response that was begun has a record, however it ends.

use std::fmt;

use tokio::time::Instant;

use super::outcome::{Outcome, Refusal, ResponseRecord};
use super::{ResponseHead, ResponseObserver};
use picket_core::response::ruling::{End, Summary};

/// The report about one response.
pub struct Report {
    observer: ResponseObserver,
    /// `None` once it was sent.
    record: Option<Box<ResponseRecord>>,
    began: Instant,
    deadline: Instant,
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").field("record", &self.record).finish_non_exhaustive()
    }
}

impl Report {
    pub(super) fn new(observer: ResponseObserver, head: &ResponseHead<'_>) -> Self {
        let record = ResponseRecord {
            at: head.at,
            decision_id: None,
            service: None,
            status: head.status,
            is_stream: head.is_stream,
            outcome: Outcome::Refused,
            refusal: None,
            determining: Vec::new(),
            end: Some(End::Abandoned),
            summary: Summary::default(),
            held: std::time::Duration::ZERO,
            elapsed: std::time::Duration::ZERO,
            would_be: None,
            rulings: Vec::new(),
        };
        Self { observer, record: Some(Box::new(record)), began: Instant::now(), deadline: head.deadline }
    }

    /// Changes the record before it is sent.
    pub(super) fn note(&mut self, change: impl FnOnce(&mut ResponseRecord)) {
        if let Some(record) = &mut self.record {
            change(record);
        }
    }

    /// There is nothing to report: no policy is about the response.
    pub(super) fn none(mut self) {
        self.record = None;
    }

    /// Reports a response that is refused by its headers.
    pub(super) fn refused(mut self, refusal: &Refusal) {
        self.refuse(refusal);
    }

    /// The same, where the response is still needed to write what the client gets.
    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        if let Some(mut record) = self.record.take() {
            record.refused(refusal);
            // Nothing of the body was read.
            record.end = None;
            self.send(record);
        }
    }

    /// Reports a response with a head that was not evaluated in time.
    pub fn late(self) {
        self.refused(&Refusal::late());
    }

    /// Reports a response that was evaluated.
    pub(super) fn finish(mut self, fill: impl FnOnce(&mut ResponseRecord)) {
        if let Some(mut record) = self.record.take() {
            fill(&mut record);
            self.send(record);
        }
    }

    fn send(&self, mut record: Box<ResponseRecord>) {
        record.elapsed = self.began.elapsed();
        (self.observer)(&record);
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let Some(mut record) = self.record.take() else { return };
        if Instant::now() >= self.deadline && record.refusal.is_none() {
            record.refused(&Refusal::late());
            record.end = None;
        }
        self.send(record);
    }
}
