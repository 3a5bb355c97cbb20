//! `picket explain --tools`.

use expect_test::expect;

use super::{Run, picket_in, root};

const AGENT: &str = "
caller:
  spiffe: spiffe://prod.example/ns/agents/sa/triage-agent
  token:
    sub: ana@prod.example
    client_id: triage-agent
    aud: https://tickets-mcp.prod.example/mcp
    act: {sub: spiffe://prod.example/ns/agents/sa/triage-agent}
  task: {txn: t-1, tctx: {task_id: T-1, ticket_id: '4711', tools: [tickets.get, kb.search]}}
trust_domain: prod.example
now: 2026-01-01T00:00:00Z
";

fn tools(service: &str, call: &str, more: &[&str]) -> Run {
    let mut arguments = vec!["explain", "--policies", "policies/library/agents", "--tools", service, "--call", "-"];
    arguments.extend(more);
    picket_in(&root(), &arguments, call)
}

#[test]
fn a_task_bound_agent_sees_the_tools_of_its_task() {
    let run = tools("agents/tickets-mcp", AGENT, &[]).ends_with(0);
    expect![[r#"
        never       crm.export        (mesh/task-tools)
        never       http.post         (mesh/task-tools)
        allowed     kb.search         (agents/task-bound-tools)
        never       tickets.add_note  (mesh/task-tools)
        never       tickets.delete    (mesh/task-tools)
        allowed     tickets.get       (agents/task-bound-tools)
        never       web.fetch         (mesh/task-tools)
    "#]]
    .assert_eq(&run.stdout);
}

#[test]
fn the_request_of_the_call_itself_changes_nothing() {
    let plain = tools("agents/tickets-mcp", AGENT, &[]).ends_with(0).stdout;
    let request = format!("{AGENT}request: {{service: billing/api, path: /v1/invoices/1, headers: {{x-a: '1'}}}}\n");
    assert_eq!(tools("agents/tickets-mcp", &request, &[]).ends_with(0).stdout, plain);
}

#[test]
fn programs_read_the_list_as_json() {
    let list = tools("agents/tickets-mcp", AGENT, &["-o", "json"]).ends_with(0).json();
    assert_eq!((list["v"].as_u64(), list["service"].as_str()), (Some(1), Some("agents/tickets-mcp")));
    let tool = |name: &str| list["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == name).unwrap().clone();
    assert_eq!(tool("kb.search")["could"], "allowed");
    assert_eq!(tool("crm.export")["could"], "never");
    assert_eq!(tool("crm.export")["policies"], serde_json::json!(["mesh/task-tools"]));
}

#[test]
fn a_denied_caller_gets_no_list() {
    let expired = AGENT.replace("txn: t-1", "exp: -1s, txn: t-1");
    let run = tools("agents/tickets-mcp", &expired, &[]).ends_with(5);
    assert!(run.stdout.starts_with("ERROR  task_expired\n"), "{}", run.stdout);
    let run = tools("agents/tickets-mcp", &expired, &["-o", "json"]).ends_with(5);
    assert_eq!(run.json()["error"]["code"], "task_expired");
}

#[test]
fn a_service_that_is_not_an_mcp_server_is_an_error() {
    for (service, why) in [("agents/nowhere", "has no service"), ("billing/api", "is not an MCP server")] {
        let run = tools(service, AGENT, &[]).ends_with(3);
        assert!(run.stderr.contains(why), "{}", run.stderr);
    }
    let check = r#"{"attributes": {"request": {"http": {"method": "GET"}}}}"#;
    let run = tools("agents/tickets-mcp", check, &[]).ends_with(3);
    assert!(run.stderr.contains("needs a call file with a caller, and this is a recorded check"), "{}", run.stderr);
    assert!(run.stderr.contains("write `caller: "), "{}", run.stderr);
    tools("agents/tickets-mcp", AGENT, &["--live", "127.0.0.1:0"]).ends_with(2);
}

#[test]
fn the_named_service_is_queried_under_every_mapping_of_the_profile() {
    let caller = "
caller: {spiffe: spiffe://prod.example/ns/ops/sa/deployer}
now: 2026-01-01T00:00:00Z
";
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("picket.yaml");
    let with = |service: &str| {
        let identity = "identity: {home_trust_domain: prod.example}";
        let profiles = format!("profiles: {{default: {{{identity}, mapping: {{service: [{service}]}}}}}}\n");
        std::fs::write(&config, format!("policies: {{dir: policies/library/agents}}\n{profiles}")).unwrap();
        tools("agents/tickets-mcp", caller, &["--config", config.to_str().unwrap()]).ends_with(0).stdout
    };
    let expected = with("context_extension");
    assert_eq!(expected.lines().count(), 7, "{expected}");
    for service in ["destination_account: {}", "host", "fixed: billing/api"] {
        assert_eq!(with(service), expected, "{service}");
    }
}
