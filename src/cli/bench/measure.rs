//! Measures decisions.
//!
//! Knows: the PDP, time. Must not know: where queries come from, how figures are printed.

use std::hint::black_box;
use std::time::Duration;

use hdrhistogram::Histogram;
use smol_str::format_smolstr;
use tokio::time::Instant;

use picket_core::decision::{self, Snapshot};
use picket_core::query::{Facts, Family, Keys, Query, Value};

/// What a round's calls have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mix {
    /// The calls again and again: memory answers.
    Repeated,
    /// Each call has different values in all headers that policies read, so that no decision is cached.
    Varying,
}

/// What one round came to.
pub(super) struct Figures {
    nanoseconds: Option<Histogram<u64>>,
    decisions: u64,
    deciding: Duration,
}

impl Figures {
    /// The latency below which this share of the decisions stays.
    pub(super) fn microseconds(&self, quantile: f64) -> f64 {
        let nanoseconds = self.nanoseconds.as_ref().map_or(0, |all| all.value_at_quantile(quantile));
        nanoseconds as f64 / 1000.0
    }

    /// Decisions in a second of deciding; what lies between two of them does not count.
    pub(super) fn per_second(&self) -> f64 {
        let seconds = self.deciding.as_secs_f64();
        if seconds > 0.0 { self.decisions as f64 / seconds } else { 0.0 }
    }
}

/// Decides for this long, and at least once.
pub(super) fn round(snapshot: &Snapshot, queries: &[Query], mix: Mix, lasting: Duration) -> Figures {
    // Up to a minute with three digits: no decision takes longer, and the bounds are constants.
    let nanoseconds = Histogram::new_with_bounds(1, 60_000_000_000, 3).ok();
    let mut figures = Figures { nanoseconds, decisions: 0, deciding: Duration::ZERO };
    let facts = Facts::default();
    let end = Instant::now() + lasting;
    for query in queries.iter().cycle() {
        let mut query = match mix {
            Mix::Repeated => query.clone(),
            Mix::Varying => varied(snapshot, query, figures.decisions),
        };
        let begin = Instant::now();
        let decided = black_box(decision::decide(snapshot, &mut query, &facts));
        let done = Instant::now();
        drop(decided);
        let took = done - begin;
        figures.decisions += 1;
        figures.deciding += took;
        if let Some(all) = &mut figures.nanoseconds {
            all.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        }
        if done >= end {
            break;
        }
    }
    figures
}

/// The query with headers that no call had before.
fn varied(snapshot: &Snapshot, query: &Query, number: u64) -> Query {
    let mut query = query.clone();
    let value = Value::String(format_smolstr!("bench-{number}"));
    let read = headers_read(snapshot, &query);
    let bag = query.bags.iter_mut().find(|bag| bag.uid.id == "headers");
    if let Some(headers) = bag {
        match read {
            Keys::All => drop(headers.tags.insert("x-picket-bench".into(), value)),
            Keys::Some(names) => headers.tags.extend(names.iter().map(|name| (name.into(), value.clone()))),
        }
    }
    query
}

/// The headers that policies can read of such a call.
fn headers_read<'a>(snapshot: &'a Snapshot, query: &Query) -> &'a Keys {
    let service: String = query.resource.uid.id.split('/').take(2).collect::<Vec<_>>().join("/");
    &snapshot.reads(&service, Family::of(&query.action).unwrap_or(Family::Other)).headers
}

/// How many policies each query looks at, sorted.
pub(super) struct Candidates(Vec<u64>);

impl Candidates {
    /// The number that this share of the queries does not exceed.
    pub(super) fn at(&self, share: f64) -> u64 {
        let numbers = &self.0;
        let reached = (1..=numbers.len()).find(|count| *count as f64 >= share * numbers.len() as f64);
        reached.and_then(|count| numbers.get(count - 1)).copied().unwrap_or_default()
    }
}

/// Decides every query once and counts its candidates.
pub(super) fn candidates(snapshot: &Snapshot, queries: &[Query]) -> Candidates {
    let counted = &snapshot.engine().stats().candidates;
    let facts = Facts::default();
    let one = |query: &Query| {
        // Nobody else decides in this process, so what is added is this query's.
        let before = counted.sum();
        drop(black_box(decision::decide(snapshot, &mut query.clone(), &facts)));
        counted.sum() - before
    };
    let mut all: Vec<u64> = queries.iter().map(one).collect();
    all.sort_unstable();
    Candidates(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_the_queries_is_taken_from_below() {
        let candidates = Candidates(vec![1, 2, 3, 40]);
        assert_eq!([0.0, 0.25, 0.5, 0.75, 0.99, 1.0].map(|share| candidates.at(share)), [1, 1, 2, 3, 40, 40]);
        assert_eq!(Candidates(Vec::new()).at(0.5), 0);
    }
}
