//! The gRPC service that Envoy's ext_authz filter calls.
//!
//! Knows: deadlines, how much may be in flight, what to do about panics. Must not know: how a call is judged.
//!
//! It always answers, in time, and with `Ok`: a gRPC error would leave the decision to the filter's
//! `failure_mode_allow`. The one exception is [`OnFailure::DeferToProxy`], which is opt-in.

mod long_work;
mod read;
mod reply;
mod service;
mod stats;
#[cfg(test)]
mod tests;
mod timeout;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use envoy_types::pb::envoy::service::auth::v3::authorization_server::Authorization;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use futures_util::FutureExt as _;
use prost::Message as _;
use prost::bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};
use uuid::{NoContext, Timestamp, Uuid};

use super::decode::{self, Caller, CheckView, Limits, Outline, Unattached};
use super::encode;
use crate::check::release_record::{ProxySeal, ReleaseSealer};
use crate::check::{Evaluation, Judge, Judgement};
use crate::inline_task::detach;
use crate::lanes;
use crate::telemetry::Observed;
use picket_core::call::{Call, UnixMillis};
use picket_core::decision::verdict::Decision;
use picket_core::failure::{Code, Failure};
use picket_core::identity::proxy::ProxyIdentity;
use picket_core::setting::{CheckSettings, SettingProblem};
use read::Message;
use reply::Answered;
pub use reply::Reply;
pub use service::CheckServer;
use service::Client;
use stats::Abandoned;
pub use stats::Stats;

/// The wall clock, as far as decisions see it.
pub type Clock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;
/// Receives every answered call, once; must not block.
pub type Observer = Arc<dyn Fn(&Observed<'_>) + Send + Sync>;

/// The system's clock.
#[must_use]
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    })
}

/// Settings of the ext_authz service; one set for all listeners.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthzSettings {
    /// How long one check may take. Default 150ms, below Envoy's own default of 200ms. A shorter `grpc-timeout` of
    /// the proxy, less 10 ms for the way back, goes before it. `0s` denies everything. Units: `ms`, `s`.
    #[serde(with = "humantime_serde")]
    pub deadline: Duration,
    /// Handling of a check that fails for internal reasons or because of a source. Default `deny` (the safe one):
    /// the caller gets a 503. `defer_to_proxy` answers with a gRPC error instead, so that the filter's
    /// `failure_mode_allow` decides, which may ALLOW the call.
    pub on_failure: OnFailure,
    /// Largest check in bytes. Default 1048576. It must hold the filter's `max_request_bytes` and all headers; a larger
    /// check is denied.
    pub message_bytes_max: usize,
    /// The filter's `max_request_bytes`; bodies of that size or more count as cut off. Default none: then a body is
    /// known to be whole only by its `content-length`. A value above the filter's lets cut bodies pass for whole.
    pub body_bytes_max: Option<usize>,
    /// States that every proxy attaches every body: `with_request_body` on every route, `disable_request_body_buffering`
    /// on none. Then a check without a body proves that the call has none. Default false (the safe one): only an attached
    /// empty body and `content-length: 0` prove that. True where one route attaches nothing lets its bodies pass for none.
    pub every_body_attached: bool,
}

impl AuthzSettings {
    /// Properties of the filter that decoding needs.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let unattached = if self.every_body_attached { Unattached::Absent } else { Unattached::Unknown };
        Limits { body_bytes_max: self.body_bytes_max, unattached }
    }
}

impl CheckSettings for AuthzSettings {
    fn problems(&self) -> Vec<SettingProblem> {
        // No value is out of bounds: the lowest ones deny every check.
        let Self { deadline: _, on_failure: _, message_bytes_max: _, body_bytes_max: _, every_body_attached: _ } = self;
        Vec::new()
    }
}

impl Default for AuthzSettings {
    fn default() -> Self {
        Self {
            deadline: Duration::from_millis(150),
            on_failure: OnFailure::Deny,
            message_bytes_max: 1024 * 1024,
            body_bytes_max: None,
            every_body_attached: false,
        }
    }
}

/// Handling of a check that fails for internal reasons or because of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The call is denied with 503.
    #[default]
    Deny,
    /// The proxy decides, by its `failure_mode_allow`.
    DeferToProxy,
}

/// The service of one listener.
pub struct Authz {
    judge: Arc<dyn Judge>,
    settings: AuthzSettings,
    listener: Arc<str>,
    in_flight: Arc<Semaphore>,
    clock: Clock,
    observer: Observer,
    stats: Arc<Stats>,
    sealer: Option<Arc<ReleaseSealer>>,
}

impl std::fmt::Debug for Authz {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authz").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl Authz {
    /// The service of the listener (profile) called `listener`.
    ///
    /// `in_flight` bounds the checks judged at once and is shared by all listeners; so may be `stats`.
    #[must_use]
    pub fn new(
        judge: Arc<dyn Judge>,
        settings: AuthzSettings,
        listener: impl Into<Arc<str>>,
        in_flight: Arc<Semaphore>,
        clock: Clock,
        observer: Observer,
        stats: Arc<Stats>,
    ) -> Self {
        Self { judge, settings, listener: listener.into(), in_flight, clock, observer, stats, sealer: None }
    }

