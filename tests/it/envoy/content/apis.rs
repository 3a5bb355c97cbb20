//! Every API, as a document and as a stream: a value is masked in place, and a refusal has the form of the API.

use serde_json::{Value, json};

use super::answers::Answer;
use super::holes::{CALLER, SECRET};
use super::site::{Request, Setup, Site, sample};
use crate::harness::server::Server;

const CATALOG: &str = "services:
- {id: models/gateway, hosts: [llm.local], protocol: openai, both_apis: true}
- {id: agents/tickets, hosts: [mcp.local], protocol: mcp, mcp: {endpoint: /mcp}, tools: {read: {}}}
- {id: agents/helper, hosts: [a2a.local], protocol: a2a, a2a: {endpoint: /a2a}}
";
const DETECTORS: &str = r"detectors: {incident: {pattern: 'INC-\d{4}-\d{5}'}}";
const POLICIES: &str = r#"@id("all") permit (principal, action in Action::"any", resource);
@id("release") permit (principal, action == Action::"release", resource);
@id("mask") @remedy("mask") @mask("incident") forbid (principal, action == Action::"release", resource)
when { context.found.contains("incident") };
@id("refuse") forbid (principal, action == Action::"release", resource) when { context.found.contains("aws_key") };"#;
/// A value for which a response is refused.
const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const EVENTS: &str = "text/event-stream";
const JSON: &str = "application/json";

/// An exchange: its name, the request, the type of the answer, the answer with `VALUE` in a text, and a part of what a refused
/// one has.
type Row = (&'static str, Request, &'static str, String, &'static str);

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

fn named(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap())
}

fn models() -> Vec<Row> {
    let chat = |stream: bool| {
        let message = json!({"role": "user", "content": "x"});
        Request::post(
            "llm.local",
            "/v1/chat/completions",
            &json!({"model": "m", "stream": stream, "messages": [message]}),
        )
    };
    let responses = |stream: bool| {
        Request::post("llm.local", "/v1/responses", &json!({"model": "m", "stream": stream, "input": "x"}))
    };
    let messages = |stream: bool| {
        let message = json!({"role": "user", "content": "x"});
        let body = json!({"model": "m", "max_tokens": 9, "stream": stream, "messages": [message]});
        let mut request = Request::post("llm.local", "/v1/messages", &body);
        request.headers.push(("anthropic-version".to_owned(), "2023-06-01".to_owned()));
        request
    };
    let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": "see VALUE"}, "finish_reason": null}]});
    let completion = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "see VALUE"}, "finish_reason": "stop"}]});
    let delta = json!({"type": "response.output_text.delta", "sequence_number": 1, "item_id": "i", "output_index": 0,
        "content_index": 0, "delta": "see VALUE"});
    let done = json!({"type": "response.output_text.done", "sequence_number": 2, "item_id": "i", "output_index": 0,
        "content_index": 0, "text": "see VALUE"});
    let text = json!({"type": "output_text", "text": "see VALUE", "annotations": []});
    let item = json!({"type": "message", "id": "i", "status": "completed", "role": "assistant", "content": [text]});
    let response = json!({"id": "r", "object": "response", "status": "completed", "model": "m", "output": [item]});
    let block =
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "see VALUE"}});
    let start = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}});
    let stop = json!({"type": "content_block_stop", "index": 0});
    let message = json!({"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "see VALUE"}]});
    vec![
        ("chat", chat(false), JSON, completion.to_string(), "permission_error"),
        ("chat stream", chat(true), EVENTS, event(&chunk) + "data: [DONE]\n\n", "content_filter"),
        ("responses", responses(false), JSON, response.to_string(), "permission_error"),
        ("responses stream", responses(true), EVENTS, named(&delta) + &named(&done), "response.incomplete"),
        ("messages", messages(false), JSON, message.to_string(), "permission_error"),
        ("messages stream", messages(true), EVENTS, named(&start) + &named(&block) + &named(&stop), "refusal"),
    ]
}

fn agents() -> Vec<Row> {
    let tool = || {
        let params = json!({"name": "read", "arguments": {}});
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params});
        let mut request = Request::post("mcp.local", "/mcp", &body);
        request.headers.push(("mcp-protocol-version".to_owned(), "2025-11-25".to_owned()));
        request.headers.push(("accept".to_owned(), "application/json, text/event-stream".to_owned()));
        request
    };
    let agent = |method: &str| {
        let message =
            json!({"messageId": "m", "role": "user", "kind": "message", "parts": [{"kind": "text", "text": "x"}]});
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": {"message": message}});
        Request::post("a2a.local", "/a2a", &body)
    };
    let result = json!({"jsonrpc": "2.0", "id": 7, "result": {"content": [{"type": "text", "text": "see VALUE"}]}});
    let told =
        json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "see VALUE"}});
    let parts = json!([{"kind": "text", "text": "see VALUE"}]);
    let message = json!({"kind": "message", "messageId": "n", "role": "agent", "parts": parts});
    let answered = json!({"jsonrpc": "2.0", "id": 7, "result": message});
    vec![
        ("tool", tool(), JSON, result.to_string(), "\"id\":7"),
        ("tool stream", tool(), EVENTS, event(&told) + &event(&result), "\"id\":7"),
        ("agent", agent("message/send"), JSON, answered.to_string(), "\"id\":7"),
        ("agent stream", agent("message/stream"), EVENTS, event(&answered), "\"id\":7"),
    ]
}

async fn site() -> (Server, Site) {
    let files = [("catalog.yaml", CATALOG), ("detectors.yaml", DETECTORS), ("mesh/a.cedar", POLICIES)];
    let settings = ["profiles.default.processor.responses=true", "profiles.default.mapping.service=[host]"];
    let server = Server::start(&files, &settings).await;
    let site = Site::start(Setup::new(&server.port("ext_authz"), sample())).await;
    (server, site)
}

#[tokio::test]
async fn a_value_is_masked_where_it_is_and_every_other_byte_leaves_as_it_came() {
    let (_server, site) = site().await;
    for (name, request, content_type, body, _) in models().into_iter().chain(agents()) {
        let sent = body.replace("VALUE", SECRET);
        let received = site.send(CALLER, &request, Answer::new(content_type, sent.as_bytes())).await.unwrap();
        assert_eq!((received.status, received.text()), (200, body.replace("VALUE", "[incident]")), "{name}");
        assert_eq!(received.values("content-type").collect::<Vec<_>>(), [content_type], "{name}");
    }
}

#[tokio::test]
async fn a_refused_response_has_the_form_of_its_api_and_no_part_of_the_value() {
    let (_server, site) = site().await;
    for (name, request, content_type, body, expected) in models().into_iter().chain(agents()) {
        let sent = body.replace("VALUE", KEY);
        let received = site.send(CALLER, &request, Answer::new(content_type, sent.as_bytes())).await.unwrap();
        let text = received.text();
        // An error of JSON-RPC is an answer.
        let is_answer = content_type == EVENTS || expected.contains("id");
        assert_eq!(received.status, if is_answer { 200 } else { 403 }, "{name}: {text}");
        assert!(!text.contains("AKIA") && !text.contains("EXAMPLE"), "{name}: {text}");
        assert!(text.contains(expected), "{name}: {text}");
    }
}
