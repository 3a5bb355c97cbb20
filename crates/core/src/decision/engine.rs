//! The engine: finds the same satisfied policies as plain Cedar, at a cost that does not grow with their number.
//!
//! It selects the policies with a scope that names the query, gets the prepared set of exactly these, projects the
//! query onto their read set, and answers from the cache or lets Cedar evaluate.

pub mod candidates;
mod content_tests;
pub(super) mod eval_inputs;
pub mod evaluate;
pub mod projection;
mod projections;
mod selection;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::allowance::{Allowance, Stopped};
use super::bundle::Bundle;
use super::bundle::index::Index;
use super::policy::cost::Cost;
use super::policy::entry::Entry;
use super::policy::mode::Mode;
use super::read_set::{ReadSet, is_stable};
use super::schema::Types;
use crate::doorkeeper::{self, BuildPrehashed, Doorkeeper};
use crate::obligation::template::{Root, Template, Variable};
use crate::query::Query;
use candidates::Candidates;
use content_tests::ContentTests;
use eval_inputs::unknown_action;
use evaluate::{Prepared, Satisfied};
use projection::{Projected, Projection};
use projections::Projections;
use selection::{identity, select, side, unit_of};

/// Most bytes of prepared sets of policies that are cached, approximately: some 20,000 sets of a few policies.
const PLAN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most bytes of cached decisions, keys and results together, approximately.
const DECISION_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Overhead of an entry in the cache, as heaptrack counts it over 100,000 of them: its place in the hash table and in
/// the queues, and the allocator's headers.
const ENTRY_BYTES: usize = 352;
/// Longest key of a cached decision.
const KEY_BYTES_MAX: usize = 4096;

/// Prepared sets and cached decisions. Shared by all snapshots: the bundles' generations are part of every key, so no
/// entry has to be invalidated.
#[derive(Debug)]
pub struct Engine {
    plans: Cache<Box<[u32]>, Arc<Plan>>,
    decisions: Cache<doorkeeper::Key, Arc<Satisfied>, BuildPrehashed>,
    projections: Projections,
    doorkeeper: Doorkeeper,
    is_eager: AtomicBool,
    stats: Stats,
}

/// The engine's counters; every scrape reads them.
#[derive(Debug, Default)]
pub struct Stats {
    /// Decisions from the cache, and those that scopes alone decide.
    pub decision_hits: AtomicU64,
    /// Decisions that were evaluated and are cached, at once or at their second request.
    pub decision_misses: AtomicU64,
    /// Decisions that cannot be cached, because they read the clock or failed.
    pub decision_skips: AtomicU64,
    /// Prepared sets found.
    pub plan_hits: AtomicU64,
    /// Prepared sets built.
    pub plan_misses: AtomicU64,
    /// Candidates per decision.
    pub candidates: Candidates,
}

/// Result of one search.
#[derive(Debug)]
pub(super) struct Found {
    /// The satisfied and the failed policies.
    pub(super) findings: Arc<Satisfied>,
    /// Number of policies with a scope that names the query.
    pub(super) candidates: usize,
    /// Every call with an equal request has the same result.
    pub(super) is_cacheable: bool,
    /// As [`Plan::trusts_inspection`].
    pub(super) trusts_inspection: Option<Arc<str>>,
}

/// A prepared set: everything that follows from the selected policies.
#[derive(Debug)]
struct Plan {
    policies: Vec<Prepared>,
    /// The result for every call, if scopes and confinement decide alone.
    settled: Option<Arc<Satisfied>>,
    projection: Arc<Projection>,
    /// Estimated cost of evaluating all of them, inputs included.
    cost: Cost,
    /// The selected policies and their versions: the prefix of the keys of its decisions.
    identity: Box<[u8]>,
    caching: DecisionCaching,
    /// No condition and no template reads an input that differs between equal requests.
    is_cacheable: bool,
    /// A policy that tests findings, of a unit of which no selected policy tests whether everything was read: it takes a
    /// message that was not read for one without findings.
    trusts_inspection: Option<Arc<str>>,
}

/// Permission to cache decisions of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DecisionCaching {
    Yes,
    /// The policies read the clock: the answer holds for one moment.
    No,
}

