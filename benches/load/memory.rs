//! Memory: what a policy takes, and what is left after ten million callers that never come again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use envoy_types::pb::envoy::service::auth::v3::authorization_server::Authorization as _;
use picket::app::elicitation_key;
use picket::check::cache::{Admission, CheckCache, ListenerCache};
use picket::check::elicitation::StateTokens;
use picket::check::{Checker, Profile};
use picket::entity::Entities;
use picket::envoy::authz::system_clock;
use picket::envoy::authz::{Authz, AuthzSettings, Observer, Stats};
use picket::keys::Keys;
use picket::policy::{Settings, Store};
use picket::telemetry::{Telemetry, metrics};
use serde_json::json;
use tokio::sync::Semaphore;

use super::rows::row;
use super::servers;
use super::support::{check, write_policies};

/// Callers at which memory is read.
const MARKS: [usize; 9] = [10_000, 30_000, 100_000, 300_000, 1_000_000, 2_000_000, 4_000_000, 7_000_000, 10_000_000];

/// Every caller is another decision: the condition compares its id, and its tenant is read.
const POLICY: &str = r#"@id("all") permit (principal is Workload, action in Action::"read", resource in Service::"ns0/api")
when { principal.spiffeId != "" && context.http.headers.hasTag("x-tenant") };"#;

/// `BENCH_CALLERS_MAX` bounds the callers, and leaves out the policies.
pub fn run() {
    if let Some(most) = std::env::var_os("BENCH_CALLERS_MAX") {
        of_callers(most.to_str().unwrap().parse().unwrap());
        return;
    }

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(of_policies());
    of_callers(usize::MAX);
}

/// Resident memory of two servers that differ in their policies only, before any check but the first.
async fn of_policies() {
    let mut kilobytes = Vec::new();
    let counts = [10, 10_000];
    for policies in counts {
        let folder = tempfile::tempdir().unwrap();
        write_policies(folder.path(), policies);
        let server = servers::picket(folder.path());
        servers::ready(&server).await;
        kilobytes.push(server.memory_kb());
        // Measure an idle server, not one that starts.
        assert!(server.cpu().as_millis() < 600_000);
    }
    let bytes = (kilobytes[1] - kilobytes[0]) as f64 * 1024.0 / (counts[1] - counts[0]) as f64;
    row(
        "policy-memory",
        json!({"few": counts[0], "many": counts[1], "few_kb": kilobytes[0], "many_kb": kilobytes[1], "bytes_a_policy": bytes}),
    );
}

/// Two threads of checks in this process, through the whole of ext_authz but the sockets. The same two all along, as a
/// server's workers are: a new thread begins with a new part of the heap, which is not what is measured here.
fn of_callers(most: usize) {
    let folder = tempfile::tempdir().unwrap();
    write_policies(folder.path(), 10);
    std::fs::write(folder.path().join("policies/namespaces/ns0/all.cedar"), POLICY).unwrap();
    let service = service(folder.path());
    let marks: Vec<usize> = MARKS.into_iter().filter(|mark| *mark <= most).collect();
    let (next, end) = (AtomicUsize::new(0), marks.last().copied().unwrap_or_default());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| ask_until(&service, &next, end))).collect();
        for mark in marks {
            while next.load(Ordering::Relaxed) < mark && !threads.iter().any(|thread| thread.is_finished()) {
                std::thread::sleep(Duration::from_millis(5));
            }
            row("caller-memory", json!({"callers": mark, "rss_bytes": metrics::resident_bytes()}));
        }
    });
}

fn ask_until(service: &Authz, next: &AtomicUsize, end: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut request: CheckRequest = check(0, "acme");
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= end {
                break;
            }
            let source = request.attributes.as_mut().unwrap().source.as_mut().unwrap();
            source.principal = format!("spiffe://cluster.local/ns/web/sa/caller{number}");
            let answer = service.check(tonic::Request::new(request.clone())).await.unwrap().into_inner();
            assert_eq!(answer.status.unwrap().code, 0, "{:?}", answer.http_response);
        }
    });
}

fn service(folder: &Path) -> Authz {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = Arc::new(Store::new(&Settings::new(folder.join("policies"))));
    runtime.block_on(store.load_now());
    assert!(store.status().is_current(), "{}", store.status());
    let sink = json!({"decision_log": {"sink": "none"}});
    let telemetry = Telemetry::start(&serde_json::from_value(sink).unwrap(), "bench").unwrap();
    let checker = Checker {
        listener: "bench".to_owned(),
        profile: Profile::default(),
        policies: store,
        entities: Arc::new(Entities::over(Vec::new())),
        approvals: Arc::new(picket::approval::Approvals::none()),
        state_tokens: StateTokens::new(elicitation_key::load(None).unwrap(), Duration::from_secs(600)),
        keys: Arc::new(Keys::new(&picket::keys::Settings::default(), Path::new(".")).unwrap()),
        verifier: None,
        streams: Arc::default(),
        // Every caller is cached at its first call: otherwise callers that never come again would not fill the cache.
        cache: Some(ListenerCache::new(&Arc::new(CheckCache::new(Admission::FirstSight)))),
    };
    let observer: Observer = Arc::new(move |seen| telemetry.finish(seen));
    let in_flight = Arc::new(Semaphore::new(16));
    // Ten million checks meet every stall of the machine; none of them may end the bench.
    let settings = AuthzSettings { deadline: Duration::from_secs(30), ..AuthzSettings::default() };
    Authz::new(Arc::new(checker), settings, "bench", in_flight, system_clock(), observer, Arc::<Stats>::default())
}
