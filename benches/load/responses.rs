//! Event streams of a model through the real Envoy: without a filter, with a processor that changes nothing, and with Picket.
//!
//! One Envoy with one worker, a listener for each side, one upstream in this process. A stream is prose in events of 16
//! characters (4 tokens).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use picket_demo::process::EnvoyProcess;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::rows::row;
use super::servers::{self, Server, ready};
use super::through_envoy::{address, binary, cluster};

const CATALOG: &str = "services:
- {id: ns0/api, hosts: [api.ns0.example]}
- {id: ns0/masked, hosts: [masked.local], protocol: openai, both_apis: true}
- {id: ns0/quiet, hosts: [quiet.local], protocol: openai, both_apis: true}
";
const DETECTORS: &str = r"detectors: {incident: {pattern: 'INC-\d{4}-\d{5}'}}";
/// Every built-in detector but the one that is off unless it is named, and one of the operator's.
const POLICIES: &str = r#"@id("all") permit (principal, action in Action::"any", resource);
@id("release") permit (principal, action == Action::"release", resource);
@id("mask") @remedy("mask")
@mask("incident,card,iban,email,phone,us_ssn,ip_address,private_key,jwt,aws_key,gcp_key,azure_key,github_token,slack_token,stripe_key,openai_key,anthropic_key")
forbid (principal, action == Action::"release", resource in Service::"ns0/masked")
when { context.found.containsAny(["incident", "card", "iban", "email", "phone", "us_ssn", "ip_address", "private_key", "jwt",
    "aws_key", "gcp_key", "azure_key", "github_token", "slack_token", "stripe_key", "openai_key", "anthropic_key"]) };"#;
const SETTINGS: &str = "profiles: {default: {processor: {responses: true}, mapping: {service: [host]}}}\n";
const PROSE: &str = "The harbour was quiet when the ferry left, and nobody on the quay could say whether it would come back \
    before the evening. We shall see, she answered; the letters, which she had kept for years, lay on the table. ";
/// Characters of an event.
const DELTA: usize = 16;
/// A side: its listener, and the service that is asked through it.
const SIDES: [(&str, &str); 6] = [
    ("none", "masked.local"),
    ("no-op, check only", "masked.local"),
    ("picket, check only", "quiet.local"),
    ("no-op", "masked.local"),
    ("picket, no policy about responses", "quiet.local"),
    ("picket, masking", "masked.local"),
];
/// Turns of all sides after the first, which warms everything.
const TURNS: usize = 9;
/// Streams of a turn and side, one after the other.
const STREAMS: usize = 40;
/// Streams at once.
const AT_ONCE: usize = 1000;

pub async fn run() {
    let folder = tempfile::tempdir().unwrap();
    tree(folder.path());
    let picket = servers::picket_with(folder.path(), SETTINGS);
    let noop = servers::this(folder.path(), "tonic", "--serve-by-tonic");
    ready(&picket).await;
    ready(&noop).await;
    let upstream = serve().await;
    let mut origin = json!({"name": "upstream", "connect_timeout": "1s", "load_assignment": {"cluster_name": "upstream",
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(upstream)}}]}]}});
    let mut clusters = vec![cluster("picket", &picket), cluster("no-op", &noop)];
    for cluster in clusters.iter_mut().chain([&mut origin]) {
        let many =
            json!({"thresholds": [{"max_connections": 9000, "max_requests": 9000, "max_pending_requests": 9000}]});
        cluster.as_object_mut().unwrap().insert("circuit_breakers".to_owned(), many);
    }
    clusters.push(origin);
    let listeners: Vec<Value> = SIDES.iter().map(|(name, _)| listener(name)).collect();
    let config = json!({"admin": {"address": address(0)},
        "static_resources": {"listeners": listeners, "clusters": clusters}});
    let place = tempfile::tempdir().unwrap();
    let envoy = EnvoyProcess::start(&binary(), place.path(), &config.to_string()).await.unwrap();
    first_token(&envoy).await;
    at_once(&envoy, &[("no-op", &noop), ("picket, masking", &picket)]).await;
    long(&envoy, &picket).await;
}

