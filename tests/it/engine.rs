//! The engine against its specification: plain Cedar over every policy, with everything that is known.
//!
//! Compared are always three sets: satisfied permits, satisfied forbids, and policies that failed.

use std::sync::Arc;

use picket::call::Call;
use picket::decision::Snapshot;
use picket::decision::decide::{judging, plain};
use picket::decision::evaluate::{Findings, Part};
use picket::identity::Identity;
use picket::mapping::{self, Place, action};
use picket::query::{Keys, Query, Reads};
use proptest::prelude::*;

use crate::support::{call, frontend, problems, token, tree, workload};

const PRINCIPALS: &[&str] = &[
    "principal",
    "principal is Workload",
    r#"principal == Workload::"spiffe://cluster.local/ns/web/sa/frontend""#,
    r#"principal in Namespace::"web""#,
    r#"principal in Group::"storefront""#,
    r#"principal is Workload in TrustDomain::"cluster.local""#,
    r#"principal in Workload::"spiffe://cluster.local/ns/web/sa/frontend""#,
];
const ACTIONS: &[&str] = &[
    r#"action == Action::"GET""#,
    r#"action in Action::"read""#,
    r#"action in [Action::"write"]"#,
    r#"action in [Action::"POST", Action::"GET"]"#,
];
const RESOURCES: &[&str] = &[
    "resource",
    "resource is Path",
    r#"resource in Service::"shop/orders""#,
    r#"resource in Path::"shop/orders/v1""#,
    r#"resource in Path::"shop/orders/""#,
    r#"resource == Path::"shop/orders/v1/orders/42""#,
    r#"resource in Route::"shop/orders/get-order""#,
    r#"resource is Path in Namespace::"shop""#,
    r#"resource in Group::"pci""#,
];
const CONDITIONS: &[&str] = &[
    "",
    r#"when { context.http.path == "/v1/orders/42" }"#,
    r#"when { context.http.headers.hasTag("x-a") && context.http.headers.getTag("x-a") == "1" }"#,
    r#"unless { context.http.headers.hasTag("x-b") }"#,
    r#"when { context.http.headers.hasTag(context.http.host) }"#,
    r#"when { context.http.query.hasTag("q") && context.http.query.getTag("q") like "a*" }"#,
    "when { principal has token }",
    r#"when { principal has token && principal.token.scopesProven.contains("orders:read") }"#,
    "when { principal has token.acr }",
    r#"when { resource.hasTag("id") && resource.getTag("id") == "42" }"#,
    r#"when { resource.labels.contains("internal") }"#,
    r#"when { resource has requiredScopes }"#,
    r#"when { principal in Group::"storefront" || resource in Group::"pci" }"#,
    r#"when { principal in [Namespace::"web", Namespace::"shop"] }"#,
    r#"when { resource == Path::"shop/orders/v1" }"#,
    r#"when { principal == Workload::"spiffe://cluster.local/ns/web/sa/frontend" }"#,
    r#"when { context.env.now < datetime("2026-11-23T00:00:01Z") }"#,
    r#"when { context.env.listener == "test" }"#,
    // These fail to evaluate on some calls.
    r#"when { context.http.headers.getTag("x-a") == "1" || true }"#,
    r#"when { 9223372036854775807 + (if context.http.path == "/" then 0 else 1) > 0 }"#,
];

/// What a policy is made of: permit or forbid, and a number into each list.
type Parts = (bool, usize, usize, usize, usize);

fn policies(max: usize) -> impl Strategy<Value = Vec<Parts>> {
    let one = (any::<bool>(), 0..PRINCIPALS.len(), 0..ACTIONS.len(), 0..RESOURCES.len(), 0..CONDITIONS.len());
    proptest::collection::vec(one, 1..max)
}

