//! Promises of the service: an answer, in time, and a deny for every failure.

mod large;
mod wire;

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;

use super::*;
use crate::check::Pending;
use crate::envoy::json;
use picket_core::decision::snapshot::Tree;
use picket_core::decision::verdict::Effect;
use picket_core::decision::{Snapshot, Verdict};
use picket_core::obligation::Mutations;

/// A judge that does what its name says.
enum Fake {
    Allows,
    Hangs,
    Panics,
    PanicsWhenAsked,
    PanicsWhenDropped,
    /// Allows at once, when the deadline has passed.
    AllowsLate,
    /// Allows when the deadline has passed, without having waited for anything.
    AllowsLateWithoutWaiting,
    /// Takes long, and then does what the other does.
    Long(Box<Fake>),
    /// Holds its thread until it is dropped, whatever the deadline.
    Stuck(Arc<AtomicBool>),
}

/// Holds the thread until the deadline has passed, as Cedar's evaluator would.
fn hold_until(deadline: Instant) {
    while Instant::now() <= deadline {
        std::hint::spin_loop();
    }
}

impl Judge for Fake {
    fn judge<'a>(&'a self, call: &'a Call, deadline: Instant) -> Evaluation<'a> {
        let _ = call;
        match self {
            Self::AllowsLate => {
                hold_until(deadline);
                Evaluation::Ready(Arc::new(allow()))
            }
            Self::AllowsLateWithoutWaiting => Evaluation::Pending(Box::pin(async move {
                hold_until(deadline);
                Arc::new(allow())
            })),
            Self::Long(_) => {
                let begun = Judgement::failed(Failure::new(Code::Internal, ""));
                Evaluation::Ready(Arc::new(Judgement { is_too_long: true, ..begun }))
            }
            Self::Stuck(end) => Evaluation::Pending(Box::pin(async move {
                while !end.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
                Arc::new(allow())
            })),
            Self::Allows => Evaluation::Ready(Arc::new(allow())),
            Self::Hangs => Evaluation::Pending(Box::pin(std::future::pending())),
            Self::Panics => Evaluation::Pending(Box::pin(async { panic!("a literal") })),
            Self::PanicsWhenAsked => panic!("{}", "s3cret"),
            Self::PanicsWhenDropped => {
                struct Bomb;
                impl Drop for Bomb {
                    fn drop(&mut self) {
                        panic!("dropped");
                    }
                }
                Evaluation::Pending(Box::pin(async {
                    let _bomb = Bomb;
                    std::future::pending().await
                }))
            }
        }
    }

    fn judge_long<'a>(&'a self, call: &'a Call, deadline: Instant) -> Pending<'a> {
        match self {
            Self::Long(then) => Box::pin(then.judge(call, deadline).done()),
            other => Box::pin(other.judge(call, deadline).done()),
        }
    }
}

/// Loading takes its time in a debug build; one is enough for all tests.
static EMPTY: std::sync::LazyLock<Option<std::sync::Arc<Snapshot>>> =
    std::sync::LazyLock::new(|| Snapshot::load(&Tree::default(), None).snapshot);

fn allow() -> Judgement {
    let effect = Effect::Allow(Mutations::default());
    let verdict = Verdict { effect, determining: Vec::new(), errors: Vec::new(), would_be: None };
    Judgement {
        result: Ok(verdict),
        service: Some("shop/orders".to_owned()),
        snapshot: EMPTY.clone(),
        ..Judgement::failed(Failure::new(Code::Internal, ""))
    }
}

