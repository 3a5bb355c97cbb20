//! Findings in messages: calls are decided by all that their messages hold.

use picket::content::detector_set::DetectorSet;
use picket::decision::Snapshot;
use picket::decision::verdict::{Effect, Reason};
use picket::inspection::{Inspection, Unread};
use picket::query::{ContentUse, Family, Keys};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::calls::{self, Kind, Method};
use super::{ALL, profile, service, with};
use crate::harness::direct::{Direct, Seen};
use crate::harness::{Check, said};
use crate::support::{problems, tree};

/// Every action that has findings in its context.
const FORBID: &str = r#"@id("no-keys") forbid (principal, action in [Action::"write", Action::"mcp.tools.call",
  Action::"mcp.prompts.get", Action::"a2a.send", Action::"llm.generate"], resource)
when { context.found.containsAny(["aws_key", "private_key"]) };"#;
const IMAGE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ";

fn key() -> String {
    ["AKIA", "IOSFODNN7EXAMPLE"].concat()
}

fn post(kind: Kind, body: &Value) -> Check {
    calls::with_bytes(calls::bare(kind, Method::Named("POST")), body.to_string().into_bytes())
}

fn direct(runtime: &Runtime, files: &[(&str, &str)]) -> Direct {
    let loaded = Snapshot::load(&with(files), None);
    assert!(loaded.refused.is_empty(), "{}", problems(&loaded));
    runtime.block_on(Direct::with(with(files), profile()))
}

fn seen(runtime: &Runtime, direct: &Direct, call: Check) -> Seen {
    runtime.block_on(direct.judged(call.0)).1
}

fn reason(seen: &Seen) -> String {
    match &seen.result {
        Ok(verdict) => verdict.reason().as_str().to_owned(),
        Err(failure) => format!("{}: {}", failure.code.as_str(), failure.detail),
    }
}