impl Default for Engine {
    fn default() -> Self {
        #[expect(clippy::borrowed_box, reason = "the cache hands out references to its keys")]
        let plan_weight = |key: &Box<[u32]>, plan: &Arc<Plan>| {
            // An entry heavier than the whole capacity would never be cached, and prepared again for every call.
            u32::try_from((4 * key.len() + plan.bytes()).min(PLAN_BYTES_MAX / 4)).unwrap_or(u32::MAX)
        };
        // Evict by age alone: otherwise a large set would need more requests than all the entries that it evicts.
        let plans = Cache::builder().eviction_policy(EvictionPolicy::lru()).weigher(plan_weight);
        let weight = |key: &doorkeeper::Key, findings: &Arc<Satisfied>| {
            u32::try_from(key.size_bytes() + findings.bytes() + ENTRY_BYTES).unwrap_or(u32::MAX)
        };
        Self {
            plans: plans.max_capacity(PLAN_BYTES_MAX as u64).build(),
            decisions: Cache::builder()
                .weigher(weight)
                .max_capacity(DECISION_BYTES_MAX)
                .build_with_hasher(BuildPrehashed),
            projections: Projections::default(),
            doorkeeper: Doorkeeper::default(),
            is_eager: AtomicBool::new(false),
            stats: Stats::default(),
        }
    }
}

impl Engine {
    /// Its counters.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Caches decisions at their first request instead of the second; for tests.
    pub fn cache_at_first_request(&self) {
        self.is_eager.store(true, Ordering::Relaxed);
    }

    /// Numbers of cached decisions and prepared sets, for the metrics.
    #[must_use]
    pub fn entries(&self) -> (u64, u64) {
        (self.decisions.entry_count(), self.plans.entry_count())
    }

    /// Finds the satisfied and the failed policies of one mode.
    ///
    /// # Errors
    /// A fragment that says which part of the query does not fit the schema.
    pub fn find(
        &self,
        units: &[Arc<Bundle>],
        mode: Mode,
        query: &Query,
        types: &Types,
    ) -> Result<Arc<Satisfied>, String> {
        let found = self.search(units, mode, (query, types), &Allowance::unbounded());
        found.map(|found| found.findings).map_err(|stopped| stopped.to_string())
    }

    /// As [`Engine::find`], within the call's allowance, and with details of the search.
    pub(super) fn search(
        &self,
        units: &[Arc<Bundle>],
        mode: Mode,
        asked: (&Query, &Types),
        allowance: &Allowance<'_>,
    ) -> Result<Found, Stopped> {
        let (key, lists) = select(units, mode, asked.0);
        let candidates = lists.iter().map(|(_, list)| list.len()).sum();
        let (findings, plan) = self.findings(units, key, &lists, asked, allowance)?;
        let is_cacheable = plan.as_ref().is_none_or(|plan| plan.is_cacheable);
        let trusts_inspection = plan.and_then(|plan| plan.trusts_inspection.clone());
        // Not cached: an evaluation error may be a recursion limit on this thread's stack, not a property of the
        // policy.
        let is_cacheable = is_cacheable && findings.permit_errors.is_empty() && findings.forbid_errors.is_empty();
        Ok(Found { findings, candidates, is_cacheable, trusts_inspection })
    }

    /// The result, and the plan if a policy was selected.
    fn findings(
        &self,
        units: &[Arc<Bundle>],
        key: Vec<u32>,
        lists: &[(u32, Vec<u32>)],
        (query, types): (&Query, &Types),
        allowance: &Allowance<'_>,
    ) -> Result<(Arc<Satisfied>, Option<Arc<Plan>>), Stopped> {
        if lists.iter().all(|(_, list)| list.is_empty()) {
            // No policy can be satisfied or fail; but the query must fit the schema all the same.
            return types
                .action(&query.action)
                .map(|_| (Arc::default(), None))
                .ok_or_else(|| unknown_action(&query.action).into());
        }
        let plan = self.plan(key, units, lists);
        if let Some(settled) = &plan.settled {
            eval_inputs::fits(query, types)?;
            self.stats.decision_hits.fetch_add(1, Ordering::Relaxed);
            return Ok((Arc::clone(settled), Some(plan)));
        }
        let projected = plan.projection.project(query);
        if plan.caching == DecisionCaching::No {
            self.stats.decision_skips.fetch_add(1, Ordering::Relaxed);
            let found = plan.evaluate(&projected, types, projected.bytes(), allowance)?;
            return Ok((Arc::new(found), Some(plan)));
        }
        let mut key = Vec::with_capacity(512);
        key.extend_from_slice(&plan.identity);
        projected.write_key(&mut key);
        let key = self.doorkeeper.key(key);
        if let Some(known) = self.decisions.get(&key) {
            self.stats.decision_hits.fetch_add(1, Ordering::Relaxed);
            return Ok((known, Some(plan)));
        }
        let bytes = key.size_bytes() + projected.name_bytes();
        let found = Arc::new(plan.evaluate(&projected, types, bytes, allowance)?);
        // Not cached: an evaluation error may be a recursion limit on this thread's stack, not a property of the
        // policy.
        if found.permit_errors.is_empty() && found.forbid_errors.is_empty() && key.size_bytes() <= KEY_BYTES_MAX {
            self.stats.decision_misses.fetch_add(1, Ordering::Relaxed);
            if self.doorkeeper.seen_before(&key) || self.is_eager.load(Ordering::Relaxed) {
                self.decisions.insert(key.into_shrunk(), Arc::clone(&found));
            }
        } else {
            self.stats.decision_skips.fetch_add(1, Ordering::Relaxed);
        }
        Ok((found, Some(plan)))
    }