fn tree(folder: &Path) {
    let policies = folder.join("policies");
    std::fs::create_dir_all(policies.join("mesh")).unwrap();
    std::fs::write(policies.join("catalog.yaml"), CATALOG).unwrap();
    std::fs::write(policies.join("detectors.yaml"), DETECTORS).unwrap();
    std::fs::write(policies.join("mesh/a.cedar"), POLICIES).unwrap();
}

/// A listener with the filters of its side.
fn listener(name: &str) -> Value {
    let server = if name.starts_with("no-op") { "no-op" } else { "picket" };
    let authz = json!({"name": "envoy.filters.http.ext_authz", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        "transport_api_version": "V3", "include_peer_certificate": true, "encode_raw_headers": true,
        "with_request_body": {"max_request_bytes": 65_536, "allow_partial_message": true, "pack_as_bytes": true},
        "grpc_service": {"envoy_grpc": {"cluster_name": server}, "timeout": "5s"}}});
    let processor = json!({"name": "envoy.filters.http.ext_proc", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
        "grpc_service": {"envoy_grpc": {"cluster_name": server}, "timeout": "0s"},
        "processing_mode": {"response_body_mode": "FULL_DUPLEX_STREAMED", "response_trailer_mode": "SEND"},
        "message_timeout": "10s", "route_cache_action": "RETAIN", "response_attributes": ["response.code_details"],
        "metadata_options": {"forwarding_namespaces": {"untyped": ["envoy.filters.http.ext_authz"]}}}});
    let router = json!({"name": "envoy.filters.http.router", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}});
    let filters = match name {
        "none" => vec![router],
        name if name.ends_with("check only") => vec![authz, router],
        _ => vec![authz, processor, router],
    };
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name, "normalize_path": true, "strip_any_host_port": true, "http_filters": filters,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "upstream", "timeout": "0s"}}]}]}});
    json!({"name": name, "address": address(0), "filter_chains": [{"filters": [
        {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]})
}

/// What the upstream sends, as the request's `x-events` and `x-pause-ms` say.
#[derive(Clone, Copy)]
struct Shape {
    events: usize,
    pause: Duration,
}

fn event(number: usize) -> String {
    let from = number * DELTA % (PROSE.len() - DELTA);
    let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"content": &PROSE[from..from + DELTA]}, "finish_reason": null}]});
    format!("data: {chunk}\n\n")
}

/// Serves streams on a free port as long as this process lives.
async fn serve() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that has gone needs no stream.
            tokio::spawn(async move { drop(answer(stream).await) });
        }
    });
    port
}

async fn answer(stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    loop {
        let (mut shape, mut length) = (Shape { events: 0, pause: Duration::ZERO }, 0);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                if line == "\r\n" {
                    break;
                }
                continue;
            };
            match name {
                "x-events" => shape.events = value.parse().unwrap(),
                "x-pause-ms" => shape.pause = Duration::from_millis(value.parse().unwrap()),
                "content-length" => length = value.parse().unwrap(),
                _ => {}
            }
        }
        stream.read_exact(&mut vec![0; length]).await?;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            .await?;
        for number in 0..shape.events {
            let event = event(number);
            stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await?;
            if !shape.pause.is_zero() {
                tokio::time::sleep(shape.pause).await;
            }
        }
        let end = "data: [DONE]\n\n";
        stream.write_all(format!("{:x}\r\n{end}\r\n0\r\n\r\n", end.len()).as_bytes()).await?;
    }
}

/// What a client saw of a stream.
struct Seen {
    /// Until the first text.
    first: Duration,
    bytes: u64,
}

async fn ask(client: &reqwest::Client, envoy: &EnvoyProcess, (side, host): (&str, &str), shape: Shape) -> Seen {
    ask_counting(client, envoy, (side, host), shape, &AtomicU64::new(0)).await
}

