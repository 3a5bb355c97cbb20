//! An Envoy with the check and the filter for responses, between callers with certificates and the upstream.

use std::io;
use std::sync::Arc;

use picket_demo::certs::Authority;
use picket_demo::client;
use picket_demo::folder::Folder;
use picket_demo::process::EnvoyProcess;
use picket_demo::tls::Caller;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::answers::{Answer, Answers, HEADER};
use crate::envoy::bench::{Listener, binary, cluster_of, http2, listener, loopback};
use crate::envoy::e2e::asks;
use crate::envoy::processing::site::{duplex, filter};
use crate::envoy::upstream::Seen;

/// The listener as in the samples.
pub const GUARDED: &str = "guarded";

/// A request.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub host: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// A `POST` of JSON.
    pub fn post(host: &str, path: &str, body: &Value) -> Self {
        Self {
            method: "POST".to_owned(),
            path: path.to_owned(),
            host: host.to_owned(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.to_string().into_bytes(),
        }
    }

    /// A `GET`.
    pub fn get(host: &str, path: &str) -> Self {
        Self { method: "GET".to_owned(), path: path.to_owned(), host: host.to_owned(), ..Self::default() }
    }

    fn bytes(&self, answer: usize) -> Vec<u8> {
        let Self { method, path, host, headers, body } = self;
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{HEADER}: {answer}\r\n");
        for (name, value) in headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-length")) {
            head += &format!("{name}: {value}\r\n");
        }
        let is_chunked = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding"));
        if !body.is_empty() && !is_chunked {
            head += &format!("content-length: {}\r\n", body.len());
        }
        [head.as_bytes(), b"\r\n", body].concat()
    }
}

/// Everything of one test; it ends with the value.
pub struct Site {
    authority: Authority,
    envoy: EnvoyProcess,
    pub answers: Arc<Answers>,
    _tasks: JoinSet<()>,
    _folder: Folder,
}

/// A listener with filters between the check and the service. Paths under `/unchecked` are not checked.
fn built(name: &'static str, filters: Vec<Value>, tls: &Value) -> Listener {
    let to_upstream = json!({"cluster": "upstream", "timeout": "0s"});
    let unchecked = json!({"envoy.filters.http.ext_authz": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
        "disabled": true,
    }});
    let manager = json!({
        "normalize_path": true,
        "strip_any_host_port": true,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/unchecked"}, "route": to_upstream, "typed_per_filter_config": unchecked},
            {"match": {"prefix": "/"}, "route": to_upstream},
        ]}]},
    });
    let checked = listener(name).manager(manager).authz(asks("picket"));
    filters.into_iter().fold(checked.tls(tls.clone()), Listener::after)
}

/// A listener's name, and the `processing_mode` of its filter for responses.
pub type Mode = (&'static str, Value);

/// The filter's mode in the samples.
pub fn sample() -> Vec<Mode> {
    vec![(GUARDED, duplex())]
}

/// What differs from site to site.
pub struct Setup {
    pub trust_domain: String,
    /// Most bytes of a request's body that the check gets.
    pub body_bytes_max: usize,
    /// Whether the check gets the caller's certificate, so that its time is checked by the server's clock.
    pub with_certificate: bool,
    /// Listeners, each with its filters between the check and the service.
    pub listeners: Vec<(&'static str, Vec<Value>)>,
    /// The cluster `picket`, and others that the filters use.
    pub clusters: Vec<Value>,
}

impl Setup {
    /// Listeners before a server (`ip:port`) without TLS.
    pub fn new(server: &str, modes: Vec<Mode>) -> Self {
        let port: u16 = server.rsplit_once(':').unwrap().1.parse().unwrap();
        Self {
            trust_domain: "cluster.local".to_owned(),
            body_bytes_max: 65_536,
            with_certificate: true,
            listeners: modes.into_iter().map(|(name, mode)| (name, vec![filter("picket", mode, json!({}))])).collect(),
            clusters: vec![http2(cluster_of("picket", &[loopback(port)]))],
        }
    }
}

impl Site {
    /// Starts Envoy.
    pub async fn start(setup: Setup) -> Self {
        let Setup { trust_domain, body_bytes_max, with_certificate, listeners, mut clusters } = setup;
        let mut tasks = JoinSet::new();
        let answers = Arc::new(Answers::default());
        clusters.push(cluster_of("upstream", &[loopback(answers.serve(&mut tasks).await)]));
        let folder = Folder::new().unwrap();
        let authority = Authority::new(&trust_domain).unwrap();
        let own = format!("spiffe://{trust_domain}/ns/mesh/sa/proxy");
        let leaf = authority.issue(&[&own], &["localhost"]).unwrap();
        folder.write("ca.crt", authority.certificate()).unwrap();
        folder.write("proxy.crt", &leaf.certificate).unwrap();
        folder.write("proxy.key", &leaf.key).unwrap();
        let file = |name: &str| json!({"filename": folder.path().join(name)});
        let tls = json!({
            "tls_certificates": [{"certificate_chain": file("proxy.crt"), "private_key": file("proxy.key")}],
            "validation_context": {"trusted_ca": file("ca.crt")},
        });
        let body = json!({"max_request_bytes": body_bytes_max, "allow_partial_message": true, "pack_as_bytes": true});
        let check = json!({"with_request_body": body, "include_peer_certificate": with_certificate});
        let build = |(name, filters)| built(name, filters, &tls).authz(check.clone()).build();
        let listeners: Vec<Value> = listeners.into_iter().map(build).collect();
        let config = json!({
            "admin": {"address": loopback(0)},
            "static_resources": {"listeners": listeners, "clusters": clusters},
        });
        let binary = tokio::task::spawn_blocking(binary).await.unwrap();
        let envoy = EnvoyProcess::start(binary, folder.path(), &config.to_string()).await;
        let envoy = envoy.unwrap_or_else(|error| panic!("{error}"));
        Self { authority, envoy, answers, _tasks: tasks, _folder: folder }
    }

    /// Sends a request as this caller; the service answers so.
    pub async fn send(&self, caller: &str, request: &Request, answer: Answer) -> io::Result<client::Answer> {
        self.send_to(GUARDED, caller, request, answer).await.0
    }

    /// The same to another listener; also whether the request reached the service.
    pub async fn send_to(
        &self,
        listener: &str,
        caller: &str,
        request: &Request,
        answer: Answer,
    ) -> (io::Result<client::Answer>, bool) {
        let (received, seen) = self.seen(listener, caller, request, answer).await;
        (received, seen.is_some())
    }

    /// The same; also the request as the service got it.
    pub async fn seen(
        &self,
        listener: &str,
        caller: &str,
        request: &Request,
        answer: Answer,
    ) -> (io::Result<client::Answer>, Option<Seen>) {
        let leaf = self.authority.issue(&[caller], &["localhost"]).unwrap();
        let caller = Caller::new(self.authority.certificate(), &leaf).unwrap();
        let number = self.answers.add(answer);
        let stream = caller.connect(self.envoy.listener(listener).unwrap()).await.unwrap();
        let received = client::exchange(stream, &request.bytes(number)).await;
        (received, self.answers.requests(number).pop())
    }
}
