//! The engine: the same findings as plain Cedar, at a cost that does not grow with the number of policies.
//!
//! Select the policies whose scope names the query; take the prepared set of exactly these; cut the query down
//! to what they can reach; answer from memory if that was asked before, else let Cedar evaluate.

pub mod candidates;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cedar_policy::PolicySet;
use moka::sync::Cache;

use super::evaluate::{self, Findings, Part};
use super::index::Index;
use super::project::{self, ScopeNames};
use super::reach::{Reach, is_lasting};
use super::schema::Types;
use super::unit::{Entry, Unit};
use super::values;
use crate::obligation::template::{Root, Template, Variable};
use crate::query::{Query, Uid};
use candidates::Candidates;

/// Most prepared sets of policies that are kept.
const PLANS_MAX: u64 = 4096;
/// Most bytes of remembered decisions, keys and findings together, approximately.
const DECISION_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest key under which a decision is remembered.
const KEY_BYTES_MAX: usize = 4096;

/// Prepared sets and remembered decisions. Shared by all snapshots: the units' generations are part of every
/// key, so nothing is ever cleared by hand.
#[derive(Debug)]
pub struct Engine {
    plans: Cache<Box<[u32]>, Arc<Plan>>,
    decisions: Cache<Box<[u8]>, Arc<Findings>>,
    stats: Stats,
}

/// What the engine counts; read at every scrape.
#[derive(Debug, Default)]
pub struct Stats {
    /// Decisions answered from memory.
    pub decision_hits: AtomicU64,
    /// Decisions that were evaluated and remembered.
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
    pub(super) findings: Arc<Findings>,
    /// How many policies' scopes name the query.
    pub(super) candidates: usize,
    /// Whether every call with the same words finds the same.
    pub(super) lasts: bool,
}