async fn ask_counting(
    client: &reqwest::Client,
    envoy: &EnvoyProcess,
    (side, host): (&str, &str),
    Shape { events, pause }: Shape,
    total: &AtomicU64,
) -> Seen {
    let body = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "x"}]}).to_string();
    let request = client
        .post(format!("http://{}/v1/chat/completions", envoy.listener(side).unwrap()))
        .header("host", host)
        .header("content-type", "application/json")
        .header("x-events", events)
        .header("x-pause-ms", pause.as_millis().to_string())
        .body(body);
    let start = Instant::now();
    let mut response = request.send().await.unwrap();
    let status = response.status();
    let (mut first, mut bytes, mut last) = (None, 0, Vec::new());
    while let Some(piece) = response.chunk().await.unwrap() {
        bytes += piece.len() as u64;
        total.fetch_add(piece.len() as u64, Ordering::Relaxed);
        if first.is_none() && piece.windows(10).any(|window| window == b"\"content\":") {
            first = Some(start.elapsed());
        }
        last.extend_from_slice(&piece);
        last.drain(..last.len().saturating_sub(14));
    }
    assert!(status == 200 && last == b"data: [DONE]\n\n", "{side}: {status} {:?}", String::from_utf8_lossy(&last));
    Seen { first: first.unwrap(), bytes }
}

/// Time to the first text. The upstream sends one event at once and the next ones later, so that the first is alone.
async fn first_token(envoy: &EnvoyProcess) {
    let shape = Shape { events: 4, pause: Duration::from_millis(5) };
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut medians: [Vec<f64>; SIDES.len()] = Default::default();
    for turn in 0..=TURNS {
        for (side, medians) in SIDES.into_iter().zip(&mut medians) {
            let mut times = Vec::new();
            for _ in 0..STREAMS {
                times.push(ask(&client, envoy, side, shape).await.first.as_secs_f64() * 1e6);
            }
            if turn > 0 {
                medians.push(median(times));
            }
        }
    }
    // Against the processor that changes nothing.
    let idle = medians[3].clone();
    for ((side, _), medians) in SIDES.into_iter().zip(medians) {
        let added = medians.iter().zip(&idle).map(|(side, idle)| side - idle).collect();
        row(
            "first-token",
            json!({"side": side, "turns": TURNS, "p50_us": median(medians), "added_p50_us": median(added)}),
        );
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Memory and CPU time of a server while many streams are open.
async fn at_once(envoy: &EnvoyProcess, servers: &[(&str, &Server)]) {
    let shape = Shape { events: 40, pause: Duration::from_millis(250) };
    for (side, server) in servers {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let (before, cpu) = (server.memory_kb(), server.cpu());
        let streams = (0..AT_ONCE).map(|_| ask(&client, envoy, (side, "masked.local"), shape));
        let all = futures_util::future::join_all(streams);
        let most = async {
            let mut most = 0;
            for _ in 0..80 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                most = most.max(server.memory_kb());
            }
            most
        };
        let (seen, most) = tokio::join!(all, most);
        let bytes: u64 = seen.iter().map(|seen| seen.bytes).sum();
        let cpu = server.cpu() - cpu;
        row(
            "streams",
            json!({"side": side, "streams": AT_ONCE, "before_kb": before, "most_kb": most,
                "bytes_a_stream": (most.saturating_sub(before)) as f64 * 1024.0 / AT_ONCE as f64,
                "megabytes": bytes as f64 / 1e6, "cpu_ms_a_megabyte": cpu.as_secs_f64() * 1e3 / (bytes as f64 / 1e6)}),
        );
    }
}

/// One stream of 100 MB, and memory at each tenth of it.
async fn long(envoy: &EnvoyProcess, picket: &Server) {
    let shape = Shape { events: 100_000_000 / event(0).len(), pause: Duration::ZERO };
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let (total, cpu, start) = (Arc::new(AtomicU64::new(0)), picket.cpu(), Instant::now());
    let stream = ask_counting(&client, envoy, SIDES[5], shape, &total);
    let watched = async {
        let mut marks = Vec::new();
        for tenth in 1..=9_u64 {
            while total.load(Ordering::Relaxed) < tenth * 10_000_000 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            marks.push(picket.memory_kb());
        }
        marks
    };
    let (seen, marks) = tokio::join!(stream, watched);
    let megabytes = seen.bytes as f64 / 1e6;
    row(
        "long-stream",
        json!({"megabytes": megabytes, "seconds": start.elapsed().as_secs_f64(), "rss_kb_at_each_tenth": marks,
            "cpu_ms_a_megabyte": (picket.cpu() - cpu).as_secs_f64() * 1e3 / megabytes}),
    );
}
