//! Verdicts on a query of which only the required inputs were collected.

use picket::decision::Snapshot;
use picket::decision::policy::mode::Mode;
use picket::decision::reference::reference;
use picket::query::{Family, Node, Query, Reads, Record, Uid, Value, record};

use super::drawn::{CONDITIONS, FACTS, pairs, query};
use super::failed;
use crate::support::{problems, tree};

/// Conditions on what is collected for them alone.
const COLLECTED: &[&str] = &[
    r#"when { context.env has facts }"#,
    r#"when { context.env has facts && context.env.facts has ticket }"#,
    r#"unless { context.env has facts && !(context.env.facts has ticket) }"#,
    r#"when { context.env has facts.approver && context.env.facts.approver has facts.team }"#,
    r#"when { context.env has facts.ticket && context.env.facts.ticket.approver has facts }"#,
    r#"when { {p: principal} has p.facts.team }"#,
    r#"when { {r: resource} has r.facts }"#,
    r#"when { (if context.http.path == "/" then principal else principal) has facts.team }"#,
    r#"when { (if context.http.path == "/" then context.env else context.env) has facts.approver.facts.team }"#,
    r#"when { context.env has sourceIp && context.env.sourceIp == ip("192.0.2.1") }"#,
    r#"when { context.http has bodyBytes && context.http.bodyBytes > 3 }"#,
    r#"when { {h: context.http} has h.bodyBytes }"#,
    r#"when { {h: context.http}.h.headers.hasTag("x-a") }"#,
    r#"when { [context.http.path].contains("/") || context has approval }"#,
    r#"when { context has args && context.args.hasTag("/id") && context.args.getTag("/id") == "1" }"#,
    r#"when { context has args && context.args.hasTag("**/id") && context.args.getTag("**/id") like "1*" }"#,
    r#"when { context has args && context.args.hasTag(if context.http.path == "/" then "**/id" else "/a") }"#,
    r#"when { context has kinds && {k: context.kinds}.k.hasTag("**/id") }"#,
    r#"when { context has numbers && context.numbers.hasTag("/n") && context.numbers.getTag("/n") > 4 }"#,
    r#"unless { context has decimals && context.decimals.hasTag("/d") }"#,
    r#"when { context has kinds }"#,
    r#"when { context has found && context.found.contains("card") }"#,
    r#"when { context has found && context.found.containsAny(["jwt", "iban"]) }"#,
    r#"unless { context has found && ["card"].containsAll(context.found) }"#,
    r#"when { context has found && {f: context.found}.f.containsAll(["card", "iban"]) }"#,
    r#"when { context has inspected && context.inspected }"#,
];

/// A query with every part that a call could bring.
fn completed(query: &Query) -> Query {
    let mut query = query.clone();
    query.principal.set("facts", Value::Record(record([("team", "a".into())])));
    if query.principal.uid.kind == "Unauthenticated" {
        query.principal.attributes.remove("facts");
    }
    query.resource.set("facts", Value::Record(record([("tier", "core".into())])));
    let part = |query: &mut Query, name: &str, field: &'static str, value: Value| {
        let Some(Value::Record(part)) = query.context.get_mut(name) else { panic!("no {name}") };
        part.insert(field.into(), value);
    };
    part(&mut query, "env", "sourceIp", Value::Ip("192.0.2.1".into()));
    part(&mut query, "http", "bodyBytes", Value::Long(7));
    if query.action == "POST" {
        query.context.insert("found".into(), Value::texts(["card", "iban"]));
        query.context.insert("inspected".into(), Value::Bool(true));
        let one = || Value::from("1");
        for (kind, name, tags) in [
            ("Bag", "args", vec![("/id", one()), ("**/id", one()), ("/a", one())]),
            ("Bag", "kinds", vec![("/id", "string".into()), ("**/id", "string".into())]),
            ("NumberBag", "numbers", vec![("/n", Value::Long(5))]),
            ("DecimalBag", "decimals", vec![("/d", Value::Decimal("1.5".into()))]),
        ] {
            let mut bag = Node::new(Uid::new(kind, name));
            bag.tags = tags.into_iter().map(|(key, value)| (key.into(), value)).collect();
            query.context.insert(name.into(), Value::Entity(bag.uid.clone()));
            query.bags.push(bag);
        }
    }
    query
}

/// The query that is built where no more than `reads` is collected.
fn collected(query: &Query, reads: &Reads) -> Query {
    let mut query = query.clone();
    let keep = |record: &mut Record, is_kept: &dyn Fn(&str) -> bool| {
        *record = record
            .iter()
            .filter(|(name, _)| is_kept(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
    };
    keep(&mut query.principal.attributes, &|name| name != "facts" || reads.principal_facts);
    keep(&mut query.resource.attributes, &|name| name != "facts" || reads.resource_facts);
    let is_body = |name: &str| ["args", "kinds", "numbers", "decimals"].contains(&name);
    keep(&mut query.context, &|name| reads.body || !is_body(name));
    let content = &reads.content.enforced;
    if let Some(Value::Set(found)) = query.context.get_mut("found") {
        found.retain(|name| matches!(name, Value::String(name) if content.tested.contains(name)));
    }
    if let Some(Value::Bool(inspected)) = query.context.get_mut("inspected") {
        *inspected &= content.inspected;
    }
    if let Some(Value::Record(http)) = query.context.get_mut("http") {
        keep(http, &|name| name != "bodyBytes" || reads.size);
    }
    if let Some(Value::Record(env)) = query.context.get_mut("env") {
        keep(env, &|name| name != "sourceIp" || reads.source_ip);
        if let Some(Value::Record(facts)) = env.get_mut("facts") {
            keep(facts, &|name| reads.call_facts.contains(name));
            if facts.is_empty() {
                env.remove("facts");
            }
        }
    }
    for bag in &mut query.bags {
        let name = bag.uid.id.clone();
        keep(&mut bag.tags, &|key| match name.as_str() {
            "headers" => reads.headers.contains(key),
            "query" => reads.query.contains(key),
            _ => match key.strip_prefix("**/") {
                Some(name) => reads.names.contains(name),
                None => reads.args.contains(key),
            },
        });
    }
    query
}

/// Each condition as the only policy, so that no other makes more to be collected.
#[test]
fn a_call_of_which_only_the_required_is_collected_is_decided_as_if_all_were() {
    let mut satisfied = 0;
    for condition in CONDITIONS.iter().chain(COLLECTED) {
        let policy =
            format!(r#"@id("one") forbid (principal, action in Action::"any", resource is Path) {condition};"#);
        let loaded = Snapshot::load(&tree(&[FACTS, ("mesh/a.cedar", &policy)]), None);
        assert!(loaded.refused.is_empty(), "{condition}: {}", problems(&loaded));
        let snapshot = loaded.snapshot.unwrap();
        for (identity, call) in pairs(0, 3) {
            let Some(family) = Family::of(if call.method == "POST" { "POST" } else { "GET" }) else { panic!() };
            let all = completed(&query(&snapshot, &identity, &call));
            let required = collected(&all, snapshot.reads(&call.extensions["service"], family));
            let [all, required] = [&all, &required].map(|query| reference(&snapshot, query, Mode::Enforce).unwrap());
            satisfied += all.forbids.len();
            assert_eq!(all.forbids, required.forbids, "{condition}");
            assert_eq!(failed(&all), failed(&required), "{condition}");
        }
    }
    assert!(satisfied > 100, "only {satisfied} times satisfied");
}
