//! Latency that Picket adds behind the real Envoy: one Envoy, a listener for each authorization server, the same calls
//! in turn.
//!
//! The upstream is Envoy itself, which answers 200, so that the difference between two listeners is the server's alone.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use picket_demo::envoy::{Places, cache_folder, find};
use picket_demo::process::EnvoyProcess;
use serde_json::{Value, json};

use super::open::{Ask, Step, offer};
use super::rows::row;
use super::servers::{self, Server, ready};
use super::support::write_policies;

/// Requests a second: well below what one Envoy thread and a server share on two cores.
const RATE: usize = 400;
const LENGTH: Duration = Duration::from_secs(3);
/// Alternations after the first, which warms everything.
const TURNS: usize = 9;

pub fn binary() -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let variable = std::env::var_os("ENVOY_PATH").map(PathBuf::from);
    let cache = cache_folder(&target, None, None);
    let places = Places { named: None, variable: variable.as_deref(), search_path: None, cache: &cache };
    find(places, &mut |said: &str| drop(writeln!(std::io::stderr(), "{said}"))).unwrap()
}

pub fn address(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

fn port(server: &Server) -> u16 {
    server.address.rsplit_once(':').unwrap().1.parse().unwrap()
}

/// An HTTP/2 cluster of an authorization server.
pub fn cluster(name: &str, server: &Server) -> Value {
    let options = json!({"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}}});
    json!({"name": name, "connect_timeout": "1s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
        "load_assignment": {"cluster_name": name, "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": address(port(server))}}]}]}})
}

/// A listener that sends checks to the cluster of that name; `none` sends none.
fn listener(name: &str) -> Value {
    let authz = json!({"name": "envoy.filters.http.ext_authz", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        "transport_api_version": "V3", "include_peer_certificate": true,
        "grpc_service": {"envoy_grpc": {"cluster_name": name}, "timeout": "5s"}}});
    let router = json!({"name": "envoy.filters.http.router", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}});
    let service = json!({"envoy.filters.http.ext_authz": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
        "check_settings": {"context_extensions": {"service": "ns0/api"}}}});
    let filters = if name == "none" { vec![router] } else { vec![authz, router] };
    let mut host = json!({"name": "all", "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]});
    if name != "none" {
        host.as_object_mut().unwrap().insert("typed_per_filter_config".to_owned(), service);
    }
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name, "route_config": {"virtual_hosts": [host]}, "http_filters": filters});
    json!({"name": name, "address": address(0), "filter_chains": [{"filters": [
        {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]})
}

/// Requests of one listener over kept connections.
struct Requests {
    client: reqwest::Client,
    url: String,
    paths: usize,
}

impl Ask for Requests {
    async fn ask(&self, number: usize) {
        let url = format!("{}/v1/items{}/42", self.url, number % self.paths);
        let answer = self.client.get(url).header("x-tenant", "acme").send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert_eq!(status, 200, "{text}");
    }
}

/// As the other sets, but for callers without a certificate: the listener is in the clear.
fn anybody(folder: &Path, policies: usize) {
    write_policies(folder, policies);
    let namespace = folder.join("policies/namespaces/ns0");
    for entry in std::fs::read_dir(namespace).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let open: String = text.lines().map(|line| opened(line) + "\n").collect();
        std::fs::write(&path, open).unwrap();
    }
}

/// `(principal == …, ` without its test.
fn opened(line: &str) -> String {
    match line.split_once("(principal == ").and_then(|(head, rest)| Some((head, rest.split_once(", ")?.1))) {
        Some((head, tail)) => format!("{head}(principal, {tail}"),
        None => line.to_owned(),
    }
}

pub async fn run() {
    let folders = [10, 10_000].map(|policies| {
        let folder = tempfile::tempdir().unwrap();
        anybody(folder.path(), policies);
        folder
    });
    let [few, many] = [0, 1].map(|n| servers::picket(folders[n].path()));
    let noop = servers::noop(folders[0].path());
    let sides = [("no-op", &noop), ("picket-10", &few), ("picket-10000", &many)];
    for (_, server) in sides {
        ready(server).await;
    }
    let names = ["none", "no-op", "picket-10", "picket-10000"];
    let config = json!({"admin": {"address": address(0)}, "static_resources": {
        "listeners": names.map(listener), "clusters": sides.map(|(name, server)| cluster(name, server))}});
    let place = tempfile::tempdir().unwrap();
    let envoy = EnvoyProcess::start(&binary(), place.path(), &config.to_string()).await.unwrap();
    let requests = names.map(|name| {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let paths = if name == "picket-10000" { 10_000 } else { 10 };
        Arc::new(Requests { client, url: format!("http://{}", envoy.listener(name).unwrap()), paths })
    });
    let mut steps: [Vec<Step>; 4] = Default::default();
    for turn in 0..=TURNS {
        for (requests, steps) in requests.iter().zip(&mut steps) {
            let step = offer(Arc::clone(requests), RATE, LENGTH).await;
            if turn > 0 {
                steps.push(step);
            }
        }
    }
    told(&names, &steps);
}

/// Medians over the turns, and of the differences within each turn.
fn told(names: &[&str; 4], steps: &[Vec<Step>; 4]) {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let idle = &steps[1];
    for (name, steps) in names.iter().zip(steps) {
        let at = |quantile| median(steps.iter().map(|step| step.at(quantile)).collect());
        let added = |quantile| {
            median(steps.iter().zip(idle).map(|(step, idle)| step.at(quantile) - idle.at(quantile)).collect())
        };
        row(
            "envoy",
            json!({"side": name, "rate": RATE, "turns": TURNS, "p50_us": at(0.5), "p99_us": at(0.99),
                   "added_p50_us": added(0.5), "added_p99_us": added(0.99)}),
        );
    }
}
