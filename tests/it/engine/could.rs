//! Reachable verdicts against actual ones: no call is allowed, or challenged, if that verdict was reported as
//! unreachable.

use std::sync::Arc;

use picket::body::{json, mcp};
use picket::call::CanonicalPath;
use picket::decision::reachable::{Reachable, reachable};
use picket::decision::verdict::Decision;
use picket::decision::{Snapshot, decide};
use picket::entity::declared;
use picket::identity::{Identity, Task};
use picket::mapping::{self, Place, action};
use picket::query::{Facts, Keys, Query, Reads};
use proptest::prelude::*;

use super::drawn::{self, Drawn, FACTS, pairs, policies};
use crate::support::{NOW, call, frontend, problems, token, tree, workload};

pub(super) const CATALOG: &str = r"
services:
  - id: agents/tools
    protocol: mcp
    groups: [inside]
    tools:
      notes.read: {effect: read, groups: [safe], scopes: {required: [notes]}}
      notes.write: {effect: write}
      db.drop: {effect: destructive, external: true}
workloads:
  - {id: 'spiffe://cluster.local/ns/web/sa/frontend', groups: [storefront]}
";
pub(super) const TOOLS: [&str; 3] = ["notes.read", "notes.write", "db.drop"];

const SCOPES: &[&str] = &[
    "principal, action, resource is Tool",
    r#"principal in Group::"storefront", action, resource is Tool"#,
    r#"principal, action == Action::"mcp.tools.call", resource in Service::"agents/tools""#,
    r#"principal, action in Action::"mcp.any", resource is Tool in Group::"safe""#,
    r#"principal is Workload, action, resource == Tool::"agents/tools/db.drop""#,
];
pub(super) const CONDITIONS: &[&str] = &[
    "",
    r#"when { principal in Group::"storefront" }"#,
    r#"when { resource.effect == "read" }"#,
    r#"unless { resource.external && context.http.headers.hasTag("x-a") }"#,
    "when { principal is Workload && principal has task && resource in principal.task.tools }",
    "unless { principal is Workload && principal has task && resource in principal.task.tools }",
    r#"when { context.args.hasTag("/id") && context.args.getTag("/id") == "1" }"#,
    r#"when { if context.http.headers.hasTag("x-a") then resource.effect == "read" else resource.effect == "write" }"#,
    r#"unless { context.http.headers.hasTag("x-a") || resource in Group::"safe" }"#,
    r#"when { !(context.http.headers.hasTag("x-a") && resource.effect != "read") }"#,
    r#"when { principal has token && principal.token.scopesProven.contains("notes") }"#,
    // These fail to evaluate: on some tools, on some calls.
    r#"when { 9223372036854775807 + (if resource.effect == "read" then 0 else 1) > 0 }"#,
    r#"when { 9223372036854775807 + (if context.http.headers.hasTag("x-a") then 0 else 1) > 0 }"#,
    r#"when { context.http.headers.hasTag("x-a") || 9223372036854775807 + (if resource.external then 1 else 0) > 0 }"#,
];
const STEP_UP: &str = r#"@remedy("step_up") @acr("2")"#;

