//! Tests of the accesses that the walk finds.

use super::*;
use cedar_policy::Policy;

/// Each access as `origin.path use`.
fn accesses(condition: &str) -> Vec<String> {
    let text = format!("permit (principal, action, resource) when {{ {condition} }};");
    let policy = Policy::parse(None, text).unwrap().to_pst().unwrap();
    let shown = |access: &Access<'_>| {
        let origin = match access.origin {
            Origin::Root(root) => root.as_str(),
            Origin::FactEntity => "entity",
            Origin::Unknown => "unknown",
        };
        let path: String = access.path.iter().map(|step| format!(".{step}")).collect();
        let usage = match &access.usage {
            Use::Value => "value".to_owned(),
            Use::Presence => "presence".to_owned(),
            Use::Guard => "guard".to_owned(),
            Use::Tag(key, test) => format!("tag {} {test:?}", key.unwrap_or("*")),
            Use::In(entities) => format!("in {}", entities.as_ref().map_or(0, Vec::len)),
            Use::Contains(texts) => {
                format!("contains {}", texts.as_ref().map_or("*".to_owned(), |texts| texts.join(",")))
            }
            Use::Name => "name".to_owned(),
            Use::Anything => "anything".to_owned(),
        };
        format!("{origin}{path} {usage}")
    };
    Accesses::of(policy.body()).list.iter().map(shown).collect()
}

#[test]
fn every_form_of_an_access_is_found() {
    for (condition, expected) in [
        ("context.http.path == \"/\"", vec!["context.http.path value"]),
        ("principal has token.acr", vec!["principal.token.acr presence"]),
        ("principal == resource", vec!["principal name", "resource name"]),
        ("[principal].contains(resource)", vec!["principal value", "resource value"]),
        ("principal is Workload && action == Action::\"GET\"", vec![]),
        ("principal in Group::\"a\"", vec!["principal in 1"]),
        ("resource is Path in [Group::\"a\", Group::\"b\"]", vec!["resource in 2"]),
        ("resource in principal.task.tools", vec!["resource in 0", "principal.task.tools value"]),
        ("action in Action::\"read\"", vec![]),
        ("context.found.contains(\"card\")", vec!["context.found contains card"]),
        ("context.found.containsAll([\"card\", \"iban\"])", vec!["context.found contains card,iban"]),
        ("context.found.contains(context.http.path)", vec!["context.found contains *", "context.http.path value"]),
        ("[\"card\"].containsAny(context.found)", vec!["context.found value"]),
        ("resource.hasTag(\"id\")", vec!["resource tag id Presence"]),
        ("context.http.query.getTag(\"q\") == \"1\"", vec!["context.http.query tag q Value"]),
        ("context.http.query.getTag(\"q\") like \"1*\"", vec!["context.http.query tag q Pattern"]),
        ("context.http.query.getTag(\"q\") like \"1\"", vec!["context.http.query tag q Value"]),
        ("context.args.hasTag(context.http.path)", vec!["context.args tag * Presence", "context.http.path value"]),
        (
            "!(-context.a < ip(context.b) || context.c.isEmpty())",
            vec!["context.a value", "context.b value", "context.c value"],
        ),
        (
            "if context.a then {b: context.b} == {} else [context.c] == []",
            vec!["context.a value", "context.b value", "context.c value"],
        ),
    ] {
        assert_eq!(accesses(condition), expected, "{condition}");
    }
}

#[test]
fn a_path_from_another_expression_is_unknown_and_so_are_its_parts_read() {
    for (condition, expected) in [
        ("{p: principal}.p.facts.team == \"a\"", vec!["unknown.p.facts.team value", "principal value"]),
        ("{p: principal} has p.facts.team", vec!["unknown.p.facts.team presence", "principal value"]),
        (
            "[principal] == [] && (if true then resource else resource).hasTag(\"a\")",
            vec!["principal value", "unknown tag a Presence", "resource value", "resource value"],
        ),
        (
            "(if true then principal else principal) in Group::\"a\"",
            vec!["unknown in 1", "principal value", "principal value"],
        ),
        ("action.a == 1", vec!["unknown.a value"]),
    ] {
        assert_eq!(accesses(condition), expected, "{condition}");
    }
}

#[test]
fn an_entity_that_a_fact_names_is_an_origin_of_its_own() {
    for (condition, expected) in [
        ("context.env.facts.a == principal", vec!["context.env.facts.a value", "principal name"]),
        (
            "context.env.facts.a has facts.team",
            vec!["entity.facts.team presence", "context.env.facts.a.facts.team presence"],
        ),
        ("context.env.facts.a.b.c", vec!["entity.b.c value", "context.env.facts.a.b.c value"]),
        ("context.env.facts.a.hasTag(\"id\")", vec!["entity tag id Presence", "context.env.facts.a tag id Presence"]),
        ("context.env.facts.a in Group::\"a\"", vec!["unknown in 1", "context.env.facts.a value"]),
    ] {
        assert_eq!(accesses(condition), expected, "{condition}");
    }
}

#[test]
fn a_test_directly_before_the_test_of_its_part_is_a_guard() {
    for condition in [
        "context.env has facts && context.env.facts has a && context.x",
        "context.x && context.env has facts && context.env.facts has a",
        "context.x && (context.env has facts && (context.env.facts has a.b && context.x))",
        "context has env.facts && context.env.facts has a",
        "context.env has facts && context.env.facts.a",
        "context.env has facts && !(context.env.facts.a > 2 || context.x)",
        "context.env has facts && (if context.env.facts.a like \"*\" then true else false)",
    ] {
        assert!(accesses(condition).contains(&"context.env.facts guard".to_owned()), "{condition}");
    }
    for condition in [
        "context.env has facts",
        "context.env has facts && context.env.facts == context.x",
        "context.env has facts && context.x && context.env.facts has a",
        "context.env has facts && !(context.env.facts has a)",
        "context.env has facts && (context.env.facts has a || context.x)",
        "context.env.facts has a && context.env has facts",
        "(if context.env has facts then context.env.facts has a else false)",
    ] {
        let found = accesses(condition);
        assert!(found.contains(&"context.env.facts presence".to_owned()), "{condition}: {found:?}");
    }
}

#[test]
fn syntax_that_is_not_understood_reads_everything() {
    let unknown = Expr::Unknown { name: "a".into() };
    let mut found = Accesses::default();
    found.walk(&unknown);
    assert_eq!(found.list, [Access { origin: Origin::Unknown, path: Vec::new(), usage: Use::Anything }]);
}
