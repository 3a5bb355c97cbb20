//! What one decision costs: the engine over 10 to 100,000 policies, and beside it plain Cedar.
//!
//! `cargo bench --bench decide` prints medians of one run and their ratios. Machines are shared and noisy, so
//! only the ratios of one run mean anything.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench stops at the first surprise and reads the real clock"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use picket::body::Inside;
use picket::call::{Body, Call, CanonicalPath, Headers, Host, Peer, Target, UnixMillis};
use picket::decision::snapshot::Tree;
use picket::decision::{self, Snapshot};
use picket::identity::{Identity, Proof, SpiffeId, Workload};
use picket::mapping::{self, Place, action};
use picket::query::{Facts, Query, Uid};

fn snapshot(policies: usize, namespaces: usize) -> Arc<Snapshot> {
    loading(&tree(policies, namespaces))
}

/// Policies of one layout: scope-selective, one for each caller and path.
fn tree(policies: usize, namespaces: usize) -> Tree {
    let mut files: BTreeMap<String, Arc<str>> = BTreeMap::new();
    let mut catalog = String::from("services:\n");
    let each = policies.div_ceil(namespaces);
    for ns in 0..namespaces {
        catalog.push_str(&format!("  - {{id: ns{ns}/api, hosts: [api.ns{ns}]}}\n"));
        let mut text = String::new();
        for n in 0..each.min(policies - (ns * each).min(policies)) {
            text.push_str(&format!(
                "@id(\"p{n}\") permit (principal == Workload::\"spiffe://cluster.local/ns/web/sa/caller{n}\", \
                 action in Action::\"read\", resource in Path::\"ns{ns}/api/v1/items{n}\")\n\
                 when {{ context.http.headers.hasTag(\"x-tenant\") }};\n"
            ));
        }
        files.insert(format!("namespaces/ns{ns}/a.cedar"), text.into());
    }
    let guard = "@id(\"no-debug\") forbid (principal, action in Action::\"any\", resource is Path) \
                 when { context.http.headers.hasTag(\"x-debug\") };";
    files.insert("mesh/guard.cedar".to_owned(), guard.into());
    files.insert("catalog.yaml".to_owned(), catalog.into());
    let folders = files.keys().filter_map(|path| path.rsplit_once('/')).map(|(folder, _)| folder.to_owned()).collect();
    Tree { files, folders }
}

/// What is unusual about the calls of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    /// Paths of 32 segments.
    Deep,
    /// Callers in 1,000 groups.
    Groups,
}

fn call(number: usize, tenant: &str, form: Form) -> Call {
    let below = if form == Form::Deep { "/segment".repeat(29) } else { String::new() };
    let path = format!("/v1/items{number}/42{below}");
    let headers = [("x-tenant", tenant), ("user-agent", "bench/1.0"), ("accept", "application/json")];
    Call {
        peer: Peer::default(),
        method: "GET".into(),
        scheme: "https".into(),
        host: Host::parse("api.ns0").unwrap(),
        target: Target::Path { path: CanonicalPath::parse(&path).unwrap(), query: None },
        path_sent: path,
        upgrade: None,
        headers: Headers::raw(headers.map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec())).into()),
        body: Body::NotSent,
        extensions: [("service".to_owned(), "ns0/api".to_owned())].into(),
        verified_tokens: BTreeMap::new(),
        received_at: UnixMillis(1_795_392_000_000),
    }
}

fn query(snapshot: &Snapshot, number: usize, tenant: &str) -> Query {
    query_of(snapshot, number, tenant, Form::Plain)
}

fn query_of(snapshot: &Snapshot, number: usize, tenant: &str, form: Form) -> Query {
    let (settings, place) =
        (mapping::Settings::default(), Place { listener: "bench", home: "cluster.local", catalog: snapshot.catalog() });
    let call = call(number, tenant, form);
    let id = SpiffeId::parse(&format!("spiffe://cluster.local/ns/web/sa/caller{number}")).unwrap();
    let identity = Identity { workload: Some(Workload { id, proof: Proof::Mtls }), ..Identity::default() };
    let service = mapping::service(&call, &settings, snapshot.catalog(), place.home).unwrap();
    let asked = action::asked(&call, action::spoken(&call, &service, &settings).unwrap(), Inside::Nothing).unwrap();
    let mut query = mapping::query(&call, &identity, &service, &asked, snapshot.reads("ns0"), place).unwrap();
    if form == Form::Groups {
        query.principal.ancestors.extend((0..1000).map(|n| Uid::new("Group", format!("group-{n}"))));
    }
    query
}

