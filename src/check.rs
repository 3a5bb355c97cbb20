//! The path of one call; the only place where order is decided.
//!
//! Knows: every step between a call and its verdict, and their order. Must not know: the proxy's protocol,
//! how any step works.

mod admissible;
mod approval_use;
mod batch;
pub mod cache;
pub mod elicitation;
pub mod evaluation;
pub mod explainer;
pub mod explanation;
mod judgement;
mod payload;
pub mod prepared;
pub mod profile;
mod resource_metadata;
pub mod shadow_verify;
mod time;

use std::borrow::Cow;
use std::sync::Arc;

use smol_str::SmolStr;
use tokio::time::Instant;

use crate::approval::{Approvals, Found};
use crate::call::Call;
use crate::catalog::{Protocol, Service};
use crate::decision::allowance::{Allowance, Pace};
use crate::decision::decide::{self, Cacheability, Decided};
use crate::decision::verdict::Decision;
use crate::decision::{Snapshot, Verdict};
use crate::entity::Entities;
use crate::failure::{Code, Failure};
use crate::identity::{self, Identity, KeyRing};
use crate::keys::Keys;
use crate::mapping::{self, Place, action};
use crate::policy::Store;
use crate::query::{Facts, Family, Query, Reads};
use admissible::{admissible, of_family, plainly_named};
use cache::key::{CacheKeyParts, Relevance};
use cache::{CacheKey, Entry, ListenerCache, Versions};
use elicitation::{BoundCall, StateTokens};
pub use evaluation::{Evaluation, Pending};
pub use judgement::Judgement;
pub use profile::Profile;
use time::{Time, in_time};

/// Longest body that is read on a thread that others' calls wait for, in bytes: that takes some 90 us (`benches/parse`).
const BODY_QUICK_MAX: usize = 16 * 1024;

/// Judges calls: the seam between the edge that speaks a proxy's protocol and everything behind it.
pub trait Judge: Send + Sync {
    /// Judges one call on a thread that others' calls wait for. Never fails and never panics on purpose: what cannot be
    /// judged is a [`Failure`] inside the [`Judgement`]. Nothing is allowed after `deadline`.
    ///
    /// What would take too long there is broken off, see [`Judgement::is_too_long`].
    fn judge<'a>(&'a self, call: &'a Call, deadline: Instant) -> Evaluation<'a>;

    /// Judges one call where nobody but its caller waits for it, however long it takes; otherwise as [`Judge::judge`].
    fn judge_long<'a>(&'a self, call: &'a Call, deadline: Instant) -> Pending<'a> {
        Box::pin(self.judge(call, deadline).done())
    }
}

/// Judges the calls of one listener.
#[derive(Debug)]
pub struct Checker {
    /// Name of the listener.
    pub listener: String,
    /// How its calls are read.
    pub profile: Profile,
    /// Where policies come from.
    pub policies: Arc<Store>,
    /// Where facts come from.
    pub entities: Arc<Entities>,
    /// Where approvals come from, and what was used of them.
    pub approvals: Arc<Approvals>,
    /// What MCP clients bring back from approval pages.
    pub state_tokens: StateTokens,
    /// Where issuers' keys come from.
    pub keys: Arc<Keys>,
    /// Verifies some decisions off the request path, where that is wanted.
    pub verifier: Option<Arc<shadow_verify::Verifier>>,
    /// Where its judgements are remembered; `None`: nowhere.
    pub cache: Option<ListenerCache>,
}

/// By what one call is judged, taken once: a reload between two reads would judge new facts by old policies.
struct PolicyState {
    snapshot: Arc<Snapshot>,
    keys: Arc<KeyRing>,
}

/// Finds out who is calling.
trait Identify: FnOnce(&Call, &KeyRing) -> Result<Identity, Failure> + Send {}

impl<F: FnOnce(&Call, &KeyRing) -> Result<Identity, Failure> + Send> Identify for F {}

/// A call about which the memory can be asked.
struct CacheableCall<'a> {
    cache: &'a ListenerCache,
    key: CacheKey,
    reduced: CacheKeyParts<'a>,
    /// Whether it may take long to judge.
    is_long: bool,
}

