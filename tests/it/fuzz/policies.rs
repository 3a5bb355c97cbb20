//! Policies and calls made of bytes: the engine finds the same results as plain Cedar, for any policy.
//!
//! The conditions come from a grammar over everything that the schema lets a policy read, so they contain unforeseen
//! forms. A policy that the loader rejects shows nothing. An input is kept if its result is new: the forms in it, how
//! much was found, and whether the cache took part.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use picket::decision::Snapshot;
use picket::decision::engine::evaluate::Satisfied;
use picket::decision::policy::mode::Mode;
use picket::decision::snapshot::applicable_bundles;
use picket::query::Query;

use super::grammar::Grammar;
use super::mutate::{Mutator, Random};
use super::{BYTES_MAX, Run, number, root, seed};
use crate::engine::drawn::{FACTS, pairs, query};
use crate::engine::{assert_same, engine};
use crate::oracle;
use crate::support::tree;

/// Inputs of a run without `FUZZ_SECONDS`.
const INPUTS: u64 = 60;
/// Queries of one input.
const QUERIES: usize = 6;

struct Judged {
    snapshot: Option<Arc<Snapshot>>,
    trails: BTreeSet<String>,
    accepted: u64,
    allows: u64,
}

impl Judged {
    /// Tries an input and says whether what it led to is new. Panics where the engine differs from plain Cedar.
    fn try_input(&mut self, input: &[u8]) -> bool {
        let mut grammar = Grammar::new(input);
        let (mesh, shop) = (grammar.policies("m"), grammar.policies("s"));
        let files = [FACTS, ("mesh/a.cedar", mesh.as_str()), ("namespaces/shop/a.cedar", shop.as_str())];
        let loaded = Snapshot::load(&tree(&files), self.snapshot.as_ref());
        if !loaded.refused.is_empty() {
            return false;
        }
        self.accepted += 1;
        let snapshot = loaded.snapshot.unwrap();
        let mut trail: BTreeSet<String> = grammar.forms().map(str::to_owned).collect();
        let pairs = pairs(0, 1);
        for _ in 0..QUERIES {
            let (identity, call) = &pairs[grammar.number(pairs.len())];
            let query = query(&snapshot, identity, call);
            trail.insert(self.judge(&snapshot, &query, &format!("{mesh}{shop}")));
        }
        self.snapshot = Some(snapshot);
        self.trails.insert(trail.into_iter().collect())
    }

    /// Evaluates twice, so that the second answer comes from the cache if it may.
    fn judge(&mut self, snapshot: &Snapshot, query: &Query, policies: &str) -> String {
        let told = |error| panic!("{error}\nfor {query:?}\nand {policies}");
        assert_same(snapshot, query).unwrap_or_else(told);
        assert_same(snapshot, query).unwrap_or_else(told);
        let found = engine(snapshot, query, Mode::Enforce);
        // The oracle comes to Cedar by JSON and checks every type: not even the inputs are shared.
        let allows = !found.permits.is_empty() && found.forbids.is_empty() && found.forbid_errors.is_empty();
        assert_eq!(oracle::word(snapshot, query).is_allow(), allows, "{found:?}\nfor {query:?}\nand {policies}");
        self.allows += u64::from(allows);
        let stats = snapshot.engine().stats();
        let remembered = stats.decision_hits.load(Relaxed) > 0;
        format!("{} {remembered} {}", shape(&found), applicable_bundles(snapshot, &query.namespace).unwrap().len())
    }
}

fn shape(found: &Satisfied) -> String {
    let Satisfied { permits, forbids, permit_errors, forbid_errors } = found;
    format!("{} {} {} {}", permits.len(), forbids.len(), permit_errors.len(), forbid_errors.len())
}

/// Inputs that earlier runs kept.
fn corpus() -> Vec<Vec<u8>> {
    let mut paths: Vec<_> =
        std::fs::read_dir(root("tests/fuzz/policies")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn no_policies_made_of_bytes_tell_the_engine_from_plain_cedar() {
    let seed = seed();
    println!("FUZZ_SEED={seed}");
    let mut judged = Judged { snapshot: None, trails: BTreeSet::new(), accepted: 0, allows: 0 };
    let mut pool = corpus();
    let mut mutator = Mutator::new(Random::new(seed), BYTES_MAX);
    let keep = std::env::var_os("FUZZ_KEEP").is_some();
    for input in pool.clone() {
        super::kept_if_it_fails("policies", seed, &input, || judged.try_input(&input));
    }
    let mut run = Run::new(number("FUZZ_SECONDS"), INPUTS);
    while run.goes_on() {
        let input = mutator.blind(&pool);
        if super::kept_if_it_fails("policies", seed, &input, || judged.try_input(&input)) {
            if keep {
                let path = root("tests/fuzz/policies").join(format!("{seed:016x}-{}.bin", run.inputs));
                std::fs::write(path, &input).unwrap();
            }
            pool.push(input);
        }
    }
    println!("{} inputs, {} accepted, {} different trails", run.inputs, judged.accepted, judged.trails.len());
    assert!(judged.accepted * 3 > run.inputs, "the grammar makes too few policies that load");
    assert!(judged.allows > 0, "nothing was allowed, so nothing is shown");
}
