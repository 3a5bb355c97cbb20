//! Drafts the release record of a call, and seals it for the proxy that requested the check.
//!
//! Knows: release guards, the sealing key, random salts. Must not know: the proxy's protocol, responses.
//!
//! A draft is part of a judgement, so a cached one serves all calls with equal parts. Time, decision and proxy are the
//! call's own: the edge adds them, and seals.

mod operation;

use std::time::Duration;

use smol_str::SmolStr;
use uuid::Uuid;

use super::judgement::Judgement;
use super::profile::Processor;
use operation::{carries_another_result, is_tunnel, may_have_list, method_of};
use picket_core::call::{Call, UnixMillis};
use picket_core::catalog::Service;
use picket_core::decision::Snapshot;
use picket_core::decision::bundle::release::ReleaseGuard;
use picket_core::decision::release as release_policies;
use picket_core::decision::verdict::Decision;
use picket_core::failure::{Code, Failure};
use picket_core::mapping::action::Asked;
use picket_core::query::{Node, Query, Reads, Record, Value};
use picket_core::release::seal::{SALT_BYTES, Stamp};
use picket_core::release::{
    self, Allowed, Coverage, DIGEST_BYTES, DraftBytes, EntityCoverage, Judged, RecordProblem, ReleaseDraft, ReleaseKey,
    ReleaseRecord, RequestMask,
};

/// Seals release records, and opens them.
#[derive(Debug)]
pub struct ReleaseSealer {
    key: ReleaseKey,
    age_max_millis: u64,
}

impl ReleaseSealer {
    /// Seals with this key; each record is valid for `ttl`.
    #[must_use]
    pub fn new(key: ReleaseKey, ttl: Duration) -> Self {
        Self { key, age_max_millis: u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX) }
    }

    /// Opens the record that a proxy returned.
    ///
    /// # Errors
    /// As [`release::open`].
    pub fn open(&self, text: &str, proxy: &str, now: UnixMillis) -> Result<ReleaseRecord, RecordProblem> {
        release::open(&self.key, text, proxy, now, self.age_max_millis)
    }
}

/// Seals the record of one call.
#[derive(Debug, Clone, Copy)]
pub struct ProxySeal<'a> {
    /// The sealer.
    pub sealer: &'a ReleaseSealer,
    /// Identity of the proxy; empty without a certificate.
    pub proxy: &'a str,
    /// When the call was evaluated.
    pub at: UnixMillis,
}

impl ProxySeal<'_> {
    /// Returns whether the answer with this result has a record.
    #[must_use]
    pub fn has_record(&self, judgement: &Judgement) -> bool {
        let releases_everything = judgement.snapshot.as_ref().is_some_and(|snapshot| snapshot.releases().is_everything);
        judgement.release.is_some() || !releases_everything
    }

    /// The sealed record of a result. `None` if it has none, and if no record could be made: then the response is refused.
    #[must_use]
    pub fn record(&self, judgement: &Judgement, decision_id: Uuid) -> Option<String> {
        if !self.has_record(judgement) {
            return None;
        }
        let is_allowed = judgement.result.as_ref().is_ok_and(|verdict| verdict.decision() == Decision::Allow);
        let draft = match (&judgement.release, is_allowed) {
            (Some(drafted), true) => drafted.bytes.clone(),
            (None, true) => return None,
            (_, false) => ReleaseDraft::Denied.encode().ok()?,
        };
        let mut salt = [0; SALT_BYTES];
        aws_lc_rs::rand::fill(&mut salt).ok()?;
        let decision_id = decision_id.into_bytes();
        release::seal(&self.sealer.key, &Stamp { at: self.at, decision_id, proxy: self.proxy, salt }, &draft).ok()
    }
}

/// The draft of an allowed call's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drafted {
    /// Its bytes.
    pub bytes: DraftBytes,
    /// Policies read the body of the response.
    pub reads_body: bool,
}

/// Collects what the record of one call holds.
#[derive(Debug)]
pub(super) enum Drafting {
    /// No proxy of the listener sends responses, or no policy can change any.
    Off,
    /// No policy can change the responses of the service.
    Open,
    /// Policies can.
    Guarded(Box<Collected>),
}

/// The parts of a record so far.
#[derive(Debug)]
pub(super) struct Collected {
    guard: ReleaseGuard,
    /// What policies in shadow mode need in addition; `None` without any.
    shadow: Option<Coverage>,
    reads: Reads,
    is_scoped_below: bool,
    lists: Lists,
    /// What lists and enforced policies need of the caller, where the response may hold a list.
    listed: Option<EntityCoverage>,
    judged: Vec<Judged>,
    principal: Option<Node>,
    env: Record,
    carries_another_result: bool,
}

