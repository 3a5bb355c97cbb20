//! Tests of the inputs that conditions require, however they are written.

use std::collections::BTreeSet;

use cedar_policy::{Policy, SchemaFragment};

use super::*;
use crate::decision::schema::BUILT_IN;

fn reads(condition: &str) -> RequiredInputs {
    let text = format!("permit (principal, action, resource) when {{ {condition} }};");
    let policy = Policy::parse(None, text).unwrap().to_pst().unwrap();
    RequiredInputs::of(&Accesses::of(policy.body()))
}

fn keys(names: &[&str]) -> Keys {
    Keys::Some(names.iter().map(|n| (*n).to_owned()).collect())
}

#[test]
fn literal_keys_are_found() {
    let r = reads(r#"context.http.headers.hasTag("x-a") && context.http.headers.getTag("x-b") == "1""#).reads;
    assert_eq!(r.headers, keys(&["x-a", "x-b"]));
    assert_eq!(r.headers_compared, keys(&["x-b"]));
    assert_eq!(r.query, keys(&[]));
    assert_eq!(reads(r#"context.http.query.getTag("q") like "a*""#).reads.query, keys(&["q"]));
}

#[test]
fn a_pattern_is_no_whole_comparison() {
    let r = reads(r#"context.http.headers.getTag("accept") like "*json*""#).reads;
    assert_eq!((r.headers, r.headers_compared), (keys(&["accept"]), keys(&[])));
}

#[test]
fn a_computed_key_reads_everything() {
    assert_eq!(reads("context.http.headers.hasTag(context.http.host)").reads.headers, Keys::All);
    let r = reads(r#"context.http.query.hasTag(context.http.headers.getTag("x-k"))"#).reads;
    assert_eq!((r.query, r.headers), (Keys::All, keys(&["x-k"])));
}

#[test]
fn passing_a_record_on_reads_all_of_it() {
    assert_eq!(reads("context == context").reads.headers, Keys::All);
    assert_eq!(reads("[context.http].contains(context.http)").reads.query, Keys::All);
    assert_eq!(reads("context.http.headers == context.http.query").reads.headers, Keys::All);
    assert!(reads("context == context").reads.body);
}

#[test]
fn facts_are_found() {
    assert!(reads(r#"principal.facts.team == "a""#).reads.principal_facts);
    assert!(reads("principal has facts.team").reads.principal_facts);
    assert!(!reads("principal has token").reads.principal_facts);
    assert!(reads("resource has facts").reads.resource_facts);
    assert_eq!(reads("context.env.facts.ticket == \"a\"").reads.call_facts, keys(&["ticket"]));
    assert_eq!(reads("context.env has facts.ticket").reads.call_facts, keys(&["ticket"]));
    let odd = reads(r#"(if context.http.path == "/" then principal else principal).facts.team == "a""#).reads;
    assert!(odd.principal_facts);
    let odd = reads(r#"(if true then context.http else context.http).headers.hasTag("a")"#).reads;
    assert_eq!(odd.headers, Keys::All);
}

#[test]
fn values_of_the_body_are_found() {
    let r = reads(r#"context.args.getTag("/a") == "x" && context.kinds.hasTag("/b")"#).reads;
    assert_eq!((r.args, r.numbers, r.body), (keys(&["/a", "/b"]), false, true));
    let r = reads(r#"context.numbers.hasTag("/n")"#).reads;
    assert_eq!((r.args, r.numbers), (keys(&["/n"]), true));
    assert_eq!(reads("context.args == context.kinds").reads.args, Keys::All);
    assert!(reads("context.decimals == context.decimals").reads.numbers);
    assert!(reads("context has input.amount").reads.body && reads("context.input.tags.isEmpty()").reads.body);
    assert!(reads("context has approval").reads.approval);
    assert!(reads(r#"context.approval.state == "approved""#).reads.approval);
    assert!(reads("context == context").reads.approval);
    assert!(!reads("context has args").reads.approval);
}

#[test]
fn detectors_are_found_by_name() {
    let content = |condition: &str| reads(condition).reads.content.enforced;
    for (condition, tested) in [
        (r#"context.found.contains("card")"#, keys(&["card"])),
        (
            r#"context.found.containsAny(["card", "iban"]) || context.found.containsAll(["jwt"])"#,
            keys(&["card", "iban", "jwt"]),
        ),
        (r#"context.found.contains(context.http.host)"#, Keys::All),
        (r#"["card"].containsAll(context.found)"#, Keys::All),
        ("context.found.isEmpty()", Keys::All),
        (r#"{c: context}.c.found.contains("card")"#, Keys::All),
        ("context == context", Keys::All),
        ("context has found && context has inspected", keys(&[])),
        ("context.inspected", keys(&[])),
    ] {
        assert_eq!(content(condition).tested, tested, "{condition}");
        assert_eq!(reads(condition).reads.body, tested != keys(&[]) || condition == "context.inspected", "{condition}");
    }
    assert!(content("context.inspected").inspected && content("context == context").inspected);
    assert!(!content("context has inspected").inspected);
    assert_eq!(content(r#"context.passed.contains("image/png")"#).passed, keys(&["image/png"]));
}

#[test]
fn arguments_are_found_by_pointer_whatever_map_they_stand_in() {
    let r = reads(r#"context.args.hasTag("/a") && context.numbers.getTag("/n/0") < 5"#).reads;
    assert_eq!((r.args, r.body), (keys(&["/a", "/n/0"]), true));
    let r = reads(r#"context.kinds.getTag("/a") like "x*" && context.fields.hasTag("/f")"#).reads;
    assert_eq!((r.args, r.fields, r.message), (keys(&["/a"]), keys(&["/f"]), true));
    let r = reads(r#"context.numbers.getTag("/n") < 5 || context has decimals"#).reads;
    assert_eq!((r.args, r.fields, r.message, r.numbers), (keys(&["/n"]), keys(&["/n"]), true, true));
    let r = reads("context has fields").reads;
    assert_eq!((r.fields, r.message, r.body), (keys(&[]), true, true));
    assert_eq!(reads("context.fields == context.fields").reads.fields, Keys::All);
    assert_eq!(reads("context == context").reads.fields, Keys::All);
    assert!(!reads(r#"context.args.hasTag("/a")"#).reads.message);
    assert_eq!(reads("context.args.hasTag(context.http.path)").reads.args, Keys::All);
    assert_eq!(reads("context.args == context.args").reads.args, Keys::All);
    assert_eq!(reads("context == context").reads.args, Keys::All);
    assert_eq!(reads(r#"context has args"#).reads.args, keys(&[]));
}

#[test]
fn the_length_of_the_body_is_found_on_every_way() {
    for condition in [
        "context.http has bodyBytes && context.http.bodyBytes > 9",
        "context has http.bodyBytes",
        "context.http == context.http",
        "context == context",
        "(if true then context.http else context.http) has bodyBytes",
        "(if true then context.http else context.http).bodyBytes > 9",
        "(if true then context else context).http has bodyBytes",
        "{h: context.http}.h.bodyBytes > 9",
    ] {
        assert!(reads(condition).reads.size, "{condition}");
    }
    let r = reads(r#"context.http.path == "bodyBytes" && context.args.hasTag("/bodyBytes")"#).reads;
    assert_eq!((r.size, r.body), (false, true));
    assert!(!reads("context.http has bodyBytes").reads.body);
}

#[test]
fn a_name_that_is_read_anywhere_is_no_pointer() {
    let r = reads(r#"context.kinds.hasTag("**/id") && context.args.hasTag("/id")"#).reads;
    assert_eq!((r.names, r.args, r.body), (["id".to_owned()].into(), keys(&["/id"]), true));
    assert!(reads(r#"context.http.query.hasTag("**/id")"#).reads.names.is_empty());
}

#[test]
fn a_policy_that_can_see_the_approval_reads_it() {
    for condition in [
        "context has approval",
        "context has approval.used",
        r#"context.approval.state == "approved""#,
        "context == context",
        "(if true then context else context).approval.used",
        "[context.approval].isEmpty()",
    ] {
        assert!(reads(condition).reads.approval, "{condition}");
    }
    assert!(!reads(r#"context.http.path == "/approval" && context.args.hasTag("/approval")"#).reads.approval);
}

#[test]
fn the_source_address_is_found_on_every_way() {
    for condition in [
        r#"context.env.sourceIp == ip("10.0.0.1")"#,
        "context.env has sourceIp",
        "context has env.sourceIp",
        "context.env == context.env",
        "context == context",
        r#"(if true then context.env else context.env).sourceIp == ip("10.0.0.1")"#,
    ] {
        assert!(reads(condition).reads.source_ip, "{condition}");
    }
    assert!(!reads(r#"context.env.listener == "edge""#).reads.source_ip);
}

#[test]
fn plain_attributes_read_no_map() {
    let r = reads(r#"context.http.path == "/x" && context.env.now < datetime("2026-01-01")"#).reads;
    assert_eq!(r, Reads::default());
}

#[test]
fn facts_are_found_behind_every_step_of_a_has() {
    for condition in
        ["{p: principal} has p.facts.team", "(if true then {p: principal} else {p: principal}) has p.facts"]
    {
        let r = reads(condition).reads;
        assert!(r.principal_facts && r.resource_facts, "{condition}");
    }
}

#[test]
fn facts_of_an_entity_that_a_fact_names_may_be_the_principals() {
    for condition in ["context.env.facts.a has facts.team", r#"context.env.facts.ticket.a.facts.team == "a""#] {
        let r = reads(condition).reads;
        assert!(r.principal_facts && r.resource_facts, "{condition}");
    }
    let r = reads("context.env.facts.a.approval == context.env.facts.a.bodyBytes").reads;
    assert_eq!((r.principal_facts, r.approval, r.size), (false, false, false));
}

#[test]
fn any_fact_of_the_call_makes_them_present() {
    assert_eq!(reads("context.env has facts").reads.call_facts, Keys::All);
    assert_eq!(reads("context.env has facts && !(context.env.facts has a)").reads.call_facts, Keys::All);
    for condition in
        ["context.env has facts && context.env.facts has a", "context.env has facts && context.env.facts.a"]
    {
        assert_eq!(reads(condition).reads.call_facts, keys(&["a"]), "{condition}");
    }
}

#[test]
fn a_computed_key_may_be_a_name_that_is_read_anywhere() {
    for condition in [
        r#"context.args.hasTag(if context.http.path == "/" then "**/id" else "/a")"#,
        r#"{a: context.kinds}.a.getTag("**/id") == "string""#,
        r#"(if true then context.fields else context.fields).hasTag("**/id")"#,
        r#"{c: context}.c.args.hasTag("**/id")"#,
    ] {
        assert_eq!(reads(condition).reads.names, ["id".to_owned()].into(), "{condition}");
    }
    assert!(reads(r#"context.http.query.hasTag("**/id") && context.args.hasTag("/a")"#).reads.names.is_empty());
}

#[test]
fn an_unknown_part_of_the_context_requires_everything() {
    let all =
        Accesses { list: vec![Access { origin: Origin::Unknown, path: vec![], usage: Use::Anything }], texts: vec![] };
    let all = RequiredInputs::of(&all).reads;
    let flags = [all.body, all.message, all.numbers, all.size, all.approval, all.source_ip];
    assert!(!flags.contains(&false) && all.principal_facts && all.resource_facts);
    let keys = [&all.headers, &all.headers_compared, &all.query, &all.call_facts, &all.args, &all.fields];
    assert!(keys.into_iter().all(|keys| *keys == Keys::All));
    let context = Reads { principal_facts: false, resource_facts: false, ..all };
    for condition in ["context.unheard == 1", "context.env.unheard", "context == {}"] {
        assert_eq!(reads(condition).reads, context, "{condition}");
    }
}

/// The attributes of every action's context, each with its type, as the schema's JSON has them.
fn context_of_the_schema() -> Vec<(String, serde_json::Value)> {
    let (schema, _) = SchemaFragment::from_cedarschema_str(BUILT_IN).unwrap();
    let schema = schema.to_json_value().unwrap();
    let mut found = Vec::new();
    for (_, action) in schema[""]["actions"].as_object().unwrap() {
        let Some(attributes) = action.pointer("/appliesTo/context/attributes") else { continue };
        for (name, of) in attributes.as_object().unwrap() {
            match of["name"].as_str().and_then(|kind| schema[""]["commonTypes"].get(kind)) {
                // A record with a row for each part of it.
                Some(record) if !CONTEXT.iter().any(|(part, _)| *part == [name.as_str()]) => {
                    let parts = record["attributes"].as_object().unwrap();
                    found.extend(parts.iter().map(|(part, of)| (format!("{name}.{part}"), of.clone())));
                }
                _ => found.push((name.clone(), of.clone())),
            }
        }
    }
    found
}

#[test]
fn every_attribute_of_the_context_has_a_row_and_every_row_an_attribute() {
    let rows: BTreeSet<String> = CONTEXT.iter().map(|(part, _)| part.join(".")).collect();
    assert_eq!(rows.len(), CONTEXT.len(), "a row stands there twice");
    let mut attributes: BTreeSet<String> = context_of_the_schema().into_iter().map(|(name, _)| name).collect();
    // Only tools with an `input_schema` have it, in schemas that are made of the catalogue.
    attributes.insert("input".to_owned());
    assert_eq!(rows, attributes, "give the attribute a row in CONTEXT, with what must be collected for it");
    for (part, _) in CONTEXT {
        let below = CONTEXT.iter().filter(|(other, _)| other.starts_with(part)).count();
        assert_eq!(below, 1, "{part:?} is above another row");
    }
}

#[test]
fn every_dynamic_map_of_the_context_is_collected_by_key() {
    for (name, of) in context_of_the_schema() {
        let is_map = of["name"].as_str().is_some_and(|kind| kind.ends_with("Bag"));
        let r = reads(&format!("context.{name}.hasTag(\"/k\")")).reads;
        let all = [&r.headers, &r.query, &r.args, &r.fields];
        let is_collected = all.into_iter().any(|keys_read| *keys_read == keys(&["/k"]));
        // Parameters come with the task token.
        assert_eq!(is_collected, is_map && name != "taskParams", "{name}");
    }
}
