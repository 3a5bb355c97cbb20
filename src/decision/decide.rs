//! The verdict algebra: from satisfied permits and forbids to an answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::format_smolstr;

use super::allowance::{Allowance, Stopped};
use super::cost::Cost;
use super::evaluate::{Findings, Part};
use super::project::Shape;
use super::reach::Reach;
use super::remedy;
use super::snapshot::{Namespace, Snapshot};
use super::unit::{Entry, MESH, Unit};
use super::values;
use super::verdict::{Denial, Effect, Reason, Verdict, WouldBe};
use crate::failure::{Code, Failure};
use crate::obligation::challenge::Challenge;
use crate::obligation::permit::{self, Unenforceable};
use crate::query::{Facts, Query, Value};

/// Answers one query, which takes in the facts and so says afterwards what was decided on.
///
/// # Errors
/// [`Code::BundleInvalid`] where the namespace's policies never loaded, [`Code::EntitiesUnavailable`] where
/// two sources contradict each other, [`Code::QueryInvalid`] where the query does not fit the schema.
pub fn decide(snapshot: &Snapshot, query: &mut Query, facts: &Facts) -> Result<Verdict, Failure> {
    decided(snapshot, query, facts, &Allowance::unbounded()).map(|decided| decided.verdict)
}

/// A verdict, and how long it holds.
#[derive(Debug)]
pub struct Decided {
    /// The verdict.
    pub verdict: Verdict,
    /// For which calls it holds.
    pub holds: Holds,
}

/// For which calls a verdict holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// For every call with the same words and the same facts, as long as the same policies are loaded.
    ForItsWords,
    /// For this call only: the time, a body or another thing of the moment may have decided.
    ForThisCall,
}

/// As [`decide`] within what the call may cost, and says for which calls the verdict holds.
///
/// # Errors
/// As [`decide`], and [`Code::Deadline`] where the policies are not evaluated in time, or would take longer than they may
/// where the call is judged: then [`Allowance::is_exceeded`].
pub fn decided(
    snapshot: &Snapshot,
    query: &mut Query,
    facts: &Facts,
    allowance: &Allowance<'_>,
) -> Result<Decided, Failure> {
    allowance.begin().map_err(|stopped| Failure::new(Code::Deadline, stopped.to_string()))?;
    values::complete(query, facts).map_err(|detail| Failure::new(Code::EntitiesUnavailable, detail))?;
    let query: &Query = query;
    let units = judging(snapshot, &query.namespace)?;
    let invalid = |detail| Failure::new(Code::QueryInvalid, detail);
    values::check(query).map_err(invalid)?;
    let stopped = |stopped: Stopped| match stopped {
        Stopped::Unfit(detail) => invalid(detail),
        Stopped::Late | Stopped::Long => Failure::new(Code::Deadline, stopped.to_string()),
    };
    let find = |part| snapshot.engine().search(&units, part, (query, snapshot.types()), allowance).map_err(stopped);
    let enforced = find(Part::Enforced)?;
    let case = Case { snapshot, query, units: &units };
    let (effect, determining) = case.effect(&enforced.findings);
    let (mut candidates, mut lasts) = (enforced.candidates, enforced.lasts);
    let mut would_be = None;
    if units.iter().any(|unit| unit.watched) {
        let watched = find(Part::Shadow)?;
        candidates += watched.candidates;
        lasts &= watched.lasts;
        let mut all = Findings::clone(&watched.findings);
        all.unite(&enforced.findings);
        all.permits.retain(|id| !case.entry(id).is_some_and(|entry| entry.bridge));
        would_be = Some(case.would_be(&all));
    }
    snapshot.engine().stats().candidates.observe(candidates);
    // Of its own policies where the namespace has some, else of the mesh's.
    units.last().inspect(|unit| unit.crowd.met(candidates));
    let verdict = Verdict { effect, determining, errors: enforced.findings.errors(), would_be };
    let holds = if lasts { Holds::ForItsWords } else { Holds::ForThisCall };
    Ok(Decided { verdict, holds })
}

/// What plain Cedar finds: every policy is evaluated, with everything that is known. The specification that
/// [`decide`] is held to.
///
/// # Errors
/// As [`decide`].
pub fn plain(snapshot: &Snapshot, query: &Query, part: Part) -> Result<Findings, Failure> {
    let units = judging(snapshot, &query.namespace)?;
    let inputs = values::inputs(query, snapshot.types());
    let inputs = inputs.map_err(|detail| Failure::new(Code::QueryInvalid, detail))?;
    let found = Findings::of(units.iter().map(AsRef::as_ref), part, &inputs);
    found.map_err(|detail| Failure::new(Code::Internal, detail))
}

/// What [`plain`] can cost, over all of the units' policies.
#[must_use]
pub fn plain_cost(units: &[Arc<Unit>], query: &Query) -> u64 {
    let mut cost = Cost::of_inputs();
    units.iter().flat_map(|unit| unit.entries.values()).for_each(|entry| cost.add(entry.cost));
    cost.with(bytes_of(query))
}

/// How large a query is, about: an upper bound for every text, set and record in it.
pub(super) fn bytes_of(query: &Query) -> usize {
    let mut reach = Reach { whole_context: true, ..Reach::default() };
    (reach.principal.whole, reach.resource.whole) = (true, true);
    Shape::new(&reach).cut(query).bytes()
}

