//! Verdicts where more than the context is unknown. `tests/it/engine/could.rs` compares the others with actual verdicts.

use super::*;
use crate::body::mcp::ListKind;
use crate::decision::allowance::Deadline;
use crate::decision::snapshot::Tree;
use crate::mapping::list;
use crate::query::{Node, Uid};

const CATALOG: &str = "services: [{id: agents/tickets, protocol: mcp, groups: [guarded]}, {id: agents/other, groups: [some]}]
workloads: [{id: 'spiffe://cluster.local/ns/web/sa/chat', groups: [agents]}, {id: 'spiffe://cluster.local/ns/web/sa/x', groups: [others]}]";
const FACTS: &str = "type WorkloadFacts = {team?: String}; type ServiceFacts = {tier?: String}; type CallFacts = {};";

fn snapshot(policies: &str) -> Arc<Snapshot> {
    let files = [("catalog.yaml", CATALOG), ("facts.cedarschema", FACTS), ("namespaces/agents/a.cedar", policies)];
    let files = files.into_iter().map(|(path, text)| (path.to_owned(), Arc::from(text))).collect();
    let loaded = Snapshot::load(
        &Tree { files, folders: ["namespaces/agents".to_owned(), "namespaces".to_owned()].into() },
        None,
    );
    assert!(loaded.refused.is_empty(), "{:?}", loaded.problems);
    loaded.snapshot.unwrap()
}

fn caller() -> Node {
    let mut caller = Node::new(Uid::new("Workload", "spiffe://cluster.local/ns/web/sa/chat"));
    caller.ancestors = [Uid::new("Group", "agents")].into();
    caller
}

/// The verdict for reading an entry.
fn of(policies: &str, kind: ListKind, name: &str, unknown: Unknown) -> &'static str {
    let snapshot = snapshot(policies);
    let service = snapshot.catalog().service("agents/tickets").unwrap();
    let query = list::queries(&caller(), service, kind, name, "cluster.local").remove(0);
    let best = reachable_within(&snapshot, &query, unknown, &Allowance::unbounded()).unwrap();
    best.reachable.as_str()
}

#[test]
fn facts_that_a_lookup_may_give_another_call_decide_nothing() {
    let permit = |condition: &str| {
        format!(r#"@id("p") permit (principal, action == Action::"mcp.tools.call", resource) when {{ {condition} }};"#)
    };
    for (condition, known, unknown) in [
        (r#"principal is Workload && principal has facts && principal.facts has team"#, "never", "allowed"),
        (r#"resource has facts && resource.facts has tier"#, "never", "allowed"),
        (r#"resource.name == "b""#, "never", "never"),
        (r#"resource.name == "a""#, "allowed", "allowed"),
    ] {
        let policies = permit(condition);
        let of = |facts| of(&policies, ListKind::Tools, "a", Unknown { facts, resource: false });
        assert_eq!([of(false), of(true)], [known, unknown], "{condition}");
    }
}

#[test]
fn a_template_is_impossible_only_if_each_of_its_resources_is() {
    let scoped = |effect: &str, scope: &str| {
        format!(r#"@id("{effect}") {effect} (principal, action == Action::"mcp.resources.read", resource {scope});"#)
    };
    let permit = |scope: &str| scoped("permit", scope);
    let but = |forbid: &str| format!("{} {}", permit(""), scoped("forbid", forbid));
    let with = |policy: String, condition: &str| policy.trim_end_matches(';').to_owned() + condition + ";";
    for (policies, expected) in [
        (String::new(), "never"),
        (permit(""), "allowed"),
        (permit(r#"in Service::"agents/tickets""#), "allowed"),
        (permit(r#"in Service::"agents/other""#), "never"),
        (permit("is McpResource"), "allowed"),
        (permit(r#"is McpResource in McpServer::"agents/tickets""#), "allowed"),
        // Some resource of the template may be this one, or in it, or in a group that `entities.json` names.
        (permit(r#"== McpResource::"agents/tickets/ticket://1/a""#), "allowed"),
        (permit(r#"in McpResource::"agents/tickets/ticket://1/a""#), "allowed"),
        (permit(r#"in Group::"some""#), "allowed"),
        (with(permit(""), r#" when { resource.uri like "ticket://1/b*" }"#), "allowed"),
        (with(permit(""), r#" when { resource in McpResource::"agents/tickets/ticket://1/b" }"#), "allowed"),
        (with(permit(""), r#" when { principal in Group::"others" }"#), "never"),
        (but(""), "never"),
        (but(r#"in Group::"guarded""#), "never"),
        (but(r#"in McpResource::"agents/tickets/ticket://1""#), "never"),
        // Some resource of the template is not in these.
        (but(r#"in McpResource::"agents/tickets/ticket://1/a""#), "allowed"),
        (but(r#"== McpResource::"agents/tickets/ticket://1/a""#), "allowed"),
        (but(r#"in McpResource::"agents/tickets/ticket://2""#), "allowed"),
        (but(r#"in Group::"some""#), "allowed"),
        (with(but(""), r#" when { resource.uri like "*b" }"#), "allowed"),
        (with(but(""), r#" when { principal in Group::"agents" }"#), "never"),
    ] {
        let unknown = Unknown { facts: false, resource: true };
        assert_eq!(of(&policies, ListKind::ResourceTemplates, "ticket://1/a{x}", unknown), expected, "{policies}");
    }
}

#[test]
fn an_evaluation_that_is_too_late_has_no_verdict() {
    struct Over;
    impl Deadline for Over {
        fn is_over(&self) -> bool {
            true
        }
    }
    let policies = r#"@id("p") permit (principal, action == Action::"mcp.tools.call", resource);"#;
    let snapshot = snapshot(policies);
    let service = snapshot.catalog().service("agents/tickets").unwrap();
    let query = list::queries(&caller(), service, ListKind::Tools, "a", "cluster.local").remove(0);
    let allowance = Allowance::new(&Over, crate::decision::allowance::Pace::Long);
    let first = reachable_within(&snapshot, &query, Unknown::default(), &allowance);
    assert!(first.is_ok(), "so little work is not measured");
    let second = reachable_within(&snapshot, &query, Unknown::default(), &allowance);
    assert_eq!(second.unwrap_err().code, Code::Deadline);
}
