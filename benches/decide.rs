//! Cost of one decision: the engine over 1 to 100,000 policies of every shape, next to plain Cedar.
//!
//! `cargo bench --bench decide [-- PART…]` prints medians of one run and their ratios. Parts: `flat` (scope-selective
//! sets of all sizes and layouts), `plain` (against plain Cedar), `shapes` (hierarchies, and tests in `when`), `deep`
//! (paths of 32 segments, callers in 1,000 groups). `BENCH_POLICIES_MAX` bounds the sizes. Machines are shared and
//! noisy, so only the ratios of one run mean anything; the sets of a part take turns, round by round.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "a bench stops at the first surprise and reads the real clock"
)]

use std::hint::black_box;
use std::io::BufRead as _;
use std::time::Instant;

use picket::decision::policy::mode::Mode;
use picket::decision::reference::reference;
use picket::decision::{self, Snapshot};
use picket::query::{Facts, Query};
use serde_json::json;

#[path = "support/rows.rs"]
mod rows;
#[path = "support/sets.rs"]
mod sets;

use rows::row;
use sets::{Set, Shape};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A part's name, and what measures it over sets of at most so many policies.
type Part = (&'static str, fn(usize));

/// Rounds of every set; the median counts.
const ROUNDS: usize = 41;
/// Decisions of one round.
const BATCH: usize = 200;

/// Decides every query, which stays as it is: there are no facts to add.
#[inline(never)]
fn counted(snapshot: &Snapshot, queries: &mut [Query]) {
    let facts = Facts::default();
    for query in queries {
        drop(black_box(decision::decide(snapshot, query, &facts).unwrap()));
    }
}

/// Nanoseconds of one decision.
fn timed(snapshot: &Snapshot, queries: &mut [Query]) -> f64 {
    let begin = Instant::now();
    counted(snapshot, queries);
    begin.elapsed().as_nanos() as f64 / queries.len() as f64
}

/// Queries with new tenants, so that the cache cannot answer.
fn new(set: &Set, count: usize, round: usize) -> Vec<Query> {
    (0..count).map(|n| set.query(n % set.callers(), &format!("t{round}-{n}"))).collect()
}

fn known(set: &Set, count: usize) -> Vec<Query> {
    (0..count).map(|n| set.query(n % set.callers(), "warm")).collect()
}

/// Two rounds untimed: prepared sets, memory, and the processor's caches.
fn warm(set: &Set) {
    for _ in 0..2 {
        counted(&set.snapshot, &mut known(set, set.callers()));
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Median misses and hits of each set in nanoseconds; the sets take turns.
fn measure(sets: &[Set], batch: usize) -> Vec<(f64, f64)> {
    let mut times = vec![(Vec::new(), Vec::new()); sets.len()];
    sets.iter().for_each(warm);
    for round in 0..ROUNDS {
        for (set, (misses, hits)) in sets.iter().zip(&mut times) {
            misses.push(timed(&set.snapshot, &mut new(set, batch, round)));
            hits.push(timed(&set.snapshot, &mut known(set, batch)));
        }
    }
    times.into_iter().map(|(misses, hits)| (median(misses), median(hits))).collect()
}

/// Plain Cedar with the same inputs; a round is short where one decision is long.
fn plain(set: &Set) -> f64 {
    let batch = (20_000 / set.policies).clamp(1, 50);
    let queries = new(set, batch, usize::MAX);
    let one = || {
        let begin = Instant::now();
        for query in &queries {
            drop(black_box(reference(&set.snapshot, query, Mode::Enforce).unwrap()));
        }
        begin.elapsed().as_nanos() as f64 / batch as f64
    };
    median((0..21).map(|_| one()).collect())
}

fn loaded(shape: Shape, policies: usize, namespaces: usize) -> Set {
    let begin = Instant::now();
    let set = Set::load(shape, policies, namespaces);
    let load_ms = begin.elapsed().as_secs_f64() * 1e3;
    row(
        "load-time",
        json!({"shape": shape.name(), "policies": policies, "namespaces": namespaces, "load_ms": load_ms}),
    );
    set
}

/// Measures sets together; ratios are to the first.
fn compare(part: &str, sets: &[Set], batch: usize) -> Vec<(f64, f64)> {
    let figures = measure(sets, batch);
    let (miss_base, hit_base) = figures[0];
    for (set, (miss, hit)) in sets.iter().zip(&figures) {
        row(
            "decide",
            json!({"part": part, "shape": set.shape.name(), "policies": set.policies, "namespaces": set.namespaces,
                   "miss_ns": miss, "hit_ns": hit, "miss_base_ns": miss_base, "hit_base_ns": hit_base,
                   "miss_ratio": miss / miss_base, "hit_ratio": hit / hit_base}),
        );
    }
    figures
}

fn flat(most: usize) {
    let sizes = [(10, 1), (1, 1), (100, 1), (1_000, 1), (10_000, 1), (100_000, 1)];
    let spread = [(1_000, 10), (1_000, 100), (10_000, 1_000), (100_000, 1_000)];
    let wanted = sizes.into_iter().chain(spread).filter(|(policies, _)| *policies <= most);
    let sets: Vec<Set> = wanted.map(|(policies, namespaces)| loaded(Shape::Scope, policies, namespaces)).collect();
    compare("flat", &sets, BATCH);
}

fn against_plain(most: usize) {
    for policies in [1, 10, 100, 1_000, 10_000].into_iter().filter(|policies| *policies <= most) {
        let set = [loaded(Shape::Scope, policies, 1)];
        let (miss, hit) = measure(&set, BATCH)[0];
        let plain = plain(&set[0]);
        row(
            "plain",
            json!({"policies": policies, "miss_ns": miss, "hit_ns": hit, "plain_ns": plain,
                   "plain_to_miss": plain / miss, "plain_to_hit": plain / hit}),
        );
    }
}

fn shapes(most: usize) {
    for (shape, sizes, batch) in [
        (Shape::Groups, &[10, 100, 1_000, 10_000, 100_000][..], BATCH),
        (Shape::Prefixes, &[10, 100, 1_000, 10_000, 100_000], BATCH),
        (Shape::Head, &[10, 100, 1_000, 10_000, 100_000], BATCH),
        (Shape::When, &[10, 100, 1_000, 10_000], 2),
    ] {
        let sizes = sizes.iter().filter(|policies| **policies <= most);
        let sets: Vec<Set> = sizes.map(|policies| loaded(shape, *policies, 1)).collect();
        let figures = compare("shapes", &sets, batch);
        if shape == Shape::When {
            for (set, (miss, _)) in sets.iter().zip(figures) {
                let plain = plain(set);
                let row_ = json!({"policies": set.policies, "miss_ns": miss, "plain_ns": plain, "plain_to_miss": plain / miss});
                row("when", row_);
            }
        }
    }
}

fn deep(most: usize) {
    let policies = 10_000.min(most);
    for (base, shape) in [(Shape::Scope, Shape::Deep), (Shape::OneGroup, Shape::ManyGroups)] {
        compare("deep", &[loaded(base, policies, 1), loaded(shape, policies, 1)], BATCH);
    }
}

/// One hundred decisions of each mix, for `benches/instructions`: says `ready` before and `done` after each, and waits for a
/// line after each word. All mixes of one loaded set, since loading takes longest.
fn count(policies: usize, namespaces: usize, mixes: &[String]) {
    let set = Set::load(Shape::Scope, policies, namespaces);
    warm(&set);
    let callers = set.callers();
    let mut lines = std::io::stdin().lock().lines();
    let mut say = |word: &str| {
        println!("{word}");
        drop(lines.next().unwrap().unwrap());
    };
    for mix in mixes {
        let tenant = |n: usize| if mix == "hit" { "warm".to_owned() } else { format!("t{n}") };
        let mut queries: Vec<Query> = (0..100).map(|n| set.query(n % callers, &tenant(n))).collect();
        say("ready");
        counted_once(&set.snapshot, &mut queries);
        say("done");
    }
}

/// As [`counted`], for the runs that callgrind counts.
#[inline(never)]
fn counted_once(snapshot: &Snapshot, queries: &mut [Query]) {
    counted(snapshot, queries);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [flag, policies, namespaces, mixes @ ..] = arguments.as_slice()
        && flag == "--count"
    {
        count(policies.parse().unwrap(), namespaces.parse().unwrap(), mixes);
        return;
    }
    if arguments.iter().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let most = std::env::var_os("BENCH_POLICIES_MAX").map_or(100_000, |text| text.to_str().unwrap().parse().unwrap());
    let parts: [Part; 4] = [("flat", flat), ("plain", against_plain), ("shapes", shapes), ("deep", deep)];
    for (_, run) in parts.iter().filter(|(name, _)| arguments.is_empty() || arguments.iter().any(|a| a == name)) {
        run(most);
    }
}
