//! The request phase: the order of its steps, decided here and nowhere else.
//!
//! Knows: every step between a call and its verdict, and their order. Must not know: the proxy's protocol, the cache,
//! or how any step works.

use std::borrow::Cow;
use std::sync::Arc;

use smol_str::SmolStr;
use tokio::time::Instant;

use super::admissible::{admissible, of_family, plainly_named};
use super::content::Inspections;
use super::elicitation::BoundCall;
use super::judgement::{Draft, Fields, Judgement};
use super::release_record::Drafting;
use super::request_mask::{Evaluated, Steps};
use super::time::{Time, in_time};
use super::{Checker, Identify, PolicyState, approval_use, payload, resource_metadata};
use crate::approval::Found;
use crate::entity::Entities;
use picket_core::call::Call;
use picket_core::catalog::Service;
use picket_core::decision::allowance::Allowance;
use picket_core::decision::decide::{self, Cacheability, Decided};
use picket_core::decision::verdict::Decision;
use picket_core::decision::{Snapshot, Verdict};
use picket_core::failure::Failure;
use picket_core::mapping::{self, Place, action};
use picket_core::query::{Facts, Family, Query, Reads};

/// Inputs that every step of one evaluation can use.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub call: &'a Call,
    pub state: &'a PolicyState,
    deadline: Instant,
    pub allowance: &'a Allowance<'a>,
}

impl Checker {
    /// Evaluates a call; also returns whether its judgement may be cached.
    pub(super) async fn evaluate_request(
        &self,
        identify: impl Identify,
        call: &Call,
        state: &PolicyState,
        time: Time,
    ) -> (Arc<Judgement>, Cacheability) {
        let allowance = Allowance::new(&time, time.pace);
        let request = Request { call, state, deadline: time.deadline, allowance: &allowance };
        let mut draft = Draft::new();
        let decided = self.run_steps(identify, request, draft.fields()).await;
        let decided = decided.and_then(|decided| in_time(decided, &allowance));
        let cacheability = decided.as_ref().map_or(Cacheability::Never, |decided| decided.cacheability);
        if decided.is_err() && allowance.is_exceeded() {
            draft.took_too_long();
        }
        (draft.finish(decided.map(|decided| decided.verdict)), cacheability)
    }

    /// Runs every step of the request phase, in order. `known` collects what the steps find out, also if a step fails.
    async fn run_steps(
        &self,
        identify: impl Identify,
        request: Request<'_>,
        mut known: Fields<'_>,
    ) -> Result<Decided, Failure> {
        let Request { call, state, allowance, .. } = request;
        let snapshot = &state.snapshot;
        *known.snapshot = Some(Arc::clone(snapshot));
        // Find the service before the caller: the answer to a rejected token says where to get a better one, and the
        // service defines that.
        let service = self.service(call, snapshot);
        if let Ok(service) = &service {
            known.set_service(service);
            // Resource metadata is public: serve it before the caller is identified.
            if let Some(document) = resource_metadata::requested(call, service) {
                *known.document = Some(document);
                return Ok(Decided { verdict: Verdict::answered(), cacheability: Cacheability::Never, mask: None });
            }
            *known.reply = payload::reply_of(service);
        }
        let identity = known.identity.insert(identify(call, &state.keys)?);
        let service = service?;
        admissible(call, identity, snapshot, &service)?;
        let (family, reads) = self.reads(snapshot, &service, call);
        let mut drafting = Drafting::begin(&self.profile.processor, snapshot, &service)?;
        let requested = payload::read(call, &service, &self.profile.mapping, &reads, known.reply)?;
        let inspections = Inspections::of(&requested, &reads.content, snapshot.detectors(), allowance)?;
        let (mut decisions, mut used_up) = (Vec::with_capacity(1), Vec::new());
        let mut evaluated = Evaluated::of(&self.profile.processor);
        for (number, asked) in requested.asked.iter().enumerate() {
            let mut query = mapping::query(call, identity, &service, asked, &reads, self.place(snapshot))?;
            inspections.add_to(&mut query, number);
            let query = plainly_named(snapshot, known.query.insert(of_family(family, query)?))?;
            let bound = BoundCall { identity, service: &service.id, asked, now: call.received_at };
            self.state_tokens.check(&requested.answers, &bound, &query.principal.uid)?;
            *known.digest = approval_use::digest(asked, query, &reads);
            let digest = known.digest.as_deref();
            let (facts, approval) = self.facts_and_approval(request, &service.id, query, &reads, digest).await?;
            let mut decided = decide::decide_within(snapshot, query, &facts, allowance)?;
            let has_approval = approval.is_some();
            used_up.extend(approval_use::used_up(snapshot, query, approval, &decided.verdict, allowance)?);
            self.state_tokens.seal(&decided.verdict, &bound, &query.principal.uid, known.reply);
            let is_allowed =
                evaluated.take(&mut decided, facts, has_approval, || self.without_masks(&service.id, call));
            if is_allowed {
                drafting.add(call, (snapshot, &service), asked, query)?;
            }
            decisions.push(decided);
            // One denied message denies the whole batch.
            if !is_allowed {
                break;
            }
        }
        *known.content = inspections.together();
        let steps = Steps { request, identity, service: &service, family, reads: &reads, requested: &requested };
        let (whole, mask) = self.settled(steps, &evaluated, decisions)?;
        if whole.verdict.decision() == Decision::Allow {
            *known.release = drafting.finish(&service.id, &requested.ids, mask.as_ref())?;
            *known.masked = mask.map(|mask| mask.detectors).unwrap_or_default();
            // Last of all: a denied call uses up nothing.
            for approval in &used_up {
                self.approvals.consume(approval, request.deadline).await?;
            }
        }
        Ok(whole)
    }

