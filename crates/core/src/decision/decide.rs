//! Combines satisfied permits and forbids into a verdict.

use std::collections::BTreeSet;
use std::sync::Arc;

use smol_str::format_smolstr;

use super::allowance::{Allowance, Stopped};
use super::bundle::Bundle;
use super::engine::evaluate::Satisfied;
use super::policy::entry::Entry;
use super::policy::mode::Mode;
use super::policy::remedy;
use super::schema::cedar_values;
use super::snapshot::{Snapshot, applicable_bundles};
use super::verdict::{Denial, Effect, Reason, Verdict, WouldBe};
use crate::failure::{Code, Failure};
use crate::obligation::challenge::Challenge;
use crate::obligation::permit::{self, Unenforceable};
use crate::query::{Facts, Query, Value};

/// Decides one query. The facts are added to the query, so that it shows afterwards the basis of the decision.
///
/// # Errors
/// [`Code::BundleInvalid`] if the namespace's policies never loaded, [`Code::EntitiesUnavailable`] if two sources
/// contradict each other, [`Code::QueryInvalid`] if the query does not fit the schema.
pub fn decide(snapshot: &Snapshot, query: &mut Query, facts: &Facts) -> Result<Verdict, Failure> {
    decide_within(snapshot, query, facts, &Allowance::unbounded()).map(|decided| decided.verdict)
}

/// A verdict, and whether it can be cached.
#[derive(Debug)]
pub struct Decided {
    /// The verdict.
    pub verdict: Verdict,
    /// The calls that it holds for.
    pub cacheability: Cacheability,
}

/// The calls that a verdict holds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cacheability {
    /// Every call with an equal request (its parts in `read_set::STABLE`) and equal facts, until policies reload.
    SameRequest,
    /// Only this call: the time, a body or another changing input may have decided.
    Never,
}

/// As [`decide`], within the call's allowance; also returns whether the verdict can be cached.
///
/// # Errors
/// As [`decide`], and [`Code::Deadline`] if the policies are not evaluated in time, or would take longer than they may
/// where the call is evaluated: then [`Allowance::is_exceeded`].
pub fn decide_within(
    snapshot: &Snapshot,
    query: &mut Query,
    facts: &Facts,
    allowance: &Allowance<'_>,
) -> Result<Decided, Failure> {
    allowance.begin().map_err(|stopped| Failure::new(Code::Deadline, stopped.to_string()))?;
    cedar_values::complete(query, facts).map_err(|detail| Failure::new(Code::EntitiesUnavailable, detail))?;
    let query: &Query = query;
    let units = applicable_bundles(snapshot, &query.namespace)?;
    let invalid = |detail| Failure::new(Code::QueryInvalid, detail);
    cedar_values::check(query).map_err(invalid)?;
    let stopped = |stopped: Stopped| match stopped {
        Stopped::SchemaMismatch(detail) => invalid(detail),
        Stopped::Late | Stopped::TooCostly => Failure::new(Code::Deadline, stopped.to_string()),
    };
    let find = |mode| snapshot.engine().search(&units, mode, (query, snapshot.types()), allowance).map_err(stopped);
    let enforced = find(Mode::Enforce)?;
    let combine = Combine { snapshot, query, units: &units };
    let (effect, determining) = combine.effect(&enforced.findings);
    let (mut candidates, mut is_cacheable) = (enforced.candidates, enforced.is_cacheable);
    let mut would_be = None;
    if units.iter().any(|unit| unit.watched) {
        let watched = find(Mode::Shadow)?;
        candidates += watched.candidates;
        is_cacheable &= watched.is_cacheable;
        let mut all = Satisfied::clone(&watched.findings);
        all.unite(&enforced.findings);
        all.permits.retain(|id| !combine.entry(id).is_some_and(|entry| entry.bridge));
        would_be = Some(combine.would_be(&all));
    }
    snapshot.engine().stats().candidates.observe(candidates);
    // Record it for the namespace's own bundle if there is one, else for the mesh's.
    units.last().inspect(|unit| unit.hot.observe(candidates));
    let verdict = Verdict { effect, determining, errors: enforced.findings.errors(), would_be };
    let cacheability = if is_cacheable { Cacheability::SameRequest } else { Cacheability::Never };
    Ok(Decided { verdict, cacheability })
}

/// Combines satisfied permits and forbids into an effect.
struct Combine<'a> {
    snapshot: &'a Snapshot,
    query: &'a Query,
    units: &'a [Arc<Bundle>],
}

impl Combine<'_> {
    fn entry(&self, id: &str) -> Option<&Entry> {
        self.units.iter().find_map(|unit| unit.entry(id)).map(AsRef::as_ref)
    }

    fn entries<'s>(&'s self, ids: &'s BTreeSet<String>) -> impl Iterator<Item = &'s Entry> {
        ids.iter().filter_map(|id| self.entry(id))
    }

    /// The effect and the policies that determined it.
    fn effect(&self, found: &Satisfied) -> (Effect, Vec<String>) {
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

    /// No permit: the denial shows a client without a token where to get one, if the service has such a place.
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

    /// Forbids: plain ones deny; if all have a remedy, the answer is their least upper bound.
    fn forbidden(&self, forbids: &BTreeSet<String>) -> Effect {
        // The mesh's forbids come first, then the lowest id.
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

    fn would_be(&self, found: &Satisfied) -> WouldBe {
        let (effect, determining) = self.effect(found);
        let verdict = Verdict { effect, determining, errors: Vec::new(), would_be: None };
        WouldBe { decision: verdict.decision(), reason: verdict.reason(), determining: verdict.determining }
    }
}

/// Returns whether the principal has no token and the called service says where to get one.
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
