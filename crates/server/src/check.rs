//! Checks calls: answers from the cache, or evaluates the request phase.
//!
//! Knows: the cache, the verifier, and where a call is evaluated. Must not know: the proxy's protocol, or the order of
//! a phase, which only `request` decides.

mod admissible;
mod approval_use;
mod batch;
pub mod cache;
mod content;
pub mod elicitation;
pub mod evaluation;
pub mod explainer;
pub mod explanation;
mod judgement;
mod payload;
pub mod prepared;
pub mod profile;
pub mod release_record;
mod request;
pub mod request_forward;
pub mod request_mask;
pub mod request_streams;
mod resource_metadata;
pub mod response;
pub mod response_body;
pub mod response_phase;
pub mod shadow_verify;
mod time;

use std::borrow::Cow;
use std::sync::Arc;

use tokio::time::Instant;

use crate::approval::Approvals;
use crate::entity::Entities;
use crate::keys::Keys;
use crate::policy::Store;
use cache::key::{CacheKeyParts, Relevance};
use cache::{CacheKey, Entry, ListenerCache, Versions};
use elicitation::StateTokens;
pub use evaluation::{Evaluation, Pending};
pub use judgement::Judgement;
use picket_core::call::{Body, Call};
use picket_core::catalog::{Protocol, Service};
use picket_core::decision::Snapshot;
use picket_core::decision::allowance::Pace;
use picket_core::decision::decide::Cacheability;
use picket_core::failure::{Code, Failure};
use picket_core::identity::{self, Identity, KeyRing};
use picket_core::mapping::{self, action};
pub use profile::Profile;
use request_streams::RequestStreams;
use time::Time;

/// Longest body that is read on a thread that other calls wait for, in bytes: reading takes some 90 us
/// (`benches/parse`).
const BODY_QUICK_MAX: usize = 16 * 1024;

/// The same for a body that is searched for findings, in bytes: every detector is a pass of its own.
const SEARCHED_QUICK_MAX: usize = 2 * 1024;

/// Evaluates calls: the interface between the edge, which has a proxy's protocol, and the rest.
pub trait Judge: Send + Sync {
    /// Evaluates one call on a thread that other calls wait for. It never fails and never panics on purpose: a call
    /// that cannot be evaluated has a [`Failure`] in its [`Judgement`]. No call is allowed after `deadline`.
    ///
    /// An evaluation that would take too long there is interrupted, see [`Judgement::is_too_long`].
    fn judge<'a>(&'a self, call: &'a Call, deadline: Instant) -> Evaluation<'a>;

    /// Evaluates one call where only its own caller waits, however long it takes; otherwise as [`Judge::judge`].
    fn judge_long<'a>(&'a self, call: &'a Call, deadline: Instant) -> Pending<'a> {
        Box::pin(self.judge(call, deadline).done())
    }
}

/// Evaluates the calls of one listener.
#[derive(Debug)]
pub struct Checker {
    /// Name of the listener.
    pub listener: String,
    /// How its calls are read.
    pub profile: Profile,
    /// The source of policies.
    pub policies: Arc<Store>,
    /// The source of facts.
    pub entities: Arc<Entities>,
    /// The source of approvals, and the store of used ones.
    pub approvals: Arc<Approvals>,
    /// Seals the state that MCP clients bring back from approval pages, and checks it.
    pub state_tokens: StateTokens,
    /// The issuers' keys.
    pub keys: Arc<Keys>,
    /// Verifies some decisions off the request path, if configured.
    pub verifier: Option<Arc<shadow_verify::Verifier>>,
    /// The streams by which requests can be masked.
    pub streams: Arc<RequestStreams>,
    /// The cache of its judgements; `None`: no caching.
    pub cache: Option<ListenerCache>,
}

/// The policies and keys of one call, taken once: a reload between two reads would mix new facts with old policies.
struct PolicyState {
    snapshot: Arc<Snapshot>,
    keys: Arc<KeyRing>,
}

/// Identifies the caller.
trait Identify: FnOnce(&Call, &KeyRing) -> Result<Identity, Failure> + Send {}

impl<F: FnOnce(&Call, &KeyRing) -> Result<Identity, Failure> + Send> Identify for F {}

/// A call with a cacheable judgement.
struct CacheableCall<'a> {
    cache: &'a ListenerCache,
    key: CacheKey,
    parts: CacheKeyParts<'a>,
    /// Its evaluation may take long.
    is_long: bool,
}

impl Checker {
    fn state(&self) -> Option<PolicyState> {
        Some(PolicyState { snapshot: self.policies.current()?, keys: self.keys.ring() })
    }