    pub(super) fn place<'a>(&'a self, snapshot: &'a Snapshot) -> Place<'a> {
        let home = &self.profile.identity.home_trust_domain;
        Place { listener: &self.listener, home, catalog: snapshot.catalog() }
    }

    /// The inputs that policies, lookups and approval sources need of a call to the service.
    pub(super) fn reads<'a>(&self, snapshot: &'a Snapshot, service: &Service, call: &Call) -> (Family, Cow<'a, Reads>) {
        let family = action::family(call, service);
        let mut reads = match self.policy_reads(snapshot, service, family) {
            Cow::Borrowed(reads) => self.entities.needs(reads),
            Cow::Owned(reads) => Cow::Owned(self.entities.needs(&reads).into_owned()),
        };
        if self.approvals.are_asked(&reads) {
            let known = reads.clone().into_owned();
            self.approvals.needs(&service.id, &known, reads.to_mut());
        }
        (family, reads)
    }

    /// The inputs of the policies about a call of this family, and about its response if the proxies send it.
    pub(super) fn policy_reads<'a>(&self, snapshot: &'a Snapshot, service: &Service, family: Family) -> Cow<'a, Reads> {
        let mut reads = Cow::Borrowed(snapshot.reads(&service.id, family));
        // Without policies of the namespace the call fails in any case.
        if let Ok(drafting) = Drafting::begin(&self.profile.processor, snapshot, service)
            && let Some(of_response) = drafting.reads().filter(|reads| **reads != Reads::default())
        {
            reads.to_mut().merge(of_response);
        }
        reads
    }

    /// Fetches facts, and the approval that the call names, which joins the query's context.
    async fn facts_and_approval(
        &self,
        request: Request<'_>,
        service: &str,
        query: &mut Query,
        reads: &Reads,
        digest: Option<&str>,
    ) -> Result<(Facts, Option<Found>), Failure> {
        let (snapshot, deadline) = (&request.state.snapshot, request.deadline);
        if !self.entities.are_asked(reads) && !self.approvals.are_asked(reads) {
            return Ok((Entities::declared(snapshot, query)?, None));
        }
        let facts = self.entities.fetch(snapshot, query, reads, deadline);
        let approval = self.approvals.find(service, query, reads, digest, deadline);
        let (facts, approval) = futures_util::future::try_join(facts, approval).await?;
        if let Some(approval) = &approval {
            query.context.insert(SmolStr::new_static("approval"), approval.value.clone());
        }
        Ok((facts, approval))
    }
}