impl Checker {
    fn state(&self) -> Option<PolicyState> {
        Some(PolicyState { snapshot: self.policies.current()?, keys: self.keys.ring() })
    }

    /// Judges a call. The judgement has its final place from the start: it is large, and would be moved often.
    async fn evaluate_into(
        &self,
        who: impl Identify,
        call: &Call,
        state: &PolicyState,
        time: Time,
    ) -> (Arc<Judgement>, Cacheability) {
        let mut judgement = Arc::new(Judgement::failed(Failure::new(Code::Internal, "")));
        // Nobody else has it yet.
        let Some(known) = Arc::get_mut(&mut judgement) else { return (judgement, Cacheability::Never) };
        let allowance = Allowance::new(&time, time.pace);
        let decided = self.decided(who, call, state, (time.deadline, &allowance), known).await;
        let decided = decided.and_then(|decided| in_time(decided, &allowance));
        let cacheability = decided.as_ref().map_or(Cacheability::Never, |decided| decided.cacheability);
        known.is_too_long = decided.is_err() && allowance.is_exceeded();
        known.result = decided.map(|decided| decided.verdict);
        (judgement, cacheability)
    }

    async fn decided(
        &self,
        who: impl Identify,
        call: &Call,
        state: &PolicyState,
        (deadline, allowance): (Instant, &Allowance<'_>),
        known: &mut Judgement,
    ) -> Result<Decided, Failure> {
        let snapshot = &state.snapshot;
        known.snapshot = Some(Arc::clone(snapshot));
        // Who may read how to log in does not depend on who is calling.
        if let Some(document) = resource_metadata::asked(call, &self.profile, snapshot, known) {
            known.document = Some(document);
            return Ok(Decided { verdict: Verdict::answered(), cacheability: Cacheability::Never });
        }
        let place = Place {
            listener: &self.listener,
            home: &self.profile.identity.home_trust_domain,
            catalog: snapshot.catalog(),
        };
        // The service before the caller: a refused token is told where to get a better one, in the service's words.
        let service = mapping::service(call, &self.profile.mapping, snapshot.catalog(), place.home);
        if let Ok(service) = &service {
            known.service = Some(service.id.clone());
            known.protocol = Some(service.protocol);
            known.reply = payload::reply_of(service);
        }
        let identity = known.identity.insert(who(call, &state.keys)?);
        let service = service?;
        admissible(call, identity, snapshot, &service)?;
        let (family, reads) = self.reads(snapshot, &service, call);
        let held = payload::asked(call, &service, &self.profile.mapping, &reads, &mut known.reply)?;
        let mut decisions = Vec::with_capacity(1);
        let mut used_up = Vec::new();
        for asked in &held.asked {
            let query = of_family(family, mapping::query(call, identity, &service, asked, &reads, place)?)?;
            let query = plainly_named(snapshot, known.query.insert(query))?;
            let about = BoundCall { identity, service: &service.id, asked, now: call.received_at };
            self.state_tokens.check(&held.answers, &about, &query.principal.uid)?;
            known.digest = approval_use::digest(asked, query, &reads);
            let (facts, approval) =
                self.facts(snapshot, &service.id, query, &reads, (known.digest.as_deref(), deadline)).await?;
            if let Some(approval) = &approval {
                query.context.insert(SmolStr::new_static("approval"), approval.value.clone());
            }
            let decided = decide::decided(snapshot, query, &facts, allowance)?;
            if let Some(found) = approval
                && approval_use::is_used_up(snapshot, query, &found, &decided.verdict, allowance)?
            {
                used_up.push(found);
            }
            let goes_on = decided.verdict.decision() == Decision::Allow;
            // One message that may not go on holds up the whole batch.
            if !goes_on {
                self.state_tokens.seal(&decided.verdict, &about, &query.principal.uid, &mut known.reply);
                decisions.push(decided);
                break;
            }
            decisions.push(decided);
        }
        let whole = in_time(batch::together(decisions)?, allowance)?;
        if whole.verdict.decision() == Decision::Allow {
            // Last of all: a call that does not go on uses up nothing.
            for approval in &used_up {
                self.approvals.consume(approval, deadline).await?;
            }
        }
        Ok(whole)
    }

    /// What the call does not carry: facts, and the approval that it names.
    async fn facts(
        &self,
        snapshot: &Arc<Snapshot>,
        service: &str,
        query: &Query,
        reads: &Reads,
        (digest, deadline): (Option<&str>, Instant),
    ) -> Result<(Facts, Option<Found>), Failure> {
        if !self.entities.are_asked(reads) && !self.approvals.are_asked(reads) {
            return Ok((Entities::declared(snapshot, query)?, None));
        }
        let facts = self.entities.fetch(snapshot, query, reads, deadline);
        let approval = self.approvals.find(service, query, reads, digest, deadline);
        futures_util::future::try_join(facts, approval).await
    }

    /// What of a call to the service has to be read: by policies, look-ups and sources of approvals.
    fn reads<'a>(&self, snapshot: &'a Snapshot, service: &Service, call: &Call) -> (Family, Cow<'a, Reads>) {
        let family = action::family(call, service);
        let mut reads = self.entities.needs(snapshot.reads(&service.id, family));
        if self.approvals.are_asked(&reads) {
            let known = reads.clone().into_owned();
            self.approvals.needs(&service.id, &known, reads.to_mut());
        }
        (family, reads)
    }

