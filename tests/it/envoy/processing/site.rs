//! An Envoy with ext_proc filters between a client that reports how a response ended and the upstream.

use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use picket_demo::folder::Folder;
use picket_demo::process::EnvoyProcess;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::upstream;
use crate::envoy::bench::{self, Listener, binary, cluster_of, http2, listener, loopback};
use crate::envoy::scripted;

/// After this long without a byte a response counts as silent.
const SILENCE: Duration = Duration::from_secs(5);

/// The filter with that mode, which uses the processor `cluster`. The other keys are those of the samples.
pub fn filter(cluster: &str, mode: Value, keys: Value) -> Value {
    let mut config = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
        "grpc_service": {"envoy_grpc": {"cluster_name": cluster}, "timeout": "0s"},
        "processing_mode": mode,
        "message_timeout": "3s",
        "failure_mode_allow": false,
        "status_on_error": {"code": "ServiceUnavailable"},
        "route_cache_action": "RETAIN",
        "mutation_rules": {"disallow_is_error": {"value": true}},
        "response_attributes": ["response.code_details"],
        "metadata_options": {"forwarding_namespaces": {"untyped": ["envoy.filters.http.ext_authz"]}},
    });
    bench::merge(&mut config, keys);
    json!({"name": "envoy.filters.http.ext_proc", "typed_config": config})
}

/// The mode of the samples.
pub fn duplex() -> Value {
    json!({"response_body_mode": "FULL_DUPLEX_STREAMED", "response_trailer_mode": "SEND"})
}

/// A listener whose routes lead to the upstream, to an upstream that does not exist, and to an answer of Envoy's own.
pub fn open(name: &'static str) -> Listener {
    let to = |cluster: &str| json!({"cluster": cluster, "timeout": "0s"});
    let direct = json!({"status": 200, "body": {"inline_string": "direct SECRET"}});
    listener(name).manager(json!({
        "http_protocol_options": {"enable_trailers": true},
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/nowhere"}, "route": to("nowhere")},
            {"match": {"prefix": "/direct"}, "direct_response": direct},
            {"match": {"prefix": "/grpc.health.v1.Health"}, "route": to("health")},
            {"match": {"prefix": "/"}, "route": to("upstream")},
        ]}]},
    }))
}

/// Everything of one test; it ends with the value.
pub struct Site {
    pub envoy: EnvoyProcess,
    _tasks: JoinSet<()>,
    _folder: Folder,
}

/// A running part with its address, as the cluster of that name.
pub fn cluster(name: &str, address: Value) -> Value {
    http2(cluster_of(name, &[address]))
}

/// Starts Envoy. `clusters` are the processors; every call is allowed, with a release record.
pub async fn start(mut tasks: JoinSet<()>, folder: Folder, listeners: Vec<Listener>, clusters: Vec<Value>) -> Site {
    let (script, authz) = scripted::serve(&mut tasks).await;
    script.reply(allowed());
    let mut upstream = cluster_of("upstream", &[loopback(upstream::serve(&mut tasks).await)]);
    let options = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http_protocol_options": {"enable_trailers": true}},
    }});
    bench::merge(&mut upstream, json!({"typed_extension_protocol_options": options}));
    let mut all = vec![upstream, cluster_of("nowhere", &[loopback(1)]), cluster("authz", loopback(authz))];
    all.extend(clusters);
    if !all.iter().any(|cluster| cluster["name"] == "health") {
        all.push(cluster("health", loopback(1)));
    }
    let config = json!({
        "admin": {"address": loopback(0)},
        "static_resources": {
            "listeners": listeners.into_iter().map(Listener::build).collect::<Vec<_>>(),
            "clusters": all,
        },
    });
    let binary = tokio::task::spawn_blocking(binary).await.unwrap();
    let envoy = EnvoyProcess::start(binary, folder.path(), &config.to_string()).await;
    Site { envoy: envoy.unwrap_or_else(|error| panic!("{error}")), _tasks: tasks, _folder: folder }
}

/// An allow with what the request phase leaves with the proxy.
fn allowed() -> envoy_types::ext_authz::v3::pb::CheckResponse {
    use envoy_types::ext_authz::v3::pb::{CheckResponse, HttpResponse, OkHttpResponse};
    use envoy_types::pb::google::protobuf::value::Kind;
    use envoy_types::pb::google::protobuf::{Struct, Value};
    let record = Value { kind: Some(Kind::StringValue("the record".to_owned())) };
    let key = picket::check::response_phase::RECORD_KEY.to_owned();
    CheckResponse {
        status: Some(envoy_types::pb::google::rpc::Status::default()),
        dynamic_metadata: Some(Struct { fields: std::iter::once((key, record)).collect() }),
        http_response: Some(HttpResponse::OkResponse(OkHttpResponse::default())),
    }
}

/// The version of HTTP between client and Envoy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Http1,
    Http2,
}

/// A response as its client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// 0 if there was none.
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
    /// `end`, `cut` or `silence`.
    pub end: &'static str,
}

impl Received {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn value(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Everything that left Envoy, as text.
    pub fn everything(&self) -> String {
        format!("{:?} {:?} {}", self.headers, self.trailers, self.text())
    }
}

impl Site {
    /// Sends a request; the client waits for each part of the response, but not for ever.
    pub async fn send(
        &self,
        listener: &str,
        version: Version,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Received {
        let address = self.envoy.listener(listener).unwrap();
        let mut builder = Client::builder(TokioExecutor::new());
        let client = builder.http2_only(version == Version::Http2).build_http::<Full<bytes::Bytes>>();
        let mut request = http::Request::builder().method(method).uri(format!("http://{address}{path}"));
        request = request.header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if method == "POST" { Full::from("the request's body") } else { Full::default() };
        let none = |end| Received { status: 0, headers: vec![], body: vec![], trailers: vec![], end };
        let response = tokio::time::timeout(SILENCE, client.request(request.body(body).unwrap())).await;
        let response = match response {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => return none("cut"),
            Err(_) => return none("silence"),
        };
        let mut received =
            Received { status: response.status().as_u16(), headers: list(response.headers()), ..none("end") };
        let mut body = response.into_body();
        loop {
            match tokio::time::timeout(SILENCE, body.frame()).await {
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => received.body.extend_from_slice(&data),
                    Err(frame) => received.trailers.extend(frame.trailers_ref().map(list).unwrap_or_default()),
                },
                Ok(None) => return received,
                Ok(Some(Err(_))) => return Received { end: "cut", ..received },
                Err(_) => return Received { end: "silence", ..received },
            }
        }
    }

    /// `GET` by HTTP/1.1.
    pub async fn get(&self, listener: &str, path: &str) -> Received {
        self.send(listener, Version::Http1, "GET", path, &[]).await
    }
}

fn list(headers: &http::HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

/// A socket file of that name as an address of Envoy's.
pub fn pipe(folder: &Path, name: &str) -> Value {
    json!({"pipe": {"path": folder.join(name)}})
}
