//! Problems of trees with typed tools: the place, the cause, and the fix.

use picket::decision::Snapshot;
use picket::decision::snapshot::{Loaded, Namespace};
use picket::problem::{Problem, Severity};

use super::CATALOG;
use crate::support::{problems, tree};

fn loaded(catalog: &str, file: &str, policy: &str) -> Loaded {
    Snapshot::load(&tree(&[("catalog.yaml", catalog), (file, policy)]), None)
}

#[track_caller]
fn only(loaded: &Loaded, severity: Severity) -> &Problem {
    let found: Vec<&Problem> = loaded.problems.iter().filter(|problem| problem.severity == severity).collect();
    assert_eq!(found.len(), 1, "{}", problems(loaded));
    found[0]
}

const OWN: &str = "mcp.tools.call/agents/tools/t";

#[test]
fn a_condition_that_excludes_typed_calls_is_an_error_with_the_correct_form() {
    let telling = r#"permit (principal, action in Action::"mcp.any", resource)
        when { action == Action::"mcp.tools.call" };"#;
    let plain = CATALOG.replace("input_schema", "x").split("        x:").next().unwrap().to_owned();
    for (file, catalog, is_refused) in [
        ("namespaces/agents/a.cedar", CATALOG, true),
        ("mesh/a.cedar", CATALOG, true),
        ("namespaces/agents/a.cedar", plain.as_str(), false),
        // No call into this namespace is of a typed tool.
        ("namespaces/shop/a.cedar", CATALOG, false),
    ] {
        let loaded = loaded(catalog, file, telling);
        assert_eq!(!loaded.refused.is_empty(), is_refused, "{file}: {}", problems(&loaded));
        if is_refused {
            let problem = only(&loaded, Severity::Error);
            assert_eq!((problem.file.as_str(), problem.span.clone()), (file, Some(0..telling.len())));
            let message = &problem.message;
            assert!(message.contains("may exclude tools with an `input_schema`"), "{message}");
            assert!(message.contains("write `action in Action::\"mcp.tools.call\"`"), "{message}");
        }
    }
    let right = telling.replace("action ==", "action in");
    assert!(loaded(CATALOG, "mesh/a.cedar", &right).refused.is_empty());
}