/// Lists in the responses of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lists {
    /// They leave as they are.
    Unfiltered,
    /// Their entries are evaluated for the caller; the digest is that of the parts of it that the record has to hold.
    Filtered,
    /// The response to this call may hold one.
    Expected([u8; DIGEST_BYTES]),
}

impl Drafting {
    /// Begins the record of a call to a service.
    ///
    /// # Errors
    /// `bundle_invalid` if the policies of its namespace never loaded.
    pub fn begin(processor: &Processor, snapshot: &Snapshot, service: &Service) -> Result<Self, Failure> {
        let releases = snapshot.releases();
        // The record of a request names its service and its mask.
        let off = if processor.requests { Self::Open } else { Self::Off };
        if !processor.responses || (releases.is_everything && !releases.is_watched) {
            return Ok(off);
        }
        let guard = release_policies::guard(snapshot, &service.id)?;
        let would_be = release_policies::would_be_guard(snapshot, &service.id)?;
        let lists = if service.filters_lists() { Lists::Filtered } else { Lists::Unfiltered };
        if guard.is_open() && would_be.is_none() && lists == Lists::Unfiltered {
            return Ok(if releases.is_everything { off } else { Self::Open });
        }
        let is_scoped_below = release_policies::is_scoped_below(&guard, snapshot, &service.id);
        let mut reads = guard.reads.clone();
        would_be.iter().for_each(|would_be| reads.merge(&would_be.reads));
        Ok(Self::Guarded(Box::new(Collected {
            guard,
            shadow: would_be.map(|would_be| would_be.coverage),
            reads,
            is_scoped_below,
            lists,
            listed: None,
            judged: Vec::with_capacity(1),
            principal: None,
            env: Record::new(),
            carries_another_result: false,
        })))
    }

    /// Inputs that the check has to collect for the record.
    pub fn reads(&self) -> Option<&Reads> {
        match self {
            Self::Off | Self::Open => None,
            Self::Guarded(collected) => Some(&collected.reads),
        }
    }

    /// Adds an evaluated operation; its query has its facts.
    ///
    /// # Errors
    /// `release_foreign` if the response may be that of another operation, or cannot be evaluated at all.
    pub fn add(
        &mut self,
        call: &Call,
        (snapshot, service): (&Snapshot, &Service),
        asked: &Asked,
        query: &Query,
    ) -> Result<(), Failure> {
        match self {
            Self::Off | Self::Open => Ok(()),
            Self::Guarded(collected) => collected.add(call, (snapshot, service), asked, query),
        }
    }

    /// The draft of the record of an allowed call; `ids` are those of its JSON-RPC requests, `mask` what has to be
    /// masked in the request.
    ///
    /// # Errors
    /// `release_too_large`.
    pub fn finish(
        self,
        service: &str,
        ids: &[Option<SmolStr>],
        mask: Option<&RequestMask>,
    ) -> Result<Option<Drafted>, Failure> {
        let open = || Ok(Some(Drafted { bytes: open(service.into(), mask)?, reads_body: false }));
        match self {
            Self::Off => Ok(None),
            Self::Open => open(),
            Self::Guarded(collected) if collected.is_open() => open(),
            Self::Guarded(collected) => collected.draft(service, ids, mask).map(Some),
        }
    }
}

fn encoded(draft: &ReleaseDraft, mask: Option<&RequestMask>) -> Result<DraftBytes, Failure> {
    let bytes = mask.map_or_else(|| draft.encode(), |mask| draft.encode_masked(mask));
    bytes.map_err(|problem| Failure::new(Code::ReleaseTooLarge, problem.to_string()))
}

/// The draft of a call to a service of which every response is released.
fn open(service: SmolStr, mask: Option<&RequestMask>) -> Result<DraftBytes, Failure> {
    encoded(&ReleaseDraft::Open { service }, mask)
}

impl Collected {
    fn expects_list(&self) -> bool {
        match self.lists {
            Lists::Unfiltered | Lists::Filtered => false,
            Lists::Expected(_) => true,
        }
    }

    /// Whether nothing of the response is evaluated.
    fn is_open(&self) -> bool {
        self.guard.is_open() && self.shadow.is_none() && !self.expects_list()
    }