fn text(parts: &[Parts]) -> String {
    let one = |(number, (permit, p, a, r, c)): (usize, &Parts)| {
        // A tag that is read without a test does not validate; such policies are only for the loader's other tests.
        let condition = CONDITIONS[*c].replace(r#"context.http.headers.getTag("x-a") == "1" || true"#, "true");
        let effect = if *permit { "permit" } else { "forbid" };
        format!("@id(\"p{number}\") {effect} ({}, {}, {}) {condition};\n", PRINCIPALS[*p], ACTIONS[*a], RESOURCES[*r])
    };
    parts.iter().enumerate().map(one).collect()
}

/// Policies split over the mesh and namespace `shop`, enforced and shadow.
fn load(mesh: &[Parts], shop: &[Parts], previous: Option<&Arc<Snapshot>>) -> Arc<Snapshot> {
    let (enforced, shadow) = mesh.split_at(mesh.len() / 2);
    let shadow = text(shadow).replace("@id(\"p", "@id(\"s");
    let files = [
        ("mesh/enforced.cedar", text(enforced)),
        ("mesh/shadow.cedar", shadow),
        ("namespaces/shop/a.cedar", text(shop)),
        ("manifest.yaml", "modes: {mesh/shadow.cedar: shadow}".to_owned()),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let loaded = Snapshot::load(&tree(&files), previous);
    assert!(loaded.refused.is_empty(), "{}", problems(&loaded));
    loaded.snapshot.unwrap()
}

fn callers() -> Vec<Identity> {
    let with_token = Identity { token: Some(token(&["orders:read", "openid"])), ..frontend() };
    let other = workload("spiffe://cluster.local/ns/shop/sa/orders");
    let foreign = workload("spiffe://other.example/ns/web/sa/frontend");
    vec![frontend(), with_token, other, foreign, Identity::default()]
}

fn calls() -> Vec<Call> {
    let mut calls = Vec::new();
    for path in ["/", "/v1", "/v1/orders/42", "/v1/orders/43?q=abc", "/v1admin?q=b"] {
        for method in ["GET", "POST"] {
            let plain = call().service("shop/orders").path(path).method(method);
            calls.push(plain.clone().0);
            calls.push(plain.clone().header("x-a", "1").0);
            calls.push(plain.clone().header("x-a", "2").header("x-b", "").0);
            let mut later = plain.header("orders.shop", "1").0;
            later.received_at.0 += 5_000;
            calls.push(later);
        }
    }
    calls.push(call().service("pay/billing").path("/v1").0);
    calls
}

fn query(snapshot: &Snapshot, identity: &Identity, call: &Call) -> Query {
    let settings = mapping::Settings::default();
    let place = Place { listener: "test", home: "cluster.local", catalog: snapshot.catalog() };
    let service = mapping::service(call, &settings, snapshot.catalog(), place.home).unwrap();
    let asked =
        action::asked(call, action::spoken(call, &service, &settings).unwrap(), picket::body::Inside::Nothing).unwrap();
    let reads = Reads { headers: Keys::All, query: Keys::All, ..Reads::default() };
    let mut query = mapping::query(call, identity, &service, &asked, &reads, place).unwrap();
    let workload = snapshot.catalog().workload(&query.principal.uid.id);
    let groups = workload.into_iter().flat_map(|workload| &workload.groups);
    query.principal.ancestors.extend(groups.map(|group| picket::query::Uid::new("Group", group.as_str())));
    query
}

fn engine(snapshot: &Snapshot, query: &Query, part: Part) -> Findings {
    let units = judging(snapshot, &query.namespace).unwrap();
    Findings::clone(&snapshot.engine().find(&units, part, query, snapshot.types()).unwrap())
}

fn failed(findings: &Findings) -> Vec<&String> {
    findings.permit_errors.keys().chain(findings.forbid_errors.keys()).collect()
}

fn assert_same(snapshot: &Snapshot, query: &Query) -> Result<(), TestCaseError> {
    for part in [Part::Enforced, Part::Shadow] {
        let (fast, slow) = (engine(snapshot, query, part), plain(snapshot, query, part).unwrap());
        prop_assert_eq!(&fast.permits, &slow.permits, "{}", query.resource.uid);
        prop_assert_eq!(&fast.forbids, &slow.forbids, "{}", query.resource.uid);
        prop_assert_eq!(failed(&fast), failed(&slow), "{}", query.resource.uid);
    }
    Ok(())
}

/// Every third pair of caller and call, beginning at `offset`.
fn pairs(offset: usize) -> Vec<(Identity, Call)> {
    let all = callers().into_iter().flat_map(|caller| calls().into_iter().map(move |call| (caller.clone(), call)));
    all.skip(offset).step_by(3).collect()
}

fn everything(snapshot: &Snapshot, offset: usize) -> Result<(), TestCaseError> {
    for (identity, call) in pairs(offset) {
        assert_same(snapshot, &query(snapshot, &identity, &call))?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    /// Every call twice, so that the second one comes from memory.
    #[test]
    fn the_engine_finds_what_plain_cedar_finds(mesh in policies(12), shop in policies(12), at in 0..3_usize) {
        let snapshot = load(&mesh, &shop, None);
        everything(&snapshot, at)?;
        everything(&snapshot, at)?;
    }

    /// The memory is shared by the versions; none may answer for another.
    #[test]
    fn an_edit_is_never_answered_from_the_memory_of_the_version_before(
        mesh in policies(6), shop in policies(6), next_shop in policies(6), next_mesh in policies(6),
        at in 0..3_usize
    ) {
        let first = load(&mesh, &shop, None);
        everything(&first, at)?;
        let second = load(&mesh, &next_shop, Some(&first));
        everything(&second, at)?;
        let third = load(&next_mesh, &next_shop, Some(&second));
        everything(&third, at)?;
        everything(&first, at)?;
    }

    /// Policies whose scope names something else change nothing, whatever their conditions.
    #[test]
    fn policies_out_of_scope_change_nothing(shop in policies(8), others in 1..40_usize, at in 0..3_usize) {
        let noise: String = (0..others).map(|n| format!(
            "@id(\"noise{n}\") forbid (principal in Group::\"storefront\", action == Action::\"PUT\", resource == Path::\"shop/orders/noise{n}\");\n"
        )).collect();
        let base = load(&[], &shop, None);
        let text = format!("{}{noise}", text(&shop));
        let loaded = Snapshot::load(&tree(&[("namespaces/shop/a.cedar", text.as_str())]), None);
        let noisy = loaded.snapshot.unwrap();
        for (identity, call) in pairs(at) {
            let query = query(&base, &identity, &call);
            prop_assert_eq!(engine(&base, &query, Part::Enforced), engine(&noisy, &query, Part::Enforced));
        }
    }
}

#[test]
fn a_decision_that_reads_the_clock_is_not_remembered() {
    let until = r#"@id("until") permit (principal, action == Action::"GET", resource)
        when { context.env.now < datetime("2026-11-23T00:00:01Z") };"#;
    let loaded = Snapshot::load(&tree(&[("namespaces/shop/a.cedar", until)]), None);
    let snapshot = loaded.snapshot.unwrap();
    let now = query(&snapshot, &frontend(), &call().service("shop/orders").0);
    let mut later = call().service("shop/orders").0;
    later.received_at.0 += 5_000;
    let later = query(&snapshot, &frontend(), &later);
    let skips = || snapshot.engine().stats().decision_skips.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(engine(&snapshot, &now, Part::Enforced).permits.len(), 1);
    assert_eq!((skips(), snapshot.engine().stats().decision_misses.load(std::sync::atomic::Ordering::Relaxed)), (1, 0));
    assert_eq!(engine(&snapshot, &later, Part::Enforced).permits.len(), 0);
}

#[test]
fn equal_projections_are_answered_from_memory() {
    let policy = r#"@id("a") permit (principal, action == Action::"GET", resource in Service::"shop/orders")
        when { context.http.headers.hasTag("x-a") };"#;
    let snapshot = Snapshot::load(&tree(&[("namespaces/shop/a.cedar", policy)]), None).snapshot.unwrap();
    let hits = || snapshot.engine().stats().decision_hits.load(std::sync::atomic::Ordering::Relaxed);
    let ask = |call: Call| engine(&snapshot, &query(&snapshot, &frontend(), &call), Part::Enforced);
    ask(call().service("shop/orders").path("/a").header("x-a", "1").0);
    let before = hits();
    ask(call().service("shop/orders").path("/b").header("x-a", "1").header("x-other", "2").0);
    assert_eq!(hits(), before + 1, "neither path nor x-other is reached");
    ask(call().service("shop/orders").path("/b").header("x-a", "2").0);
    assert_eq!(hits(), before + 1, "x-a is reached");
}
