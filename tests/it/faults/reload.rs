//! Reloads under load, and updates that must change nothing. The source is in memory; files are in `files`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use picket::check::Profile;
use picket::decision::Snapshot;
use picket::decision::snapshot::{Loaded, Tree};
use picket::policy::Loader;
use picket::policy::status::LoadOutcome;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::harness::direct::Direct;
use crate::harness::{FORBID_ALL, PERMIT_ALL, Said, orders, said};
use crate::support::tree;

const SHOP: &str = "namespaces/shop/a.cedar";
const MESH: &str = "mesh/stop.cedar";
const STOP: &str = r#"@id("stop") forbid (principal, action in Action::"any", resource);"#;
/// Trees with their answer to [`orders`]: open, shut by the namespace, shut by the mesh.
const TREES: [(&[(&str, &str)], &str); 3] = [
    (&[(SHOP, PERMIT_ALL), (MESH, "")], "policy_permit"),
    (&[(SHOP, FORBID_ALL), (MESH, "")], "no_permit"),
    (&[(SHOP, PERMIT_ALL), (MESH, STOP)], "policy_forbid"),
];

type Digests = serde_json::Map<String, serde_json::Value>;

/// The digests that an answer about `shop` names if this tree was active.
fn digests(tree: &Tree) -> Digests {
    let snapshot = Snapshot::load(tree, None).snapshot.unwrap();
    let named = snapshot.digests().iter().filter(|(unit, _)| ["mesh", "shop"].contains(&unit.as_str()));
    named.map(|(unit, digest)| (unit.clone(), digest.as_str().into())).collect()
}