/// Median nanoseconds of one call of `work`, over 31 batches.
fn median(batch: usize, mut work: impl FnMut(usize)) -> f64 {
    let mut times: Vec<f64> = (0..31)
        .map(|round| {
            let begin = Instant::now();
            for n in 0..batch {
                work(round * batch + n);
            }
            begin.elapsed().as_nanos() as f64 / batch as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// One hundred decisions, to be counted by callgrind with `--toggle-collect='*counted*'`.
#[inline(never)]
fn counted(snapshot: &Snapshot, queries: &mut [Query]) {
    let facts = Facts::default();
    for query in queries {
        drop(black_box(decision::decide(snapshot, query, &facts).unwrap()));
    }
}

/// `decide --count <policies> hit|miss [deep|groups]`: for `benches/instructions`.
fn count(policies: usize, mix: &str, form: Form) {
    let snapshot = snapshot(policies, 1);
    let callers = policies.min(16);
    let facts = Facts::default();
    let warm = |tenant: &str| {
        (0..callers).for_each(|n| drop(decision::decide(&snapshot, &mut query_of(&snapshot, n, tenant, form), &facts)))
    };
    warm("warm");
    warm("again");
    let tenant = |n: usize| if mix == "hit" { "warm".to_owned() } else { format!("t{n}") };
    let mut queries: Vec<Query> = (0..100).map(|n| query_of(&snapshot, n % callers, &tenant(n), form)).collect();
    counted(&snapshot, &mut queries);
}

/// Bytes in memory.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// `decide --load <policies> <namespaces>`: time and memory of one load, text included.
fn load(policies: usize, namespaces: usize) {
    let before = resident();
    let tree = tree(policies, namespaces);
    let begin = Instant::now();
    let snapshot = loading(&tree);
    let seconds = begin.elapsed().as_secs_f64();
    let peak = resident();
    println!(
        "{policies} policies in {namespaces} namespaces: {seconds:.2} s, {} bytes a policy",
        (peak - before) / policies
    );
    drop(snapshot);
}

/// To be counted by callgrind with `--toggle-collect='*loading*'`.
#[inline(never)]
fn loading(tree: &Tree) -> Arc<Snapshot> {
    let loaded = Snapshot::load(tree, None);
    assert!(loaded.refused.is_empty(), "{:?}", loaded.problems.first());
    loaded.snapshot.unwrap()
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--count") {
        let form = match arguments.get(at + 3).map(String::as_str) {
            Some("deep") => Form::Deep,
            Some("groups") => Form::Groups,
            _ => Form::Plain,
        };
        count(arguments[at + 1].parse().unwrap(), &arguments[at + 2], form);
        return;
    }
    if let Some(at) = arguments.iter().position(|argument| argument == "--load") {
        load(arguments[at + 1].parse().unwrap(), arguments[at + 2].parse().unwrap());
        return;
    }
    // `cargo test --benches` and `--list` pass flags; only a bare run measures.
    if std::env::args().any(|arg| arg == "--test" || arg == "--list") {
        return;
    }
    println!("policies  namespaces     load ms   miss ns    hit ns   plain ns   plain/miss");
    let mut base = None;
    for (policies, namespaces) in
        [(10, 1), (100, 1), (1_000, 1), (10_000, 1), (10_000, 1_000), (100_000, 1), (100_000, 1_000)]
    {
        let begin = Instant::now();
        let snapshot = snapshot(policies, namespaces);
        let load = begin.elapsed().as_secs_f64() * 1e3;
        let callers = policies.div_ceil(namespaces).min(64);
        let facts = Facts::default();
        let decide = |mut query: Query| black_box(decision::decide(&snapshot, &mut query, &facts).unwrap());
        // The tenant is reached by key only, but its value is not part of `hasTag`'s answer: vary the caller.
        let misses: Vec<Query> = (0..31 * 200).map(|n| query(&snapshot, n % callers, &format!("t{n}"))).collect();
        (0..callers).for_each(|n| drop(decide(query(&snapshot, n, "warm"))));
        let miss = median(200, |n| drop(decide(misses[n].clone())));
        let hits: Vec<Query> = (0..callers).map(|n| query(&snapshot, n, "warm")).collect();
        let hit = median(200, |n| drop(decide(hits[n % callers].clone())));
        let plain = if policies <= 10_000 {
            let part = decision::evaluate::Part::Enforced;
            median(if policies > 500 { 1 } else { 50 }, |n| {
                drop(black_box(decision::decide::plain(&snapshot, &hits[n % callers], part).unwrap()))
            })
        } else {
            f64::NAN
        };
        let (miss_base, hit_base) = *base.get_or_insert((miss, hit));
        println!(
            "{policies:>8}  {namespaces:>10}  {load:>10.0}  {miss:>8.0}  {hit:>8.0}  {plain:>9.0}   {:>8.1}   miss x{:.2}  hit x{:.2}",
            plain / miss,
            miss / miss_base,
            hit / hit_base
        );
    }
}
