//! Series of loaded units and policies, removed when they are unloaded.
//!
//! Knows: counters by unit and by policy. Must not know: the exposition format.
//!
//! A call is counted by the set of its time; where that set was replaced meanwhile, an id it no
//! longer holds counts as [`OTHER`], so that no series outlives what it is about.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;

use super::Sample;
use picket_core::catalog::Protocol;
use picket_core::decision::verdict::{Decision, Reason};
use picket_core::failure::Code;

/// Label value for a namespace or policy that is not loaded.
pub(super) const OTHER: &str = "_other";
/// Label value for a call whose namespace was not found out.
pub(super) const NONE: &str = "_none";

/// Whether a verdict was enforced or only computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    Enforce,
    Shadow,
}

/// Why an answer is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum SeriesOutcome {
    Verdict(Reason),
    Failure(Code),
}

/// The labels of one decision but its namespace; small and `Copy`, so that counting allocates nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SeriesKey {
    pub protocol: Option<Protocol>,
    pub mode: Mode,
    pub decision: Decision,
    pub outcome: SeriesOutcome,
}

/// Counters of one unit.
#[derive(Debug, Default)]
pub(super) struct Unit {
    digest: RwLock<String>,
    policies: AtomicU64,
    /// Soon all keys are there; from then on calls read it without a word to each other.
    decisions: ArcSwap<HashMap<SeriesKey, Arc<AtomicU64>>>,
}

/// Counters of one policy.
#[derive(Debug)]
pub(super) struct Policy {
    unit: Arc<str>,
    decided: AtomicU64,
    failed: AtomicU64,
}

/// Counters of everything loaded.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    // Asked by every call, and sorted only where they are written down: among 10,000 names a tree would compare 14.
    units: HashMap<Arc<str>, Arc<Unit>>,
    policies: HashMap<Arc<str>, Arc<Policy>>,
    none: Arc<Unit>,
    other: Arc<Unit>,
    other_failed: Arc<AtomicU64>,
}

impl Unit {
    /// Counts one decision.
    pub fn count(&self, key: SeriesKey) {
        if let Some(counter) = self.decisions.load().get(&key) {
            counter.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.decisions.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.entry(key).or_default();
            known
        });
        if let Some(counter) = self.decisions.load().get(&key) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn decisions(&self, namespace: &str, samples: &mut Vec<Sample>) {
        for (key, counter) in self.decisions.load().iter() {
            let labels = [key.protocol(), key.mode(), key.decision.as_str(), key.reason(), namespace];
            samples.push(Sample::new(labels, count(counter)));
        }
    }
}

impl SeriesKey {
    fn protocol(&self) -> &'static str {
        self.protocol.map_or("unknown", Protocol::as_str)
    }

    fn mode(&self) -> &'static str {
        match self.mode {
            Mode::Enforce => "enforce",
            Mode::Shadow => "shadow",
        }
    }

    fn reason(&self) -> &'static str {
        match self.outcome {
            SeriesOutcome::Verdict(reason) => reason.as_str(),
            SeriesOutcome::Failure(code) => code.as_str(),
        }
    }
}

impl Loaded {
    /// The next set: what is still loaded keeps its counts, what is new starts at 0, the rest is gone.
    pub fn next(&self, policies: &BTreeMap<String, Vec<String>>, digests: &BTreeMap<String, String>) -> Self {
        let mut next = Self {
            none: Arc::clone(&self.none),
            other: Arc::clone(&self.other),
            other_failed: Arc::clone(&self.other_failed),
            ..Self::default()
        };
        for name in policies.keys().chain(digests.keys()).collect::<BTreeSet<_>>() {
            let unit = self.units.get(name.as_str()).map(Arc::clone).unwrap_or_default();
            *unit.digest.write().unwrap_or_else(PoisonError::into_inner) =
                digests.get(name).cloned().unwrap_or_default();
            let ids = policies.get(name).map_or(&[][..], Vec::as_slice);
            unit.policies.store(u64::try_from(ids.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
            let name: Arc<str> = Arc::from(name.as_str());
            for id in ids {
                let policy = self.policies.get(id.as_str()).map_or_else(|| Policy::new(&name), Arc::clone);
                next.policies.insert(Arc::from(id.as_str()), policy);
            }
            next.units.insert(name, unit);
        }
        next
    }

    /// Where decisions about a namespace are counted.
    pub fn unit(&self, namespace: Option<&str>) -> &Unit {
        match namespace {
            Some(name) => self.units.get(name).unwrap_or(&self.other),
            None => &self.none,
        }
    }

    /// Counts that a policy determined a decision.
    pub fn decided(&self, id: &str) {
        if let Some(policy) = self.policies.get(id) {
            policy.decided.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts that a policy's evaluation failed.
    pub fn failed(&self, id: &str) {
        self.policies.get(id).map_or(&*self.other_failed, |policy| &policy.failed).fetch_add(1, Ordering::Relaxed);
    }

    /// Samples of `picket_decisions_total`.
    pub fn decisions(&self) -> Vec<Sample> {
        let mut samples = Vec::new();
        for (name, unit) in sorted(&self.units) {
            unit.decisions(name, &mut samples);
        }
        self.none.decisions(NONE, &mut samples);
        self.other.decisions(OTHER, &mut samples);
        samples
    }

    /// Samples of `picket_determining_policy_total`.
    pub fn determining(&self) -> Vec<Sample> {
        let sample = |(id, policy): (&str, &Policy)| Sample::new([&*policy.unit, id], count(&policy.decided));
        sorted(&self.policies).map(sample).collect()
    }

    /// Samples of `picket_policy_errors_total`.
    pub fn failures(&self) -> Vec<Sample> {
        let loaded = sorted(&self.policies).map(|(id, policy)| (id, count(&policy.failed)));
        loaded
            .chain([(OTHER, count(&self.other_failed))])
            .filter(|(_, failed)| *failed > 0.0)
            .map(|(id, failed)| Sample::new([id], failed))
            .collect()
    }

    /// Samples of `picket_policy_snapshot_info`.
    pub fn digests(&self) -> Vec<Sample> {
        let digest = |unit: &Unit| unit.digest.read().unwrap_or_else(PoisonError::into_inner).clone();
        sorted(&self.units).map(|(name, unit)| Sample::new([name, &digest(unit)], 1.0)).collect()
    }

    /// Samples of `picket_policies`.
    pub fn sizes(&self) -> Vec<Sample> {
        sorted(&self.units).map(|(name, unit)| Sample::new([name], count(&unit.policies))).collect()
    }
}

impl Policy {
    fn new(unit: &Arc<str>) -> Arc<Self> {
        Arc::new(Self { unit: Arc::clone(unit), decided: AtomicU64::new(0), failed: AtomicU64::new(0) })
    }
}

/// What a map holds, by name.
fn sorted<T>(named: &HashMap<Arc<str>, Arc<T>>) -> impl Iterator<Item = (&str, &T)> {
    let mut all: Vec<(&str, &T)> = named.iter().map(|(name, counted)| (&**name, &**counted)).collect();
    all.sort_unstable_by_key(|(name, _)| *name);
    all.into_iter()
}

/// A counter's value as the exposition wants it; exact up to 2^53.
pub(super) fn count(counter: &AtomicU64) -> f64 {
    counter.load(Ordering::Relaxed) as f64
}
