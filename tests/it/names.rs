//! Names that a message chooses, in spellings that a provider may take for a known one.

use crate::harness::direct::Direct;
use crate::harness::{Check, check, said};

const CATALOG: &str = r"
services:
  - {id: ai/listed, protocol: openai, models: {gpt-4o: {}, Qwen/Qwen3: {}}}
  - {id: ai/unlisted, protocol: openai}
  - {id: ai/other, protocol: openai}
  - {id: ai/tools, protocol: mcp, tools: {deploy: {effect: write}}}
  - {id: ai/free, protocol: mcp}
";

/// Forbids that name what the catalogue lists, and what it does not.
const POLICIES: &str = r#"
@id("all") permit (principal, action, resource);
@id("listed") forbid (principal, action, resource == Model::"ai/listed/gpt-4o");
@id("unlisted") forbid (principal, action, resource == Model::"ai/unlisted/gpt-4o");
@id("prompt") forbid (principal, action, resource == Prompt::"ai/free/secrets");
@id("tool") forbid (principal, action, resource == Tool::"ai/tools/deploy");
"#;

fn with_body(service: &str, path: &str, body: &serde_json::Value) -> Check {
    let body = body.to_string();
    let mut check = check("POST", path)
        .service(service)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("content-length", &body.len().to_string())
        .header("x-envoy-auth-partial-body", "false");
    check.http().raw_body = body.into_bytes();
    check
}

fn model(service: &str, name: &str) -> Check {
    let body = serde_json::json!({"model": name, "messages": [{"role": "user", "content": "hi"}]});
    with_body(service, "/v1/chat/completions", &body)
}

fn rpc(service: &str, method: &str, name: &str) -> Check {
    let params = serde_json::json!({"name": name, "arguments": {}});
    with_body(service, "/mcp", &serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
}

#[tokio::test]
async fn a_name_in_another_spelling_evades_no_policy() {
    // A namespace's own names for a resource take no name from the mesh.
    let own = r#"@id("b") forbid (principal, action, resource == Model::"ai/unlisted/Gpt-4o");"#;
    let files = [("catalog.yaml", CATALOG), ("mesh/a.cedar", POLICIES), ("namespaces/ai/a.cedar", own)];
    let direct = Direct::new(&files).await;
    let refused = "message_refused";
    for (check, expected) in [
        (model("ai/listed", "gpt-4o"), "policy_forbid"),
        (model("ai/listed", "GPT-4o"), refused),
        (model("ai/listed", "gpt-4O"), refused),
        (model("ai/listed", " gpt-4o"), refused),
        (model("ai/listed", "gpt-4o\u{200B}"), refused),
        (model("ai/listed", "\u{FF47}pt-4o"), refused),
        (model("ai/listed", "gpt-4o-mini"), "policy_permit"),
        (model("ai/listed", "Qwen/Qwen3"), "policy_permit"),
        (model("ai/listed", "qwen/qwen3"), refused),
        (model("ai/unlisted", "gpt-4o"), refused),
        (model("ai/unlisted", "Gpt-4o"), refused),
        (model("ai/unlisted", "GPT-4O"), refused),
        (model("ai/unlisted", "Llama-3-8B"), "policy_permit"),
        (model("ai/other", "gpt-4o"), "policy_permit"),
        (rpc("ai/tools", "tools/call", "deploy"), "policy_forbid"),
        (rpc("ai/tools", "tools/call", "Deploy"), refused),
        (rpc("ai/tools", "tools/call", "deplo\u{FF59}"), refused),
        (rpc("ai/tools", "tools/call", "deployed"), "policy_permit"),
        (rpc("ai/free", "tools/call", "Deploy"), "policy_permit"),
        (rpc("ai/free", "prompts/get", "secrets"), "policy_forbid"),
        (rpc("ai/free", "prompts/get", "Secrets"), refused),
        (rpc("ai/free", "prompts/get", "\u{17F}ecrets"), refused),
    ] {
        let asked = String::from_utf8_lossy(
            &check.0.attributes.as_ref().unwrap().request.as_ref().unwrap().http.as_ref().unwrap().raw_body,
        )
        .into_owned();
        let (response, seen) = direct.judged(check.0).await;
        let detail = seen.result.as_ref().err().map(|failure| failure.detail.clone());
        assert_eq!(said(&response).reason, expected, "{asked}: {detail:?}");
    }
}