    fn add(
        &mut self,
        call: &Call,
        (snapshot, service): (&Snapshot, &Service),
        asked: &Asked,
        query: &Query,
    ) -> Result<(), Failure> {
        // Policies in shadow mode refuse nothing. A tunnel is nothing that they read.
        if is_tunnel(asked) && self.guard.is_open() {
            self.shadow = None;
        } else if is_tunnel(asked) {
            let detail = "policies evaluate the responses of the service, and nothing in a tunnel is a response";
            return Err(Failure::new(Code::ReleaseForeign, detail));
        }
        if carries_another_result(call, service, asked) {
            if self.is_scoped_below && !self.guard.is_open() {
                let detail = "the response may carry the result of another call, and policies distinguish the \
                              resources of the service";
                return Err(Failure::new(Code::ReleaseForeign, detail));
            }
            self.carries_another_result = true;
        }
        let mut coverage = self.guard.coverage.clone();
        self.shadow.iter().for_each(|shadow| coverage.merge(shadow));
        if self.lists != Lists::Unfiltered && may_have_list(asked) {
            let mut listed = release_policies::list_coverage(snapshot, &service.id)?;
            self.lists = Lists::Expected(listed.digest());
            listed.merge(&self.guard.coverage.principal);
            let mut all = listed.clone();
            all.merge(&coverage.principal);
            self.principal = Some(all.cut(&query.principal));
            self.listed = Some(listed);
        }
        if self.principal.is_none() {
            self.principal = Some(coverage.principal.cut(&query.principal));
        }
        if let (true, Some(Value::Record(env))) = (self.env.is_empty(), query.context.get("env")) {
            let is_kept = |name: &SmolStr| name == "listener" || coverage.env.contains(name);
            self.env = env.iter().filter(|(name, _)| is_kept(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
        }
        let resource = coverage.resource.cut(&query.resource);
        self.judged.push(Judged { rpc_id: None, action: query.action.clone(), method: method_of(asked), resource });
        Ok(())
    }

    /// The draft with what policies in shadow mode read, or without it where that makes it too large.
    fn draft(self, service: &str, ids: &[Option<SmolStr>], mask: Option<&RequestMask>) -> Result<Drafted, Failure> {
        let (guard, shadow, listed) = (self.guard.clone(), self.shadow.clone(), self.listed.clone());
        let reads_body = (guard.reads_body && !guard.is_open()) || self.expects_list();
        let masked = mask.map(|mask| mask.detectors.clone()).unwrap_or_default();
        let allowed = Allowed { masked, ..self.finish(service, ids)? };
        let complete = shadow.and_then(|shadow| {
            let mut coverage = guard.coverage.clone();
            coverage.merge(&shadow);
            encoded(&ReleaseDraft::Allowed(Box::new(Allowed { coverage, ..allowed.clone() })), mask).ok()
        });
        let bytes = complete.map_or_else(|| without_shadow(allowed, &guard, listed.as_ref(), mask), Ok)?;
        Ok(Drafted { bytes, reads_body })
    }

    fn finish(self, service: &str, ids: &[Option<SmolStr>]) -> Result<Allowed, Failure> {
        let none = || Failure::new(Code::Internal, "an allow without an evaluated operation");
        let Self { guard, lists, mut judged, principal, env, carries_another_result, .. } = self;
        for (one, id) in judged.iter_mut().zip(ids) {
            one.rpc_id.clone_from(id);
        }
        Ok(Allowed {
            service: service.into(),
            judged,
            principal: principal.ok_or_else(none)?,
            env,
            coverage: guard.coverage,
            carries_another_result,
            lists: match lists {
                Lists::Unfiltered | Lists::Filtered => None,
                Lists::Expected(digest) => Some(digest),
            },
            masked: std::collections::BTreeSet::new(),
        })
    }
}

/// The draft with the parts that enforced policies and lists need.
fn without_shadow(
    mut allowed: Allowed,
    guard: &ReleaseGuard,
    listed: Option<&EntityCoverage>,
    mask: Option<&RequestMask>,
) -> Result<DraftBytes, Failure> {
    if guard.is_open() && listed.is_none() {
        return open(allowed.service, mask);
    }
    let Coverage { principal, resource, env } = &guard.coverage;
    allowed.principal = listed.unwrap_or(principal).cut(&allowed.principal);
    allowed.env.retain(|name, _| name == "listener" || env.contains(name));
    allowed.judged.iter_mut().for_each(|judged| judged.resource = resource.cut(&judged.resource));
    encoded(&ReleaseDraft::Allowed(Box::new(allowed)), mask)
}

#[cfg(test)]
mod tests;
