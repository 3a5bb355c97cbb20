//! Tools with actions of their own against the same tools without: policies that name no such action give equal
//! results.

use std::sync::Arc;

use cedar_policy::{PolicySet, ValidationMode, Validator};
use picket::approval::digest;
use picket::decision::reachable::reachable;
use picket::decision::snapshot::applicable_bundles;
use picket::decision::{Snapshot, decide};
use picket::obligation::template::Template;
use picket::query::{Facts, action};
use proptest::prelude::*;

use super::could::{CATALOG, CONDITIONS, TOOLS, callers, query};
use super::drawn::FACTS;
use super::{assert_same, problems, tree};

/// The catalogue of the other tests, two of its tools with schemas that the drawn arguments fit.
fn typed_catalog() -> String {
    let read = "{effect: read, input_schema: {type: object, properties: {id: {type: string}}}, ";
    let write = "{effect: write, input_schema: {type: object, properties: {n: {type: integer}}, required: []}";
    let typed = CATALOG.replace("{effect: read, ", read).replace("{effect: write", write);
    assert_eq!(typed.matches("input_schema").count(), 2);
    typed
}

const SCOPES: &[&str] = &[
    "principal, action, resource is Tool",
    r#"principal, action == Action::"mcp.tools.call", resource"#,
    r#"principal in Group::"storefront", action == Action::"mcp.tools.call", resource in Group::"safe""#,
    r#"principal, action == Action::"mcp.tools.call", resource == Tool::"agents/tools/notes.read""#,
    r#"principal, action in Action::"mcp.tools.call", resource is Tool"#,
    r#"principal, action in [Action::"mcp.tools.call", Action::"mcp.prompts.get"], resource in Service::"agents/tools""#,
    r#"principal, action in Action::"mcp.any", resource is Tool"#,
    r#"principal is Workload, action in [Action::"mcp.any", Action::"mcp.tools.call"], resource is Tool"#,
    r#"principal, action == Action::"mcp.prompts.get", resource"#,
];
/// More conditions about the action that mean the same for every call of a tool.
const OF_ACTIONS: &[&str] = &[
    r#"when { action in Action::"mcp.tools.call" }"#,
    r#"unless { action in [Action::"mcp.tools.call", Action::"GET"] && context.http.headers.hasTag("x-a") }"#,
    r#"when { action != Action::"mcp.prompts.get" && context.args.hasTag("/id") }"#,
    r#"when { [Action::"GET", Action::"mcp.any"].contains(action) }"#,
    r#"unless { action in Action::"write" }"#,
];

/// A policy's text without its `@id`, and whether it is the mesh's and in shadow mode.
fn rules() -> impl Strategy<Value = Vec<(String, usize)>> {
    let effects = prop::sample::select(&["permit", "forbid", r#"@remedy("step_up") @acr("2") forbid"#][..]);
    let conditions: Vec<&str> = CONDITIONS.iter().chain(OF_ACTIONS).copied().collect();
    let rule = (effects, prop::sample::select(SCOPES), prop::sample::select(conditions), 0..3_usize);
    let text = |(effect, scope, condition, place): (&str, &str, &str, usize)| {
        // Prompts have no effect and no groups to test.
        let condition = if scope.contains("prompts.get") { "" } else { condition };
        (format!("{effect} ({scope}) {condition};\n"), place)
    };
    prop::collection::vec(rule.prop_map(text), 1..7)
}

fn load(catalog: &str, rules: &[(String, usize)]) -> Arc<Snapshot> {
    let file = |place: usize| -> String {
        let of_file = rules.iter().enumerate().filter(|(_, (_, at))| *at == place);
        of_file.map(|(number, (text, _))| format!("@id(\"p{number}\") {text}")).collect()
    };
    let files = [
        FACTS,
        ("catalog.yaml", catalog),
        ("manifest.yaml", "modes: {mesh/shadow.cedar: shadow}"),
        ("mesh/enforced.cedar", &file(0)),
        ("mesh/shadow.cedar", &file(1)),
        ("namespaces/agents/a.cedar", &file(2)),
    ];
    let loaded = Snapshot::load(&tree(&files), None);
    assert!(loaded.refused.is_empty(), "{}", problems(&loaded));
    loaded.snapshot.unwrap()
}

/// Policies that cannot see tools' own actions are checked without them; with them they must be as good.
fn assert_fits_the_whole_schema(snapshot: &Snapshot) -> Result<(), TestCaseError> {
    let validator = Validator::new(snapshot.types().schema().clone());
    for unit in applicable_bundles(snapshot, "agents").unwrap() {
        let policies = PolicySet::from_policies(unit.entries.values().map(|entry| entry.policy.clone())).unwrap();
        let result = validator.validate_with_level(&policies, ValidationMode::Strict, 1);
        let errors: Vec<String> = result.validation_errors().map(ToString::to_string).collect();
        prop_assert!(errors.is_empty(), "{errors:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn policies_that_name_no_tools_action_decide_alike_whether_tools_have_one(rules in rules()) {
        let (plain, typed) = (load(CATALOG, &rules), load(&typed_catalog(), &rules));
        assert_fits_the_whole_schema(&typed)?;
        for identity in callers() {
            for tool in TOOLS {
                for arguments in ["{}", r#"{"id": "1"}"#, r#"{"id": "2", "n": 7}"#] {
                    for headers in [&[][..], &["x-a"]] {
                        let mut before = query(&plain, &identity, tool, arguments, headers);
                        let mut after = query(&typed, &identity, tool, arguments, headers);
                        prop_assert_eq!(before.action == after.action, tool == "db.drop");
                        assert_same(&typed, &after)?;
                        prop_assert_eq!(reachable(&plain, &before).unwrap(), reachable(&typed, &after).unwrap());
                        let [before, after] = [(&plain, &mut before), (&typed, &mut after)]
                            .map(|(snapshot, query)| decide(snapshot, query, &Facts::default()).unwrap());
                        prop_assert_eq!(format!("{before:?}"), format!("{after:?}"));
                    }
                }
            }
        }
    }
}

/// Digests bind approvals, and templates fill headers: neither may change when a schema is imported.
#[test]
fn other_reports_of_a_call_are_the_same() {
    let rules = [(r#"permit (principal, action == Action::"mcp.tools.call", resource);"#.to_owned(), 0)];
    let of = |catalog: &str| {
        let snapshot = load(catalog, &rules);
        query(&snapshot, &callers()[0], "notes.read", r#"{"id": "1"}"#, &[])
    };
    let (plain, typed) = (of(CATALOG), of(&typed_catalog()));
    assert_eq!(typed.action, "mcp.tools.call/agents/tools/notes.read");
    assert_eq!(action::bare(&typed.action), plain.action);
    let digests = [&plain, &typed].map(|query| digest::of_query(query, Some(r#"{"id":"1"}"#)).unwrap());
    assert_eq!(digests[0], digests[1]);
    let template = Template::parse("${action.id}").unwrap();
    assert_eq!(template.render(&typed).unwrap(), template.render(&plain).unwrap());
}