    fn plan(&self, key: Vec<u32>, units: &[Arc<Bundle>], lists: &[(u32, Vec<u32>)]) -> Arc<Plan> {
        if let Some(plan) = self.plans.get(key.as_slice()) {
            self.stats.plan_hits.fetch_add(1, Ordering::Relaxed);
            return plan;
        }
        self.stats.plan_misses.fetch_add(1, Ordering::Relaxed);
        let plan = Arc::new(Plan::new(units, lists, &self.projections));
        self.plans.insert(key.into_boxed_slice(), Arc::clone(&plan));
        plan
    }
}

/// The result for a query that is projected onto `read_set` instead of the policies' own read sets. For tests that show
/// that no part of a read set can be left out.
///
/// # Errors
/// A fragment that says which part of the query does not fit the schema.
pub fn find_within(
    units: &[Arc<Bundle>],
    read_set: &ReadSet,
    query: &Query,
    types: &Types,
) -> Result<Satisfied, String> {
    let projection = Projection::new(read_set);
    let enforced = units.iter().flat_map(|unit| unit.entries.values()).filter(|entry| entry.mode == Mode::Enforce);
    let policies: Vec<Prepared> =
        enforced.map(|entry| Prepared::new(&entry.policy, entry.settled, entry.cost)).collect();
    let projected = projection.project(query);
    evaluate::evaluate_each(
        &policies,
        eval_inputs::build(&projected, types)?,
        projected.bytes(),
        &Allowance::unbounded(),
    )
    .map_err(|stopped| stopped.to_string())
}

impl Plan {
    fn new(units: &[Arc<Bundle>], lists: &[(u32, Vec<u32>)], projections: &Projections) -> Self {
        let indexes: Vec<(u32, &Index)> = units
            .iter()
            .zip(0_u32..)
            .flat_map(|(unit, number)| {
                [Mode::Enforce, Mode::Shadow].into_iter().flat_map(move |mode| {
                    unit.indexes(mode)
                        .into_iter()
                        .zip(0_u32..)
                        .map(move |(index, effect)| (side(number, effect, mode), index))
                })
            })
            .collect();
        let mut read_set = ReadSet::default();
        let mut plan = Self {
            policies: Vec::new(),
            settled: None,
            projection: Arc::default(),
            cost: Cost::of_inputs(),
            identity: identity(units, lists),
            caching: DecisionCaching::Yes,
            is_cacheable: true,
            trusts_inspection: None,
        };
        let mut content = ContentTests::default();
        for (side, list) in lists.iter().filter(|(_, list)| !list.is_empty()) {
            let Some((_, index)) = indexes.iter().find(|(known, _)| known == side) else { continue };
            for entry in list.iter().filter_map(|number| index.entry(*number)) {
                let policy = Prepared::new(&entry.policy, entry.settled, entry.cost);
                plan.cost.add(policy.cost());
                plan.policies.push(policy);
                read_set.merge(&entry.read_set);
                plan.is_cacheable &= is_cacheable(entry);
                content.add(unit_of(*side), entry);
            }
        }
        if read_set.reads_now() {
            plan.caching = DecisionCaching::No;
        }
        plan.trusts_inspection = content.trusting().map(Arc::from);
        plan.settled = evaluate::settled(&plan.policies).map(Arc::new);
        plan.projection = projections.of(read_set);
        plan
    }

    /// Approximate memory.
    fn bytes(&self) -> usize {
        self.policies.iter().map(Prepared::bytes).sum::<usize>() + self.projection.bytes() + self.identity.len() + 512
    }

    /// `bytes` is the size of the projection.
    fn evaluate(
        &self,
        projected: &Projected<'_>,
        types: &Types,
        bytes: usize,
        allowance: &Allowance<'_>,
    ) -> Result<Satisfied, Stopped> {
        allowance.spend(self.cost.with(bytes))?;
        evaluate::evaluate_each(&self.policies, eval_inputs::build(projected, types)?, bytes, allowance)
    }
}

/// Returns whether equal requests are equal for a policy, in its conditions and its obligations' templates.
fn is_cacheable(entry: &Entry) -> bool {
    let follows = |variable: &Variable| {
        let path: Vec<&str> = variable.path.iter().map(String::as_str).collect();
        variable.root != Root::Context || is_stable(&path)
    };
    entry.read_set.is_request_stable() && entry.obligations.templates().flat_map(Template::variables).all(follows)
}