/// A policy about tools: its effect with annotations, its scope and its condition.
fn rule() -> impl Strategy<Value = (&'static str, &'static str, &'static str)> {
    let effects = prop_oneof![Just("permit"), Just("forbid"), Just(r#"@remedy("step_up") @acr("2") forbid"#)];
    let (scopes, conditions) = (prop::sample::select(SCOPES), prop::sample::select(CONDITIONS));
    (effects, scopes, conditions)
}

pub(super) fn load(catalog: &str, policies: &str) -> Arc<Snapshot> {
    let loaded =
        Snapshot::load(&tree(&[FACTS, ("catalog.yaml", catalog), ("namespaces/agents/a.cedar", policies)]), None);
    assert!(loaded.refused.is_empty(), "{}", problems(&loaded));
    loaded.snapshot.unwrap()
}

fn with_task(tools: &[&str]) -> Identity {
    let task = Task {
        id: "T-1".to_owned(),
        issuer: "https://issuer.example".to_owned(),
        subject: "alice".to_owned(),
        issued_at: NOW,
        expires_at: NOW,
        tools: tools.iter().map(|tool| (*tool).to_owned()).collect(),
        resources: Default::default(),
        paths: Default::default(),
        agents: Default::default(),
        models: Default::default(),
        servers: Default::default(),
        params: Default::default(),
    };
    Identity { task: Some(task.into()), ..frontend() }
}

pub(super) fn callers() -> Vec<Identity> {
    let with_token = Identity { token: Some(token(&["notes"]).into()), ..frontend() };
    let other = workload("spiffe://cluster.local/ns/shop/sa/orders");
    vec![frontend(), with_token, with_task(&["notes.write"]), other, Identity::default()]
}

/// The query of one call of a tool.
pub(super) fn query(snapshot: &Snapshot, identity: &Identity, tool: &str, arguments: &str, headers: &[&str]) -> Query {
    let call =
        headers.iter().fold(call().service("agents/tools").method("POST"), |call, name| call.header(name, "1")).0;
    let place = Place { listener: "test", home: "cluster.local", catalog: snapshot.catalog() };
    let service = snapshot.catalog().service("agents/tools").unwrap();
    let arguments = json::parse(arguments.as_bytes(), json::Limits::default()).unwrap();
    let ask = mcp::Ask::CallTool { name: tool.to_owned(), arguments };
    let asked = action::Asked { path: CanonicalPath::parse("/").unwrap(), what: action::What::Mcp(ask) };
    let reads = Reads { headers: Keys::All, query: Keys::All, args: Keys::All, ..Reads::default() };
    let mut query = mapping::query(&call, identity, service, &asked, &reads, place).unwrap();
    for (_, facts) in declared::facts(snapshot, &query) {
        picket::decision::schema::cedar_values::complete(&mut query, &facts).unwrap();
    }
    query
}

/// An entry of a list is evaluated as its call would be: the same action and the same resource, for tools that the catalogue
/// lists, with and without typed arguments, and for one that it does not list.
#[test]
fn an_entry_of_a_list_has_the_action_and_the_resource_of_its_call() {
    let typed = "db.drop: {effect: destructive, external: true, input_schema: {type: object, properties: {id: {type: string}}}}";
    let catalog = CATALOG.replace("db.drop: {effect: destructive, external: true}", typed);
    assert_ne!(catalog, CATALOG);
    let snapshot = load(&catalog, PERMIT);
    let service = snapshot.catalog().service("agents/tools").unwrap();
    for identity in callers() {
        for tool in TOOLS.into_iter().chain(["not.listed"]) {
            let mut call = query(&snapshot, &identity, tool, "{}", &[]);
            let kind = mcp::ListKind::Tools;
            let mut entry = mapping::list::queries(&call.principal, service, kind, tool, "cluster.local").remove(0);
            for (_, facts) in declared::facts(&*snapshot, &entry) {
                picket::decision::schema::cedar_values::complete(&mut entry, &facts).unwrap();
            }
            assert_eq!((&entry.action, &entry.resource), (&call.action, &call.resource), "{tool}");
            assert_eq!((&entry.principal, &entry.namespace), (&call.principal, &call.namespace), "{tool}");
            let [of_entry, of_call] = [&mut entry, &mut call].map(|query| reachable(&snapshot, query).unwrap());
            assert_eq!(of_entry, of_call, "{tool}");
        }
    }
}

/// One call's verdict is within the reachable verdicts of all such calls.
fn assert_within(snapshot: &Snapshot, query: &mut Query) -> Result<(), TestCaseError> {
    let said = reachable(snapshot, query).unwrap();
    let verdict = decide(snapshot, query, &Facts::default()).unwrap();
    match verdict.decision() {
        Decision::Allow => prop_assert_eq!(said.reachable, Reachable::Allowed, "{:?} {:?}", &verdict, &said),
        Decision::Challenge => prop_assert_ne!(said.reachable, Reachable::Never, "{:?} {:?}", &verdict, &said),
        Decision::Deny | Decision::Error => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn what_a_call_of_a_tool_is_allowed_was_never_called_impossible(rules in prop::collection::vec(rule(), 1..7)) {
        let policy = |(number, (effect, scope, condition)): (usize, &(&str, &str, &str))| {
            format!("@id(\"p{number}\") {effect} ({scope}) {condition};\n")
        };
        let snapshot = load(CATALOG, &rules.iter().enumerate().map(policy).collect::<String>());
        for identity in callers() {
            for tool in TOOLS {
                for arguments in ["{}", r#"{"id": "1"}"#, r#"{"id": "2"}"#] {
                    for headers in [&[][..], &["x-a"], &["x-a", "x-b"]] {
                        assert_within(&snapshot, &mut query(&snapshot, &identity, tool, arguments, headers))?;
                    }
                }
            }
        }
    }

    /// Over the engine's own policies, of the mesh and of a namespace; each one's third, if it forbids, with a remedy.
    #[test]
    fn what_a_request_is_allowed_was_never_called_impossible(
        mesh in policies(8), shop in policies(8), at in 0..3_usize
    ) {
        let text = |prefix: &str, drawn: &[Drawn]| {
            drawn::text(prefix, drawn).replace("2\") forbid", &format!("2\") {STEP_UP} forbid"))
        };
        let files = [FACTS, ("mesh/a.cedar", &text("m", &mesh)), ("namespaces/shop/a.cedar", &text("s", &shop))];
        let loaded = Snapshot::load(&tree(&files), None);
        prop_assert!(loaded.refused.is_empty(), "{}", problems(&loaded));
        let snapshot = loaded.snapshot.unwrap();
        for (identity, call) in pairs(at, 3) {
            assert_within(&snapshot, &mut drawn::query(&snapshot, &identity, &call))?;
        }
    }
}

/// The reachable verdict for each of the three tools.
fn said(policies: &str, identity: &Identity) -> String {
    let snapshot = load(CATALOG, policies);
    let said = TOOLS
        .map(|tool| reachable(&snapshot, &query(&snapshot, identity, tool, "{}", &[])).unwrap().reachable.as_str());
    said.join(" ")
}

const PERMIT: &str = r#"@id("all") permit (principal, action == Action::"mcp.tools.call", resource);"#;

#[test]
fn verdicts_that_the_context_cannot_change_are_settled() {
    let permit = |condition: &str| {
        format!(r#"@id("p") permit (principal, action == Action::"mcp.tools.call", resource is Tool) {condition};"#)
    };
    let forbid = |condition: &str| {
        format!(
            r#"{PERMIT} @id("f") forbid (principal, action == Action::"mcp.tools.call", resource is Tool) {condition};"#
        )
    };
    let one = r#"@id("p") permit (principal, action, resource == Tool::"agents/tools/notes.write");"#.to_owned();
    let in_task = "{ principal is Workload && principal has task && resource in principal.task.tools }";
    let other = workload("spiffe://cluster.local/ns/shop/sa/orders");
    let unknown = r#"context.http.headers.hasTag("x-a")"#;
    let overflow = "9223372036854775807 + (if resource.external then 1 else 0) > 0";
    let cases: Vec<(String, Identity, &str)> = vec![
        (one, frontend(), "never allowed never"),
        (permit(r#"when { principal in Group::"storefront" }"#), other.clone(), "never never never"),
        (permit(r#"when { principal in Group::"storefront" }"#), frontend(), "allowed allowed allowed"),
        (permit(r#"when { resource.effect == "read" }"#), frontend(), "allowed never never"),
        (permit(&format!(r#"when {{ {unknown} && resource.effect == "read" }}"#)), frontend(), "allowed never never"),
        (
            permit(&format!(r#"when {{ if {unknown} then resource.effect == "read" else false }}"#)),
            frontend(),
            "allowed never never",
        ),
        (permit(&format!("when {in_task}")), with_task(&["notes.read"]), "allowed never never"),
        (permit(&format!("when {in_task}")), frontend(), "never never never"),
        (forbid(&format!("unless {in_task}")), with_task(&["notes.read"]), "allowed never never"),
        (forbid(""), frontend(), "never never never"),
        (forbid(&format!("when {{ resource.external || {unknown} }}")), frontend(), "allowed allowed never"),
        (forbid(&format!("unless {{ {unknown} }}")), frontend(), "allowed allowed allowed"),
        // A permit that fails permits nothing; a forbid that fails denies, and nothing lifts it.
        (permit(&format!("when {{ {overflow} }}")), frontend(), "allowed allowed never"),
        (forbid(&format!("unless {{ {overflow} }}")), frontend(), "allowed allowed never"),
        (
            forbid(&format!("unless {{ {overflow} }}")).replace("@id(\"f\")", &format!("@id(\"f\") {STEP_UP}")),
            frontend(),
            "allowed allowed never",
        ),
        (
            forbid("when { resource.external }").replace("@id(\"f\")", &format!("@id(\"f\") {STEP_UP}")),
            frontend(),
            "allowed allowed challenged",
        ),
    ];
    for (policies, identity, expected) in cases {
        assert_eq!(said(&policies, &identity), expected, "{policies}");
    }
}

#[test]
fn a_login_is_a_way_only_where_no_permit_holds_anyway() {
    let catalog = CATALOG.replace(
        "protocol: mcp",
        "protocol: mcp\n    token: {resource_metadata: 'https://tools.example/.well-known/oauth-protected-resource'}",
    );
    let with_token = Identity { token: Some(token(&["notes"]).into()), ..frontend() };
    let forbid = r#"@id("f") forbid (principal, action, resource is Tool);"#;
    for (policies, identity, expected) in [
        (forbid.to_owned(), frontend(), Reachable::Challenged),
        (forbid.to_owned(), with_token, Reachable::Never),
        (format!("{PERMIT} {forbid}"), frontend(), Reachable::Never),
    ] {
        let snapshot = load(&catalog, &policies);
        let query = query(&snapshot, &identity, "notes.read", "{}", &[]);
        assert_eq!(reachable(&snapshot, &query).unwrap().reachable, expected, "{policies}");
    }
}

/// Unknown parts may have any outcome. The deepest test is the first. Cedar's evaluation of so long a chain needs more
/// stack than a test has.
#[test]
fn a_condition_that_nests_too_deep_counts_as_unknown() {
    let chained = |tests: usize| {
        let chain = r#" && context.http.path == "/a""#.repeat(tests);
        let condition = format!(r#"when {{ resource.name == "x"{chain} }}"#);
        said(&format!(r#"@id("p") permit (principal, action, resource is Tool) {condition};"#), &frontend())
    };
    let roomy = std::thread::Builder::new().stack_size(64 * 1024 * 1024);
    let said = roomy.spawn(move || [10, 200].map(chained)).unwrap().join().unwrap();
    assert_eq!(said, ["never never never", "allowed allowed allowed"]);
}

#[test]
fn policies_in_shadow_mode_do_not_count() {
    let files = [
        ("catalog.yaml", CATALOG),
        ("mesh/a.cedar", r#"@id("f") forbid (principal, action == Action::"mcp.tools.call", resource);"#),
        ("mesh/b.cedar", PERMIT),
    ];
    for (shadow, expected) in [("a", Reachable::Allowed), ("b", Reachable::Never)] {
        let manifest = format!("modes: {{mesh/{shadow}.cedar: shadow}}");
        let files: Vec<(&str, &str)> = files.into_iter().chain([("manifest.yaml", manifest.as_str())]).collect();
        let snapshot = crate::support::snapshot(&files);
        let query = query(&snapshot, &frontend(), "notes.read", "{}", &[]);
        assert_eq!(reachable(&snapshot, &query).unwrap().reachable, expected, "{shadow} in shadow mode");
    }
}
