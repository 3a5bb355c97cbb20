//! Obligations of permits in any files: the order in which a tree is read changes nothing.

use picket::decision::verdict::Effect;
use proptest::prelude::*;

use super::holds;
use crate::support::{call, frontend, judge, snapshot};

/// Obligations that agree, contradict each other or have no value in the call.
const OBLIGATIONS: [&str; 12] = [
    r#"@set_headers("x-a=1")"#,
    r#"@set_headers("x-a=2, x-b=1")"#,
    r#"@set_headers("x_b=1")"#,
    r#"@set_headers("x-sa=${principal.serviceAccount}")"#,
    r#"@response_headers("x-a=1") @log("full")"#,
    r#"@response_headers("x-a=2")"#,
    r#"@metadata("tier=core") @remove_query("tenant")"#,
    r#"@metadata("tier=edge")"#,
    r#"@set_query("tenant=a b") @remove_headers("x-d")"#,
    r#"@set_query("tenant=other")"#,
    r#"@remove_headers("x-a")"#,
    r#"@remove_headers("x-d") @remove_query("debug")"#,
];

/// The tree with each permit in a file of its own; `places` name the files.
fn effect(obligations: &[&str], places: &[usize]) -> Effect {
    let files = obligations.iter().zip(places).enumerate().map(|(number, (obligations, place))| {
        let permit = r#"permit (principal is Workload, action == Action::"GET", resource in Service::"shop/orders");"#;
        (format!("namespaces/shop/{place}.cedar"), format!(r#"@id("p{number}") {obligations} {permit}"#))
    });
    let files: Vec<(String, String)> = files.collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    judge(&snapshot(&files), &frontend(), &call().service("shop/orders").0).unwrap().effect
}

#[test]
fn the_order_of_files_changes_neither_the_mutations_nor_the_conflict() {
    let drawn = proptest::collection::vec(proptest::sample::select(OBLIGATIONS.to_vec()), 1..4);
    let placed = drawn.prop_flat_map(|obligations| {
        let places: Vec<usize> = (0..obligations.len()).collect();
        (Just(obligations), Just(places).prop_shuffle())
    });
    let (allows, denials) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    holds(60, placed, |(obligations, places)| {
        let in_order: Vec<usize> = (0..obligations.len()).collect();
        let effect_in_order = effect(&obligations, &in_order);
        assert_eq!(effect(&obligations, &places), effect_in_order);
        match effect_in_order {
            Effect::Allow(_) => allows.set(allows.get() + 1),
            Effect::Deny(_) | Effect::Challenge(..) => denials.set(denials.get() + 1),
        }
    });
    // Inputs that all conflict, or never do, would prove nothing.
    assert!(allows.get() > 0 && denials.get() > 0, "{} allows, {} denials", allows.get(), denials.get());
}