/// The units whose policies judge calls into a namespace: the mesh's and its own.
///
/// # Errors
/// [`Code::BundleInvalid`] where its policies never loaded.
pub fn judging(snapshot: &Snapshot, namespace: &str) -> Result<Vec<Arc<Unit>>, Failure> {
    let mut units = vec![Arc::clone(snapshot.mesh())];
    match snapshot.namespace(namespace) {
        Some(Namespace::Loaded(unit)) => units.push(Arc::clone(unit)),
        Some(Namespace::Invalid) => {
            let detail = format!("the policies of namespace `{namespace}` never loaded");
            return Err(Failure::new(Code::BundleInvalid, detail));
        }
        None => {}
    }
    Ok(units)
}

struct Case<'a> {
    snapshot: &'a Snapshot,
    query: &'a Query,
    units: &'a [Arc<Unit>],
}

impl Case<'_> {
    fn entry(&self, id: &str) -> Option<&Entry> {
        self.units.iter().find_map(|unit| unit.entry(id)).map(AsRef::as_ref)
    }

    fn entries<'s>(&'s self, ids: &'s BTreeSet<String>) -> impl Iterator<Item = &'s Entry> {
        ids.iter().filter_map(|id| self.entry(id))
    }

    /// The answer and the policies that made it.
    fn effect(&self, found: &Findings) -> (Effect, Vec<String>) {
        if !found.forbid_errors.is_empty() {
            let failed = found.forbid_errors.keys().cloned().collect();
            return (Effect::Deny(denial(Reason::PolicyError, "a forbid failed to evaluate")), failed);
        }
        if found.permits.is_empty() {
            return (self.without_permit(), Vec::new());
        }
        if found.forbids.is_empty() {
            return (self.allowed(&found.permits), found.permits.iter().cloned().collect());
        }
        (self.forbidden(&found.forbids), found.forbids.iter().cloned().collect())
    }

    /// No permit: a client without a token is told where to get one, if the service has such a place.
    fn without_permit(&self) -> Effect {
        let denial = denial(Reason::NoPermit, "no permit is satisfied");
        if may_log_in(self.snapshot, self.query) {
            let scopes = remedy::texts(self.query, "requiredScopes").unwrap_or_default();
            return Effect::Challenge(Challenge::Login { scopes }, denial);
        }
        Effect::Deny(denial)
    }

    fn allowed(&self, permits: &BTreeSet<String>) -> Effect {
        match permit::mutations(self.entries(permits).map(|entry| &entry.obligations), self.query) {
            Ok(mutations) => Effect::Allow(mutations),
            Err(error @ Unenforceable::Conflict(_)) => {
                Effect::Deny(denial(Reason::ObligationConflict, &error.to_string()))
            }
            Err(error @ Unenforceable::Unmet(_)) => Effect::Deny(denial(Reason::ObligationUnmet, &error.to_string())),
        }
    }

    /// Forbids: plain ones deny; if all have a remedy, their least upper bound is the answer.
    fn forbidden(&self, forbids: &BTreeSet<String>) -> Effect {
        // The mesh speaks first, then the lowest id.
        let mut entries: Vec<&Entry> = self.entries(forbids).collect();
        entries.sort_by_key(|entry| (!entry.id.starts_with("mesh/"), entry.id.as_str()));
        let plain: Vec<&Entry> = entries.iter().copied().filter(|entry| entry.remedy.is_none()).collect();
        if !plain.is_empty() || entries.len() != forbids.len() {
            return Effect::Deny(Denial {
                reason: Reason::PolicyForbid,
                status: plain.iter().find_map(|entry| entry.deny_status),
                public_reason: plain.iter().find_map(|entry| entry.reason.clone()),
                detail: String::new(),
            });
        }
        let public_reason = entries.iter().find_map(|entry| entry.reason.clone());
        let remedies = entries.iter().filter_map(|entry| entry.remedy.as_ref());
        match remedy::merge(remedies, self.query, &self.snapshot.manifest().acr_order) {
            Ok(challenge) => Effect::Challenge(challenge, Denial { public_reason, ..denial(Reason::Remedy, "") }),
            Err(detail) => Effect::Deny(Denial { public_reason, ..denial(Reason::RemedyConflict, &detail) }),
        }
    }

    fn would_be(&self, found: &Findings) -> WouldBe {
        let (effect, determining) = self.effect(found);
        let verdict = Verdict { effect, determining, errors: Vec::new(), would_be: None };
        WouldBe { decision: verdict.decision(), reason: verdict.reason(), determining: verdict.determining }
    }
}

/// Whether the principal has no token, and the called service can say where to get one.
pub(super) fn may_log_in(snapshot: &Snapshot, query: &Query) -> bool {
    let mut parts = query.resource.uid.id.splitn(3, '/');
    let service = match (parts.next(), parts.next()) {
        (Some(namespace), Some(name)) => snapshot.catalog().service(&format_smolstr!("{namespace}/{name}")),
        _ => None,
    };
    let has_metadata = service.is_some_and(|service| service.token.is_some());
    let has_token = matches!(query.principal.attributes.get("token"), Some(Value::Record(_)));
    has_metadata && !has_token
}

fn denial(reason: Reason, detail: &str) -> Denial {
    Denial { reason, status: None, public_reason: None, detail: detail.to_owned() }
}

/// The policies of a mesh unit and the namespaces' units, by unit, for metrics.
#[must_use]
pub fn ids_by_unit<'a>(
    mesh: &Unit,
    namespaces: impl Iterator<Item = (&'a String, &'a Unit)>,
) -> BTreeMap<String, Vec<String>> {
    let ids = |unit: &Unit| unit.entries.keys().cloned().collect::<Vec<_>>();
    let mut all: BTreeMap<String, Vec<String>> = namespaces.map(|(name, unit)| (name.clone(), ids(unit))).collect();
    all.insert(MESH.to_owned(), ids(mesh));
    all
}
