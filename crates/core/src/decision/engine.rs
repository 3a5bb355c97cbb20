//! The engine: finds the same satisfied policies as plain Cedar, at a cost that does not grow with their number.
//!
//! It selects the policies whose scope names the query, takes the prepared set of exactly these, projects the query onto
//! their read set, and answers from the cache, or lets Cedar evaluate.

pub mod candidates;
pub(super) mod eval_inputs;
pub mod evaluate;
pub mod projection;
mod projections;

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
use crate::obligation::template::{Root, Template, Variable};
use crate::query::Query;
use crate::sighted::{self, KeptHash, Sighted};
use candidates::Candidates;
use eval_inputs::unknown_action;
use evaluate::{Prepared, Satisfied};
use projection::{Projected, Projection};
use projections::Projections;

/// Most bytes of prepared sets of policies that are kept, approximately: some 20,000 sets of a few policies.
const PLAN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most candidates that a key lists; more stand in it as the number of their prepared set, which is as sure and shorter.
/// Lists are still good when a set was dropped and prepared again, which happens where very many small ones are in use.
const LISTED_MAX: usize = 64;
/// Most bytes of cached decisions, keys and results together, approximately.
const DECISION_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// What the cache itself takes for an entry, as heaptrack counts it over 100,000 of them: its place in the hash table and
/// in the queues, and the allocator's headers.
const ENTRY_BYTES: usize = 352;
/// Longest key under which a decision is remembered.
const KEY_BYTES_MAX: usize = 4096;

/// Prepared sets and cached decisions. Shared by all snapshots: the bundles' generations are part of every
/// key, so nothing is ever cleared by hand.
#[derive(Debug)]
pub struct Engine {
    plans: Cache<Box<[u32]>, Arc<Plan>>,
    decisions: Cache<sighted::Key, Arc<Satisfied>, KeptHash>,
    projections: Projections,
    sighted: Sighted,
    is_eager: AtomicBool,
    stats: Stats,
}

/// What the engine counts; read at every scrape.
#[derive(Debug, Default)]
pub struct Stats {
    /// Decisions answered from memory, those included that scopes alone decide.
    pub decision_hits: AtomicU64,
    /// Decisions that were evaluated and are remembered, at once or when they are asked for again.
    pub decision_misses: AtomicU64,
    /// Decisions that cannot be remembered, because they read the clock or failed.
    pub decision_skips: AtomicU64,
    /// Prepared sets found.
    pub plan_hits: AtomicU64,
    /// Prepared sets built.
    pub plan_misses: AtomicU64,
    /// Candidates per decision.
    pub candidates: Candidates,
}

/// What one search came to.
#[derive(Debug)]
pub(super) struct Found {
    /// Which policies are satisfied, and which fail.
    pub(super) findings: Arc<Satisfied>,
    /// How many policies' scopes name the query.
    pub(super) candidates: usize,
    /// Whether every call with the same words finds the same.
    pub(super) lasts: bool,
}

/// Everything that follows from which policies were selected.
#[derive(Debug)]
struct Plan {
    policies: Vec<Prepared>,
    /// What is found in every call, where scopes and confinement say all.
    settled: Option<Arc<Satisfied>>,
    projection: Arc<Projection>,
    /// What evaluating all of them can cost, inputs included.
    cost: Cost,
    /// Which policies of which versions these are: how keys of its decisions begin.
    identity: Box<[u8]>,
    remembered: Remembered,
    /// Neither a condition nor a template reaches what two calls of the same words may differ in.
    lasts: bool,
}

/// Whether decisions of a plan may be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remembered {
    Yes,
    /// The clock is read: the answer holds for one moment.
    No,
}

