//! Tests of the inputs that conditions require, however they are written.

use super::*;
use cedar_policy::Policy;

fn reads(condition: &str) -> RequiredInputs {
    let text = format!("permit (principal, action, resource) when {{ {condition} }};");
    of(Policy::parse(None, text).unwrap().to_pst().unwrap().body())
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
