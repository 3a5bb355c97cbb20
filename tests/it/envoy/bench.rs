//! One Envoy with several listeners, a scripted authorization server before it and an upstream behind it.

use std::io;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use envoy_types::ext_authz::v3::pb::CheckRequest;
use picket_demo::client::{self, Answer};
use picket_demo::envoy::{Places, cache_folder, find};
use picket_demo::folder::Folder;
use picket_demo::process::EnvoyProcess;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::scripted::{self, Reply, Script};
use super::upstream::{self, Seen};

/// The Envoy of the tests: what `ENVOY_PATH` names, else the pinned version, never what happens to be installed.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let variable = std::env::var_os("ENVOY_PATH").map(PathBuf::from);
        let cache = cache_folder(target, None, None);
        let places = Places { named: None, variable: variable.as_deref(), search_path: None, cache: &cache };
        // Not by a macro: the test runner would capture its output.
        let mut notice = |said: &str| drop(writeln!(io::stderr(), "{said}"));
        find(places, &mut notice).unwrap_or_else(|error| panic!("{error}"))
    })
}

/// A listener: name, its connection manager and its ext_authz filter. Starts from Envoy's defaults.
pub struct Listener {
    name: &'static str,
    manager: Value,
    authz: Value,
    tls: Option<Value>,
    before: Vec<Value>,
    after: Vec<Value>,
}

pub fn listener(name: &'static str) -> Listener {
    let authz = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        "transport_api_version": "V3",
        "grpc_service": {"envoy_grpc": {"cluster_name": "authz"}, "timeout": "5s"},
    });
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "generate_request_id": false,
        // Envoy holds a refused connection open for a second, lest the answer gets lost; here it does not.
        "delayed_close_timeout": "0.02s",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "upstream"}},
            {"match": {"connect_matcher": {}}, "route": {"cluster": "upstream"}},
        ]}]},
    });
    Listener { name, manager, authz, tls: None, before: Vec::new(), after: Vec::new() }
}

impl Listener {
    /// Sets keys of the connection manager.
    pub fn manager(mut self, keys: Value) -> Self {
        merge(&mut self.manager, keys);
        self
    }

    /// Sets keys of the ext_authz filter.
    pub fn authz(mut self, keys: Value) -> Self {
        merge(&mut self.authz, keys);
        self
    }

    /// Listens with TLS: the `common_tls_context`.
    pub fn tls(mut self, context: Value) -> Self {
        self.tls = Some(context);
        self
    }

    /// Puts an HTTP filter before the check.
    pub fn before(mut self, filter: Value) -> Self {
        self.before.push(filter);
        self
    }

    /// Puts an HTTP filter after the check. A response passes filters in the opposite order.
    pub fn after(mut self, filter: Value) -> Self {
        self.after.push(filter);
        self
    }

    pub(super) fn build(mut self) -> Value {
        let router = json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"});
        let mut filters = self.before;
        filters.push(json!({"name": "envoy.filters.http.ext_authz", "typed_config": self.authz}));
        filters.extend(self.after);
        filters.push(json!({"name": "envoy.filters.http.router", "typed_config": router}));
        merge(&mut self.manager, json!({"http_filters": filters}));
        let mut chain = json!({"filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": self.manager},
        ]});
        if let Some(context) = self.tls {
            let socket = json!({"name": "envoy.transport_sockets.tls", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": context,
                "require_client_certificate": true,
            }});
            merge(&mut chain, json!({"transport_socket": socket}));
        }
        json!({"name": self.name, "address": loopback(0), "filter_chains": [chain]})
    }
}

pub(super) fn merge(into: &mut Value, keys: Value) {
    let Value::Object(keys) = keys else { panic!("not an object") };
    into.as_object_mut().unwrap().extend(keys);
}

pub fn loopback(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

fn cluster(name: &str, port: u16) -> Value {
    cluster_of(name, &[loopback(port)])
}

/// A cluster of these addresses.
pub fn cluster_of(name: &str, addresses: &[Value]) -> Value {
    let endpoints: Vec<Value> = addresses.iter().map(|address| json!({"endpoint": {"address": address}})).collect();
    json!({"name": name, "connect_timeout": "1s", "load_assignment": {"cluster_name": name, "endpoints": [
        {"lb_endpoints": endpoints},
    ]}})
}

/// Makes a cluster use HTTP/2.
pub fn http2(mut cluster: Value) -> Value {
    let http2 = json!({"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}}});
    let options = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2});
    merge(&mut cluster, json!({"typed_extension_protocol_options": options}));
    cluster
}

/// Everything of one group of cases; it ends with the value.
pub struct Bench {
    pub script: Arc<Script>,
    pub envoy: EnvoyProcess,
    _tasks: JoinSet<()>,
    _folder: Folder,
}

/// Result of one request.
pub struct Outcome {
    pub answer: io::Result<Answer>,
    pub checks: Vec<CheckRequest>,
}

impl Outcome {
    /// Status of the answer; `cut` if there was none.
    pub fn status(&self) -> String {
        self.answer.as_ref().map_or("cut".to_owned(), |answer| answer.status.to_string())
    }

    pub fn answer(&self) -> &Answer {
        self.answer.as_ref().unwrap()
    }

    /// The request that reached the upstream, if one did.
    pub fn upstream(&self) -> Option<Seen> {
        let answer = self.answer.as_ref().ok()?;
        let reached = answer.values("x-upstream").next() == Some("yes");
        reached.then(|| Seen::parse(&answer.text()))
    }
}

impl Bench {
    pub async fn start(listeners: Vec<Listener>, files: &[(&str, &str)]) -> Self {
        let mut tasks = JoinSet::new();
        let (script, authz_port) = scripted::serve(&mut tasks).await;
        let upstream_port = upstream::serve(&mut tasks).await;
        let folder = Folder::new().unwrap();
        for (name, text) in files {
            folder.write(name, text).unwrap();
        }
        let authz = http2(cluster("authz", authz_port));
        let config = json!({
            "admin": {"address": loopback(0)},
            "static_resources": {
                "listeners": listeners.into_iter().map(Listener::build).collect::<Vec<_>>(),
                "clusters": [authz, cluster("upstream", upstream_port)],
            },
        });
        let binary = tokio::task::spawn_blocking(binary).await.unwrap();
        let envoy = EnvoyProcess::start(binary, folder.path(), &config.to_string()).await;
        let envoy = envoy.unwrap_or_else(|error| panic!("{error}"));
        Self { script, envoy, _tasks: tasks, _folder: folder }
    }

    pub async fn connect(&self, listener: &str) -> TcpStream {
        TcpStream::connect(self.envoy.listener(listener).unwrap()).await.unwrap()
    }

    /// Sends the bytes without TLS and returns the result under that reply.
    pub async fn send(&self, listener: &str, reply: impl Into<Reply>, request: &[u8]) -> Outcome {
        self.script.reply(reply);
        let answer = client::exchange(self.connect(listener).await, request).await;
        Outcome { answer, checks: self.script.seen() }
    }
}

/// `GET /` with these header lines.
pub fn get(headers: &[&str]) -> Vec<u8> {
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!("GET / HTTP/1.1\r\nhost: orders.shop\r\nconnection: close\r\n{lines}\r\n").into_bytes()
}