impl Default for Engine {
    fn default() -> Self {
        #[expect(clippy::borrowed_box, reason = "the cache hands out references to its keys")]
        let plan_weight = |key: &Box<[u32]>, plan: &Arc<Plan>| {
            // What weighs more than all may weigh together would never be kept, and be prepared anew for every call.
            u32::try_from((4 * key.len() + plan.bytes()).min(PLAN_BYTES_MAX / 4)).unwrap_or(u32::MAX)
        };
        // By age alone: else a large set would have to be asked for more often than all that must go for it.
        let plans = Cache::builder().eviction_policy(EvictionPolicy::lru()).weigher(plan_weight);
        let weight = |key: &sighted::Key, findings: &Arc<Satisfied>| {
            u32::try_from(key.size_bytes() + findings.bytes() + ENTRY_BYTES).unwrap_or(u32::MAX)
        };
        Self {
            plans: plans.max_capacity(PLAN_BYTES_MAX as u64).build(),
            decisions: Cache::builder().weigher(weight).max_capacity(DECISION_BYTES_MAX).build_with_hasher(KeptHash),
            projections: Projections::default(),
            sighted: Sighted::default(),
            is_eager: AtomicBool::new(false),
            stats: Stats::default(),
        }
    }
}

impl Engine {
    /// What it counts.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// From now on remembers decisions when they are first made, and not only when they are made again; for tests.
    pub fn remember_at_first_sight(&self) {
        self.is_eager.store(true, Ordering::Relaxed);
    }

    /// Remembered decisions and prepared sets, for the metrics.
    #[must_use]
    pub fn entries(&self) -> (u64, u64) {
        (self.decisions.entry_count(), self.plans.entry_count())
    }

    /// Which policies of one mode are satisfied, and which fail.
    ///
    /// # Errors
    /// A fragment that says what of the query does not fit the schema.
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

    /// As [`Engine::find`], within what the call may cost, and with what the search came to.
    pub(super) fn search(
        &self,
        units: &[Arc<Bundle>],
        mode: Mode,
        asked: (&Query, &Types),
        allowance: &Allowance<'_>,
    ) -> Result<Found, Stopped> {
        let (key, lists) = select(units, mode, asked.0);
        let candidates = lists.iter().map(|(_, list)| list.len()).sum();
        let (findings, lasts) = self.findings(units, key, &lists, asked, allowance)?;
        // A failure may come from the stack of the moment rather than from the policy.
        let lasts = lasts && findings.permit_errors.is_empty() && findings.forbid_errors.is_empty();
        Ok(Found { findings, candidates, lasts })
    }