    fn identify(&self, call: &Call, keys: &KeyRing) -> Result<Identity, Failure> {
        identity::identify(call, &self.profile.identity, keys).map_err(|rejection| {
            if let Some(issuer) = &rejection.unknown_key_of {
                self.keys.hint_unknown_key(issuer);
            }
            rejection.failure
        })
    }

    /// Cuts a call down to what the memory can be asked by. `None` where there is no memory, or where the judging is
    /// of the moment: then the call is judged as it came.
    fn asked<'a>(&'a self, call: &'a Call, state: &PolicyState) -> Option<CacheableCall<'a>> {
        let cache = self.cache.as_ref()?;
        let snapshot = &state.snapshot;
        let home = &self.profile.identity.home_trust_domain;
        let service = mapping::service(call, &self.profile.mapping, snapshot.catalog(), home).ok()?;
        let family = action::family(call, &service);
        let reads = snapshot.reads(&service.id, family);
        let changeable = snapshot.changeable(service.namespace());
        let looks = Relevance { profile: &self.profile, service: &service, family, reads, changeable };
        let reduced = CacheKeyParts::of(call, looks)
            .filter(|_| !self.entities.are_asked(reads) && !self.approvals.are_asked(reads));
        let Some(reduced) = reduced else {
            cache.skip();
            return None;
        };
        let versions = Versions { snapshot: snapshot.generation(), keys: state.keys.generation() };
        let key = cache.key(versions, &reduced);
        Some(CacheableCall { cache, key, reduced, is_long: snapshot.is_crowded(service.namespace()) })
    }

    /// Judges the cut-down call, and remembers what holds for every call that is cut down to the same. Where that does
    /// not hold, the call is judged as it came: what was cut off may have a say.
    async fn evaluate_for_cache(
        &self,
        asked: CacheableCall<'_>,
        call: &Call,
        state: &PolicyState,
        time: Time,
    ) -> Arc<Judgement> {
        let reduced = asked.reduced.call(call.received_at);
        let who = |call: &Call, keys: &KeyRing| self.identify(call, keys);
        let (mut judgement, cacheability) = self.evaluate_into(who, &reduced, state, time).await;
        if judgement.is_too_long {
            return judgement;
        }
        let of_many =
            Arc::get_mut(&mut judgement).filter(|one| cacheability != Cacheability::Never && one.is_repeatable());
        let Some(of_many) = of_many else {
            if judgement.result.is_ok() {
                asked.cache.insert(asked.key, Entry::Uncacheable);
            } else {
                asked.cache.skip();
            }
            return self.evaluate(call, state, time).await;
        };
        of_many.answer_all(reduced);
        asked.cache.insert(asked.key, Entry::Judgement(Arc::clone(&judgement)));
        judgement
    }

