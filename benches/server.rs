//! What one check costs a server over loopback: Picket against a server that judges nothing.
//!
//! Both are processes of their own on the same accept loop with the same limits; the load alternates between
//! them within one run. Printed are the CPU time of each server for one check (user and system, from
//! `/proc/<pid>/stat`), the ratio no-op / Picket of each round and its median, and latencies.
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
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::authorization_server::{Authorization, AuthorizationServer};
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use envoy_types::pb::google::rpc::Status;
use hdrhistogram::Histogram;
use picket::server::admin::{AdminBackend, Answer, Unit};
use picket::server::{Parts, Shutdown};
use tonic::transport::Channel;

const POLICIES: usize = 10_000;
const ROUNDS: usize = 7;
const WORKERS: usize = 16;

struct NoOp;

#[tonic::async_trait]
impl Authorization for NoOp {
    async fn check(&self, _: tonic::Request<CheckRequest>) -> Result<tonic::Response<CheckResponse>, tonic::Status> {
        let status = Some(Status { code: 0, message: String::new(), details: Vec::new() });
        Ok(tonic::Response::new(CheckResponse { status, ..CheckResponse::default() }))
    }
}

struct Nothing;

impl AdminBackend for Nothing {
    fn loaded(&self) -> bool {
        true
    }
    fn units(&self) -> Vec<Unit> {
        Vec::new()
    }
    fn metrics(&self) -> String {
        String::new()
    }
    fn explain<'a>(&'a self, _: &'a str, _: &'a str) -> Answer<'a, Result<String, String>> {
        Box::pin(async { Err(String::new()) })
    }
}

/// Serves on Picket's own accept loop without judging anything.
fn serve_nothing(config_file: &str) {
    let text = std::fs::read_to_string(config_file).unwrap();
    let sources = picket::config::Sources { file: Some((config_file.to_owned(), text)), ..Default::default() };
    let config = picket::config::load(&sources).unwrap().config;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let routes = |listener| (listener, tonic::service::Routes::new(AuthorizationServer::new(NoOp)));
        let parts = Parts {
            listeners: config.listeners.into_iter().map(routes).collect(),
            admin: config.admin,
            limits: config.limits.connection,
            shutdown: config.shutdown,
            backend: Arc::new(Nothing),
            tasks: Default::default(),
            stats: Arc::default(),
            flush: Box::pin(async {}),
        };
        picket::server::run(parts, Shutdown::default()).await.unwrap();
    });
}

/// Ends its process when dropped.
struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }

    fn memory_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(folder: &Path, name: &str, program: &str, arguments: &[&str]) -> Server {
    let address = format!("127.0.0.1:{}", free_port());
    let config = folder.join(format!("{name}.yaml"));
    let text = format!(
        "listeners: [{{name: bench, address: \"{address}\"}}]\npolicies: {{dir: {folder}/policies}}\n\
         admin: {{http_address: \"127.0.0.1:{}\", grpc_address: \"127.0.0.1:{}\"}}\n\
         telemetry: {{decision_log: {{sink: {{file: {folder}/{name}.log}}}}, log: {{level: error}}}}\n",
        free_port(),
        free_port(),
        folder = folder.display()
    );
    std::fs::write(&config, text).unwrap();
    let config = config.display().to_string();
    let mut command = Command::new(program);
    command.args(arguments).arg(config);
    Server { child: command.spawn().unwrap(), address: format!("http://{address}") }
}

fn write_policies(folder: &Path) {
    let namespace = folder.join("policies/namespaces/ns0");
    std::fs::create_dir_all(&namespace).unwrap();
    std::fs::create_dir_all(folder.join("policies/mesh")).unwrap();
    std::fs::write(folder.join("policies/catalog.yaml"), "services: [{id: ns0/api}]\n").unwrap();
    let mut files = vec![String::new(); POLICIES.div_ceil(1000)];
    for n in 0..POLICIES {
        files[n / 1000].push_str(&format!(
            "@id(\"p{n}\") permit (principal == Workload::\"spiffe://cluster.local/ns/web/sa/caller{n}\", \
             action in Action::\"read\", resource in Path::\"ns0/api/v1/items{n}\")\n\
             when {{ context.http.headers.hasTag(\"x-tenant\") && context.http.headers.getTag(\"x-tenant\") != \"\" }};\n"
        ));
    }
    for (number, text) in files.iter().enumerate() {
        std::fs::write(namespace.join(format!("f{number}.cedar")), text).unwrap();
    }
}

