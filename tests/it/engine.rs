//! The engine against its specification: plain Cedar over every policy, with everything that is known.
//!
//! Compared are always three sets: satisfied permits, satisfied forbids, and policies that failed. `machine` edits a tree
//! step by step, `metamorphic` says it in other words, `footprint` varies what is not read, `accesses` and `collected`
//! compare what is collected with what is evaluated, `lead` draws conditions that are indexed as scopes are, `could`
//! compares verdicts with what was said to be possible, `typed` gives tools actions of their own.

mod accesses;
mod collected;
mod could;
pub(crate) mod drawn;
mod footprint;
mod lead;
mod machine;
mod metamorphic;
mod typed;

use std::sync::Arc;

use picket::call::Call;
use picket::decision::Snapshot;
use picket::decision::engine::evaluate::Satisfied;
use picket::decision::policy::mode::Mode;
use picket::decision::reference::reference;
use picket::decision::snapshot::judging;
use picket::identity::Identity;
use picket::query::{Query, Uid};
use proptest::prelude::*;

use crate::support::{call, frontend, problems, tree, workload};
use drawn::{Drawn, FACTS, pairs, policies, query, text};

/// Policies split over the mesh and namespace `shop`, enforced and shadow.
fn load(mesh: &[Drawn], shop: &[Drawn], previous: Option<&Arc<Snapshot>>) -> Arc<Snapshot> {
    let (enforced, shadow) = mesh.split_at(mesh.len() / 2);
    let files = [
        FACTS,
        ("mesh/enforced.cedar", &text("p", enforced)),
        ("mesh/shadow.cedar", &text("s", shadow)),
        ("namespaces/shop/a.cedar", &text("p", shop)),
        ("manifest.yaml", "modes: {mesh/shadow.cedar: shadow}"),
    ];
    let loaded = Snapshot::load(&tree(&files), previous);
    assert!(loaded.refused.is_empty(), "{}", problems(&loaded));
    loaded.snapshot.unwrap()
}

pub(crate) fn engine(snapshot: &Snapshot, query: &Query, mode: Mode) -> Satisfied {
    let units = judging(snapshot, &query.namespace).unwrap();
    snapshot.engine().remember_at_first_sight();
    Satisfied::clone(&snapshot.engine().find(&units, mode, query, snapshot.types()).unwrap())
}

fn failed(findings: &Satisfied) -> Vec<&String> {
    findings.permit_errors.keys().chain(findings.forbid_errors.keys()).collect()
}

pub(crate) fn assert_same(snapshot: &Snapshot, query: &Query) -> Result<(), TestCaseError> {
    for mode in [Mode::Enforce, Mode::Shadow] {
        let (fast, slow) = (engine(snapshot, query, mode), reference(snapshot, query, mode).unwrap());
        prop_assert_eq!(&fast.permits, &slow.permits, "{}", query.resource.uid);
        prop_assert_eq!(&fast.forbids, &slow.forbids, "{}", query.resource.uid);
        prop_assert_eq!(failed(&fast), failed(&slow), "{}", query.resource.uid);
    }
    Ok(())
}

