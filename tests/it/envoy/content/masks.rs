//! Values that are masked in answers of a model, as documents and as streams.

use std::time::Duration;

use serde_json::{Value, json};

use super::answers::Answer;
use super::reference::{Check, Reference, joined};
use super::site::{Request, Setup, Site, sample};
use crate::harness::server::Server;

pub const CALLER: &str = "spiffe://cluster.local/ns/web/sa/frontend";
const CATALOG: &str = "services: [{id: models/gateway, hosts: [llm.local], protocol: openai, both_apis: true}]";
const DETECTORS: &str = r"detectors: {incident: {pattern: 'INC-\d{4}-\d{5}'}}";
pub const PERMITS: &str = r#"@id("all") permit (principal, action in Action::"any", resource);
@id("release") permit (principal, action == Action::"release", resource);"#;
const MASK: &str = r#"@id("mask") @remedy("mask") @mask("incident,card")
forbid (principal, action == Action::"release", resource in Service::"models/gateway")
when { context.found.containsAny(["incident", "card"]) };
@id("refuse") forbid (principal, action == Action::"release", resource in Service::"models/gateway")
when { context.found.contains("aws_key") };"#;
/// The server of a proxy that sends responses.
pub const SETTINGS: [&str; 2] =
    ["profiles.default.processor.responses=true", "profiles.default.mapping.service=[host]"];

fn chat() -> Request {
    Request::post(
        "llm.local",
        "/v1/chat/completions",
        &json!({"model": "m", "messages": [{"role": "user", "content": "x"}]}),
    )
}

async fn site() -> (Server, Site) {
    let files =
        [("catalog.yaml", CATALOG), ("detectors.yaml", DETECTORS), ("mesh/a.cedar", PERMITS), ("mesh/b.cedar", MASK)];
    let server = Server::start(&files, &SETTINGS).await;
    let site = Site::start(Setup::new(&server.port("ext_authz"), sample())).await;
    (server, site)
}

fn completion(text: &str) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": text, "refusal": null}, "finish_reason": "stop"},
    ]})
}

/// A stream with one text, in pieces of `size` characters.
fn stream(text: &str, size: usize) -> String {
    let event = |delta: Value, finish: Value| {
        let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        format!("data: {chunk}\n\n")
    };
    let characters: Vec<char> = text.chars().collect();
    let mut all = event(json!({"role": "assistant", "content": ""}), Value::Null);
    for piece in characters.chunks(size) {
        all += &event(json!({"content": piece.iter().collect::<String>()}), Value::Null);
    }
    all + &event(json!({}), "stop".into()) + "data: [DONE]\n\n"
}

#[tokio::test]
async fn an_incident_number_is_masked_in_a_document_and_all_else_leaves_as_it_came() {
    let (_server, site) = site().await;
    for (sent, left) in [
        ("The case INC-2026-00412 is \u{e9}\u{1f600} closed.", "The case [incident] is \u{e9}\u{1f600} closed."),
        ("INC-2026-00412INC-2026-00413", "[incident][incident]"),
        ("The case INC-2026-0041 is closed.", "The case INC-2026-0041 is closed."),
    ] {
        let body = completion(sent).to_string();
        let answer = Answer::new("application/json", body.as_bytes())
            .header("content-length", &body.len().to_string())
            .header("etag", "\"v1\"");
        let received = site.send(CALLER, &chat(), answer).await.unwrap();
        assert_eq!((received.status, received.text()), (200, completion(left).to_string()));
        assert_eq!(received.values("etag").next(), None);
        assert_eq!(received.values("cache-control").collect::<Vec<_>>(), ["private"]);
    }
}

#[tokio::test]
async fn a_refused_value_never_leaves_a_document_or_a_stream() {
    let (_server, site) = site().await;
    let body = completion("the key is AKIAIOSFODNN7EXAMPLE").to_string();
    let received = site.send(CALLER, &chat(), Answer::new("application/json", body.as_bytes())).await.unwrap();
    let refusal: Value = serde_json::from_slice(&received.body).unwrap();
    assert_eq!(received.status, 403, "{}", received.text());
    assert_eq!(refusal["error"]["type"], "permission_error", "{refusal}");
    for size in [1, 3, 100] {
        let sent = stream("The key is AKIAIOSFODNN7EXAMPLE, as you know.", size);
        let answer = Answer::new("text/event-stream", sent.as_bytes());
        let received = site.send(CALLER, &chat(), answer).await.unwrap();
        let (text, texts) = (received.text(), joined(&received.text()));
        assert!(!texts.values().any(|text| text.contains("AKIA")) && !text.contains("EXAMPLE"), "{size}: {text}");
        assert!(text.contains("content_filter") && text.ends_with("data: [DONE]\n\n"), "{size}: {text}");
    }
}

#[tokio::test]
async fn a_stream_leaves_the_same_wherever_it_is_cut() {
    let (_server, site) = site().await;
    let site = &site;
    let text = "See INC-2026-00412, \"INC-2026-0041\" and 4111 1111 1111 1111; \u{e9}\u{1f600}INC-2026-00413";
    let sent = stream(text, 5);
    let expected = {
        let reference = Reference::new(&[
            (r"INC-\d{4}-\d{5}", "[incident]", Check::Any),
            ("4111 1111 1111 1111", "[card]", Check::Luhn),
        ]);
        joined(&sent).into_iter().map(|(place, text)| (place, reference.mask(&text))).collect()
    };
    let whole = site.send(CALLER, &chat(), Answer::new("text/event-stream", sent.as_bytes())).await.unwrap().text();
    assert_eq!(joined(&whole), expected);
    assert_eq!(sent.matches("\n\n").count(), whole.matches("\n\n").count(), "no event is lost, none is added");
    let unmasked = |stream: &str| stream.split_inclusive("\n\n").last().map(str::to_owned);
    assert_eq!(unmasked(&sent), unmasked(&whole));
    // Each place once, 40 requests at a time; then single bytes.
    let places: Vec<usize> = (1..sent.len()).step_by(7).collect();
    for some in places.chunks(40) {
        let cut = |at: usize| Answer::new("text/event-stream", sent.as_bytes()).cut(&[at], Duration::from_millis(20));
        let sent = some.iter().map(|at| async move { (site.send(CALLER, &chat(), cut(*at)).await, at) });
        for (received, at) in futures_util::future::join_all(sent).await {
            assert_eq!(received.unwrap().text(), whole, "cut at {at}");
        }
    }
    let all: Vec<usize> = (1..sent.len()).collect();
    let bytes = Answer::new("text/event-stream", sent.as_bytes()).cut(&all, Duration::from_micros(200));
    assert_eq!(site.send(CALLER, &chat(), bytes).await.unwrap().text(), whole);
}
