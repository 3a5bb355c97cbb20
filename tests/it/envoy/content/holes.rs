//! Ways around policies about responses that must not work.

mod bodies;
mod forms;
mod records;

use picket_demo::client::Answer as Received;
use serde_json::json;

use super::answers::Answer;
use super::site::Request;
use crate::harness::server::Server;

pub const CALLER: &str = "spiffe://cluster.local/ns/web/sa/frontend";
/// A text that must not leave.
pub const SECRET: &str = "INC-2026-00412";

const CATALOG: &str = "services:
- {id: models/gateway, hosts: [llm.local], protocol: openai}
- {id: shop/api, hosts: [shop.local]}
- {id: shop/pages, hosts: [pages.local]}
- {id: agents/tickets, hosts: [mcp.local], protocol: mcp, mcp: {endpoint: /mcp}, tools: {read: {}, write: {}}}
";
const DETECTORS: &str = r"detectors: {incident: {pattern: 'INC-\d{4}-\d{5}'}}";
const POLICIES: &str = r#"@id("all") permit (principal, action in Action::"any", resource);
@id("release") permit (principal, action == Action::"release", resource);
@id("closed") forbid (principal, action in Action::"any", resource) when { context has http && context.http.path == "/closed" };
@id("mask") @remedy("mask") @mask("incident")
forbid (principal, action == Action::"release", resource in Service::"models/gateway")
when { context.found.contains("incident") };
@id("mask-http") @remedy("mask") @mask("incident")
forbid (principal, action == Action::"release", resource in Service::"shop/api")
when { context.found.contains("incident") };
@id("tool") forbid (principal, action == Action::"release", resource in Tool::"agents/tickets/read")
when { context.found.contains("incident") };"#;

/// A server with policies about the responses of all services but `shop/pages`; `more` are further settings.
pub async fn server(more: &[&str]) -> Server {
    let settings = ["profiles.default.processor.responses=true", "profiles.default.mapping.service=[host]"];
    let files = [("catalog.yaml", CATALOG), ("detectors.yaml", DETECTORS), ("mesh/a.cedar", POLICIES)];
    Server::start(&files, &[&settings, more].concat()).await
}

/// A chat with a model.
pub fn chat() -> Request {
    let message = json!({"role": "user", "content": "x"});
    Request::post("llm.local", "/v1/chat/completions", &json!({"model": "m", "messages": [message]}))
}

/// A document with the secret.
pub fn document() -> Answer {
    Answer::new("application/json", format!("{{\"a\":\"see {SECRET}\"}}").as_bytes())
}

/// Status, and who or what answered: `masked`, `raw`, or the text.
pub fn show(received: &Received) -> String {
    let text = received.text();
    let what = match () {
        () if text.contains(SECRET) => "raw",
        () if text.contains("[incident]") => "masked",
        () => text.trim_end(),
    };
    format!("{} {what}", received.status)
}