/// Loads every 20th time; else gives a snapshot again that it made of the same tree before. A load takes some 40 ms in
/// a debug build, and it is the exchange that is under test.
fn loader() -> Loader {
    let (made, loads) = (Mutex::new(Vec::<(Tree, Arc<Snapshot>)>::new()), AtomicU64::new(0));
    Arc::new(move |tree, base| {
        let mut made = made.lock().unwrap();
        let known = made.iter().find(|(known, _)| known == tree).map(|(_, snapshot)| snapshot.clone());
        if let (Some(snapshot), false) = (known, loads.fetch_add(1, Ordering::Relaxed).is_multiple_of(20)) {
            return Loaded { snapshot: Some(snapshot), ..Loaded::default() };
        }
        let loaded = Snapshot::load_on(tree, base);
        made.retain(|(known, _)| known != tree);
        made.push((tree.clone(), loaded.snapshot.clone().unwrap()));
        loaded
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_reloads_under_load_never_mix_two_snapshots() {
    let trees = TREES.map(|(files, reason)| (tree(files), reason));
    let expected: Arc<Vec<(Digests, &str)>> =
        Arc::new(trees.iter().map(|(tree, reason)| (digests(tree), *reason)).collect());
    let direct = Arc::new(Direct::loading(trees[0].0.clone(), Profile::default(), loader()).await);
    let (stop, asked) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
    let mut callers = JoinSet::new();
    for _ in 0..3 {
        let (direct, stop, asked, expected) = (direct.clone(), stop.clone(), asked.clone(), expected.clone());
        callers.spawn(async move {
            let mut answers: BTreeMap<String, u64> = BTreeMap::new();
            while !stop.is_cancelled() {
                let said = said(&direct.ask(orders().0).await);
                let known = expected.iter().find(|(digests, _)| *digests == said.digests);
                let (_, reason) = known.expect("the answer names a snapshot that never was");
                assert_eq!(said.reason, *reason, "the answer is not that of the snapshot it names");
                *answers.entry(said.reason).or_default() += 1;
                asked.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
            answers
        });
    }
    for round in 1..=1000_usize {
        let next = if round % 25 == 0 { 2 } else { round % 2 };
        direct.source.give(trees[next].0.clone());
        let outcome = direct.store.load_now().await;
        assert_ne!(outcome, LoadOutcome::Refused, "round {round}");
        // Every snapshot is met by some call, however slow the machine.
        let before = asked.load(Ordering::Relaxed);
        while round % 10 == 0 && asked.load(Ordering::Relaxed) < before + 3 && !callers.is_empty() {
            tokio::task::yield_now().await;
        }
    }
    stop.cancel();
    let mut reasons = std::collections::BTreeSet::new();
    while let Some(answers) = callers.join_next().await {
        reasons.extend(answers.unwrap().into_keys());
    }
    assert_eq!(reasons.len(), TREES.len(), "some snapshot was never asked: {reasons:?}");
}

async fn ask(direct: &Direct, service: &str) -> Said {
    said(&direct.ask(orders().service(service).0).await)
}

/// The tree that is in force while the bad ones come.
const GOOD: &[(&str, &str)] = &[
    (SHOP, PERMIT_ALL),
    ("namespaces/pay/a.cedar", PERMIT_ALL),
    (
        "mesh/guard.cedar",
        r#"@id("guard") forbid (principal, action in Action::"any", resource in Service::"pay/billing");"#,
    ),
];

/// Every policy file cut at every 7th byte. (YAML without its last entries may be whole; that is what link swaps
/// are for.)
fn half_written() -> Vec<Tree> {
    let mut trees = Vec::new();
    for (path, text) in GOOD {
        for end in (1..text.len() - 1).step_by(7) {
            let mut cut = tree(GOOD);
            cut.files.insert((*path).to_owned(), text[..end].into());
            trees.push(cut);
        }
    }
    trees
}

fn spoilt() -> Vec<Tree> {
    let bad: [(&str, &str); 15] = [
        (SHOP, "permit ("),
        (SHOP, r#"permit (principal, action == Action::"GETT", resource);"#),
        (SHOP, r#"permit (principal, action == Action::"GET", resource in Service::"pay/billing");"#),
        (SHOP, "\u{0}"),
        ("mesh/guard.cedar", "forbid (principal"),
        ("mesh/guard.cedar", r#"permit (principal, action == Action::"GET", resource in Service::"pay/bill");"#),
        ("mesh/other.cedar", r#"@nothing forbid (principal, action, resource);"#),
        ("mesh/stray.txt", "x"),
        ("catalog.yaml", "services: {"),
        ("catalog.yaml", "services: [{id: nonsense}]"),
        ("facts.cedarschema", "type WorkloadFacts = {"),
        ("schema.cedarschema", "entity A;"),
        ("manifest.yaml", "modes: {mesh/none.cedar: shadow}"),
        ("entities.json", "[{"),
        ("detectors.yaml", "detectors: {incident: {patern: x}}"),
    ];
    let with = |(path, text): &(&str, &str)| {
        let mut tree = tree(GOOD);
        tree.files.insert((*path).to_owned(), (*text).into());
        tree
    };
    bad.iter().map(with).collect()
}

/// Parts that are gone, without a manifest that says so.
fn vanished() -> Vec<Tree> {
    let without = |gone: &str| {
        let mut tree = tree(GOOD);
        tree.files.retain(|path, _| !path.starts_with(gone));
        tree.folders.retain(|folder| !folder.starts_with(gone));
        tree
    };
    vec![without("mesh"), without("namespaces/shop"), without("namespaces/pay"), without("namespaces"), Tree::default()]
}

#[tokio::test]
async fn bad_half_written_and_vanished_trees_change_nothing() {
    let direct = Direct::new(GOOD).await;
    let before = [ask(&direct, "shop/orders").await, ask(&direct, "pay/billing").await];
    assert_eq!([before[0].reason.as_str(), before[1].reason.as_str()], ["policy_permit", "policy_forbid"]);
    let bad: Vec<Tree> = half_written().into_iter().chain(spoilt()).chain(vanished()).collect();
    assert!(bad.len() >= 50, "only {} bad trees", bad.len());
    for tree in bad {
        direct.source.give(tree.clone());
        assert_eq!(direct.store.load_now().await, LoadOutcome::Refused, "was accepted: {tree:?}");
        assert!(!direct.store.status().is_current());
        let after = [ask(&direct, "shop/orders").await, ask(&direct, "pay/billing").await];
        assert_eq!(after, before, "changed by {tree:?}");
        direct.source.vanish();
        assert_eq!(direct.store.load_now().await, LoadOutcome::Refused);
    }
    assert_eq!([ask(&direct, "shop/orders").await, ask(&direct, "pay/billing").await], before);
    let repaired: Vec<_> = GOOD.iter().copied().chain([(MESH, STOP)]).collect();
    direct.source.give(tree(&repaired));
    assert_eq!(direct.store.load_now().await, LoadOutcome::Ok);
    assert_eq!(ask(&direct, "shop/orders").await.reason, "policy_forbid");
}

#[tokio::test]
async fn a_bad_namespace_does_not_hold_up_a_mesh_forbid() {
    let direct = Direct::new(&[(SHOP, PERMIT_ALL), ("namespaces/pay/a.cedar", PERMIT_ALL)]).await;
    assert_eq!(ask(&direct, "pay/billing").await.status, 200);
    direct.source.give(tree(&[(SHOP, "permit ("), GOOD[1], GOOD[2]]));
    assert_eq!(direct.store.load_now().await, LoadOutcome::Refused);
    assert_eq!(ask(&direct, "pay/billing").await.reason, "policy_forbid");
    assert_eq!(ask(&direct, "shop/orders").await.reason, "policy_permit");
}

#[tokio::test]
async fn with_no_policies_at_all_every_call_is_denied() {
    let direct = Direct::with(Tree::default(), Profile::default()).await;
    assert_eq!(ask(&direct, "shop/orders").await.reason, "unmapped");
    direct.source.vanish();
    direct.store.load_now().await;
    assert_ne!(ask(&direct, "shop/orders").await.status, 200);
}