    /// The findings, and whether the plan's decisions last.
    fn findings(
        &self,
        units: &[Arc<Bundle>],
        key: Vec<u32>,
        lists: &[(u32, Vec<u32>)],
        (query, types): (&Query, &Types),
        allowance: &Allowance<'_>,
    ) -> Result<(Arc<Satisfied>, bool), Stopped> {
        if lists.iter().all(|(_, list)| list.is_empty()) {
            // Nothing can be satisfied and nothing can fail; but the query must fit the schema all the same.
            return types
                .action(&query.action)
                .map(|_| (Arc::default(), true))
                .ok_or_else(|| unknown_action(&query.action).into());
        }
        let plan = self.plan(key, units, lists);
        if let Some(settled) = &plan.settled {
            eval_inputs::fits(query, types)?;
            self.stats.decision_hits.fetch_add(1, Ordering::Relaxed);
            return Ok((Arc::clone(settled), plan.lasts));
        }
        let projected = plan.projection.project(query);
        if plan.remembered == Remembered::No {
            self.stats.decision_skips.fetch_add(1, Ordering::Relaxed);
            return plan
                .evaluate(&projected, types, projected.bytes(), allowance)
                .map(|found| (Arc::new(found), false));
        }
        let mut key = Vec::with_capacity(512);
        key.extend_from_slice(&plan.identity);
        projected.write_key(&mut key);
        let key = self.sighted.key(key);
        if let Some(known) = self.decisions.get(&key) {
            self.stats.decision_hits.fetch_add(1, Ordering::Relaxed);
            return Ok((known, plan.lasts));
        }
        let bytes = key.size_bytes() + projected.name_bytes();
        let found = Arc::new(plan.evaluate(&projected, types, bytes, allowance)?);
        // A failure may come from the stack of the moment rather than from the policy.
        if found.permit_errors.is_empty() && found.forbid_errors.is_empty() && key.size_bytes() <= KEY_BYTES_MAX {
            self.stats.decision_misses.fetch_add(1, Ordering::Relaxed);
            if self.sighted.again(&key) || self.is_eager.load(Ordering::Relaxed) {
                self.decisions.insert(key.into_kept(), Arc::clone(&found));
            }
        } else {
            self.stats.decision_skips.fetch_add(1, Ordering::Relaxed);
        }
        Ok((found, plan.lasts))
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

/// What is found in a query that is projected onto `read_set`, whatever the policies' scopes and their own read sets: for
/// the tests that show that nothing in a read set can be left out.
///
/// # Errors
/// A fragment that says what of the query does not fit the schema.
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

/// The candidates of every side, and a key for exactly these policies of exactly these versions.
fn select(units: &[Arc<Bundle>], mode: Mode, query: &Query) -> (Vec<u32>, Vec<(u32, Vec<u32>)>) {
    let mut key = Vec::with_capacity(32);
    let mut lists = Vec::with_capacity(4);
    for (number, unit) in (0_u32..).zip(units) {
        let [high, low] = halves(unit.generation);
        key.extend([high, low]);
        let is_spoken_of = unit.applies_to(&query.resource);
        for (effect, index) in (0_u32..).zip(unit.indexes(mode)) {
            let list = if is_spoken_of { index.candidates(query) } else { Vec::new() };
            key.push(u32::try_from(list.len()).unwrap_or(u32::MAX));
            key.extend_from_slice(&list);
            lists.push((side(number, effect, mode), list));
        }
    }
    key.push(match mode {
        Mode::Enforce => 0,
        Mode::Shadow => 1,
    });
    (key, lists)
}

/// Bytes that no other selection has: the versions and the policies of each side, or a number that is never given twice.
fn identity(units: &[Arc<Bundle>], lists: &[(u32, Vec<u32>)]) -> Box<[u8]> {
    static NUMBERS: AtomicU64 = AtomicU64::new(0);
    let candidates: usize = lists.iter().map(|(_, list)| list.len()).sum();
    if candidates > LISTED_MAX {
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        return [1].into_iter().chain(number).collect();
    }
    let mut identity = vec![0];
    units.iter().for_each(|unit| identity.extend_from_slice(&unit.generation.to_be_bytes()));
    for (side, list) in lists {
        identity.extend_from_slice(&side.to_be_bytes());
        identity.extend_from_slice(&(list.len() as u64).to_be_bytes());
        list.iter().for_each(|number| identity.extend_from_slice(&number.to_be_bytes()));
    }
    identity.into()
}

fn side(unit: u32, effect: u32, mode: Mode) -> u32 {
    let mode = match mode {
        Mode::Enforce => 0,
        Mode::Shadow => 1,
    };
    unit * 4 + effect * 2 + mode
}

#[expect(clippy::cast_possible_truncation, reason = "both halves are kept")]
fn halves(number: u64) -> [u32; 2] {
    [(number >> 32) as u32, number as u32]
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
            remembered: Remembered::Yes,
            lasts: true,
        };
        for (side, list) in lists.iter().filter(|(_, list)| !list.is_empty()) {
            let Some((_, index)) = indexes.iter().find(|(known, _)| known == side) else { continue };
            for entry in list.iter().filter_map(|number| index.entry(*number)) {
                let policy = Prepared::new(&entry.policy, entry.settled, entry.cost);
                plan.cost.add(policy.cost());
                plan.policies.push(policy);
                read_set.merge(&entry.read_set);
                plan.lasts &= lasts(entry);
            }
        }
        if read_set.reads_now() {
            plan.remembered = Remembered::No;
        }
        plan.settled = evaluate::settled(&plan.policies).map(Arc::new);
        plan.projection = projections.of(read_set);
        plan
    }

    /// Roughly how much memory it takes.
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

/// Whether every call with the same words meets a policy alike, in its conditions and its obligations' templates.
fn lasts(entry: &Entry) -> bool {
    let follows = |variable: &Variable| {
        let path: Vec<&str> = variable.path.iter().map(String::as_str).collect();
        variable.root != Root::Context || is_stable(&path)
    };
    entry.read_set.is_request_stable() && entry.obligations.templates().flat_map(Template::variables).all(follows)
}