/// Everything that follows from which policies were selected.
#[derive(Debug)]
struct Plan {
    sets: Vec<PolicySet>,
    reach: Reach,
    scope: ScopeNames,
    generations: Vec<u64>,
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
        let weight = |key: &Box<[u8]>, findings: &Arc<Findings>| {
            u32::try_from(key.len() + findings.bytes() + 128).unwrap_or(u32::MAX)
        };
        Self {
            plans: Cache::new(PLANS_MAX),
            decisions: Cache::builder().weigher(weight).max_capacity(DECISION_BYTES_MAX).build(),
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

    /// Remembered decisions and prepared sets, for the metrics.
    #[must_use]
    pub fn entries(&self) -> (u64, u64) {
        (self.decisions.entry_count(), self.plans.entry_count())
    }

    /// Which policies of one part of the units are satisfied, and which fail.
    ///
    /// # Errors
    /// A fragment that says what of the query does not fit the schema.
    pub fn find(&self, units: &[Arc<Unit>], part: Part, query: &Query, types: &Types) -> Result<Arc<Findings>, String> {
        self.search(units, part, query, types).map(|found| found.findings)
    }

    /// As [`Engine::find`], with what the search cost.
    pub(super) fn search(
        &self,
        units: &[Arc<Unit>],
        part: Part,
        query: &Query,
        types: &Types,
    ) -> Result<Found, String> {
        let (key, lists) = select(units, part, query);
        let candidates = lists.iter().map(|(_, list)| list.len()).sum();
        let (findings, lasts) = self.findings(units, key, &lists, query, types)?;
        // A failure may come from the stack of the moment rather than from the policy.
        let lasts = lasts && findings.permit_errors.is_empty() && findings.forbid_errors.is_empty();
        Ok(Found { findings, candidates, lasts })
    }

    /// The findings, and whether the plan's decisions last.
    fn findings(
        &self,
        units: &[Arc<Unit>],
        key: Vec<u32>,
        lists: &[(u32, Vec<u32>)],
        query: &Query,
        types: &Types,
    ) -> Result<(Arc<Findings>, bool), String> {
        if lists.iter().all(|(_, list)| list.is_empty()) {
            // Nothing can be satisfied and nothing can fail; but the query must fit the schema all the same.
            return types.action(&query.action).map(|_| (Arc::default(), true)).ok_or_else(|| unknown_action(query));
        }
        let plan = self.plan(key, units, lists)?;
        let projected = project::project(query, &plan.reach, &plan.scope);
        if plan.remembered == Remembered::No {
            self.stats.decision_skips.fetch_add(1, Ordering::Relaxed);
            return evaluate(&plan, &projected, types).map(|found| (Arc::new(found), false));
        }
        let mut key = Vec::with_capacity(512);
        plan.generations.iter().for_each(|generation| key.extend_from_slice(&generation.to_be_bytes()));
        for (side, list) in lists {
            key.extend_from_slice(&side.to_be_bytes());
            key.extend_from_slice(&(list.len() as u64).to_be_bytes());
            list.iter().for_each(|number| key.extend_from_slice(&number.to_be_bytes()));
        }
        project::write_key(&projected, &plan.reach, &mut key);
        if let Some(known) = self.decisions.get(key.as_slice()) {
            self.stats.decision_hits.fetch_add(1, Ordering::Relaxed);
            return Ok((known, plan.lasts));
        }
        let found = Arc::new(evaluate(&plan, &projected, types)?);
        // A failure may come from the stack of the moment rather than from the policy.
        if found.permit_errors.is_empty() && found.forbid_errors.is_empty() && key.len() <= KEY_BYTES_MAX {
            self.stats.decision_misses.fetch_add(1, Ordering::Relaxed);
            self.decisions.insert(key.into_boxed_slice(), Arc::clone(&found));
        } else {
            self.stats.decision_skips.fetch_add(1, Ordering::Relaxed);
        }
        Ok((found, plan.lasts))
    }

    fn plan(&self, key: Vec<u32>, units: &[Arc<Unit>], lists: &[(u32, Vec<u32>)]) -> Result<Arc<Plan>, String> {
        if let Some(plan) = self.plans.get(key.as_slice()) {
            self.stats.plan_hits.fetch_add(1, Ordering::Relaxed);
            return Ok(plan);
        }
        self.stats.plan_misses.fetch_add(1, Ordering::Relaxed);
        let plan = Arc::new(Plan::new(units, lists)?);
        self.plans.insert(key.into_boxed_slice(), Arc::clone(&plan));
        Ok(plan)
    }
}

/// The candidates of every side, and a key for exactly these policies of exactly these versions.
fn select(units: &[Arc<Unit>], part: Part, query: &Query) -> (Vec<u32>, Vec<(u32, Vec<u32>)>) {
    let mut key = Vec::with_capacity(32);
    let mut lists = Vec::with_capacity(4);
    for (number, unit) in (0_u32..).zip(units) {
        let [high, low] = halves(unit.generation);
        key.extend([high, low]);
        for (effect, index) in (0_u32..).zip(unit.indexes(part)) {
            let list = index.candidates(query);
            key.push(u32::try_from(list.len()).unwrap_or(u32::MAX));
            key.extend_from_slice(&list);
            lists.push((side(number, effect, part), list));
        }
    }
    key.push(match part {
        Part::Enforced => 0,
        Part::Shadow => 1,
    });
    (key, lists)
}

fn side(unit: u32, effect: u32, part: Part) -> u32 {
    let part = match part {
        Part::Enforced => 0,
        Part::Shadow => 1,
    };
    unit * 4 + effect * 2 + part
}

#[expect(clippy::cast_possible_truncation, reason = "both halves are kept")]
fn halves(number: u64) -> [u32; 2] {
    [(number >> 32) as u32, number as u32]
}

fn unknown_action(query: &Query) -> String {
    format!("the schema has no action `{}`", query.action)
}

impl Plan {
    fn new(units: &[Arc<Unit>], lists: &[(u32, Vec<u32>)]) -> Result<Self, String> {
        let indexes: Vec<(u32, &Index)> = units
            .iter()
            .zip(0_u32..)
            .flat_map(|(unit, number)| {
                [Part::Enforced, Part::Shadow].into_iter().flat_map(move |part| {
                    unit.indexes(part)
                        .into_iter()
                        .zip(0_u32..)
                        .map(move |(index, effect)| (side(number, effect, part), index))
                })
            })
            .collect();
        let mut plan = Self {
            sets: Vec::new(),
            reach: Reach::default(),
            scope: ScopeNames::default(),
            generations: units.iter().map(|unit| unit.generation).collect(),
            remembered: Remembered::Yes,
            lasts: true,
        };
        for (side, list) in lists.iter().filter(|(_, list)| !list.is_empty()) {
            let Some((_, index)) = indexes.iter().find(|(known, _)| known == side) else { continue };
            let mut set = PolicySet::new();
            for entry in list.iter().filter_map(|number| index.entry(*number)) {
                set.add(entry.policy.clone()).map_err(|error| error.to_string())?;
                plan.reach.merge(&entry.reach);
                plan.scope.add(&entry.policy);
                plan.lasts &= lasts(entry);
            }
            plan.sets.push(set);
        }
        if plan.reach.reads_now() {
            plan.remembered = Remembered::No;
        }
        Ok(plan)
    }
}

/// Whether every call with the same words meets a policy alike, in its conditions and its obligations' templates.
fn lasts(entry: &Entry) -> bool {
    let follows = |variable: &Variable| {
        let path: Vec<&str> = variable.path.iter().map(String::as_str).collect();
        variable.root != Root::Context || is_lasting(&path)
    };
    entry.reach.lasts() && entry.obligations.templates().flat_map(Template::variables).all(follows)
}

impl ScopeNames {
    fn add(&mut self, policy: &cedar_policy::Policy) {
        use super::index::Part::{Any, Eq, In, Is, IsIn};
        let named = |part: super::index::Part| -> Option<Uid> {
            match part {
                In(uid) | IsIn(_, uid) => Some(uid),
                Any | Is(_) | Eq(_) => None,
            }
        };
        self.principal.extend(named(policy.principal_constraint().into()));
        self.resource.extend(named(policy.resource_constraint().into()));
    }
}

fn evaluate(plan: &Plan, projected: &Query, types: &Types) -> Result<Findings, String> {
    let inputs = values::unchecked_inputs(projected, types)?;
    let mut findings = Findings::default();
    for set in &plan.sets {
        evaluate::ask(set, &inputs, &mut findings);
    }
    Ok(findings)
}