#[test]
fn a_policy_that_does_not_fit_the_types_is_refused() {
    for (condition, what) in [
        (r#"context.input.amount == "1""#, "String"),
        (r#"context.input.note == "a""#, "note"),
        (r#"context.input.rate == "a""#, "rate"),
        (r#"context.input.tags == "a""#, "String"),
        (r#"context.input.item.more == "a""#, "more"),
    ] {
        let policy = format!("permit (principal, action == Action::\"{OWN}\", resource) when {{ {condition} }};");
        let loaded = loaded(CATALOG, "namespaces/agents/a.cedar", &policy);
        let text = problems(&loaded);
        assert_eq!(loaded.refused, ["agents"], "{condition}: {text}");
        assert!(text.contains("namespaces/agents/a.cedar") && text.contains(what), "{condition}: {text}");
    }
    // As written it applies to untyped tools only, which have no `input`; as enforced it applies to typed ones too.
    let hidden = r#"permit (principal, action == Action::"mcp.tools.call", resource)
        unless { context has input && context.input.nothing == 1 };"#;
    let refused = loaded(CATALOG, "namespaces/agents/a.cedar", hidden);
    let message = &only(&refused, Severity::Error).message;
    assert!(
        message.contains("the schema for tools with an `input_schema`") && message.contains("nothing"),
        "{message}"
    );
    let fitting = hidden.replace("input.nothing", "input.amount");
    let loaded = loaded(CATALOG, "namespaces/agents/a.cedar", &fitting);
    assert!(loaded.refused.is_empty(), "{}", problems(&loaded));
}

/// Else what one namespace says would keep an operator from giving another's tools their types.
#[test]
fn a_namespace_is_not_held_to_the_types_of_anothers_tools() {
    let policy = r#"@id("p") permit (principal, action, resource is Tool)
        when { context.http.path == "/x" || (context has input && context.input has amount && context.input.amount == "1") };"#;
    for (file, refused) in
        [("namespaces/agents/a.cedar", &["agents"][..]), ("mesh/a.cedar", &["mesh"]), ("namespaces/shop/a.cedar", &[])]
    {
        let loaded = loaded(CATALOG, file, policy);
        assert_eq!(loaded.refused, refused, "{file}: {}", problems(&loaded));
    }
    let before = loaded("services: [{id: agents/tools, protocol: mcp}]", "namespaces/shop/a.cedar", policy);
    let before = before.snapshot.unwrap();
    let after = Snapshot::load(&tree(&[("catalog.yaml", CATALOG), ("namespaces/shop/a.cedar", policy)]), Some(&before));
    assert!(after.refused.is_empty(), "{}", problems(&after));
}

#[test]
fn an_action_that_no_call_has_is_refused_with_the_reason() {
    for (file, id, what) in [
        (
            "mesh/a.cedar",
            "mcp.tools.call/agents/tools/u",
            "tool `u` of `agents/tools` has no `input_schema` in the catalogue",
        ),
        ("mesh/a.cedar", "mcp.tools.call/agents/tools/v", "service `agents/tools` has no tool `v`"),
        ("mesh/a.cedar", "mcp.tools.call/agents/tool/t", "unknown service `agents/tool`; did you mean `agents/tools`?"),
        ("mesh/a.cedar", "mcp.tools.call/t", "`t` does not end with `<namespace>/<service>/<tool>`"),
        ("namespaces/shop/a.cedar", OWN, "is outside namespace `shop`"),
    ] {
        let policy = format!("permit (principal, action == Action::\"{id}\", resource);");
        let loaded = loaded(CATALOG, file, &policy);
        let text = problems(&loaded);
        assert!(!loaded.refused.is_empty() && text.contains(what) && text.contains(file), "{id}: {text}");
    }
    let list = format!("permit (principal, action in [Action::\"GET\", Action::\"{OWN}\"], resource);");
    let text = problems(&loaded(CATALOG, "namespaces/shop/a.cedar", &list));
    assert!(text.contains("is outside namespace `shop`"), "{text}");
}

#[test]
fn a_schema_without_a_name_that_an_active_policy_reads_denies_its_namespace() {
    let policy =
        format!("permit (principal, action == Action::\"{OWN}\", resource) when {{ context.input.amount < 5 }};");
    let file = "namespaces/agents/a.cedar";
    let first = loaded(CATALOG, file, &policy).snapshot.unwrap();
    for without in
        [CATALOG.replace("amount: {type: integer}", "amount: {type: string}"), CATALOG.replace("      t:", "      s:")]
    {
        let next = Snapshot::load(&tree(&[("catalog.yaml", &without), (file, &policy)]), Some(&first));
        let text = problems(&next);
        assert!(text.contains("the active version of `agents` no longer fits catalogue, schema and facts"), "{text}");
        assert_eq!(next.refused, ["agents"], "{text}");
        let next = next.snapshot.unwrap();
        assert!(matches!(next.namespace("agents"), Some(Namespace::Invalid)));
    }
}

#[test]
fn untyped_members_are_noted_with_the_reason() {
    let loaded = loaded(CATALOG, "namespaces/agents/a.cedar", "");
    let problem = only(&loaded, Severity::Note);
    assert_eq!(problem.message, "`context.input` of tool `t` leaves out `/rate` (a `number` is not a 64-bit integer)");
    assert_eq!(problem.file, "catalog.yaml");
    let at = problem.span.clone().unwrap();
    assert!(CATALOG[at.start..].starts_with("type: object"), "{at:?}: {}", &CATALOG[at.start..]);
    assert!(problem.help.as_ref().unwrap().contains("context.args"), "{:?}", problem.help);
}

#[test]
fn an_invalid_schema_and_too_many_schemas_are_rejected_with_their_place() {
    let service = |tools: &str| format!("services: [{{id: agents/tools, protocol: mcp, tools: {{{tools}}}}}]");
    let refused = loaded(&service("t: {input_schema: {type: string}}"), "mesh/a.cedar", "");
    let problem = only(&refused, Severity::Error);
    assert_eq!(
        problem.message,
        "the `input_schema` of tool `t` is not the schema of an object: it does not have `type: object`"
    );
    assert!(problem.span.is_some() && problem.help.as_ref().unwrap().contains("tools/list"), "{problem:?}");
    let many = |count: usize| -> String {
        (0..count).map(|number| format!("t{number}: {{input_schema: {{type: object}}}}, ")).collect()
    };
    assert!(loaded(&service(&many(256)), "mesh/a.cedar", "").refused.is_empty());
    let refused = loaded(&service(&many(257)), "mesh/a.cedar", "");
    assert_eq!(only(&refused, Severity::Error).message, "more than 256 tools have an `input_schema`");
}
