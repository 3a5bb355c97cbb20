//! Effect of the costliest policies and calls on the time of the answer, and on other calls.
//!
//! One namespace has the costliest policies that load, and three callers send it 900 KB each, one after another. The
//! output is how long after the deadline they get an answer, and the latencies of another namespace's plain calls,
//! without and with them.
//!
//! `cargo bench --bench long`; `BENCH_SECONDS` sets how long each side is measured (default 5).
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::panic,
    reason = "a bench stops at the first surprise, reads the real clock and spawns its own load"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::config::core::v3::HeaderValue;
use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use hdrhistogram::Histogram;
use serde_json::json;
use tonic::transport::Channel;

#[expect(dead_code, reason = "other benches use the rest")]
#[path = "support/servers.rs"]
mod servers;
#[expect(dead_code, reason = "other benches use the rest")]
#[path = "support.rs"]
mod support;

use support::check;

/// Picket's default.
const DEADLINE: Duration = Duration::from_millis(150);
const TEXT_BYTES: usize = 900_000;
const ATTACKERS: usize = 3;

/// The worst of their kind that loads: a name, and the policies of the hostile namespace.
fn shapes() -> Vec<(&'static str, String)> {
    let read = "context.args.getTag(\"/x\")";
    let like = |run: usize| format!("{read} like \"*{}b*\"", "a".repeat(run));
    let policy = |n: usize, condition: &str| {
        format!(
            "@id(\"p{n}\") forbid (principal, action == Action::\"mcp.tools.call\", resource) \
             when {{ context.args.hasTag(\"/x\") && ({condition}) }};\n"
        )
    };
    let many = |n: usize, condition: &str| (0..n).map(|n| policy(n, condition)).collect::<String>();
    vec![
        ("200 patterns of 240 characters, each in a policy", many(200, &like(240))),
        ("50 patterns in one policy", policy(0, &vec![like(240); 50].join(" || "))),
        ("30 patterns of 6 characters in one policy", policy(0, &vec![like(6); 30].join(" || "))),
        ("sets of 400 texts, 60 policies", many(60, &format!("[{}].contains({read})", vec![read; 400].join(", ")))),
        ("no costly policy, only the text", many(1, &format!("{read} == \"x\""))),
    ]
}

fn write(folder: &Path, evil: &str) {
    let policies = folder.join("policies");
    for name in ["mesh", "namespaces/evil", "namespaces/ns0"] {
        std::fs::create_dir_all(policies.join(name)).unwrap();
    }
    let catalog = "services: [{id: evil/tools, protocol: mcp}, {id: ns0/api}]\n";
    std::fs::write(policies.join("catalog.yaml"), catalog).unwrap();
    let all = "@id(\"all\") permit (principal, action in Action::\"any\", resource);";
    std::fs::write(policies.join("mesh/a.cedar"), all).unwrap();
    std::fs::write(policies.join("namespaces/ns0/a.cedar"), all).unwrap();
    std::fs::write(policies.join("namespaces/evil/a.cedar"), evil).unwrap();
}

