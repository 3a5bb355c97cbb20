//! Combines satisfied permits and forbids into a verdict.

pub mod release;

use std::collections::BTreeSet;
use std::sync::Arc;

use smol_str::{SmolStr, format_smolstr};

use super::allowance::{Allowance, Stopped};
use super::bundle::{Bundle, release as release_policies};
use super::engine::Found;
use super::engine::evaluate::Satisfied;
use super::policy::entry::Entry;
use super::policy::mode::Mode;
use super::policy::remedy::{self, Remedy};
use super::schema::cedar_values;
use super::snapshot::{Snapshot, applicable_bundles};
use super::verdict::{Denial, Effect, Reason, Verdict, WouldBe};
use crate::failure::{Code, Failure};
use crate::obligation::Mutations;
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
    /// How the call would be allowed that is denied as [`Reason::MaskUnavailable`].
    pub mask: Option<MaskOffer>,
}

impl Decided {
    /// Returns whether the call is allowed, or would be if it were masked.
    #[must_use]
    pub fn is_allowed_or_masked(&self) -> bool {
        self.mask.is_some() || matches!(self.verdict.effect, Effect::Allow(_))
    }
}

/// The terms on which a denied call would be allowed: its satisfied forbids require no more than a mask.
///
/// Whoever takes the offer masks the call, and has the masked call decided again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskOffer {
    /// Detectors with findings to mask.
    pub detectors: BTreeSet<SmolStr>,
    /// The changes that the satisfied permits make.
    pub mutations: Mutations,
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
    let evaluation = Evaluation::begin(snapshot, query, facts, allowance)?;
    let Evaluation { query, units, .. } = &evaluation;
    let find = |mode| evaluation.find(mode);
    let enforced = find(Mode::Enforce)?;
    let combine = Combine { snapshot, query, units };
    let (effect, determining) = combine.inspected(&enforced.findings, enforced.trusts_inspection.as_deref());
    let mask = combine.offer(&effect, &enforced.findings);
    let (mut candidates, mut is_cacheable) = (enforced.candidates, enforced.is_cacheable);
    let mut would_be = None;
    if units.iter().any(|unit| unit.watched) {
        let watched = find(Mode::Shadow)?;
        candidates += watched.candidates;
        is_cacheable &= watched.is_cacheable;
        let all = combine.with_shadow(&enforced.findings, &watched.findings);
        let trusting = enforced.trusts_inspection.as_deref().or(watched.trusts_inspection.as_deref());
        would_be = Some(combine.would_be(&all, trusting));
    }
    snapshot.engine().stats().candidates.observe(candidates);
    // Record it for the namespace's own bundle if there is one, else for the mesh's.
    units.last().inspect(|unit| unit.hot.observe(candidates));
    let verdict = Verdict { effect, determining, errors: enforced.findings.errors(), would_be };
    let cacheability = if is_cacheable { Cacheability::SameRequest } else { Cacheability::Never };
    Ok(Decided { verdict, cacheability, mask })
}

/// One query with its facts, and the bundles that apply to it.
struct Evaluation<'a> {
    snapshot: &'a Snapshot,
    query: &'a Query,
    units: Vec<Arc<Bundle>>,
    allowance: &'a Allowance<'a>,
}

impl<'a> Evaluation<'a> {
    /// Adds the facts to the query, and checks it.
    fn begin(
        snapshot: &'a Snapshot,
        query: &'a mut Query,
        facts: &Facts,
        allowance: &'a Allowance<'a>,
    ) -> Result<Self, Failure> {
        allowance.begin().map_err(|stopped| Failure::new(Code::Deadline, stopped.to_string()))?;
        cedar_values::complete(query, facts).map_err(|detail| Failure::new(Code::EntitiesUnavailable, detail))?;
        let query: &Query = query;
        let units = applicable_bundles(snapshot, &query.namespace)?;
        cedar_values::check(query).map_err(|detail| Failure::new(Code::QueryInvalid, detail))?;
        Ok(Self { snapshot, query, units, allowance })
    }

    /// The satisfied policies of one mode.
    fn find(&self, mode: Mode) -> Result<Found, Failure> {
        let Self { snapshot, query, units, allowance } = self;
        snapshot.engine().search(units, mode, (query, snapshot.types()), allowance).map_err(|stopped| match stopped {
            Stopped::SchemaMismatch(detail) => Failure::new(Code::QueryInvalid, detail),
            Stopped::Late | Stopped::TooCostly => Failure::new(Code::Deadline, stopped.to_string()),
        })
    }
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

    /// The satisfied policies with those in shadow mode, and without bridges.
    fn with_shadow(&self, enforced: &Satisfied, shadow: &Satisfied) -> Satisfied {
        let mut all = shadow.clone();
        all.unite(enforced);
        all.permits.retain(|id| !self.entry(id).is_some_and(|entry| entry.bridge));
        all
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
        let remedies = || entries.iter().filter_map(|entry| entry.remedy.as_ref());
        let is_request = self.query.action != release_policies::ACTION;
        if is_request && remedies().any(|remedy| matches!(remedy, Remedy::Mask { .. })) {
            let detail = "the request was not masked";
            return Effect::Deny(Denial { public_reason, ..denial(Reason::MaskUnavailable, detail) });
        }
        match remedy::merge(remedies(), self.query, &self.snapshot.manifest().acr_order) {
            Ok(challenge) => Effect::Challenge(challenge, Denial { public_reason, ..denial(Reason::Remedy, "") }),
            Err(detail) => Effect::Deny(Denial { public_reason, ..denial(Reason::RemedyConflict, &detail) }),
        }
    }

    /// The effect, unless it is better than a denial and `trusting`, a policy that tests findings, takes an unread message
    /// for one without findings.
    fn inspected(&self, found: &Satisfied, trusting: Option<&str>) -> (Effect, Vec<String>) {
        let (effect, determining) = self.effect(found);
        match (&effect, trusting) {
            (Effect::Allow(_) | Effect::Challenge(..), Some(policy)) if !self.is_read() => {
                let detail = "a policy tests `found`, and a part of the message was not read";
                (Effect::Deny(denial(Reason::NotInspected, detail)), vec![policy.to_owned()])
            }
            (Effect::Allow(_) | Effect::Challenge(..) | Effect::Deny(_), _) => (effect, determining),
        }
    }

    /// The mask with which a message that was read completely would be allowed.
    fn offer(&self, effect: &Effect, found: &Satisfied) -> Option<MaskOffer> {
        let is_refused_for_it = matches!(effect, Effect::Deny(Denial { reason: Reason::MaskUnavailable, .. }));
        if !is_refused_for_it || !self.is_read() {
            return None;
        }
        let detectors = release::masks(self, found)?;
        match self.allowed(&found.permits) {
            Effect::Allow(mutations) => Some(MaskOffer { detectors, mutations }),
            Effect::Deny(_) | Effect::Challenge(..) => None,
        }
    }

    fn is_read(&self) -> bool {
        self.query.context.get("inspected") == Some(&Value::Bool(true))
    }

    fn would_be(&self, found: &Satisfied, trusting: Option<&str>) -> WouldBe {
        let (effect, determining) = self.inspected(found, trusting);
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
