//! Cost of one check in process, from the bytes of a `CheckRequest` to the bytes of a `CheckResponse`, next to decoding
//! and encoding alone.
//!
//! A `miss` is the first call of its kind; the `second` call is cached; from the third on it is a `hit`.
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
use std::time::Instant;

use bytes::Bytes;
use composed::whole;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use picket::envoy::authz::Authz;
use prost::Message as _;
use tokio::runtime::Runtime;

#[path = "composed.rs"]
mod composed;
#[path = "support.rs"]
mod support;

/// Length of the calls to which the marks apply; callers' names and tenants make some bytes of difference.
const BYTES: std::ops::Range<usize> = 1000..1050;

/// A whole ext_authz service over `policies` policies.
fn service(runtime: &Runtime, policies: usize) -> Authz {
    let folder = tempfile::tempdir().unwrap();
    support::write_policies(folder.path(), policies);
    composed::service(runtime, folder)
}

/// The same bytes in and the same response out, with nothing between.
async fn codec(response: &CheckResponse, bytes: &[u8]) -> Vec<u8> {
    black_box(CheckRequest::decode(bytes).unwrap());
    black_box(response.clone()).encode_to_vec()
}

/// The checks to be counted, by `--toggle-collect='*counted_once*'`.
#[inline(never)]
fn counted(runtime: &Runtime, service: &Authz, response: Option<&CheckResponse>, requests: &[Bytes]) {
    runtime.block_on(async {
        for bytes in requests {
            match response {
                Some(response) => drop(black_box(codec(response, bytes).await)),
                None => drop(black_box(whole(service, bytes).await)),
            }
        }
    });
}

fn requests(mix: &str, round: usize, policies: usize) -> Vec<Bytes> {
    let long = |bytes: Vec<u8>| {
        assert!(BYTES.contains(&bytes.len()), "a call of {} bytes", bytes.len());
        Bytes::from(bytes)
    };
    let tenant =
        |n: usize| if matches!(mix, "hit" | "codec") { "acme".to_owned() } else { format!("{mix}{round}-{n}") };
    (0..100).map(|n| long(support::check(n % 16 % policies, &tenant(n)).encode_to_vec())).collect()
}

/// Makes the calls of a mix what the mix says.
fn before(runtime: &Runtime, service: &Authz, mix: &str, requests: &[Bytes]) {
    let times = match mix {
        "hit" => 2,
        "second" => 1,
        _ => 0,
    };
    (0..times).for_each(|_| counted(runtime, service, None, requests));
}

fn response(runtime: &Runtime, service: &Authz) -> CheckResponse {
    let bytes = runtime.block_on(whole(service, &support::check(0, "acme").encode_to_vec().into()));
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
        "{policies} policies, calls of {} bytes: codec alone {codec:.1} us, hit {hit:.1} us (x{:.2}), miss {miss:.1} us (x{:.2}), second {second:.1} us (x{:.2})",
        requests("hit", 0, policies)[0].len(),
        hit / codec,
        miss / codec,
        second / codec
    );
}

/// As [`counted`], for the one run that callgrind counts.
#[inline(never)]
fn counted_once(runtime: &Runtime, service: &Authz, response: Option<&CheckResponse>, requests: &[Bytes]) {
    counted(runtime, service, response, requests);
}