/// A service under test, and what its observer saw.
struct Bench {
    authz: Authz,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    fn new(judge: Fake) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let observer: Observer = Arc::new(move |observed| {
            let reason = match &observed.judgement.result {
                Ok(verdict) => verdict.reason().as_str(),
                Err(failure) => failure.code.as_str(),
            };
            let line = format!("{} {reason} {} {}", observed.listener, observed.status, observed.elapsed.as_millis());
            log.lock().unwrap().push(format!("{line} {:?} {:?}", observed.request_id, observed.trace_parent));
        });
        let (judge, permits) = (Arc::new(judge), Arc::new(Semaphore::new(1)));
        let clock: Clock = Arc::new(|| UnixMillis(1));
        let settings = AuthzSettings::default();
        let authz = Authz::new(judge, settings, "edge", permits, clock, observer, Arc::default());
        Self { authz, seen }
    }

    async fn check(&self, path: &str, timeout: Option<&str>) -> Result<CheckResponse, Status> {
        let mut request = Request::new(request(path));
        if let Some(timeout) = timeout {
            request.metadata_mut().insert("grpc-timeout", timeout.parse().unwrap());
        }
        self.authz.check(request).await.map(Response::into_inner)
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn request(path: &str) -> CheckRequest {
    let headers = r#"{"x-request-id": "r-1", "traceparent": "00-a-b-01"}"#;
    let http = format!(r#"{{"method": "GET", "path": "{path}", "host": "orders.shop", "headers": {headers}}}"#);
    json::check_request(&format!(r#"{{"attributes": {{"request": {{"http": {http}}}}}}}"#)).unwrap()
}

/// HTTP status of an answer that must be a deny to Envoy whatever its filter is set to.
fn denied(response: CheckResponse) -> i32 {
    assert_ne!(response.status.unwrap().code, 0);
    match response.http_response {
        Some(HttpResponse::DeniedResponse(denied)) => denied.status.unwrap().code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_allow_goes_through_and_is_observed_once() {
    let bench = Bench::new(Fake::Allows);
    let response = bench.check("/", None).await.unwrap();
    assert_eq!(response.status.unwrap().code, 0);
    assert_eq!(bench.seen(), [r#"edge policy_permit 200 0 Some("r-1") Some("00-a-b-01")"#]);
}

#[tokio::test(start_paused = true)]
async fn p30_a_judge_that_hangs_is_answered_by_the_deadline() {
    let rows = [(None, 150), (Some("100m"), 90), (Some("10S"), 150), (Some("5m"), 0)];
    for (timeout, millis) in rows {
        let bench = Bench::new(Fake::Hangs);
        assert_eq!(denied(bench.check("/", timeout).await.unwrap()), 503);
        let line = format!(r#"edge deadline 503 {millis} Some("r-1") Some("00-a-b-01")"#);
        assert_eq!(bench.seen(), [line], "{timeout:?}");
    }
}

#[tokio::test]
async fn a_deadline_that_has_passed_is_never_followed_by_an_allow() {
    let late = || [Fake::AllowsLate, Fake::AllowsLateWithoutWaiting];
    for judge in late().into_iter().chain(late().map(|judge| Fake::Long(Box::new(judge)))) {
        let bench = Bench::new(judge);
        assert_eq!(denied(bench.check("/", Some("20m")).await.unwrap()), 503);
        assert!(bench.seen()[0].starts_with("edge deadline 503"), "{:?}", bench.seen());
    }
}

#[tokio::test]
async fn slow_calls_are_evaluated_elsewhere_and_their_panics_are_denials() {
    let bench = Bench::new(Fake::Long(Box::new(Fake::Allows)));
    assert_eq!(bench.check("/", None).await.unwrap().status.unwrap().code, 0);
    for judge in [Fake::Panics, Fake::PanicsWhenAsked] {
        let bench = Bench::new(Fake::Long(Box::new(judge)));
        assert_eq!(denied(bench.check("/", None).await.unwrap()), 503);
        assert_eq!(bench.authz.stats.panics(), 1);
    }
    let bench = Bench::new(Fake::Long(Box::new(Fake::PanicsWhenDropped)));
    assert_eq!(denied(bench.check("/", Some("20m")).await.unwrap()), 503);
}

/// The evaluator cannot be interrupted, so the answer must not wait for it.
#[tokio::test]
async fn a_call_that_holds_its_thread_is_answered_at_the_deadline() {
    let end = Arc::<AtomicBool>::default();
    let bench = Bench::new(Fake::Long(Box::new(Fake::Stuck(Arc::clone(&end)))));
    let answer = bench.check("/", Some("30m")).await.unwrap();
    assert!(!end.load(Ordering::SeqCst), "it still holds its thread");
    end.store(true, Ordering::SeqCst);
    assert_eq!(denied(answer), 503);
    assert!(bench.seen()[0].starts_with("edge deadline 503"), "{:?}", bench.seen());
}

#[tokio::test(start_paused = true)]
async fn p30_a_panic_is_a_deny_wherever_it_happens() {
    for judge in [Fake::Panics, Fake::PanicsWhenAsked, Fake::PanicsWhenDropped] {
        let bench = Bench::new(judge);
        let response = bench.check("/", None).await.unwrap();
        assert!(!format!("{response:?}").contains("s3cret"));
        assert_eq!(denied(response), 503);
        assert_eq!(bench.authz.stats.panics(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panicking_observer_does_not_change_the_answer() {
    let mut bench = Bench::new(Fake::Allows);
    bench.authz.observer = Arc::new(|_| panic!("the log is gone"));
    assert_eq!(bench.check("/", None).await.unwrap().status.unwrap().code, 0);
    assert_eq!(bench.authz.stats.panics(), 1);
}

#[tokio::test(start_paused = true)]
async fn p30_overload_is_a_deny_at_once_and_ends_when_a_check_ends() {
    let bench = Bench::new(Fake::Hangs);
    let (first, second) = tokio::join!(bench.check("/", None), bench.check("/", None));
    assert_eq!((denied(first.unwrap()), denied(second.unwrap())), (503, 503));
    assert_eq!(bench.authz.stats.sheds(), 1);
    assert!(bench.seen()[0].starts_with("edge overload 503 0"), "{:?}", bench.seen());
    assert_eq!(bench.authz.in_flight.available_permits(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_is_not_decoded_never_reaches_the_judge() {
    let bench = Bench::new(Fake::Panics);
    assert_eq!(denied(bench.check("/../x", None).await.unwrap()), 400);
    assert_eq!(bench.authz.stats.panics(), 0);
    assert!(bench.seen()[0].starts_with("edge path_refused 400"), "{:?}", bench.seen());
}

#[tokio::test(start_paused = true)]
async fn only_our_own_trouble_is_ever_deferred_to_the_proxy() {
    let mut bench = Bench::new(Fake::Hangs);
    bench.authz.settings.on_failure = OnFailure::DeferToProxy;
    assert_eq!(bench.check("/", None).await.unwrap_err().code(), tonic::Code::Unavailable);
    assert_eq!(denied(bench.check("/../x", None).await.unwrap()), 400);
    assert_eq!(bench.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_check_the_proxy_gave_up_on_is_counted_and_frees_its_place() {
    let bench = Bench::new(Fake::Hangs);
    let waited = tokio::time::timeout(Duration::from_millis(50), bench.check("/", None)).await;
    assert!(waited.is_err());
    assert_eq!((bench.authz.stats.abandoned(), bench.authz.in_flight.available_permits()), (1, 1));
    assert!(bench.seen().is_empty());
}

#[test]
fn settings_default_to_the_safe_choice_and_refuse_unknown_keys() {
    let settings: AuthzSettings = serde_json::from_str(r#"{"deadline": "80ms"}"#).unwrap();
    assert_eq!((settings.deadline, settings.on_failure), (Duration::from_millis(80), OnFailure::Deny));
    assert!(serde_json::from_str::<AuthzSettings>(r#"{"deadlin": "80ms"}"#).is_err());
    assert!(serde_json::from_str::<AuthzSettings>(r#"{"on_failure": "allow"}"#).is_err());
}
