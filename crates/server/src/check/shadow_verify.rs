//! Verifies every Nth decision against the reference, off the request path.
//!
//! Knows: the engine and its specification. Must not know: the handling of a mismatch beyond its count and log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::judgement::Judgement;
use picket_core::decision::Snapshot;
use picket_core::decision::allowance::POLICY_COST_MAX;
use picket_core::decision::engine::evaluate::Satisfied;
use picket_core::decision::policy::mode::Mode;
use picket_core::decision::reference::{reference, reference_cost};
use picket_core::decision::snapshot::applicable_bundles;
use picket_core::query::{Query, action};

/// Most queries that wait to be verified; more are skipped, since verification must never cost a call its answer.
const WAITING_MAX: usize = 64;

/// Highest estimated cost of verifying one decision; a costlier one is skipped.
const PLAIN_COST_MAX: u64 = POLICY_COST_MAX;

/// Sends every Nth query to be verified.
#[derive(Debug)]
pub struct Verifier {
    every: u64,
    seen: AtomicU64,
    sender: mpsc::Sender<(Arc<Snapshot>, Query)>,
    stats: Arc<Stats>,
}

/// Results of the verification; every scrape reads them.
#[derive(Debug, Default)]
pub struct Stats {
    /// Decisions verified.
    pub verified: AtomicU64,
    /// Decisions that differ from plain Cedar's; every one is a defect.
    pub mismatches: AtomicU64,
    /// Decisions skipped because too many waited.
    pub skipped: AtomicU64,
}

/// Receives the queries and verifies them.
#[derive(Debug)]
pub struct Verification {
    receiver: mpsc::Receiver<(Arc<Snapshot>, Query)>,
    stats: Arc<Stats>,
}

/// Makes both ends; `every` is at least 1.
#[must_use]
pub fn verifier(every: u64) -> (Verifier, Verification) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let stats = Arc::<Stats>::default();
    let verifier = Verifier { every: every.max(1), seen: AtomicU64::new(0), sender, stats: Arc::clone(&stats) };
    (verifier, Verification { receiver, stats })
}

impl Verifier {
    /// Counts a call, and returns whether its decision is to be verified.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.every)
    }

    /// Compares a cached judgement of a call with a new one.
    pub fn compare(&self, cached: &Judgement, evaluated: &Judgement) {
        let verdict = |judgement: &Judgement| judgement.result.as_ref().ok().cloned();
        if verdict(cached) != verdict(evaluated) {
            self.stats.mismatches.fetch_add(1, Ordering::Relaxed);
            let resource = evaluated.query.as_ref().map(|query| query.resource.uid.to_string()).unwrap_or_default();
            tracing::error!(
                resource,
                "the cached decision about a call to {resource} differs from a new evaluation: report this bug"
            );
        }
    }

    /// Sends a decided query to be verified.
    pub fn offer(&self, snapshot: &Arc<Snapshot>, query: &Query) {
        if self.sender.try_send((Arc::clone(snapshot), query.clone())).is_err() {
            self.stats.skipped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Results of the verification.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }
}

impl Verification {
    /// Verifies until all senders are dropped.
    pub async fn run(mut self) {
        while let Some((snapshot, query)) = self.receiver.recv().await {
            let verified =
                tokio::task::spawn_blocking(move || differences(&snapshot, &query).map_err(|e| Box::new((e, query))));
            match verified.await {
                Ok(Ok(())) => {}
                Ok(Err(mismatch)) => {
                    let (difference, query) = *mismatch;
                    self.stats.mismatches.fetch_add(1, Ordering::Relaxed);
                    let resource = query.resource.uid.to_string();
                    tracing::error!(
                        action = action::bare(&query.action),
                        resource,
                        "the engine and plain Cedar disagree about a call to {resource}, report this bug: {difference}"
                    );
                }
                Err(error) => tracing::error!(%error, "verifying a decision panicked"),
            }
            self.stats.verified.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Compares satisfied permits, satisfied forbids and failures of the engine with those of plain Cedar.
///
/// # Errors
/// Both answers, as text.
pub fn differences(snapshot: &Snapshot, query: &Query) -> Result<(), String> {
    let units = applicable_bundles(snapshot, &query.namespace).map_err(|failure| failure.to_string())?;
    // Plain Cedar evaluates all policies, not only candidates, and has no limits.
    if reference_cost(&units, query) > PLAIN_COST_MAX {
        return Ok(());
    }
    for mode in [Mode::Enforce, Mode::Shadow] {
        let fast = snapshot.engine().find(&units, mode, query, snapshot.types())?;
        let slow = reference(snapshot, query, mode).map_err(|failure| failure.to_string())?;
        let sides = |found: &Satisfied| {
            let failed: Vec<String> = found.permit_errors.keys().chain(found.forbid_errors.keys()).cloned().collect();
            (found.permits.clone(), found.forbids.clone(), failed)
        };
        let (fast, slow) = (sides(&fast), sides(&slow));
        if fast != slow {
            return Err(format!("engine {fast:?}, plain Cedar {slow:?}"));
        }
    }
    Ok(())
}
