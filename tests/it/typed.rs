//! Tools with typed arguments, from a proxy's check to the answer, and problems of a tree that gets them wrong.

mod arguments;
mod trees;

use crate::faults::tool_call;
use crate::harness::direct::Direct;
use crate::harness::{Said, said};
use crate::oracle::assert_proven;

/// A catalogue: tool `t` of `agents/tools` has a schema and tool `u` has none.
const CATALOG: &str = r"
services:
  - id: agents/tools
    protocol: mcp
    tools:
      t:
        effect: write
        input_schema:
          type: object
          required: [amount, tags]
          properties:
            amount: {type: integer}
            tags: {type: array, items: {type: string}}
            note: {type: string}
            dry: {type: boolean}
            rate: {type: number}
            item: {type: object, required: [id], additionalProperties: false, properties: {id: {type: string}}}
      u: {effect: write}
";

const POLICIES: &str = r#"
@id("small") permit (principal, action == Action::"mcp.tools.call/agents/tools/t", resource)
when { context.input.amount < 1000 && context.input.tags.contains("safe") }
unless { context.input has note && context.input.note like "*secret*" };
@id("item") forbid (principal, action == Action::"mcp.tools.call/agents/tools/t", resource)
when { context.input has item && context.input.item.id == "root" };
@id("rate") forbid (principal, action == Action::"mcp.tools.call", resource)
when { context.decimals.hasTag("/rate") };
"#;

async fn asked(policies: &str, arguments: &str) -> Said {
    let direct = Direct::new(&[("catalog.yaml", CATALOG), ("namespaces/agents/a.cedar", policies)]).await;
    let (response, seen) = direct.judged(tool_call(arguments).0).await;
    assert_proven(&seen);
    said(&response)
}

#[tokio::test]
async fn policies_read_arguments_by_their_types() {
    for (arguments, reason) in [
        (r#"{"amount": 999, "tags": ["safe"]}"#, "policy_permit"),
        (r#"{"amount": -9223372036854775808, "tags": ["x", "safe", "x"], "more": {"a": 1}}"#, "policy_permit"),
        (r#"{"amount": 9.99e2, "tags": ["safe"], "dry": true, "note": "n", "item": {"id": "leaf"}}"#, "policy_permit"),
        (r#"{"amount": 1000, "tags": ["safe"]}"#, "no_permit"),
        (r#"{"amount": 1, "tags": []}"#, "no_permit"),
        (r#"{"amount": 1, "tags": ["SAFE", "saf"]}"#, "no_permit"),
        (r#"{"amount": 1, "tags": ["safe"], "note": "a secret b"}"#, "no_permit"),
        (r#"{"amount": 1, "tags": ["safe"], "item": {"id": "root"}}"#, "policy_forbid"),
        // Arguments outside `input` are read as before, and by a policy that names no tool.
        (r#"{"amount": 1, "tags": ["safe"], "rate": 1.5}"#, "policy_forbid"),
    ] {
        assert_eq!(asked(POLICIES, arguments).await.reason, reason, "{arguments}");
    }
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_rejected_under_any_policy() {
    let all = r#"permit (principal, action in Action::"any", resource);"#;
    for (arguments, reason) in [
        (r#"{"amount": "1", "tags": ["safe"]}"#, "message_refused"),
        (r#"{"amount": 1.5, "tags": ["safe"]}"#, "message_refused"),
        (r#"{"amount": 9223372036854775808, "tags": ["safe"]}"#, "message_refused"),
        (r#"{"amount": null, "tags": ["safe"]}"#, "message_refused"),
        (r#"{"tags": ["safe"]}"#, "message_refused"),
        (r#"{}"#, "message_refused"),
        (r#"{"amount": 1, "tags": "safe"}"#, "message_refused"),
        (r#"{"amount": 1, "tags": ["safe", 1]}"#, "message_refused"),
        (r#"{"amount": 1, "tags": ["safe"], "item": {"id": "a", "more": 1}}"#, "message_refused"),
        (r#"{"amount": 1, "tags": ["safe"], "Note": "secret"}"#, "body_refused"),
        (r#"{"amount": 1, "tags": ["safe"], "\u017fafe": 1, "Dry": true}"#, "body_refused"),
    ] {
        for policies in [POLICIES, all] {
            let said = asked(policies, arguments).await;
            assert_eq!((said.status, said.reason.as_str()), (400, reason), "{arguments}");
        }
    }
    assert_eq!(asked(all, r#"{"amount": 1, "tags": []}"#).await.reason, "policy_permit");
}