/// About 1 KB of an ordinary browser's call.
fn check(number: usize, tenant: &str) -> CheckRequest {
    let path = format!("/v1/items{number}/42?page=3");
    let filler = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36";
    let headers = [
        (":method", "GET"),
        (":path", path.as_str()),
        (":authority", "api.ns0.example"),
        (":scheme", "https"),
        ("user-agent", filler),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
        ("accept-language", "en-GB,en;q=0.9,de;q=0.8"),
        ("x-request-id", "6a1f9f6e-8a3e-4a35-9a43-6c1c0f3a6c11"),
        ("x-tenant", tenant),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
        ("x-forwarded-for", "10.1.2.3"),
        ("x-forwarded-proto", "https"),
    ];
    let header = |(key, value): &(&str, &str)| HeaderValue {
        key: (*key).to_owned(),
        raw_value: value.as_bytes().to_vec(),
        ..HeaderValue::default()
    };
    let http = HttpRequest {
        method: "GET".into(),
        path: path.clone(),
        host: "api.ns0.example".into(),
        scheme: "https".into(),
        protocol: "HTTP/2".into(),
        header_map: Some(HeaderMap { headers: headers.iter().map(header).collect() }),
        ..HttpRequest::default()
    };
    let source = Peer { principal: format!("spiffe://cluster.local/ns/web/sa/caller{number}"), ..Peer::default() };
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(source),
            request: Some(Request { http: Some(http), ..Request::default() }),
            context_extensions: [("service".to_owned(), "ns0/api".to_owned())].into(),
            ..AttributeContext::default()
        }),
    }
}

/// Zipf over the policies' callers: rank r is asked about with weight 1/r.
fn zipf(count: usize) -> Vec<usize> {
    let weights: Vec<f64> = (1..=POLICIES).map(|rank| 1.0 / rank as f64).collect();
    let total: f64 = weights.iter().sum();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let sums: Vec<f64> = weights
        .iter()
        .scan(0.0, |sum, weight| {
            *sum += weight / total;
            Some(*sum)
        })
        .collect();
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    (0..count).map(|_| sums.partition_point(|sum| *sum < next()).min(POLICIES - 1)).collect()
}

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

async fn ready(server: &Server) {
    for _ in 0..600 {
        if let Ok(channel) = Channel::from_shared(server.address.clone()).unwrap().connect().await {
            let answer = AuthorizationClient::new(channel).check(check(0, "ready")).await;
            if answer.is_ok_and(|answer| answer.into_inner().status.is_some_and(|status| status.code == 0)) {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{} does not answer", server.address);
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn measure(folder: &Path) {
    let program = env!("CARGO_BIN_EXE_picket");
    let this = std::env::current_exe().unwrap().display().to_string();
    let picket = start(folder, "picket", program, &["serve", "--config"]);
    let noop = start(folder, "noop", &this, &["--serve-nothing"]);
    ready(&picket).await;
    ready(&noop).await;
    println!("rss after load: picket {} MiB", picket.memory_kb() / 1024);
    let checks: usize = std::env::var("BENCH_CHECKS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let order = zipf(checks);
    for mix in ["hit", "miss"] {
        let (mut ratios, mut tails, mut halves) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let tenant = |n: usize| if mix == "hit" { "acme".to_owned() } else { format!("t{round}-{n}") };
            let requests: Vec<_> = order.iter().enumerate().map(|(n, who)| check(*who, &tenant(n))).collect();
            let requests = Arc::new(requests);
            let idle = load(&noop, Arc::clone(&requests)).await;
            let busy = load(&picket, requests).await;
            if round == 0 {
                continue; // warms both
            }
            let at = |round: &Round, quantile| round.latencies.value_at_quantile(quantile) as f64;
            ratios.push(idle.cpu_us / busy.cpu_us);
            tails.push(at(&busy, 0.99) / at(&idle, 0.99));
            halves.push(at(&busy, 0.5) / at(&idle, 0.5));
            println!(
                "{mix:>4} round {round}: no-op {:.1} us CPU, Picket {:.1} us CPU, ratio {:.2}; p50 {:.0}/{:.0} us, p99 {:.0}/{:.0} us",
                idle.cpu_us,
                busy.cpu_us,
                idle.cpu_us / busy.cpu_us,
                at(&idle, 0.5),
                at(&busy, 0.5),
                at(&idle, 0.99),
                at(&busy, 0.99)
            );
        }
        println!(
            "{mix}: no-op CPU / Picket CPU {:.2}; latency Picket / no-op p50 {:.2}, p99 {:.2} (medians of {ROUNDS} rounds)",
            median(ratios),
            median(halves),
            median(tails)
        );
    }
    println!("rss at the end: picket {} MiB", picket.memory_kb() / 1024);
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--serve-nothing") {
        serve_nothing(&arguments[at + 1]);
        return;
    }
    if arguments.iter().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    write_policies(folder.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure(folder.path()));
}
