//! Requests that leave masked, and requests that must not leave.

use serde_json::{Value, json};

use super::answers::Answer;
use super::site::{GUARDED, Request, Setup, Site};
use crate::envoy::processing::site::{duplex, filter};
use crate::harness::server::Server;

const CALLER: &str = "spiffe://cluster.local/ns/web/sa/frontend";
const SECRET: &str = "INC-2026-00412";
const CATALOG: &str = "services: [{id: models/gateway, hosts: [llm.local], protocol: openai}]";
const DETECTORS: &str = r"detectors: {incident: {pattern: 'INC-\d{4}-\d{5}'}}";
const POLICIES: &str = r#"@id("all") permit (principal, action in Action::"any", resource);
@id("release") permit (principal, action == Action::"release", resource);
@id("mask") @remedy("mask") @mask("incident,card")
forbid (principal, action == Action::"llm.generate", resource)
when { context.found.containsAny(["incident", "card"]) };"#;

/// The mode of a filter that gets requests in this mode too.
fn mode(requests: &str) -> Value {
    let mut mode = duplex();
    mode["request_body_mode"] = requests.into();
    mode
}

fn ours(requests: &str) -> Value {
    filter("picket", mode(requests), json!({}))
}

/// A filter behind the check that changes the body.
fn changes() -> Value {
    let code = "function envoy_on_request(handle) local body = handle:body() \
        local text = body:getBytes(0, body:length()) \
        body:setBytes((string.gsub(text, '412', '413'))) end";
    json!({"name": "envoy.filters.http.lua", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": code},
    }})
}

fn text(text: &str) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": text}]})
}

fn chat(content: &str) -> Request {
    Request::post("llm.local", "/v1/chat/completions", &text(content))
}

async fn site() -> (Server, Site) {
    let settings = [
        "profiles.default.processor.requests=true",
        "profiles.default.processor.responses=true",
        "profiles.default.mapping.service=[host]",
        "limits.check.body_bytes_max=65536",
    ];
    let files = [("catalog.yaml", CATALOG), ("detectors.yaml", DETECTORS), ("mesh/a.cedar", POLICIES)];
    let server = Server::start(&files, &settings).await;
    let mut setup = Setup::new(&server.port("ext_authz"), vec![(GUARDED, mode("BUFFERED"))]);
    for other in ["NONE", "STREAMED", "BUFFERED_PARTIAL"] {
        setup.listeners.push((other, vec![ours(other)]));
    }
    setup.listeners.push(("changed", vec![changes(), ours("BUFFERED")]));
    let unbound = json!({"metadata_options": {"forwarding_namespaces": {"untyped": ["other"]}}});
    setup.listeners.push(("unbound", vec![filter("picket", mode("BUFFERED"), unbound)]));
    let site = Site::start(setup).await;
    (server, site)
}

fn answer() -> Answer {
    Answer::new("application/json", b"{}")
}

/// The status for the client, and the body that the service got.
async fn sent(site: &Site, listener: &str, request: &Request) -> (u16, Option<String>) {
    let (received, seen) = site.seen(listener, CALLER, request, answer()).await;
    let body = seen.map(|seen| {
        let length = seen.values("content-length").first().map(|length| length.parse::<usize>().unwrap());
        if let Some(length) = length {
            assert_eq!(length, seen.rest.len(), "{seen:?}");
            assert!(seen.values("transfer-encoding").is_empty(), "{seen:?}");
        }
        seen.rest
    });
    (received.unwrap().status, body)
}

/// Sends a call without a secret, so that a stream proves the promise.
async fn prove(site: &Site) {
    assert_eq!(sent(site, GUARDED, &chat("x")).await, (200, Some(text("x").to_string())));
}

#[tokio::test]
async fn a_service_gets_the_masked_request_and_never_the_value() {
    let (_server, site) = site().await;
    let secret = chat(&format!("see {SECRET} and 4111 1111 1111 1111"));
    assert_eq!(sent(&site, GUARDED, &secret).await, (403, None), "no stream was seen yet");
    prove(&site).await;
    let masked = text("see [incident] and [card]").to_string();
    assert_eq!(sent(&site, GUARDED, &secret).await, (200, Some(masked)));
    // Long bodies are masked on another thread.
    let long = "words ".repeat(8_000);
    let expected = text(&format!("{long}[incident]")).to_string();
    assert_eq!(sent(&site, GUARDED, &chat(&format!("{long}{SECRET}"))).await, (200, Some(expected)));
}

#[tokio::test]
async fn a_chunked_request_is_masked_too() {
    let (_server, site) = site().await;
    prove(&site).await;
    let mut request = chat(&format!("see {SECRET}"));
    request.headers.push(("transfer-encoding".to_owned(), "chunked".to_owned()));
    let pieces =
        request.body.chunks(20).map(|piece| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
    request.body = pieces.chain([b"0\r\n\r\n".to_vec()]).collect::<Vec<_>>().concat();
    let (status, body) = sent(&site, GUARDED, &request).await;
    let body = body.unwrap();
    assert!(status == 200 && body.contains("see [incident]") && !body.contains("INC-"), "{status} {body}");
}

#[tokio::test]
async fn a_stream_with_another_mode_or_without_the_record_forwards_nothing() {
    let (_server, site) = site().await;
    prove(&site).await;
    for listener in ["NONE", "STREAMED", "BUFFERED_PARTIAL"] {
        assert_eq!(sent(&site, listener, &chat("x")).await.0, 200, "{listener}");
        assert_eq!(sent(&site, listener, &chat(SECRET)).await, (500, None), "{listener}");
    }
    assert_eq!(sent(&site, "unbound", &chat("x")).await, (403, None));
    assert_eq!(sent(&site, "unbound", &chat(SECRET)).await, (403, None));
}

#[tokio::test]
async fn a_body_that_changed_between_the_filters_is_not_forwarded() {
    let (_server, site) = site().await;
    prove(&site).await;
    let changed = sent(&site, "changed", &chat("412")).await;
    assert_eq!(changed, (200, Some(text("413").to_string())), "the filter changes bodies");
    assert_eq!(sent(&site, "changed", &chat(SECRET)).await, (403, None));
}

#[tokio::test]
async fn a_signed_request_is_denied_at_its_check() {
    let (_server, site) = site().await;
    prove(&site).await;
    for (name, value) in [("content-digest", "sha-256=:x:"), ("signature", "a=:x:"), ("x-amz-content-sha256", "x")] {
        let mut request = chat(SECRET);
        request.headers.push((name.to_owned(), value.to_owned()));
        assert_eq!(sent(&site, GUARDED, &request).await, (403, None), "{name}");
    }
}
