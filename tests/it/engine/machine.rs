//! A tree that is edited step by step, its snapshots sharing one memory: after every step, and still for a call that
//! began before it, the engine says what plain Cedar says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use picket::decision::Snapshot;
use picket::decision::snapshot::Namespace;
use picket::decision::snapshot::applicable_bundles;
use proptest::prelude::*;
use proptest::sample::Index;

use super::assert_same;
use super::drawn::{Drawn, FACTS, pairs, policies, policy, query};
use crate::props::holds;
use crate::support::{CATALOG, tree};

/// Files that hold policies: path, and what its policies' ids begin with.
const FILES: [(&str, &str); 5] = [
    ("mesh/enforced.cedar", "m"),
    ("mesh/shadow.cedar", "s"),
    ("namespaces/shop/a.cedar", "a"),
    ("namespaces/shop/b.cedar", "b"),
    ("namespaces/pay/a.cedar", "p"),
];

/// Groups that the platform may declare, by a catalogue and by entities. Every group that a policy names is in one of
/// them.
const KNOWN: [(&str, &str); 4] = [
    ("groups: [storefront]}", "[]"),
    ("groups: [storefront], facts: {team: a}}", "[]"),
    ("facts: {team: b}}\n  - {id: 'spiffe://cluster.local/ns/web/sa/other', groups: [storefront]}", "[]"),
    (
        "groups: [storefront]}",
        r#"[{"uid": {"type": "Service", "id": "pay/billing"}, "attrs": {}, "parents": [{"type": "Group", "id": "pci"}]}]"#,
    ),
];

#[derive(Debug, Clone)]
enum Step {
    /// A policy is added.
    Add(usize, Drawn),
    /// One policy replaces another, under the same name.
    Replace(usize, Index, Drawn),
    /// A policy is taken out.
    Remove(usize, Index),
    /// A file is written again.
    Write(usize, Vec<Drawn>),
    /// A file is deleted.
    Delete(usize),
    /// A file does not parse until it is written again: its unit stays as it was.
    Spoil(usize),
    /// The catalogue or the entities change.
    Know(usize),
    /// A call begins now, and ends after all other steps.
    Begin,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let file = || 0..FILES.len();
    let step = prop_oneof![
        4 => (file(), policy()).prop_map(|(file, drawn)| Step::Add(file, drawn)),
        4 => (file(), any::<Index>(), policy()).prop_map(|(file, at, drawn)| Step::Replace(file, at, drawn)),
        2 => (file(), any::<Index>()).prop_map(|(file, at)| Step::Remove(file, at)),
        2 => (file(), policies(4)).prop_map(|(file, drawn)| Step::Write(file, drawn)),
        1 => file().prop_map(Step::Delete),
        1 => file().prop_map(Step::Spoil),
        3 => (0..KNOWN.len()).prop_map(Step::Know),
        1 => Just(Step::Begin),
    ];
    proptest::collection::vec(step, 4..14)
}

/// The tree as its operator sees it.
#[derive(Default)]
struct World {
    files: BTreeMap<usize, BTreeMap<usize, Drawn>>,
    spoilt: Vec<usize>,
    known: usize,
    /// A name is not used for another policy unless the step says so.
    named: usize,
}

impl World {
    fn apply(&mut self, step: &Step) {
        let at = |file: &BTreeMap<usize, Drawn>, index: &Index| {
            (!file.is_empty()).then(|| *file.keys().nth(index.index(file.len())).unwrap())
        };
        match step {
            Step::Add(file, drawn) => {
                self.named += 1;
                self.files.entry(*file).or_default().insert(self.named, drawn.clone());
            }
            Step::Replace(file, index, drawn) => {
                let file = self.files.entry(*file).or_default();
                at(file, index).map(|name| file.insert(name, drawn.clone()));
            }
            Step::Remove(file, index) => {
                let file = self.files.entry(*file).or_default();
                at(file, index).map(|name| file.remove(&name));
            }
            Step::Write(file, drawn) => {
                self.spoilt.retain(|spoilt| spoilt != file);
                // The names of before, for other policies.
                self.files.insert(*file, drawn.iter().cloned().enumerate().collect());
            }
            Step::Delete(file) => {
                self.spoilt.retain(|spoilt| spoilt != file);
                self.files.remove(file);
            }
            Step::Spoil(file) => self.spoilt.push(*file),
            Step::Know(known) => self.known = *known,
            Step::Begin => {}
        }
    }

    fn load(&self, previous: Option<&Arc<Snapshot>>) -> Arc<Snapshot> {
        let (workload, entities) = KNOWN[self.known];
        let catalog = CATALOG.replace("groups: [storefront]}", workload);
        let shadow = if self.files.contains_key(&1) { "modes: {mesh/shadow.cedar: shadow}" } else { "" };
        let mut files = vec![FACTS, ("catalog.yaml", &catalog), ("entities.json", entities), ("manifest.yaml", shadow)];
        let texts: Vec<(usize, String)> = self.files.keys().map(|file| (*file, self.text(*file))).collect();
        files.extend(texts.iter().map(|(file, text)| (FILES[*file].0, text.as_str())));
        Snapshot::load(&tree(&files), previous).snapshot.expect("what is bad stays as it was")
    }

    fn text(&self, file: usize) -> String {
        if self.spoilt.contains(&file) {
            return "permit (".to_owned();
        }
        let (path, prefix) = FILES[file];
        let text: String =
            self.files[&file].iter().map(|(name, drawn)| drawn.text(&format!("{prefix}{name}"))).collect();
        if !path.starts_with("namespaces/pay/") {
            return text;
        }
        // A namespace's policies name its own services only.
        let route = r#"Route::"shop/orders/get-order""#;
        text.replace(route, r#"Service::"pay/billing""#)
            .replace("shop/orders", "pay/billing")
            .replace(r#"::"shop""#, r#"::"pay""#)
    }
}

fn compare(snapshot: &Snapshot, offset: usize) {
    // Twice, so that the second answer comes from memory where it may.
    for (identity, call) in [pairs(offset, 13), pairs(offset, 13)].concat() {
        let query = query(snapshot, &identity, &call);
        match snapshot.namespace(&query.namespace) {
            // Spoilt before it ever loaded.
            Some(Namespace::Invalid) => assert!(applicable_bundles(snapshot, &query.namespace).is_err()),
            Some(Namespace::Loaded(_)) | None => assert_same(snapshot, &query).unwrap(),
        }
    }
}

#[test]
fn no_history_of_edits_makes_the_engine_differ_from_plain_cedar() {
    let remembered = std::cell::Cell::new(0);
    holds(12, (steps(), 0..13_usize), |(steps, offset)| {
        let (mut world, mut begun) = (World::default(), Vec::new());
        let mut snapshot = world.load(None);
        for (number, step) in steps.iter().enumerate() {
            world.apply(step);
            let next = world.load(Some(&snapshot));
            let before = std::mem::replace(&mut snapshot, next);
            compare(&snapshot, (offset + number) % 13);
            if matches!(step, Step::Begin) {
                begun.push(before);
            }
        }
        begun.iter().for_each(|snapshot| compare(snapshot, offset));
        remembered.set(remembered.get() + snapshot.engine().stats().decision_hits.load(Ordering::Relaxed));
    });
    assert!(remembered.get() > 0, "nothing was ever answered from memory, so nothing is shown");
}