fn attack() -> CheckRequest {
    let params = json!({"name": "go", "arguments": {"x": "a".repeat(TEXT_BYTES)}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    let mut check = check(0, "t");
    let attributes = check.attributes.as_mut().unwrap();
    attributes.context_extensions.insert("service".to_owned(), "evil/tools".to_owned());
    let http = attributes.request.as_mut().unwrap().http.as_mut().unwrap();
    (http.method, http.path) = ("POST".to_owned(), "/mcp".to_owned());
    let headers = &mut http.header_map.as_mut().unwrap().headers;
    headers.retain(|header| !header.key.starts_with(':'));
    let length = body.len().to_string();
    let more =
        [("content-type", "application/json"), ("content-length", &length), ("x-envoy-auth-partial-body", "false")];
    headers.extend(more.map(|(key, value)| HeaderValue {
        key: key.to_owned(),
        raw_value: value.into(),
        ..HeaderValue::default()
    }));
    http.raw_body = body.into_bytes();
    check
}

async fn client(address: &str) -> AuthorizationClient<Channel> {
    AuthorizationClient::new(Channel::from_shared(address.to_owned()).unwrap().connect().await.unwrap())
}

/// Latencies of another namespace's calls, a new path each, one every millisecond.
async fn others(address: &str, time: Duration) -> Histogram<u64> {
    let mut client = client(address).await;
    let mut latencies = Histogram::<u64>::new(3).unwrap();
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let began = Instant::now();
    let mut number = 0;
    while began.elapsed() < time {
        ticks.tick().await;
        number += 1;
        let sent = Instant::now();
        let answer = client.check(check(number, "t")).await.unwrap().into_inner();
        latencies.record(u64::try_from(sent.elapsed().as_micros()).unwrap()).unwrap();
        assert_eq!(answer.status.unwrap().code, 0);
    }
    latencies
}

/// Latencies of the attackers' calls, and how many of them were allowed.
async fn attackers(address: &str, stop: Arc<AtomicBool>) -> (Histogram<u64>, usize) {
    let one = |address: String, stop: Arc<AtomicBool>| async move {
        let (mut client, request) = (client(&address).await, attack());
        let (mut latencies, mut allowed) = (Vec::new(), 0);
        while !stop.load(Ordering::Relaxed) {
            let request = request.clone();
            let sent = Instant::now();
            let answer = client.check(request).await.unwrap().into_inner();
            latencies.push(u64::try_from(sent.elapsed().as_micros()).unwrap());
            allowed += usize::from(answer.status.unwrap().code == 0);
        }
        (latencies, allowed)
    };
    let tasks: Vec<_> = (0..ATTACKERS).map(|_| tokio::spawn(one(address.to_owned(), Arc::clone(&stop)))).collect();
    let mut all = Histogram::<u64>::new(3).unwrap();
    let mut allowed = 0;
    for task in tasks {
        let (latencies, some) = task.await.unwrap();
        latencies.into_iter().for_each(|latency| all.record(latency).unwrap());
        allowed += some;
    }
    (all, allowed)
}

/// Gives this thread, and nothing that it starts, a priority above all others; whether that worked. A caller has a machine of
/// its own: on this one it would wait for the threads of the server and of the attackers, up to a slice of 1.4 ms each, and
/// that would count as time of the answer.
fn at_once() -> bool {
    let this = std::process::id().to_string();
    let chrt = std::process::Command::new("chrt").args(["--reset-on-fork", "--fifo", "--pid", "1", &this]).status();
    chrt.is_ok_and(|status| status.success())
}

fn main() {
    let seconds = std::env::var("BENCH_SECONDS").map_or(5, |seconds| seconds.parse().unwrap());
    let time = Duration::from_secs(seconds);
    // The timed caller is one thread, so that one priority is all of it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    println!(
        "the timed caller {}",
        if at_once() { "runs as soon as it wakes" } else { "waits for a processor as any thread" }
    );
    // Attackers have machines of their own: here they have a lower priority than the server and the timed callers.
    let mut elsewhere = tokio::runtime::Builder::new_multi_thread();
    elsewhere.worker_threads(2).enable_all();
    #[cfg(target_os = "linux")]
    elsewhere.on_thread_start(|| rustix::process::setpriority_process(None, 19).unwrap());
    let elsewhere = elsewhere.build().unwrap();
    for (name, evil) in shapes() {
        let folder = tempfile::TempDir::new().unwrap();
        write(folder.path(), &evil);
        let server = servers::picket(folder.path());
        runtime.block_on(async {
            servers::ready(&server).await;
            others(&server.address, Duration::from_secs(1)).await;
            let quiet = others(&server.address, time).await;
            let stop = Arc::<AtomicBool>::default();
            let attacking = elsewhere.spawn({
                let (address, stop) = (server.address.clone(), Arc::clone(&stop));
                async move { attackers(&address, stop).await }
            });
            let meanwhile = others(&server.address, time).await;
            stop.store(true, Ordering::Relaxed);
            let (attacked, allowed) = attacking.await.unwrap();
            let deadline = u64::try_from(DEADLINE.as_micros()).unwrap();
            println!(
                "{name}: {} calls, {allowed} allowed, answered after {} ms in the median and {} ms at most ({} ms after the deadline)",
                attacked.len(),
                attacked.value_at_quantile(0.5) / 1000,
                attacked.max() / 1000,
                attacked.max().saturating_sub(deadline) / 1000,
            );
            let p99 = [&quiet, &meanwhile].map(|side| side.value_at_quantile(0.99));
            println!(
                "  others: p50 {} us quiet, {} us meanwhile; p99 {} us quiet, {} us meanwhile, ratio {:.2}",
                quiet.value_at_quantile(0.5),
                meanwhile.value_at_quantile(0.5),
                p99[0],
                p99[1],
                f64::from(u32::try_from(p99[1]).unwrap()) / f64::from(u32::try_from(p99[0]).unwrap()),
            );
        });
    }
}
