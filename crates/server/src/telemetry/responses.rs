//! Counts evaluated responses.
//!
//! Knows: their outcomes. Must not know: bodies, the exposition format.
//!
//! Services are those of the catalogue and detectors those of the tree, so the series are bounded by the tree.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use smol_str::SmolStr;

use super::metrics::{Metrics, Sample, table};
use crate::check::response::ResponseRecord;

/// The counts of all responses.
#[derive(Debug, Default)]
pub(super) struct Responses(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    outcomes: BTreeMap<(&'static str, &'static str), u64>,
    findings: BTreeMap<(SmolStr, SmolStr), u64>,
    divergence: BTreeMap<(&'static str, &'static str), u64>,
    frames_unread: u64,
    frames_withheld: u64,
    entries_kept: u64,
    entries_dropped: u64,
    held_bytes_most: u64,
    held_seconds_most: f64,
}

impl Responses {
    /// Counts, and shows the counts in the metrics.
    pub fn shown_in(metrics: &Metrics) -> Arc<Self> {
        let responses = Arc::<Self>::default();
        let add = |spec, read: fn(&Counts) -> Vec<Sample>| {
            let responses = Arc::clone(&responses);
            metrics.add_source(spec, move || read(&responses.0.lock().unwrap_or_else(PoisonError::into_inner)));
        };
        add(&table::RESPONSES, |counts| {
            let count = |((outcome, reason), count): (&(&'static str, &'static str), &u64)| {
                Sample::new([outcome, reason], as_number(*count))
            };
            counts.outcomes.iter().map(count).collect()
        });
        add(&table::RESPONSE_DIVERGENCE, |counts| {
            let count =
                |((from, to), count): (&(&'static str, &'static str), &u64)| Sample::new([from, to], as_number(*count));
            counts.divergence.iter().map(count).collect()
        });
        add(&table::RESPONSE_FINDINGS, |counts| {
            let count = |((service, detector), count): (&(SmolStr, SmolStr), &u64)| {
                Sample::new([service.as_str(), detector.as_str()], as_number(*count))
            };
            counts.findings.iter().map(count).collect()
        });
        add(&table::RESPONSE_FRAMES, |counts| {
            vec![
                Sample::new(["unread"], as_number(counts.frames_unread)),
                Sample::new(["withheld"], as_number(counts.frames_withheld)),
            ]
        });
        add(&table::RESPONSE_LIST_ENTRIES, |counts| {
            vec![
                Sample::new(["kept"], as_number(counts.entries_kept)),
                Sample::new(["dropped"], as_number(counts.entries_dropped)),
            ]
        });
        add(&table::RESPONSE_HELD_BYTES, |counts| vec![Sample::new([], as_number(counts.held_bytes_most))]);
        add(&table::RESPONSE_HELD_SECONDS, |counts| vec![Sample::new([], counts.held_seconds_most)]);
        responses
    }

    /// Counts one response.
    pub fn observe(&self, record: &ResponseRecord) {
        let reason = match &record.refusal {
            Some(refusal) => refusal.reason.as_str(),
            None => record.end.map_or("none", |end| end.as_str()),
        };
        let summary = &record.summary;
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.outcomes.entry((record.outcome.as_str(), reason)).or_default() += 1;
        if let Some(would_be) = record.would_be.as_ref().filter(|would_be| would_be.is_different) {
            *counts.divergence.entry((record.outcome.as_str(), would_be.outcome_as_str())).or_default() += 1;
        }
        if let Some(service) = &record.service {
            for (detector, found) in &summary.findings {
                *counts.findings.entry((service.clone(), detector.clone())).or_default() += found;
            }
        }
        counts.frames_unread += summary.frames_unread;
        counts.frames_withheld += summary.frames_withheld;
        counts.entries_kept += summary.lists.entries.saturating_sub(summary.lists.dropped);
        counts.entries_dropped += summary.lists.dropped;
        counts.held_bytes_most = counts.held_bytes_most.max(summary.held_bytes_most);
        counts.held_seconds_most = counts.held_seconds_most.max(record.held.as_secs_f64());
    }
}

/// A count as the exposition has it; exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "the exposition has floating-point numbers")]
fn as_number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
