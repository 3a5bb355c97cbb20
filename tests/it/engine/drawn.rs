//! Random inputs of the engine's tests: every form of a scope, conditions that read every part of a query, and calls
//! that differ in them.

use picket::call::Call;
use picket::decision::Snapshot;
use picket::decision::schema::FactsType;
use picket::entity::declared;
use picket::identity::{Identity, Token};
use picket::mapping::{self, Place, action};
use picket::query::{Facts, Keys, Query, Reads, Value};
use proptest::prelude::*;
use serde_json::json;

use crate::support::{call, frontend, token, workload};

/// Types of the facts that [`CONDITIONS`] read.
pub const FACTS: (&str, &str) = (
    "facts.cedarschema",
    "type WorkloadFacts = { team?: String }; type ServiceFacts = { tier?: String };
     type CallFacts = { approver?: Workload, thing?: Path, ticket?: { approver: Workload } };",
);

pub const PRINCIPALS: &[&str] = &[
    "principal",
    "principal is Workload",
    r#"principal == Workload::"spiffe://cluster.local/ns/web/sa/frontend""#,
    r#"principal in Namespace::"web""#,
    r#"principal in Group::"storefront""#,
    r#"principal is Workload in TrustDomain::"cluster.local""#,
    r#"principal in Workload::"spiffe://cluster.local/ns/web/sa/frontend""#,
];
pub const ACTIONS: &[&str] = &[
    r#"action == Action::"GET""#,
    r#"action in Action::"read""#,
    r#"action in [Action::"write"]"#,
    r#"action in [Action::"POST", Action::"GET"]"#,
];
pub const RESOURCES: &[&str] = &[
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
pub const CONDITIONS: &[&str] = &[
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
    r#"when { resource in Path::"shop/orders/v1" && context.http.headers.hasTag("x-a") }"#,
    r#"unless { !(principal in [Namespace::"web", Namespace::"shop"]) || context.http.headers.hasTag("x-a") }"#,
    r#"when { context.env.now < datetime("2026-11-23T00:00:01Z") }"#,
    r#"when { context.env.listener == "test" }"#,
    r#"when { principal has facts.team && principal.facts.team == "a" }"#,
    r#"unless { resource has facts.tier && resource.facts.tier == "core" }"#,
    // No scope says this.
    r#"when { [principal == Workload::"spiffe://cluster.local/ns/web/sa/frontend"].contains(true) }"#,
    // The approver may be the caller, and the fact may name the resource.
    r#"when { context.env has facts.approver && context.env.facts.approver in Group::"storefront" }"#,
    r#"when { context.env has facts.approver && context.env.facts.approver is Workload in Namespace::"web" }"#,
    r#"unless { context.env has facts.approver && context.env.facts.approver has token }"#,
    r#"when { context.env has facts.ticket && context.env.facts.ticket.approver.proof == "mtls" }"#,
    r#"when { context.env has facts.thing && context.env.facts.thing.hasTag("id") }"#,
    r#"when { context.env has facts.approver
        && (if context.http.path == "/" then context.env.facts.approver else context.env.facts.approver) has token }"#,
    // These fail to evaluate on some calls.
    r#"when { 9223372036854775807 + (if context.http.path == "/" then 0 else 1) > 0 } when { principal in Group::"storefront" }"#,
    r#"when { (if context.http.headers.hasTag("x-a") then 9223372036854775807 else 0) * 2 >= 0 }"#,
    r#"when { 9223372036854775807 + (if context.http.path == "/" then 0 else 1) > 0 }"#,
];

/// One policy, by its place in each list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    pub is_permit: bool,
    pub principal: usize,
    pub action: usize,
    pub resource: usize,
    pub condition: usize,
}

pub fn policy() -> impl Strategy<Value = Drawn> {
    let places = (0..PRINCIPALS.len(), 0..ACTIONS.len(), 0..RESOURCES.len(), 0..CONDITIONS.len());
    (any::<bool>(), places).prop_map(|(is_permit, (principal, action, resource, condition))| Drawn {
        is_permit,
        principal,
        action,
        resource,
        condition,
    })
}

pub fn policies(max: usize) -> impl Strategy<Value = Vec<Drawn>> {
    proptest::collection::vec(policy(), 1..max)
}

impl Drawn {
    /// The policy as Cedar, under this `@id`.
    pub fn text(&self, id: &str) -> String {
        let effect = if self.is_permit { "permit" } else { "forbid" };
        let (principal, action) = (PRINCIPALS[self.principal], ACTIONS[self.action]);
        let (resource, condition) = (RESOURCES[self.resource], CONDITIONS[self.condition]);
        format!("@id(\"{id}\") {effect} ({principal}, {action}, {resource}) {condition};\n")
    }
}

/// Policies named by `prefix` and their place.
pub fn text(prefix: &str, drawn: &[Drawn]) -> String {
    drawn.iter().enumerate().map(|(number, policy)| policy.text(&format!("{prefix}{number}"))).collect()
}

fn callers() -> Vec<Identity> {
    let with_token = Identity { token: Some(token(&["orders:read", "openid"]).into()), ..frontend() };
    let strong = Token { acr: Some("2".to_owned()), ..token(&["openid"]) };
    let with_acr = Identity { token: Some(strong.into()), ..frontend() };
    let other = workload("spiffe://cluster.local/ns/shop/sa/orders");
    let foreign = workload("spiffe://other.example/ns/web/sa/frontend");
    vec![frontend(), with_token, with_acr, other, foreign, Identity::default()]
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
    for path in ["/v1", "/v1/orders/42", "/"] {
        calls.push(call().service("pay/billing").path(path).0);
        calls.push(call().service("pay/billing").path(path).header("x-a", "1").0);
    }
    calls
}

/// The query a call becomes, with everything that is declared about it.
pub fn query(snapshot: &Snapshot, identity: &Identity, call: &Call) -> Query {
    let (settings, place) =
        (mapping::Settings::default(), Place { listener: "test", home: "cluster.local", catalog: snapshot.catalog() });
    let service = mapping::service(call, &settings, snapshot.catalog(), place.home).unwrap();
    let asked = action::spoken(call, &service, &settings).unwrap().without_body(call).unwrap();
    let reads = Reads { headers: Keys::All, query: Keys::All, ..Reads::default() };
    let mut query = mapping::query(call, identity, &service, &asked, &reads, place).unwrap();
    for (_, facts) in declared::facts(snapshot, &query) {
        picket::decision::schema::cedar_values::complete(&mut query, &facts).unwrap();
    }
    let approver = json!({"type": "Workload", "id": "spiffe://cluster.local/ns/web/sa/frontend"});
    let thing = json!({"type": "Path", "id": "shop/orders/v1/orders/42"});
    let found = json!({"approver": approver, "thing": thing, "ticket": {"approver": approver}});
    // Only [`FACTS`] have such.
    if let Ok(Value::Record(call)) = snapshot.types().typed(FactsType::Call, &found) {
        picket::decision::schema::cedar_values::complete(&mut query, &Facts { call, ..Facts::default() }).unwrap();
    }
    query
}

/// Every `step`th pair of caller and call, beginning at `offset`.
pub fn pairs(offset: usize, step: usize) -> Vec<(Identity, Call)> {
    let all = callers().into_iter().flat_map(|caller| calls().into_iter().map(move |call| (caller.clone(), call)));
    all.skip(offset).step_by(step).collect()
}
