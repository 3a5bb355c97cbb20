//! What one check costs in process, from the bytes of a `CheckRequest` to the bytes of a `CheckResponse`, beside
//! decoding and encoding alone.
//!
//! A `miss` is a call as there was none before; the `second` of its kind is remembered; from the third on it is a `hit`.
//!
//! `cargo bench --bench check` prints medians and ratios. `check --count codec|hit|miss|second <policies>` makes one
//! hundred checks for callgrind, see `benches/instructions`.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench stops at the first surprise and reads the real clock"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use picket::approval::Approvals;
use picket::check::memory::{Memory, Seat};
use picket::check::{Checker, Profile};
use picket::entity::Entities;
use picket::envoy::authz::{Authz, AuthzSettings, Stats};
use picket::keys::Keys;
use picket::policy::Store;
use picket::server::compose::clock;
use picket::telemetry::{Settings, Telemetry};
use prost::Message as _;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tonic::metadata::MetadataMap;

#[path = "support.rs"]
mod support;

/// A whole ext_authz service over `policies` policies, its decision log in a file.
fn service(runtime: &Runtime, policies: usize) -> Authz {
    let folder = tempfile::tempdir().unwrap();
    support::write_policies(folder.path(), policies);
    let store = Arc::new(Store::new(&picket::policy::Settings::new(folder.path().join("policies"))));
    runtime.block_on(store.load_now());
    assert!(store.status().is_current(), "{}", store.status());
    let sink = serde_json::json!({"decision_log": {"sink": {"file": folder.path().join("log")}}});
    let settings: Settings = serde_json::from_value(sink).unwrap();
    let telemetry = Telemetry::start(&settings, "bench").unwrap();
    let checker = Checker {
        listener: "bench".to_owned(),
        profile: Profile::default(),
        policies: store,
        entities: Arc::new(Entities::over(Vec::new())),
        approvals: Arc::new(Approvals::none()),
        keys: Arc::new(Keys::new(&picket::keys::Settings::default(), std::path::Path::new(".")).unwrap()),
        verifier: None,
        seat: Some(Seat::in_memory(&Arc::<Memory>::default())),
    };
    let observer: picket::envoy::authz::Observer = Arc::new(move |seen| telemetry.finish(seen));
    let in_flight = Arc::new(Semaphore::new(16));
    // The folder holds the log for as long as the process lives.
    std::mem::forget(folder);
    let settings = AuthzSettings::default();
    Authz::new(Arc::new(checker), settings, "bench", in_flight, clock(), observer, Arc::<Stats>::default())
}

async fn whole(service: &Authz, bytes: &[u8]) -> Vec<u8> {
    let request = CheckRequest::decode(bytes).unwrap();
    let reply = service.reply(request, &MetadataMap::new()).await.unwrap();
    let mut answer = Vec::with_capacity(1024);
    reply.write(&mut answer).unwrap();
    answer
}

/// The same bytes in and the same response out, with nothing between.
async fn codec(response: &CheckResponse, bytes: &[u8]) -> Vec<u8> {
    black_box(CheckRequest::decode(bytes).unwrap());
    black_box(response.clone()).encode_to_vec()
}

/// The checks to be counted, by `--toggle-collect='*counted_once*'`.
#[inline(never)]
fn counted(runtime: &Runtime, service: &Authz, response: Option<&CheckResponse>, requests: &[Vec<u8>]) {
    runtime.block_on(async {
        for bytes in requests {
            match response {
                Some(response) => drop(black_box(codec(response, bytes).await)),
                None => drop(black_box(whole(service, bytes).await)),
            }
        }
    });
}

fn requests(mix: &str, round: usize, policies: usize) -> Vec<Vec<u8>> {
    let tenant =
        |n: usize| if matches!(mix, "hit" | "codec") { "acme".to_owned() } else { format!("{mix}{round}-{n}") };
    (0..100).map(|n| support::check(n % 16 % policies, &tenant(n)).encode_to_vec()).collect()
}

/// Makes the calls of a mix what the mix says.
fn before(runtime: &Runtime, service: &Authz, mix: &str, requests: &[Vec<u8>]) {
    let times = match mix {
        "hit" => 2,
        "second" => 1,
        _ => 0,
    };
    (0..times).for_each(|_| counted(runtime, service, None, requests));
}

fn response(runtime: &Runtime, service: &Authz) -> CheckResponse {
    let bytes = runtime.block_on(whole(service, &support::check(0, "acme").encode_to_vec()));
    let response = CheckResponse::decode(bytes.as_slice()).unwrap();
    assert_eq!(response.status.as_ref().unwrap().code, 0, "{response:?}");
    response
}

/// Median microseconds of one check over rounds of twenty, so short that other load on the machine meets few of them.
fn median(runtime: &Runtime, service: &Authz, response: Option<&CheckResponse>, mix: &str, policies: usize) -> f64 {
    let mut times: Vec<f64> = (0..301)
        .map(|round| {
            let requests = &requests(mix, round, policies)[..20];
            before(runtime, service, mix, requests);
            let begin = Instant::now();
            counted(runtime, service, response, requests);
            begin.elapsed().as_secs_f64() / 20.0 * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let at = arguments.iter().position(|argument| argument == "--count");
    if let Some(at) = at {
        let (mix, policies) = (arguments[at + 1].as_str(), arguments[at + 2].parse().unwrap());
        let service = service(&runtime, policies);
        let response = (mix == "codec").then(|| response(&runtime, &service));
        // The first calls of all build what all later ones use.
        counted(&runtime, &service, None, &requests("hit", 0, policies));
        let requests = requests(mix, 1, policies);
        before(&runtime, &service, mix, &requests);
        counted_once(&runtime, &service, response.as_ref(), &requests);
        return;
    }
    let policies = 10_000;
    let service = service(&runtime, policies);
    let response = response(&runtime, &service);
    let codec = median(&runtime, &service, Some(&response), "hit", policies);
    let hit = median(&runtime, &service, None, "hit", policies);
    let miss = median(&runtime, &service, None, "miss", policies);
    let second = median(&runtime, &service, None, "second", policies);
    println!(
        "{policies} policies: codec alone {codec:.1} us, hit {hit:.1} us (x{:.2}), miss {miss:.1} us (x{:.2}), second {second:.1} us (x{:.2})",
        hit / codec,
        miss / codec,
        second / codec
    );
}

/// As [`counted`], for the one run that callgrind counts.
#[inline(never)]
fn counted_once(runtime: &Runtime, service: &Authz, response: Option<&CheckResponse>, requests: &[Vec<u8>]) {
    counted(runtime, service, response, requests);
}