    async fn evaluate(&self, call: &Call, state: &PolicyState, time: Time) -> Arc<Judgement> {
        let who = |call: &Call, keys: &KeyRing| self.identify(call, keys);
        self.evaluate_into(who, call, state, time).await.0
    }

    /// What is said at once of a call whose body takes longer to read than others may wait for it; else `None`.
    fn left_for_later(&self, call: &Call, state: &PolicyState) -> Option<Arc<Judgement>> {
        if call.body.bytes() <= BODY_QUICK_MAX {
            return None;
        }
        let (catalog, home) = (state.snapshot.catalog(), &self.profile.identity.home_trust_domain);
        let service = mapping::service(call, &self.profile.mapping, catalog, home).ok()?;
        let (_, reads) = self.reads(&state.snapshot, &service, call);
        let is_read = match service.protocol {
            Protocol::Mcp | Protocol::A2a | Protocol::Openai | Protocol::Anthropic => true,
            Protocol::Http | Protocol::Grpc => reads.needs_body(),
        };
        is_read.then(|| {
            let failure = Failure::new(Code::Deadline, "reading the body takes longer than others may wait for it");
            Arc::new(Judgement { service: Some(service.id.clone()), is_too_long: true, ..Judgement::failed(failure) })
        })
    }

    /// Judges the call as it came, whatever is remembered, and has the decision verified.
    async fn evaluate_and_verify(
        &self,
        cached: Option<Entry>,
        call: &Call,
        state: &PolicyState,
        time: Time,
    ) -> Arc<Judgement> {
        let judgement = self.evaluate(call, state, time).await;
        if let Some(verifier) = &self.verifier {
            if let Some(Entry::Judgement(cached)) = &cached {
                verifier.compare(cached, &judgement);
            }
            if let (Ok(_), Some(query)) = (&judgement.result, &judgement.query) {
                verifier.offer(&state.snapshot, query);
            }
        }
        judgement
    }
}

impl Judge for Checker {
    fn judge<'a>(&'a self, call: &'a Call, deadline: Instant) -> Evaluation<'a> {
        let Some(state) = self.state() else {
            return Evaluation::Ready(Arc::new(Judgement::failed(not_ready())));
        };
        if let Some(judgement) = self.left_for_later(call, &state) {
            return Evaluation::Ready(judgement);
        }
        let time = Time { deadline, pace: Pace::Quick };
        let asked = self.asked(call, &state);
        let cached = asked.as_ref().and_then(|asked| asked.cache.get(&asked.key));
        // What is verified goes round the memory, so that a wrong memory shows as well.
        if self.verifier.as_ref().is_some_and(|verifier| verifier.is_due()) {
            return Evaluation::pending(async move { self.evaluate_and_verify(cached, call, &state, time).await });
        }
        match (cached, asked) {
            (Some(Entry::Judgement(judgement)), Some(asked)) => {
                asked.cache.hit();
                return Evaluation::Ready(judgement);
            }
            (None, Some(asked)) => {
                let is_long = asked.is_long;
                let is_first = asked.cache.is_first_sight(&asked.key);
                let evaluated = async move {
                    if is_first {
                        self.evaluate(call, &state, time).await
                    } else {
                        self.evaluate_for_cache(asked, call, &state, time).await
                    }
                };
                return if is_long { Evaluation::pending(evaluated) } else { Evaluation::ready(evaluated) };
            }
            (Some(Entry::Uncacheable), Some(asked)) => asked.cache.skip(),
            (_, None) => {}
        }
        // A token, a body or a source of facts has to be read first.
        Evaluation::pending(async move { self.evaluate(call, &state, time).await })
    }

    fn judge_long<'a>(&'a self, call: &'a Call, deadline: Instant) -> Pending<'a> {
        Box::pin(async move {
            match self.state() {
                Some(state) => self.evaluate(call, &state, Time::long(deadline)).await,
                None => Arc::new(Judgement::failed(not_ready())),
            }
        })
    }
}

fn not_ready() -> Failure {
    Failure::new(Code::NotReady, "no policies are loaded")
}
