//! Policies that fail to evaluate: a forbid denies, a permit grants nothing, and both are counted.
//!
//! The only failure after strict validation is arithmetic beyond 64 bits, which a caller's numbers cause.

use super::codes::tool_call;
use crate::harness::Said;
use crate::harness::server::Server;

const CATALOG: &str = "services: [{id: agents/tools, protocol: mcp}]";

/// Both square a number: a factor of 2^32 has no 64-bit square.
const POLICIES: &str = r#"
@id("small-squares")
permit (principal, action == Action::"mcp.tools.call", resource)
when { context.numbers.hasTag("/n") && context.numbers.getTag("/n") * context.numbers.getTag("/n") <= 100 };

@id("no-large-squares")
forbid (principal, action == Action::"mcp.tools.call", resource)
when { context.kinds.hasTag("/m") }
unless { context.numbers.hasTag("/m") && context.numbers.getTag("/m") * context.numbers.getTag("/m") <= 100 };
"#;

async fn ask(server: &Server, arguments: &str) -> (i32, String, String) {
    let Said { status, decision, reason, .. } = server.client().await.ask(tool_call(arguments)).await;
    (status, decision, reason)
}

/// `picket_policy_errors_total` by policy, as the metrics page has it.
async fn counted(server: &Server) -> Vec<String> {
    let page = server.http("/metrics").await;
    let lines = page.lines().filter_map(|line| line.strip_prefix("picket_policy_errors_total{"));
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn a_failing_forbid_denies_a_failing_permit_grants_nothing_and_both_are_counted() {
    let files = [("catalog.yaml", CATALOG), ("namespaces/agents/a.cedar", POLICIES)];
    let server = Server::start(&files, &[]).await;
    let said = |status, decision: &str, reason: &str| (status, decision.to_owned(), reason.to_owned());

    assert_eq!(ask(&server, r#"{"n": 3}"#).await, said(200, "allow", "policy_permit"));
    assert_eq!(ask(&server, r#"{"n": 3, "m": 3}"#).await, said(200, "allow", "policy_permit"));
    assert_eq!(counted(&server).await, [""; 0], "nothing has failed yet");

    assert_eq!(ask(&server, r#"{"n": 4294967296}"#).await, said(403, "deny", "no_permit"));
    assert_eq!(counted(&server).await, [r#"policy_id="agents/small-squares"} 1.0"#]);

    assert_eq!(ask(&server, r#"{"n": 3, "m": 4294967296}"#).await, said(403, "deny", "policy_error"));
    assert_eq!(ask(&server, r#"{"n": 4294967296, "m": -4294967296}"#).await, said(403, "deny", "policy_error"));
    let both = [r#"policy_id="agents/no-large-squares"} 2.0"#, r#"policy_id="agents/small-squares"} 2.0"#];
    assert_eq!(counted(&server).await, both);

    // A policy that fails for one call does not fail for the next.
    assert_eq!(ask(&server, r#"{"n": 3, "m": 3}"#).await, said(200, "allow", "policy_permit"));
    assert_eq!(counted(&server).await, both);
}