fn everything(snapshot: &Snapshot, offset: usize) -> Result<(), TestCaseError> {
    for (identity, call) in pairs(offset, 4) {
        assert_same(snapshot, &query(snapshot, &identity, &call))?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    /// Every call twice, so that the second one comes from memory.
    #[test]
    fn the_engine_finds_what_plain_cedar_finds(mesh in policies(12), shop in policies(12), at in 0..4_usize) {
        let snapshot = load(&mesh, &shop, None);
        everything(&snapshot, at)?;
        everything(&snapshot, at)?;
    }

    /// The memory is shared by the versions; none may answer for another.
    #[test]
    fn an_edit_is_never_answered_from_the_memory_of_the_version_before(
        mesh in policies(6), shop in policies(6), next_shop in policies(6), next_mesh in policies(6),
        at in 0..4_usize
    ) {
        let first = load(&mesh, &shop, None);
        everything(&first, at)?;
        let second = load(&mesh, &next_shop, Some(&first));
        everything(&second, at)?;
        let third = load(&next_mesh, &next_shop, Some(&second));
        everything(&third, at)?;
        everything(&first, at)?;
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
    assert_eq!(engine(&snapshot, &now, Mode::Enforce).permits.len(), 1);
    assert_eq!((skips(), snapshot.engine().stats().decision_misses.load(std::sync::atomic::Ordering::Relaxed)), (1, 0));
    assert_eq!(engine(&snapshot, &later, Mode::Enforce).permits.len(), 0);
}

/// Each condition as the only policy, so that a part of the key that is missing shows at once: calls that differ in that
/// part only would share an answer.
#[test]
fn a_condition_alone_is_answered_for_every_call_as_plain_cedar_answers() {
    for condition in drawn::CONDITIONS {
        let policy =
            format!(r#"@id("one") permit (principal, action in Action::"any", resource is Path) {condition};"#);
        let snapshot = Snapshot::load(&tree(&[FACTS, ("mesh/a.cedar", &policy)]), None).snapshot.unwrap();
        for (identity, call) in pairs(0, 2) {
            assert_same(&snapshot, &query(&snapshot, &identity, &call)).unwrap();
        }
    }
}

/// The policies of `noise` make every other posting longer, so that the part in question is tested and not looked up; they are
/// more than the index compares without looking for fewer.
#[test]
fn a_call_out_of_scope_never_gets_the_answer_of_one_in_scope() {
    let one = r#"@id("one") permit (principal == Workload::"spiffe://cluster.local/ns/web/sa/frontend",
        action == Action::"GET", resource == Path::"shop/orders/x");"#;
    let noise = |id: usize| {
        let who = r#"principal == Workload::"spiffe://cluster.local/ns/shop/sa/orders""#;
        format!(r#"@id("noise{id}") permit ({who}, action in Action::"any", resource == Path::"shop/orders/y");"#)
    };
    let text: String = std::iter::once(one.to_owned()).chain((0..9).map(noise)).collect();
    let snapshot = Snapshot::load(&tree(&[("namespaces/shop/a.cedar", &text)]), None).snapshot.unwrap();
    let found = |caller: Identity, path: &str| {
        let query = query(&snapshot, &caller, &call().service("shop/orders").path(path).0);
        engine(&snapshot, &query, Mode::Enforce).permits.len()
    };
    assert_eq!(found(frontend(), "/x"), 1);
    assert_eq!(found(workload("spiffe://cluster.local/ns/shop/sa/orders"), "/x"), 0, "another caller");
    assert_eq!(found(frontend(), "/y"), 0, "another path");
}

/// Seventy policies are candidates of each caller, more than a key lists. Which of them are satisfied hangs on nothing that
/// a condition reaches, so only the selection tells the two apart.
#[test]
fn selections_of_very_many_policies_never_answer_for_each_other() {
    let callers =
        [("web", "spiffe://cluster.local/ns/web/sa/frontend"), ("shop", "spiffe://cluster.local/ns/shop/sa/orders")];
    let many = |(name, id): (&str, &str)| -> String {
        let scope = format!("principal == Workload::\"{id}\", action == Action::\"GET\", resource");
        let when = "when { context.http.method == \"GET\" }";
        (0..70).map(|number| format!("@id(\"{name}{number}\") permit ({scope}) {when};")).collect()
    };
    let text: String = callers.into_iter().map(many).collect();
    let snapshot = Snapshot::load(&tree(&[("namespaces/shop/a.cedar", &text)]), None).snapshot.unwrap();
    for (_, id) in callers {
        let query = query(&snapshot, &workload(id), &call().service("shop/orders").0);
        assert_same(&snapshot, &query).unwrap();
        assert_same(&snapshot, &query).unwrap();
    }
    let hits = snapshot.engine().stats().decision_hits.load(std::sync::atomic::Ordering::Relaxed);
    assert!(hits >= 2, "what very many policies decide is remembered: {hits}");
}

/// The bound on remembered decisions is a bound on weights. A node of a set of strings takes 280 bytes, however few it holds.
#[test]
fn findings_weigh_what_they_take() {
    for (count, nodes) in [(0, 0), (1, 1), (11, 1), (100, 12)] {
        let ids = (0..count).map(|number| format!("shop/policy{number:03}"));
        let findings = Satisfied { permits: ids.collect(), ..Satisfied::default() };
        let counted = size_of::<Satisfied>() + 16 + nodes * 280 + count * ("shop/policy000".len() + 8);
        assert!(
            (counted..2 * counted + 100).contains(&findings.bytes()),
            "{count}: {} by weight, {counted} counted",
            findings.bytes()
        );
    }
}

/// It may come from the stack of the moment.
#[test]
fn a_failure_is_not_remembered() {
    let policy = r#"@id("broken") forbid (principal, action == Action::"GET", resource)
        when { 9223372036854775807 + (if context.http.path == "/" then 1 else 0) < 0 };"#;
    let snapshot = Snapshot::load(&tree(&[("namespaces/shop/a.cedar", policy)]), None).snapshot.unwrap();
    let orders = query(&snapshot, &frontend(), &call().service("shop/orders").0);
    for _ in 0..2 {
        assert_eq!(engine(&snapshot, &orders, Mode::Enforce).forbid_errors.len(), 1);
    }
    let stats = snapshot.engine().stats();
    let counted = [&stats.decision_hits, &stats.decision_misses, &stats.decision_skips];
    assert_eq!(counted.map(|count| count.load(std::sync::atomic::Ordering::Relaxed)), [0, 0, 2]);
}

/// What a selection says alone is found without evaluating: scopes, and confinement.
#[test]
fn a_policy_without_conditions_is_found_where_its_scope_and_its_namespace_say_so() {
    let text = r#"@id("all") permit (principal, action in Action::"any", resource in Group::"pci");
        @id("get") forbid (principal, action == Action::"GET", resource) unless { context.http.headers.hasTag("x-a") };"#;
    let snapshot = Snapshot::load(&tree(&[("namespaces/shop/a.cedar", text)]), None).snapshot.unwrap();
    let mut inside = query(&snapshot, &frontend(), &call().service("shop/orders").header("x-a", "1").0);
    inside.resource.ancestors.insert(Uid::new("Group", "pci"));
    assert_same(&snapshot, &inside).unwrap();
    assert_eq!(engine(&snapshot, &inside, Mode::Enforce).permits.len(), 1);
    // Nobody asks a namespace's policies about another's resource; if somebody did, they would have no say.
    let mut outside = inside.clone();
    let home = Uid::new("Namespace", "shop");
    assert!(outside.resource.ancestors.contains(&home));
    outside.resource.ancestors = inside.resource.ancestors.iter().filter(|uid| **uid != home).cloned().collect();
    outside.bags.iter_mut().for_each(|bag| bag.tags.clear());
    assert_same(&snapshot, &outside).unwrap();
    assert_eq!(engine(&snapshot, &outside, Mode::Enforce), Satisfied::default());
}

#[test]
fn a_decision_is_remembered_when_it_is_made_again_and_not_before() {
    let policy = r#"@id("a") permit (principal, action == Action::"GET", resource in Service::"shop/orders")
        when { context.http.headers.hasTag("x-a") };"#;
    let snapshot = Snapshot::load(&tree(&[("namespaces/shop/a.cedar", policy)]), None).snapshot.unwrap();
    let query = query(&snapshot, &frontend(), &call().service("shop/orders").header("x-a", "1").0);
    let units = judging(&snapshot, &query.namespace).unwrap();
    let hits = [0, 0, 1, 2].map(|_| {
        let found = snapshot.engine().find(&units, Mode::Enforce, &query, snapshot.types()).unwrap();
        assert_eq!(found.permits.len(), 1);
        snapshot.engine().stats().decision_hits.load(std::sync::atomic::Ordering::Relaxed)
    });
    assert_eq!(hits, [0, 0, 1, 2]);
}

#[test]
fn equal_projections_are_answered_from_memory() {
    let policy = r#"@id("a") permit (principal, action == Action::"GET", resource in Service::"shop/orders")
        when { context.http.headers.hasTag("x-a") };"#;
    let snapshot = Snapshot::load(&tree(&[("namespaces/shop/a.cedar", policy)]), None).snapshot.unwrap();
    let hits = || snapshot.engine().stats().decision_hits.load(std::sync::atomic::Ordering::Relaxed);
    let ask = |call: Call| engine(&snapshot, &query(&snapshot, &frontend(), &call), Mode::Enforce);
    ask(call().service("shop/orders").path("/a").header("x-a", "1").0);
    let before = hits();
    ask(call().service("shop/orders").path("/b").header("x-a", "1").header("x-other", "2").0);
    assert_eq!(hits(), before + 1, "neither path nor x-other is reached");
    ask(call().service("shop/orders").path("/b").header("x-a", "2").0);
    assert_eq!(hits(), before + 1, "x-a is reached");
}
