//! Cost of one check for a server over loopback: Picket against servers that evaluate nothing.
//!
//! There are two of these: tonic's own server (`tonic`), and one on Picket's accept loop and inline executor (`own`).
//! All are processes of their own with the same limits; the load alternates between them within one run. The output is
//! the CPU time of each server for one check (user and system, from `/proc/<pid>/stat`), the ratio no-op / Picket of
//! each round and its median, and latencies.
//!
//! `cargo bench --bench server`; `BENCH_CHECKS` sets the checks of a round (default 20,000).
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::panic,
    reason = "a bench stops at the first surprise, reads the real clock and spawns its own load"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use hdrhistogram::Histogram;
use serde_json::json;
use tonic::transport::Channel;

#[path = "support/by_tonic.rs"]
mod by_tonic;
#[path = "support/noop.rs"]
mod noop;
#[path = "support/rows.rs"]
mod rows;
#[path = "support/servers.rs"]
mod servers;
#[path = "support.rs"]
mod support;

use servers::{Server, ready, zipf};
use support::{check, write_policies};

const POLICIES: usize = 10_000;
const ROUNDS: usize = 7;
/// Rounds before those, which are not counted.
const WARM: usize = 2;
const WORKERS: usize = 16;

struct Round {
    cpu_us: f64,
    latencies: Histogram<u64>,
}

async fn load(server: &Server, requests: Arc<Vec<CheckRequest>>) -> Round {
    let channel = Channel::from_shared(server.address.clone()).unwrap().connect().await.unwrap();
    let (next, before) = (Arc::new(AtomicUsize::new(0)), server.cpu());
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let (channel, requests, next) = (channel.clone(), Arc::clone(&requests), Arc::clone(&next));
            tokio::spawn(async move {
                let mut client = AuthorizationClient::new(channel);
                let mut latencies = Histogram::<u64>::new(3).unwrap();
                while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begin = Instant::now();
                    let response = client.check(request.clone()).await.unwrap().into_inner();
                    latencies.record(u64::try_from(begin.elapsed().as_micros()).unwrap()).unwrap();
                    assert_eq!(response.status.unwrap().code, 0, "{:?}", response.http_response);
                }
                latencies
            })
        })
        .collect();
    let mut latencies = Histogram::<u64>::new(3).unwrap();
    for worker in workers {
        latencies.add(worker.await.unwrap()).unwrap();
    }
    let cpu = server.cpu() - before;
    Round { cpu_us: cpu.as_secs_f64() * 1e6 / requests.len() as f64, latencies }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Medians of the rounds, and of the rounds' ratios.
fn told(mix: &str, noop: &str, idles: &[Round], busies: &[Round]) {
    let at = |round: &Round, quantile| round.latencies.value_at_quantile(quantile) as f64;
    let of = |rounds: &[Round], figure: &dyn Fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
    let ratio = |figure: &dyn Fn(&Round) -> f64| {
        median(idles.iter().zip(busies).map(|(idle, busy)| figure(busy) / figure(idle)).collect())
    };
    rows::row(
        "server",
        json!({"mix": mix, "noop": noop, "policies": POLICIES, "rounds": ROUNDS,
               "noop_cpu_us": of(idles, &|r| r.cpu_us), "picket_cpu_us": of(busies, &|r| r.cpu_us),
               "cpu_ratio": 1.0 / ratio(&|r| r.cpu_us),
               "noop_p50_us": of(idles, &|r| at(r, 0.5)), "picket_p50_us": of(busies, &|r| at(r, 0.5)),
               "noop_p99_us": of(idles, &|r| at(r, 0.99)), "picket_p99_us": of(busies, &|r| at(r, 0.99)),
               "p50_ratio": ratio(&|r| at(r, 0.5)), "p99_ratio": ratio(&|r| at(r, 0.99))}),
    );
}

async fn measure(folder: &Path) {
    let (picket, noop, tonic) =
        (servers::picket(folder), servers::noop(folder), servers::this(folder, "tonic", "--serve-by-tonic"));
    for server in [&picket, &noop, &tonic] {
        ready(server).await;
    }
    println!("rss after load: picket {} MiB", picket.memory_kb() / 1024);
    let checks: usize = std::env::var("BENCH_CHECKS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let order = zipf(checks, POLICIES);
    for mix in ["hit", "miss"] {
        let (mut idles, mut tonics, mut busies) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS + WARM {
            let tenant = |n: usize| if mix == "hit" { "acme".to_owned() } else { format!("t{round}-{n}") };
            let requests: Vec<_> = order.iter().enumerate().map(|(n, who)| check(*who, &tenant(n))).collect();
            let requests = Arc::new(requests);
            let idle = load(&noop, Arc::clone(&requests)).await;
            let tonic = load(&tonic, Arc::clone(&requests)).await;
            let busy = load(&picket, requests).await;
            // A call is cached at its second request.
            if round >= WARM {
                println!(
                    "{mix:>4} round {}: no-op {:.1} us CPU, tonic's {:.1} us CPU, Picket {:.1} us CPU",
                    round - WARM + 1,
                    idle.cpu_us,
                    tonic.cpu_us,
                    busy.cpu_us
                );
                idles.push(idle);
                tonics.push(tonic);
                busies.push(busy);
            }
        }
        told(mix, "tonic", &tonics, &busies);
        told(mix, "own", &idles, &busies);
    }
    println!("rss at the end: picket {} MiB", picket.memory_kb() / 1024);
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--serve-by-tonic") {
        by_tonic::serve_by_tonic(&arguments[at + 1]);
        return;
    }
    if let Some(at) = arguments.iter().position(|argument| argument == "--serve-nothing") {
        noop::serve_nothing(&arguments[at + 1]);
        return;
    }
    if arguments.iter().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    write_policies(folder.path(), POLICIES);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure(folder.path()));
}
