//! The same policies in other words: another order, other files, other names, twice, or among others that are out of
//! scope. What is found stays the same, up to names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use picket::decision::Snapshot;
use picket::decision::engine::evaluate::Satisfied;
use picket::decision::policy::mode::Mode;
use proptest::prelude::*;

use super::drawn::{CONDITIONS, Drawn, FACTS, pairs, policies, query, text};
use super::engine;
use crate::support::{problems, tree};

/// A tree of namespace `shop`, from files of named policies.
fn load(files: &BTreeMap<String, String>) -> Arc<Snapshot> {
    let all: Vec<(&str, &str)> =
        files.iter().map(|(path, text)| (path.as_str(), text.as_str())).chain([FACTS]).collect();
    let loaded = Snapshot::load(&tree(&all), None);
    assert!(loaded.refused.is_empty(), "{}", problems(&loaded));
    loaded.snapshot.unwrap()
}

fn shop(file: &str, text: String) -> BTreeMap<String, String> {
    [(format!("namespaces/shop/{file}.cedar"), text)].into()
}

/// Permits, forbids and failures, each id as `name` has it; an id may have several names.
fn named(found: &Satisfied, name: impl Fn(&str) -> Vec<String>) -> [BTreeSet<String>; 4] {
    let all = |ids: Vec<&String>| ids.into_iter().flat_map(|id| name(id)).collect();
    [
        all(found.permits.iter().collect()),
        all(found.forbids.iter().collect()),
        all(found.permit_errors.keys().collect()),
        all(found.forbid_errors.keys().collect()),
    ]
}

/// Both trees answer every fifth pair equally, the first one's ids read as `name` has it.
fn alike(
    one: &Snapshot,
    other: &Snapshot,
    offset: usize,
    name: impl Fn(&str) -> Vec<String>,
) -> Result<(), TestCaseError> {
    for (identity, call) in pairs(offset, 5) {
        // Both snapshots have one catalogue, so a query of one is a query of the other.
        let query = query(one, &identity, &call);
        let [first, second] = [one, other].map(|snapshot| engine(snapshot, &query, Mode::Enforce));
        prop_assert_eq!(named(&first, &name), named(&second, |id| vec![id.to_owned()]), "{}", query.resource.uid);
    }
    Ok(())
}

fn same(id: &str) -> Vec<String> {
    vec![id.to_owned()]
}

fn number(id: &str) -> usize {
    id.trim_start_matches("shop/p").parse().unwrap()
}

/// Policies that no call of the tests is in the scope of, each left out by another part of it.
fn noise(count: usize, drawn: &Drawn) -> String {
    let out = [
        r#"principal == Workload::"spiffe://cluster.local/ns/web/sa/nobody", action in Action::"any", resource"#,
        r#"principal in Namespace::"agents", action in Action::"any", resource"#,
        r#"principal, action == Action::"PUT", resource"#,
        r#"principal, action in Action::"any", resource == Path::"shop/orders/noise""#,
        r#"principal, action in Action::"any", resource in Path::"shop/orders/v1/orders/42/noise""#,
        r#"principal, action in [Action::"DELETE", Action::"PATCH"], resource in Service::"shop/orders""#,
    ];
    // Some of the others contradict a scope above, which the loader would refuse.
    let of_the_call: Vec<&str> = CONDITIONS.iter().copied().filter(|text| text.contains("context.")).collect();
    let condition = of_the_call[drawn.condition % of_the_call.len()];
    let one = |number: usize| {
        let effect = if number.is_multiple_of(2) { "forbid" } else { "permit" };
        format!("@id(\"noise{number}\") {effect} ({}) {condition};\n", out[number % out.len()])
    };
    (0..count).map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn order_and_files_do_not_matter(
        shuffled in policies(12).prop_flat_map(|drawn| {
            let named: Vec<(usize, Drawn)> = drawn.into_iter().enumerate().collect();
            (Just(named.clone()), Just(named).prop_shuffle())
        }),
        files in 1..4_usize,
        at in 0..5_usize,
    ) {
        let (written, shuffled) = shuffled;
        let drawn: Vec<Drawn> = written.into_iter().map(|(_, drawn)| drawn).collect();
        let mut others = BTreeMap::new();
        for (place, (number, drawn)) in shuffled.iter().enumerate() {
            let file: &mut String = others.entry(format!("namespaces/shop/z{}.cedar", place % files)).or_default();
            file.push_str(&drawn.text(&format!("p{number}")));
        }
        alike(&load(&shop("a", text("p", &drawn))), &load(&others), at, same)?;
    }

    #[test]
    fn names_of_policies_and_files_do_not_matter(drawn in policies(12), at in 0..5_usize) {
        // Names in the opposite order, so that the policies sorted by name are in reverse order.
        let other = |id: &str| vec![format!("shop/r{:03}", 999 - number(id))];
        let renamed = drawn.iter().enumerate().map(|(n, drawn)| drawn.text(&format!("r{:03}", 999 - n))).collect();
        alike(&load(&shop("a", text("p", &drawn))), &load(&shop("other", renamed)), at, other)?;
    }

    #[test]
    fn a_policy_under_two_names_is_found_under_both(drawn in policies(10), at in 0..5_usize) {
        let twice = format!("{}{}", text("p", &drawn), text("copy", &drawn));
        let both = |id: &str| vec![id.to_owned(), format!("shop/copy{}", number(id))];
        alike(&load(&shop("a", text("p", &drawn))), &load(&shop("a", twice)), at, both)?;
    }

    /// With any condition, a policy with a false scope is neither satisfied nor fails.
    #[test]
    fn policies_out_of_scope_change_nothing(drawn in policies(8), others in 1..40_usize, at in 0..5_usize) {
        let mut files = shop("a", text("p", &drawn));
        let base = load(&files);
        files.extend(shop("noise", noise(others, &drawn[0])));
        // Another namespace's policies are always out of scope.
        files.insert("namespaces/pay/a.cedar".to_owned(), r#"forbid (principal, action in Action::"any", resource);"#.to_owned());
        let noisy = load(&files);
        for (identity, call) in pairs(at, 5).into_iter().filter(|(_, call)| call.extensions["service"] == "shop/orders") {
            let query = query(&base, &identity, &call);
            prop_assert_eq!(engine(&base, &query, Mode::Enforce), engine(&noisy, &query, Mode::Enforce));
        }
    }
}