    /// The same, with a release record in every answer: the proxies send the responses to be evaluated.
    #[must_use]
    pub fn with_records(self, sealer: Arc<ReleaseSealer>) -> Self {
        Self { sealer: Some(sealer), ..self }
    }

    /// The same as a tonic service, with the limits on a check's size and on the time until it is whole.
    #[must_use]
    pub fn into_server(self) -> CheckServer {
        CheckServer::new(self)
    }

    /// The largest check that is read, in bytes.
    fn message_bytes_max(&self) -> usize {
        self.settings.message_bytes_max
    }

    /// Evaluates a check, the bytes of a `CheckRequest`, and returns the response; never panics, and never waits past
    /// the deadline.
    ///
    /// # Errors
    /// A gRPC error where a failure is left to the proxy: [`OnFailure::DeferToProxy`].
    pub async fn reply(&self, check: Bytes, metadata: &MetadataMap) -> Result<Reply, Status> {
        self.reply_since(Instant::now(), Ok(Message::of(check)), Client::default(), metadata).await
    }

    /// As [`Self::reply`], for a check whose headers came at `started`, or that could not be read.
    async fn reply_since(
        &self,
        started: Instant,
        check: Result<Message, Failure>,
        client: Client,
        metadata: &MetadataMap,
    ) -> Result<Reply, Status> {
        // What panics outside the inner guards, such as dropping a judge's future, ends here.
        let sent = AssertUnwindSafe(self.answered(started, check, client, metadata)).catch_unwind().await;
        let (sent, large) = sent.unwrap_or_else(|panic| {
            let judgement = Arc::new(Judgement::failed(self.panicked(panic.as_ref())));
            (Answered::of(encode::answer(judgement, Uuid::now_v7(), None, Caller::default())), None)
        });
        let Answered { reply, judgement, status: _ } = sent;
        let deferrable = encode::deferrable(&judgement);
        if let Some(call) = large {
            lanes::discard((judgement, call));
        }
        match (self.settings.on_failure, deferrable) {
            (OnFailure::DeferToProxy, Some(code)) => Err(Status::unavailable(code.as_str())),
            (OnFailure::DeferToProxy, None) | (OnFailure::Deny, _) => Ok(reply),
        }
    }

    /// When a check must be answered whose headers came at `started`.
    fn deadline(&self, started: Instant, metadata: &MetadataMap) -> Instant {
        started + timeout::of(self.settings.deadline, metadata)
    }

    /// The answer, and the call where dropping it and its judgement may take long.
    async fn answered(
        &self,
        started: Instant,
        check: Result<Message, Failure>,
        Client { lane, proxy }: Client,
        metadata: &MetadataMap,
    ) -> (Answered, Option<Call>) {
        let received_at = (self.clock)();
        let proxy = proxy.as_ref().map_or("", ProxyIdentity::as_str);
        let seal = self.sealer.as_deref().map(|sealer| ProxySeal { sealer, proxy, at: received_at });
        let deadline = self.deadline(started, metadata);
        let mut abandoned = Abandoned { stats: Some(&self.stats) };
        if check.as_ref().is_err_and(|failure| failure.code == Code::Overload) {
            self.stats.sheds.fetch_add(1, Ordering::Relaxed);
        }
        let (message, decoded);
        let (check, outline) = match check {
            Ok(Message::Small(small)) => {
                message = small;
                let check = self.caught(|| CheckView::read(&message)).flatten();
                let outline = check.as_ref().map(decode::outline).unwrap_or_default();
                (check.map(Check::Small), outline)
            }
            Ok(Message::Large(large)) => {
                // In a place of its own: a small check would carry the room for it.
                decoded = Box::pin(self.decode_large(large, lane, received_at, deadline)).await;
                (decoded.call.map(|call| Check::Large(Box::new(call))), decoded.outline.borrowed())
            }
            Err(failure) => (Err(failure), Outline::default()),
        };
        let Judged { judgement, call, is_large } = self.judged(check, received_at, deadline).await;
        abandoned.stats = None;
        let decision_id = decision_id(received_at);
        let encoded = self.caught(|| Answered::new(judgement, decision_id, call.as_ref(), outline.caller, seal));
        // A failure's answer has no input but its code: it cannot meet whatever made the first one panic.
        let sent = encoded.unwrap_or_else(|failure| {
            let judgement = Arc::new(Judgement::failed(failure));
            Answered::of(encode::answer(judgement, decision_id, None, outline.caller))
        });
        let own = metadata.get("traceparent").and_then(|value| value.to_str().ok());
        let observed = Observed {
            decision_id,
            judgement: &sent.judgement,
            call: call.as_ref(),
            listener: &self.listener,
            status: sent.status,
            trace_parent: own.or(outline.trace_parent),
            request_id: outline.request_id,
            received_at,
            elapsed: started.elapsed(),
        };
        // The answer stands, whatever becomes of its record; the count of panics tells.
        let told = self.caught(|| (self.observer)(&observed));
        drop(told);
        (sent, call.filter(|_| is_large))
    }

