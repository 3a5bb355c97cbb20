//! `picket catalog import-mcp`, and the commands that show typed tools.

use super::{picket, picket_in, root};

const LIST: &str = r#"{"result": {"tools": [
  {"name": "refund", "inputSchema": {"type": "object", "required": ["amount"], "properties":
    {"amount": {"type": "integer"}, "on": {"type": "boolean", "description": "a: \"b\" # c"}}}},
  {"name": "broken", "inputSchema": {"type": "array"}}]}}"#;

#[test]
fn schemas_are_imported_on_request_and_are_typed_then() {
    let plain = picket_in(&root(), &["catalog", "import-mcp", "-"], LIST).ends_with(0);
    assert!(!plain.stdout.contains("input_schema"), "{}", plain.stdout);
    let run = picket_in(&root(), &["catalog", "import-mcp", "-", "--schemas"], LIST).ends_with(0);
    assert_eq!(
        run.stderr,
        "left out: the schema of broken is not the schema of an object: it does not have `type: object`\n"
    );
    let tools = run.stdout.replace('\n', "\n    ");
    let catalog = format!("services:\n  - id: desk/money\n    protocol: mcp\n    {tools}\n");
    let policy = r#"permit (principal, action == Action::"mcp.tools.call/desk/money/refund", resource)
        when { context.input.amount < 1000 && !(context.input has on && context.input.on) };"#;
    let dir = super::tree(&[("catalog.yaml", &catalog), ("namespaces/desk/a.cedar", policy)]);
    let dir = dir.path().to_str().unwrap();
    picket(&["validate", "--deny-warnings", dir]).ends_with(0);
    // Entries of the catalogue stay, even if they are not imported again.
    let known = ["catalog", "import-mcp", "-", "--service", "desk/money", "--policies", dir];
    assert_eq!(picket_in(&root(), &known, LIST).ends_with(0).stdout, run.stdout);
    let changed = LIST.replace("integer", "string");
    let again: Vec<&str> = known.iter().copied().chain(["--schemas", "-o", "json"]).collect();
    let json = picket_in(&root(), &again, &changed).ends_with(0).json();
    assert_eq!(json["tools"]["refund"]["input_schema"]["properties"]["amount"]["type"], "string");
    assert_eq!(json["tools"]["broken"].get("input_schema"), None);
}

const CALL: &str = "
caller: {spiffe: spiffe://cluster.local/ns/desk/sa/agent}
mcp: {service: desk/ledger, tool: payments.refund, arguments: {payment: {id: P-1, amount: 5}}}
now: 2026-01-01T00:00:00Z
";

#[test]
fn a_typed_call_is_explained_by_its_own_action_and_by_the_policies_for_all() {
    let text = picket_in(&root(), &["explain", "--policies", "policies/library/typed", "--call", "-"], CALL);
    let text = text.ends_with(0).stdout;
    assert!(text.contains("Action::\"mcp.tools.call/desk/ledger/payments.refund\""), "{text}");
    // Written for `action == Action::"mcp.tools.call"`: its scope holds, and only its condition does not.
    let rule = text.split("no-dry-runs").nth(1).unwrap_or_default();
    assert!(rule.lines().take(3).any(|line| line.contains("x-dry-run")), "{text}");
}

#[test]
fn a_list_counts_typed_tools_with_any_required_arguments() {
    let arguments = ["explain", "--policies", "policies/library/typed", "--tools", "desk/ledger", "--call", "-"];
    let run = picket_in(&root(), &arguments, CALL).ends_with(0);
    assert_eq!(
        run.stdout,
        "allowed     payments.create  (desk/agents-pay)\nallowed     payments.list    (desk/agents-list)\n\
         allowed     payments.refund  (desk/agents-refund)\n"
    );
    let stranger = CALL.replace("sa/agent", "sa/other");
    let run = picket_in(&root(), &arguments, &stranger).ends_with(0);
    assert_eq!(run.stdout.matches("never").count(), 3, "{}", run.stdout);
}

#[test]
fn coverage_counts_the_calls_of_typed_tools_as_calls_of_tools() {
    let run = picket(&["test", "--coverage", "--policies", "policies/library/typed"]).ends_with(0);
    let untested = run.stdout.split("actions without a test: ").nth(1).unwrap_or_default();
    assert!(!untested.contains("mcp.tools.call") && untested.contains("mcp.prompts.get"), "{}", run.stdout);
    assert!(!run.stdout.contains("never held"), "{}", run.stdout);
}

const KNOWN: &str = r#"
services:
  - id: desk/money
    protocol: mcp
    tools:
      refund:
        effect: write
        groups: [needs-a-person]
        labels: [money]
        scopes: {required: [refunds], acceptable: [openid]}
        headers: {amount: Amount}
        input_schema: {type: object, properties: {amount: {type: integer}}}
      broken: {scopes: {acceptable: [openid]}, input_schema: {type: object, properties: {on: {type: boolean}}}}
"#;

#[test]
fn entries_of_the_catalogue_outlive_a_server_with_fewer() {
    let dir = super::tree(&[("catalog.yaml", KNOWN)]);
    let dir = dir.path().to_str().unwrap();
    let list = r#"[{"name": "refund"}, {"name": "broken", "inputSchema": {"type": "array"}}]"#;
    let known = ["catalog", "import-mcp", "-", "--service", "desk/money", "--policies", dir, "--schemas"];
    let run = picket_in(&root(), &known, list).ends_with(0);
    assert_eq!(
        run.stderr,
        "kept: the schema that the catalogue has of broken; the server's is not the schema of an object: it does not have `type: object`\n\
         kept: the schema that the catalogue has of refund; the server's is missing\n"
    );
    assert!(run.stdout.contains("groups: [needs-a-person], labels: [money]"), "{}", run.stdout);
    let scopes = "scopes: {required: [refunds], acceptable: [openid]}, headers: {amount: Amount}";
    assert!(run.stdout.contains(scopes), "{}", run.stdout);
    let json = picket_in(&root(), &[&known[..], &["-o", "json"]].concat(), list).ends_with(0).json();
    let refund = &json["tools"]["refund"];
    assert_eq!((&refund["groups"][0], &refund["labels"][0]), (&"needs-a-person".into(), &"money".into()));
    assert_eq!(refund["scopes"], serde_json::json!({"required": ["refunds"], "acceptable": ["openid"]}));
    assert_eq!(refund["input_schema"]["properties"]["amount"]["type"], "integer");
    assert_eq!(json["tools"]["broken"]["input_schema"]["properties"]["on"]["type"], "boolean");
}

#[test]
fn a_list_of_eight_mebibytes_is_read_and_a_longer_one_names_the_limit() {
    let of = |length: usize| {
        let list = r#"[{"name": "a", "description": ""}]"#;
        list.replace("\"\"", &format!("\"{}\"", "x".repeat(length - list.len())))
    };
    let run = |length| picket_in(&root(), &["catalog", "import-mcp", "-"], &of(length));
    assert_eq!(run(8 << 20).ends_with(0).stdout, "tools:\n  a: {effect: unknown, external: true}\n");
    assert_eq!(run((8 << 20) + 1).ends_with(3).stderr, "-: is longer than 8 MiB (8388608 bytes)\n");
}