fn rpc(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

fn send(parts: &Value) -> Value {
    json!({"message": {"messageId": "1", "role": "ROLE_USER", "parts": parts}})
}

fn chat(messages: &Value) -> Value {
    json!({"model": "m", "messages": messages})
}

/// Messages with `text` in every kind of place.
fn messages(text: &str) -> Vec<(Kind, Value)> {
    let call =
        json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": json!({"q": text}).to_string()}});
    let tool =
        json!({"type": "function", "function": {"name": "f", "description": text, "parameters": {"type": "object"}}});
    vec![
        (Kind::Json, json!({"note": text})),
        (Kind::Json, json!([[{"deep": {text: 1}}]])),
        (Kind::Mcp, rpc("tools/call", &json!({"name": "t", "arguments": {"bad": text}}))),
        (Kind::Mcp, rpc("tools/call", &json!({"name": "t", "arguments": {}, "_meta": {"note": text}}))),
        (
            Kind::Mcp,
            json!({"jsonrpc": "2.0", "id": text, "method": "tools/call", "params": {"name": "t", "arguments": {}}}),
        ),
        (Kind::Mcp, rpc("prompts/get", &json!({"name": "p", "arguments": {"a": text}}))),
        (Kind::A2a, send(&json!([{"text": "hello"}, {"text": text}]))),
        (Kind::A2a, send(&json!([{"data": {"a": text}}]))),
        (Kind::Llm, chat(&json!([{"role": "system", "content": text}, {"role": "user", "content": "hello"}]))),
        (Kind::Llm, chat(&json!([{"role": "user", "content": [{"type": "text", "text": text}]}]))),
        (
            Kind::Llm,
            chat(
                &json!([{"role": "user", "content": "hello"}, {"role": "tool", "tool_call_id": "c", "content": text}]),
            ),
        ),
        (Kind::Llm, chat(&json!([{"role": "assistant", "tool_calls": [call]}, {"role": "user", "content": "hello"}]))),
        (Kind::Llm, json!({"model": "m", "messages": [{"role": "user", "content": "hello"}], "tools": [tool]})),
        (Kind::Llm, json!({"model": "m", "messages": [{"role": "user", "content": "hello"}], "metadata": {"a": text}})),
    ]
}

#[test]
fn a_key_is_found_in_every_place_of_every_protocols_messages() {
    let runtime = Runtime::new().unwrap();
    let direct = direct(&runtime, &[("mesh/all.cedar", ALL), ("mesh/keys.cedar", FORBID)]);
    for (kind, message) in messages("no key here") {
        let seen = seen(&runtime, &direct, post(kind, &message));
        assert!(seen.is_allow(), "{message}: {}", reason(&seen));
        assert_eq!(seen.content, Some(Inspection::default()), "{message}");
    }
    for (kind, message) in messages(&format!("use {} please", key())) {
        let seen = seen(&runtime, &direct, post(kind, &message));
        assert_eq!(reason(&seen), "policy_forbid", "{message}");
        let found = seen.content.expect("the message was inspected").found;
        assert_eq!(found, ["aws_key".into()].into(), "{message}");
    }
}

#[test]
fn a_message_with_an_unread_part_is_never_one_without_findings() {
    let runtime = Runtime::new().unwrap();
    let image = json!([{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{IMAGE}")}}]}]);
    let image = || post(Kind::Llm, &chat(&image));
    let one =
        r#"forbid (principal, action == Action::"llm.generate", resource) when { context.found.contains("jwt") };"#;
    let both = format!(
        "{one}\nforbid (principal, action == Action::\"llm.generate\", resource) when {{ !context.inspected && context.api == \"none\" }};"
    );
    let elsewhere = one.replace("resource)", r#"resource == Model::"t/llm/other")"#);
    let shadow = "modes: {mesh/one.cedar: shadow}";
    for (name, files, expected) in [
        ("nothing reads findings", vec![], "policy_permit"),
        ("the unit does not test `inspected`", vec![("mesh/one.cedar", one)], "not_inspected"),
        ("nor does the namespace", vec![("namespaces/t/one.cedar", one)], "not_inspected"),
        ("the unit tests it", vec![("mesh/one.cedar", both.as_str())], "policy_permit"),
        (
            "another unit tests it",
            vec![("mesh/one.cedar", both.as_str()), ("namespaces/t/one.cedar", one)],
            "not_inspected",
        ),
        ("the policy is about another model", vec![("mesh/one.cedar", elsewhere.as_str())], "policy_permit"),
        ("the policy is in shadow mode", vec![("mesh/one.cedar", one), ("manifest.yaml", shadow)], "policy_permit"),
    ] {
        let direct = direct(&runtime, &[&[("mesh/all.cedar", ALL)], files.as_slice()].concat());
        let seen = seen(&runtime, &direct, image());
        assert_eq!(reason(&seen), expected, "{name}");
        if expected == "not_inspected" {
            assert_eq!(seen.content.unwrap().unread, Some(Unread::Media), "{name}");
            assert!(seen.result.unwrap().determining[0].ends_with("/one.cedar#1"), "{name}");
        }
    }
}

#[test]
fn a_mask_on_a_request_cannot_be_carried_out_and_denies() {
    let runtime = Runtime::new().unwrap();
    let mask = r#"@id("hide") @remedy("mask") @mask("aws_key") @reason("has_key")
forbid (principal, action == Action::"llm.generate", resource) when { context.found.contains("aws_key") };"#;
    let direct = direct(&runtime, &[("mesh/all.cedar", ALL), ("mesh/mask.cedar", mask)]);
    let ask = |text: &str| seen(&runtime, &direct, post(Kind::Llm, &chat(&json!([{"role": "user", "content": text}]))));
    assert!(ask("hello").is_allow());
    let Effect::Deny(denial) = ask(&key()).result.unwrap().effect else { panic!("not denied") };
    assert_eq!((denial.reason, denial.public_reason.as_deref()), (Reason::MaskUnavailable, Some("has_key")));
}

#[test]
fn a_call_with_findings_is_never_answered_from_the_cache() {
    let runtime = Runtime::new().unwrap();
    let service = runtime.block_on(service(with(&[("mesh/all.cedar", ALL), ("mesh/keys.cedar", FORBID)])));
    let ask =
        |text: &str| said(&runtime.block_on(super::asked(&service, post(Kind::Json, &json!({"a": text})).0))).decision;
    for _ in 0..3 {
        assert_eq!(ask("hello"), "allow");
        assert_eq!(ask(&key()), "deny");
    }
}

#[test]
fn the_plan_of_a_service_has_what_its_policies_test_and_mask() {
    let policies = r#"
@id("keys") forbid (principal, action == Action::"llm.generate", resource) when { context.found.containsAny(["jwt", "aws_key"]) };
@id("mask") @remedy("mask") @mask("card, iban") forbid (principal, action == Action::"release", resource in Service::"t/llm")
when { context.found.containsAny(["card", "iban"]) };
@id("other") @remedy("mask") @mask("email") forbid (principal, action == Action::"release", resource in Tool::"t/mcp/t");
@id("read") forbid (principal, action == Action::"release", resource in Tool::"t/mcp/t") unless { context.inspected };
"#;
    let files = [
        ("mesh/a.cedar", policies),
        (
            "mesh/any.cedar",
            r#"forbid (principal, action == Action::"PUT", resource) when { !context.found.isEmpty() };"#,
        ),
    ];
    let loaded = Snapshot::load(&with(&files), None);
    assert!(loaded.refused.is_empty(), "{}", problems(&loaded));
    let snapshot = loaded.snapshot.unwrap();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<std::collections::BTreeSet<_>>();
    let keys = |of: &[&str]| Keys::Some(names(of));
    let plan = |service, family| snapshot.content(service, family).enforced.clone();
    assert_eq!(plan("t/llm", Family::Llm).tested, keys(&["aws_key", "jwt"]));
    assert_eq!(plan("t/json", Family::Put).tested, Keys::All);
    assert_eq!(plan("t/json", Family::Post), ContentUse::default());
    assert_eq!(plan("t/json", Family::Release), ContentUse::default());
    let masked =
        ContentUse { tested: keys(&["card", "iban"]), masks: [names(&["card", "iban"])].into(), ..Default::default() };
    assert_eq!(plan("t/llm", Family::Release), masked);
    let of_tool = ContentUse { masks: [names(&["email"])].into(), inspected: true, ..Default::default() };
    assert_eq!(plan("t/mcp", Family::Release), of_tool);
    assert!(
        snapshot.content("t/mcp", Family::Release).needs("email")
            && !snapshot.content("t/mcp", Family::Release).needs("card")
    );
    assert!(std::sync::Arc::ptr_eq(snapshot.detectors(), &DetectorSet::built_in()));
}

#[test]
fn loading_compiles_the_detectors_that_policies_test_and_no_others() {
    let detectors = ("detectors.yaml", "detectors: {names: {words: [bluebird]}, others: {words: [heron]}}");
    let compiled = |condition: &str| {
        let policy = format!(r#"forbid (principal, action == Action::"POST", resource) when {{ {condition} }};"#);
        let loaded = Snapshot::load(&tree(&[detectors, ("namespaces/shop/a.cedar", &policy)]), None);
        loaded.snapshot.unwrap().detectors().compiled_count()
    };
    assert_eq!(compiled("context.http.path == \"/\""), 0);
    assert_eq!(compiled(r#"context.found.containsAny(["names", "jwt"])"#), 2);
    let all = DetectorSet::built_in().detectors().names().count() + 2;
    assert_eq!(compiled("!context.found.isEmpty()"), all);
}

#[test]
fn findings_may_only_make_an_answer_stricter() {
    let release = r#"(principal, action == Action::"release", resource)"#;
    for (policy, expected) in [
        (format!(r#"forbid {release} when {{ context.found.contains("cards") }};"#), Some("did you mean `card`?")),
        (format!(r#"forbid {release} when {{ context.found.contains("generic_secret") }};"#), Some("off until")),
        (format!(r#"@remedy("mask") @mask("card,ibn") forbid {release};"#), Some("no detector `ibn`")),
        (
            format!(
                r#"@remedy("mask") @mask("card,iban") forbid {release} when {{ context.found.contains("card") }};"#
            ),
            Some("`@mask` names `iban`"),
        ),
        (format!(r#"permit {release} when {{ context.found.contains("card") }};"#), Some("because of a finding")),
        (format!(r#"permit {release} when {{ !context.found.contains("card") }};"#), None),
        (format!(r#"permit {release} unless {{ context.found.contains("card") }};"#), None),
        (format!(r#"forbid {release} unless {{ context.found.contains("card") }};"#), Some("fewer answers")),
        (format!(r#"forbid {release} when {{ context.found.isEmpty() }};"#), Some("fewer answers")),
        (format!(r#"forbid {release} when {{ context.found == ["card"] }};"#), Some("fewer answers")),
        (format!(r#"forbid {release} unless {{ context.found.isEmpty() }};"#), None),
        (format!(r#"@remedy("mask") @mask("card") forbid {release} unless {{ context.found.isEmpty() }};"#), None),
        (format!(r#"@remedy("mask") @mask("card") forbid {release} when {{ context.found.contains("card") }};"#), None),
        (
            r#"permit (principal, action == Action::"POST", resource) when { context.found.contains("card") };"#
                .to_owned(),
            None,
        ),
    ] {
        let loaded = Snapshot::load(&tree(&[("namespaces/shop/a.cedar", &policy)]), None);
        match expected {
            None => assert!(loaded.refused.is_empty(), "{policy}: {}", problems(&loaded)),
            Some(part) => assert!(
                problems(&loaded).contains(part) && !loaded.refused.is_empty(),
                "{policy}: {}",
                problems(&loaded)
            ),
        }
    }
    let own = [
        ("detectors.yaml", "detectors: {cards: {words: [bluebird]}}"),
        ("mesh/a.cedar", &format!(r#"forbid {release} when {{ context.found.contains("cards") }};"#) as &str),
    ];
    assert!(Snapshot::load(&tree(&own), None).refused.is_empty());
}