    /// Finds the called service.
    fn service<'a>(&self, call: &Call, snapshot: &'a Snapshot) -> Result<Cow<'a, Service>, Failure> {
        let home = &self.profile.identity.home_trust_domain;
        mapping::service(call, &self.profile.mapping, snapshot.catalog(), home)
    }

    fn identify(&self, call: &Call, keys: &KeyRing) -> Result<Identity, Failure> {
        identity::identify(call, &self.profile.identity, keys).map_err(|rejection| {
            if let Some(issuer) = &rejection.unknown_key_of {
                self.keys.hint_unknown_key(issuer);
            }
            rejection.failure
        })
    }

    /// Makes the cache key of a call to a service. `None` if there is no cache, or if the judgement cannot be cached;
    /// then the call is evaluated as it came.
    fn cacheable<'a>(&'a self, call: &'a Call, service: &Service, state: &PolicyState) -> Option<CacheableCall<'a>> {
        let cache = self.cache.as_ref()?;
        let snapshot = &state.snapshot;
        let family = action::family(call, service);
        let reads = self.policy_reads(snapshot, service, family);
        let reads = reads.as_ref();
        let changeable = snapshot.changeable(service.namespace());
        let relevance = Relevance { profile: &self.profile, service, family, reads, changeable };
        let parts = CacheKeyParts::of(call, relevance)
            .filter(|_| !self.entities.are_asked(reads) && !self.approvals.are_asked(reads));
        let Some(parts) = parts else {
            cache.skip();
            return None;
        };
        let versions = Versions { snapshot: snapshot.generation(), keys: state.keys.generation() };
        let key = cache.key(versions, &parts);
        Some(CacheableCall { cache, key, parts, is_long: snapshot.is_hot(service.namespace()) })
    }

    /// Evaluates a call that has the relevant parts and nothing else, and caches a judgement that holds for every call
    /// with these parts. If it does not hold for them, the call is evaluated as it came: the other parts may matter.
    ///
    /// The reduced call finds its service again: no part outside the key can choose it.
    async fn evaluate_for_cache(
        &self,
        cacheable: CacheableCall<'_>,
        call: &Call,
        state: &PolicyState,
        time: Time,
    ) -> Arc<Judgement> {
        let reduced = cacheable.parts.call(call.received_at);
        let identify = |call: &Call, keys: &KeyRing| self.identify(call, keys);
        let (mut judgement, cacheability) = self.evaluate_request(identify, &reduced, state, time).await;
        if judgement.is_too_long {
            return judgement;
        }
        let of_many =
            Arc::get_mut(&mut judgement).filter(|one| cacheability != Cacheability::Never && one.is_repeatable());
        let Some(of_many) = of_many else {
            if judgement.result.is_ok() {
                cacheable.cache.insert(cacheable.key, Entry::Uncacheable);
            } else {
                cacheable.cache.skip();
            }
            return self.evaluate(call, state, time).await;
        };
        of_many.answer_all(reduced);
        cacheable.cache.insert(cacheable.key, Entry::Judgement(Arc::clone(&judgement)));
        judgement
    }

    /// Evaluates a call as it came.
    async fn evaluate(&self, call: &Call, state: &PolicyState, time: Time) -> Arc<Judgement> {
        let identify = |call: &Call, keys: &KeyRing| self.identify(call, keys);
        self.evaluate_request(identify, call, state, time).await.0
    }

    /// Postpones a call with a body that takes too long to read while other calls wait; `None` for every other call.
    fn postponed(&self, call: &Call, service: Option<&Service>, state: &PolicyState) -> Option<Arc<Judgement>> {
        let is_searched = || {
            let is_large = call.body.bytes() > SEARCHED_QUICK_MAX || matches!(call.body, Body::Encoded { .. });
            let of = |service: &Service| state.snapshot.content(&service.id, action::family(call, service)).is_tested();
            is_large && service.is_some_and(of)
        };
        if call.body.bytes() <= BODY_QUICK_MAX && !is_searched() {
            return None;
        }
        let is_read_by = |service: &Service| match service.protocol {
            Protocol::Mcp | Protocol::A2a | Protocol::Openai | Protocol::Anthropic => true,
            Protocol::Http | Protocol::Grpc => self.reads(&state.snapshot, service, call).1.needs_body(),
        };
        let is_read = service.is_some_and(is_read_by) || identity::reads_body(call, &self.profile.identity);
        is_read.then(|| {
            let failure = Failure::new(Code::Deadline, "reading the body takes longer than other calls may wait");
            let service = service.map(|service| service.id.clone());
            Arc::new(Judgement { service, is_too_long: true, ..Judgement::failed(failure) })
        })
    }

    /// Evaluates a call as it came, without the cache, and has the decision verified.
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
        let service = self.service(call, &state.snapshot).ok();
        if let Some(judgement) = self.postponed(call, service.as_deref(), &state) {
            return Evaluation::Ready(judgement);
        }
        let time = Time { deadline, pace: Pace::Quick };
        let cacheable = service.as_ref().and_then(|service| self.cacheable(call, service, &state));
        let cached = cacheable.as_ref().and_then(|cacheable| cacheable.cache.get(&cacheable.key));
        drop(service);
        // A verified call bypasses the cache, so that a wrong entry shows as well.
        if self.verifier.as_ref().is_some_and(|verifier| verifier.is_due()) {
            return Evaluation::pending(async move { self.evaluate_and_verify(cached, call, &state, time).await });
        }
        match (cached, cacheable) {
            (Some(Entry::Judgement(judgement)), Some(cacheable)) => {
                cacheable.cache.hit();
                return Evaluation::Ready(judgement);
            }
            (None, Some(cacheable)) => {
                let is_long = cacheable.is_long;
                let is_first = cacheable.cache.is_first_sight(&cacheable.key);
                let evaluated = async move {
                    if is_first {
                        self.evaluate(call, &state, time).await
                    } else {
                        self.evaluate_for_cache(cacheable, call, &state, time).await
                    }
                };
                return if is_long { Evaluation::pending(evaluated) } else { Evaluation::ready(evaluated) };
            }
            (Some(Entry::Uncacheable), Some(cacheable)) => cacheable.cache.skip(),
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
