//! Envoy with Picket itself behind it: its promises as callers and upstreams see them.
//!
//! A [`Scene`] has `picket serve` processes on socket files, Envoys before them and an upstream that reports its
//! requests. Listeners are configured as in `deploy/envoy.yaml`, unless a test is about an omission.

mod bodies;
mod callers;
mod fields;
mod grpc;
mod headers;
pub mod issuer;
mod parameters;
mod people;
pub mod picket;
mod published;
mod rolling;
mod terms;
mod tokens;
mod trouble;

use std::path::PathBuf;

use picket_demo::certs::{Authority, Leaf};
use picket_demo::client::{self, Answer};
use picket_demo::folder::Folder;
use picket_demo::process::EnvoyProcess;
use picket_demo::tls::Caller;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::bench::{self, Listener, binary, cluster_of, http2, listener, loopback};
use super::upstream::{self, Seen};
use picket::Picket;

/// Everything of one test; it ends with the value.
pub struct Scene {
    clusters: Vec<Value>,
    tasks: JoinSet<()>,
    folder: Folder,
}

impl Scene {
    /// An upstream, and a policy tree of these files.
    pub async fn new(policies: &[(&str, &str)]) -> Self {
        let mut tasks = JoinSet::new();
        let upstream = upstream::serve(&mut tasks).await;
        let scene = Self {
            clusters: vec![cluster_of("upstream", &[loopback(upstream)])],
            tasks,
            folder: Folder::new().unwrap(),
        };
        for (name, text) in policies {
            scene.write(&format!("policies/{name}"), text);
        }
        scene
    }

    pub fn write(&self, name: &str, text: &str) {
        self.folder.write(name, text).unwrap();
    }

    /// The whole path of a file of the scene.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a certificate and its key as `NAME.crt` and `NAME.key`.
    pub fn leaf(&self, name: &str, leaf: &Leaf) {
        self.write(&format!("{name}.crt"), &leaf.certificate);
        self.write(&format!("{name}.key"), &leaf.key);
    }

    pub fn cluster(&mut self, cluster: Value) {
        self.clusters.push(cluster);
    }

    /// Starts Picket with these settings in addition to the usual ones, as the cluster `name`.
    pub async fn picket(&mut self, name: &str, settings: Value) -> Picket {
        let picket = Picket::start(self.folder.path(), name, settings).await;
        self.clusters.push(http2(cluster_of(name, &[picket.pipe()])));
        picket
    }

    /// Starts an Envoy with these listeners and all clusters so far.
    pub async fn envoy(&self, name: &str, listeners: Vec<Listener>) -> EnvoyProcess {
        let config = json!({
            "admin": {"address": loopback(0)},
            "static_resources": {
                "listeners": listeners.into_iter().map(Listener::build).collect::<Vec<_>>(),
                "clusters": self.clusters,
            },
        });
        let folder = self.path(name);
        std::fs::create_dir(&folder).unwrap();
        let binary = tokio::task::spawn_blocking(binary).await.unwrap();
        let envoy = EnvoyProcess::start(binary, &folder, &config.to_string()).await;
        envoy.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Settings of a listener that shows `NAME.crt` and requests certificates that `ca.crt` signed.
    pub fn tls(&self, name: &str, validation: Value) -> Value {
        let file = |name: String| json!({"filename": self.path(&name)});
        let own = json!({"certificate_chain": file(format!("{name}.crt")), "private_key": file(format!("{name}.key"))});
        let mut context = json!({"trusted_ca": file("ca.crt".to_owned())});
        bench::merge(&mut context, validation);
        json!({"tls_certificates": [own], "validation_context": context})
    }
}

/// A listener as in the samples, with every route to that service. Paths under `/unasked` are not checked.
pub fn safe(name: &'static str, service: &str) -> Listener {
    let own = json!({"name": "envoy.http.early_header_mutation.header_mutation", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        "mutations": [{"remove_on_match": {"key_matcher": {"prefix": "x-picket-"}}}],
    }});
    let manager = json!({
        "normalize_path": true,
        "merge_slashes": true,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "strip_any_host_port": true,
        "common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"},
        "early_header_mutation_extensions": [own],
        "route_config": routes(service, "upstream"),
    });
    listener(name).manager(manager).authz(asks("picket"))
}

/// The ext_authz settings of the samples, with a longer time for busy machines.
pub fn asks(cluster: &str) -> Value {
    json!({
        "grpc_service": {"envoy_grpc": {"cluster_name": cluster}, "timeout": "8s"},
        "failure_mode_allow": false,
        "status_on_error": {"code": "ServiceUnavailable"},
        "encode_raw_headers": true,
        "include_peer_certificate": true,
        "include_tls_session": true,
        "validate_mutations": true,
    })
}

/// Routes to one service.
pub fn routes(service: &str, cluster: &str) -> Value {
    let per_route = |keys: Value| {
        let mut config =
            json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute"});
        bench::merge(&mut config, keys);
        json!({"envoy.filters.http.ext_authz": config})
    };
    let extension = json!({"check_settings": {"context_extensions": {"service": service}}});
    json!({"virtual_hosts": [{
        "name": "all", "domains": ["*"], "typed_per_filter_config": per_route(extension),
        "routes": [
            {"match": {"prefix": "/unasked"}, "route": {"cluster": cluster},
             "typed_per_filter_config": per_route(json!({"disabled": true}))},
            {"match": {"prefix": "/"}, "route": {"cluster": cluster}},
        ],
    }]})
}

/// A request of this line and these header lines.
pub fn request(line: &str, headers: &[&str]) -> Vec<u8> {
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{line} HTTP/1.1\r\nhost: orders.shop\r\nconnection: close\r\n{lines}\r\n").into_bytes()
}

/// Sends a request in the clear.
pub async fn send(envoy: &EnvoyProcess, listener: &str, request: &[u8]) -> Answer {
    let stream = TcpStream::connect(envoy.listener(listener).unwrap()).await.unwrap();
    client::exchange(stream, request).await.unwrap()
}

/// Sends a request with a certificate.
pub async fn send_as(
    envoy: &EnvoyProcess,
    listener: &str,
    authority: &Authority,
    leaf: &Leaf,
    request: &[u8],
) -> Answer {
    let caller = Caller::new(authority.certificate(), leaf).unwrap();
    let stream = caller.connect(envoy.listener(listener).unwrap()).await.unwrap();
    client::exchange(stream, request).await.unwrap()
}

/// The request that reached the upstream, if it did.
pub fn upstream(answer: &Answer) -> Option<Seen> {
    (answer.values("x-upstream").next() == Some("yes")).then(|| Seen::parse(&answer.text()))
}

/// Status, and for a denial of Picket's own the public reason: `403`, `400 path_refused`, `503 -` for Envoy's.
pub fn show(answer: &Answer) -> String {
    if answer.values("x-picket-decision-id").next().is_none() {
        let by_upstream = upstream(answer).is_some();
        return if by_upstream { answer.status.to_string() } else { format!("{} by Envoy", answer.status) };
    }
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match problem["reason"].as_str() {
        Some(reason) => format!("{} {reason}", answer.status),
        None => format!("{} denied", answer.status),
    }
}