    /// What becomes of a check that came whole, or of what came in its place.
    async fn judged(&self, check: Result<Check<'_>, Failure>, received_at: UnixMillis, deadline: Instant) -> Judged {
        // Shedding comes first, so that a refused check costs next to nothing.
        let Ok(_permit) = self.in_flight.try_acquire() else {
            self.stats.sheds.fetch_add(1, Ordering::Relaxed);
            return Judged::failed(Failure::new(Code::Overload, "too many checks are in flight"));
        };
        let limits = self.settings.limits();
        let is_large = matches!(check, Ok(Check::Large(_)));
        let decoded = check.and_then(|check| match check {
            Check::Small(check) => self.caught(|| decode::call(&check, limits, received_at))?,
            Check::Large(call) => Ok(*call),
        });
        let call = match decoded {
            Ok(call) => call,
            Err(failure) => return Judged::failed(failure),
        };
        // A deadline that has passed already is not even tried: `timeout_at` would poll once.
        if deadline <= Instant::now() {
            let late = Failure::new(Code::Deadline, "the check arrived after its deadline");
            return Judged { call: Some(call), is_large, ..Judged::failed(late) };
        }
        let judgement = self.waited(&call, deadline).await;
        if !judgement.is_too_long {
            return Judged { judgement: in_time(judgement, deadline), call: Some(call), is_large };
        }
        let Judged { judgement, call, is_large: was_long } = self.waited_long(&judgement, call, deadline).await;
        Judged { judgement: in_time(judgement, deadline), call, is_large: is_large || was_long }
    }

    /// The judgement of a call, or why there is none in time.
    async fn waited(&self, call: &Call, deadline: Instant) -> Arc<Judgement> {
        let pending = match self.caught(|| self.judge.judge(call, deadline)) {
            Ok(Evaluation::Ready(judgement)) => return judgement,
            Ok(Evaluation::Pending(pending)) => AssertUnwindSafe(pending).catch_unwind(),
            Err(failure) => return failed(failure),
        };
        detach().await;
        match tokio::time::timeout_at(deadline, pending).await {
            Ok(Ok(judgement)) => judgement,
            Ok(Err(panic)) => failed(self.panicked(panic.as_ref())),
            Err(_) => failed(late()),
        }
    }

    /// Runs `work`, and turns a panic into [`Code::Internal`].
    fn caught<T>(&self, work: impl FnOnce() -> T) -> Result<T, Failure> {
        catch_unwind(AssertUnwindSafe(work)).map_err(|panic| self.panicked(panic.as_ref()))
    }

    fn panicked(&self, panic: &(dyn std::any::Any + Send)) -> Failure {
        self.stats.panics.fetch_add(1, Ordering::Relaxed);
        // A formatted message may quote the call, so only a literal one goes to the log.
        let message = panic.downcast_ref::<&'static str>().copied().unwrap_or("see the panic's own message");
        Failure::new(Code::Internal, format!("a panic was caught: {message}"))
    }
}

/// A check that came whole.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all checks are small, and none of them should pay for an allocation"
)]
enum Check<'a> {
    /// One that is still to be decoded.
    Small(CheckView<'a>),
    /// One that was decoded where nobody else waits.
    Large(Box<Call>),
}

/// What became of a check.
struct Judged {
    judgement: Arc<Judgement>,
    /// The call as far as it was decoded.
    call: Option<Call>,
    /// Whether a thread for long work decoded or evaluated it, and so has to drop it as well.
    is_large: bool,
}

impl Judged {
    fn failed(failure: Failure) -> Self {
        Self { judgement: failed(failure), call: None, is_large: false }
    }
}

fn failed(failure: Failure) -> Arc<Judgement> {
    Arc::new(Judgement::failed(failure))
}

fn late() -> Failure {
    Failure::new(Code::Deadline, "the check was not decided by its deadline")
}

/// The judgement, unless it allows and its deadline has passed, wherever it comes from: a thread may have been held up, and
/// the proxy has given up on the call or soon will.
fn in_time(judgement: Arc<Judgement>, deadline: Instant) -> Arc<Judgement> {
    let allows = judgement.result.as_ref().is_ok_and(|verdict| verdict.decision() == Decision::Allow);
    if allows && deadline <= Instant::now() { Arc::new(judgement.with_result(Err(late()))) } else { judgement }
}

/// The id of the decision about a call: the time when it came, and otherwise random.
fn decision_id(received_at: UnixMillis) -> Uuid {
    let seconds = u64::try_from(received_at.seconds()).unwrap_or_default();
    let nanos = u32::try_from(received_at.0.rem_euclid(1000)).unwrap_or_default() * 1_000_000;
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, nanos))
}

/// For whoever asks in process; the proxy asks [`CheckServer`], which sends the same replies.
#[tonic::async_trait]
impl Authorization for Authz {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let (metadata, _extensions, request) = request.into_parts();
        self.reply(request.encode_to_vec().into(), &metadata).await?.into_response().map(Response::new)
    }
}
