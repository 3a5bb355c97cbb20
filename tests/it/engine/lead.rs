//! Tests at the head of a condition, which are indexed as a scope's are, among such as must not be.
//!
//! Conditions are drawn from tests that a scope could make, from such as it could not, and from some that fail on some calls,
//! in every order and nesting. The oracle says whether a policy that the index left out would have been found or failed.

use std::sync::Arc;

use picket::decision::{Snapshot, decide};
use picket::query::Facts;
use proptest::prelude::*;

use super::assert_same;
use super::drawn::{FACTS, pairs, query};
use crate::support::{call, frontend, tree};

const FRONTEND: &str = r#"Workload::"spiffe://cluster.local/ns/web/sa/frontend""#;

/// Parts of a condition, each true for some calls and false for others.
fn atom() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::sample::select(vec![
            format!("principal == {FRONTEND}"),
            format!("{FRONTEND} == principal"),
            format!("principal != {FRONTEND}"),
            r#"principal in Group::"storefront""#.to_owned(),
            r#"principal in [Group::"pci", Group::"storefront"]"#.to_owned(),
            r#"principal is Workload in Namespace::"web""#.to_owned(),
            "principal is Workload".to_owned(),
            r#"resource == Path::"shop/orders/v1/orders/42""#.to_owned(),
            r#"Path::"shop/orders/v1" == resource"#.to_owned(),
            r#"resource in Path::"shop/orders/v1""#.to_owned(),
            r#"resource in [Path::"shop/orders/v1admin", Path::"shop/orders/v1/orders"]"#.to_owned(),
            r#"resource is Path in Service::"shop/orders""#.to_owned(),
            r#"action == Action::"GET""#.to_owned(),
        ]),
        1 => proptest::sample::select(vec![
            r#"context.http.path == "/v1""#.to_owned(),
            r#"context.http.headers.hasTag("x-a")"#.to_owned(),
        ]),
        // These fail to evaluate on some calls.
        2 => proptest::sample::select(vec![
            r#"(if context.http.headers.hasTag("x-a") then 9223372036854775807 else 0) * 2 >= 0"#.to_owned(),
            r#"9223372036854775807 + (if context.http.path == "/v1/orders/42" then 0 else 1) > 0"#.to_owned(),
        ]),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    atom().prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            4 => (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left}) && ({right})")),
            2 => (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left}) || ({right})")),
            1 => inner.prop_map(|inner| format!("!({inner})")),
        ]
    })
}

/// `when` and `unless` in any order.
fn clauses() -> impl Strategy<Value = String> {
    let clause = (prop_oneof![2 => Just("when"), 1 => Just("unless")], expression());
    proptest::collection::vec(clause, 1..3)
        .prop_map(|clauses| clauses.iter().map(|(kind, text)| format!("{kind} {{ {text} }} ")).collect())
}

/// A snapshot with these policies in mesh and `shop`; `None` where Cedar finds that one can never apply.
fn load(conditions: &[String]) -> Option<Arc<Snapshot>> {
    let policy = |(number, condition): (usize, &String)| {
        let effect = if number.is_multiple_of(2) { "permit" } else { "forbid" };
        format!("@id(\"p{number}\") {effect} (principal, action in Action::\"any\", resource is Path) {condition};\n")
    };
    let text: String = conditions.iter().enumerate().map(policy).collect();
    let files = [FACTS, ("mesh/a.cedar", text.as_str()), ("namespaces/shop/a.cedar", text.as_str())];
    let loaded = Snapshot::load(&tree(&files), None);
    loaded.refused.is_empty().then_some(loaded.snapshot).flatten()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn conditions_of_any_order_are_found_and_fail_as_plain_cedar_says(
        conditions in proptest::collection::vec(clauses(), 1..6), at in 0..3_usize
    ) {
        let Some(snapshot) = load(&conditions) else { return Err(TestCaseError::reject("a policy that never applies")) };
        for (identity, call) in pairs(at, 3) {
            assert_same(&snapshot, &query(&snapshot, &identity, &call))?;
        }
    }
}

/// Conditions, and whether a call that their first test is false for still has the policy among its candidates.
const HEADS: &[(&str, bool)] = &[
    (r#"when { principal == Workload::"spiffe://cluster.local/ns/web/sa/other" }"#, false),
    (r#"when { Workload::"spiffe://cluster.local/ns/web/sa/other" == principal && context.http.path == "/" }"#, false),
    (r#"when { resource in Path::"shop/orders/v2" && context.http.path == "/" }"#, false),
    (r#"when { resource in [Path::"shop/orders/v2", Path::"shop/orders/v3"] }"#, false),
    (r#"when { resource is Path in Path::"shop/orders/v2" }"#, false),
    (r#"when { principal is Workload && resource == Path::"shop/orders/v2" }"#, false),
    (
        r#"unless { principal != Workload::"spiffe://cluster.local/ns/web/sa/other" || context.http.path == "/" }"#,
        false,
    ),
    (r#"when { principal is Workload } unless { !(resource in Path::"shop/orders/v2") }"#, false),
    (
        r#"when { resource in Path::"shop/orders/v2" || (resource == Path::"shop/orders/v3" && context.http.path == "/") }"#,
        false,
    ),
    // A part that may fail comes first, here or in an earlier clause.
    (r#"when { context.http.path == "/" && resource in Path::"shop/orders/v2" }"#, true),
    (r#"when { context.http.path == "/" } when { resource in Path::"shop/orders/v2" }"#, true),
    // The policy may apply all the same.
    (r#"when { resource in Path::"shop/orders/v2" || context.http.path == "/" }"#, true),
    (r#"when { resource in Path::"shop/orders/v2" || principal in Group::"pci" }"#, true),
    (r#"when { !(resource in Path::"shop/orders/v2") }"#, true),
    (r#"unless { resource in Path::"shop/orders/v2" }"#, true),
    (r#"when { principal != Workload::"spiffe://cluster.local/ns/web/sa/other" }"#, true),
];

#[test]
fn a_test_at_the_head_of_a_condition_spares_the_calls_it_is_false_for() {
    for (condition, is_candidate) in HEADS {
        let snapshot = load(&[(*condition).to_owned()]).unwrap_or_else(|| panic!("{condition} does not load"));
        let query = query(&snapshot, &frontend(), &call().service("shop/orders").0);
        decide(&snapshot, &mut query.clone(), &Facts::default()).unwrap();
        // The policy is there twice, in the mesh and in the namespace.
        assert_eq!(snapshot.engine().stats().candidates.sum(), 2 * u64::from(*is_candidate), "{condition}");
    }
}

/// The others make the postings of principals and actions longer, so that those of resources are walked.
#[test]
fn a_policy_found_by_two_of_its_tests_is_evaluated_once() {
    let twice =
        r#"when { resource in [Path::"shop/orders/v2", Path::"shop/orders/v1", Path::"shop/orders/v1/orders"] }"#;
    let other = r#"when { resource in Path::"shop/orders/v2" }"#;
    let conditions: Vec<String> = std::iter::once(twice).chain([other; 12]).map(str::to_owned).collect();
    let snapshot = load(&conditions).unwrap();
    let query = query(&snapshot, &frontend(), &call().service("shop/orders").path("/v1/orders/42").0);
    decide(&snapshot, &mut query.clone(), &Facts::default()).unwrap();
    assert_eq!(snapshot.engine().stats().candidates.sum(), 2, "once in the mesh and once in the namespace");
}
