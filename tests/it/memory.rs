//! The cache of whole results: with it and without it every answer and every record is the same.
//!
//! Two services evaluate the same calls, one with a cache and one without. Calls come in pairs that differ in one part,
//! so that a part that is missing in the key gives one call the other's answer.

mod keys;
mod pace;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::{Address, SocketAddress, address};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::Peer;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use picket::app::elicitation_key;
use picket::call::{Call, UnixMillis};
use picket::check::cache::key::{CacheKeyParts, Relevance};
use picket::check::cache::{Admission, CheckCache, Entry, ListenerCache, Versions};
use picket::check::elicitation::StateTokens;
use picket::check::{Checker, Judge as _, Judgement, Profile, shadow_verify};
use picket::decision::Snapshot;
use picket::decision::snapshot::Tree;
use picket::entity::Entities;
use picket::envoy::authz::{Authz, AuthzSettings};
use picket::envoy::{decode, json};
use picket::keys::Keys;
use picket::policy::Store;
use picket::query::Family;
use picket::telemetry::{Settings, Telemetry};
use proptest::prelude::*;
use prost::Message as _;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tonic::metadata::MetadataMap;

use crate::harness::direct::Memory as Source;
use crate::harness::{Check, PERMIT_ALL, orders};
use crate::props::{check, holds, profiles};
use crate::support::{NOW, tree};

/// More policies, which read everything of a call that can be read.
const READING: &[(&str, &str)] = &[
    (
        "namespaces/shop/reads.cedar",
        r#"@id("lan") @metadata("to=${context.http.path}")
        permit (principal, action == Action::"POST", resource in Service::"shop/orders")
        when { context.env has sourceIp && context.env.sourceIp.isInRange(ip("10.0.0.0/8")) };
        @id("early") permit (principal, action == Action::"PUT", resource)
        when { context.env.now < datetime("2026-01-01T00:00:00Z") };
        @id("small") permit (principal, action == Action::"PATCH", resource)
        when { context.http has bodyBytes && context.http.bodyBytes < 10 };
        @id("host") @response_headers("x-host=${context.http.host}")
        permit (principal, action == Action::"HEAD", resource) when { context.http.host like "*shop*" };
        @id("log") @log("full") permit (principal, action == Action::"DELETE", resource);"#,
    ),
    (
        "namespaces/pay/late.cedar",
        r#"@id("late") forbid (principal, action == Action::"GET", resource)
        unless { context.env.now < datetime("2026-01-01T00:00:00Z") };"#,
    ),
];

/// Two services on one clock, over one source of policies: one with a cache, and one without.
struct Twins {
    remembers: Authz,
    forgets: Authz,
    memory: Arc<CheckCache>,
    source: Arc<Source>,
    store: Arc<Store>,
    clock: Arc<AtomicI64>,
    logs: [(Arc<Telemetry>, PathBuf); 2],
    _folder: tempfile::TempDir,
}

/// Evaluates by default settings, with a cache if it gets one.
pub fn checker(store: &Arc<Store>, profile: &Profile, cache: Option<ListenerCache>) -> Checker {
    Checker {
        listener: "test".to_owned(),
        profile: profile.clone(),
        policies: Arc::clone(store),
        entities: Arc::new(Entities::over(Vec::new())),
        approvals: Arc::new(picket::approval::Approvals::none()),
        state_tokens: StateTokens::new(elicitation_key::load(None).unwrap(), Duration::from_secs(600)),
        keys: Arc::new(Keys::none()),
        verifier: None,
        streams: Arc::default(),
        cache,
    }
}

impl Twins {
    async fn new(first: Tree, profile: &Profile) -> Self {
        // Every call is cached at its first request, so that every other call of a test is answered from the cache.
        Self::with_memory(first, profile, CheckCache::new(Admission::FirstSight)).await
    }

    async fn with_memory(first: Tree, profile: &Profile, memory: CheckCache) -> Self {
        let source = Arc::new(Source::default());
        source.give(first);
        let store = Arc::new(Store::over(source.clone(), Arc::new(Snapshot::load_on), Duration::from_secs(10)));
        store.load_now().await;
        let (folder, memory) = (tempfile::tempdir().unwrap(), Arc::new(memory));
        let clock = Arc::new(AtomicI64::new(NOW.0));
        let log = |name: &str| {
            let path = folder.path().join(name);
            let sink = serde_json::json!({"decision_log": {"sink": {"file": path}, "queue_events_max": 1_000_000,
                                                           "queue_bytes_max": 1_000_000_000}});
            let settings: Settings = serde_json::from_value(sink).unwrap();
            (Telemetry::start(&settings, "test").unwrap(), path)
        };
        let authz = |cache: Option<ListenerCache>, telemetry: &Arc<Telemetry>| {
            let (telemetry, clock) = (Arc::clone(telemetry), Arc::clone(&clock));
            let settings = AuthzSettings { deadline: Duration::from_secs(30), ..AuthzSettings::default() };
            Authz::new(
                Arc::new(checker(&store, profile, cache)),
                settings,
                "test",
                Arc::new(Semaphore::new(16)),
                Arc::new(move || UnixMillis(clock.load(Ordering::Relaxed))),
                Arc::new(move |seen| telemetry.finish(seen)),
                Arc::default(),
            )
        };
        let logs = [log("remembers"), log("forgets")];
        let cache = Some(ListenerCache::new(&memory));
        let (remembers, forgets) = (authz(cache, &logs[0].0), authz(None, &logs[1].0));
        Self { remembers, forgets, memory, source, store, clock, logs, _folder: folder }
    }

    /// Sends a check to both, and fails if their answers differ.
    #[track_caller]
    fn ask(&self, runtime: &Runtime, request: &CheckRequest) -> String {
        let ask = |authz: &Authz| {
            let reply = runtime.block_on(authz.reply(request.encode_to_vec().into(), &MetadataMap::new())).unwrap();
            shown(&reply.into_response().unwrap())
        };
        let (with, without) = (ask(&self.remembers), ask(&self.forgets));
        assert_eq!(with, without, "the memory made a difference");
        with
    }

    fn reload(&self, runtime: &Runtime, tree: Tree) {
        self.source.give(tree);
        runtime.block_on(self.store.load_now());
    }

    /// Fails where the two logs differ in more than ids and durations.
    fn assert_same_records(&self, runtime: &Runtime) {
        let records = |(telemetry, path): &(Arc<Telemetry>, PathBuf)| -> Vec<serde_json::Value> {
            runtime.block_on(telemetry.shutdown(tokio::time::Instant::now() + Duration::from_secs(60)));
            let text = std::fs::read_to_string(path).unwrap();
            let record = |line: &str| {
                let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
                (record["decision_id"], record["micros"]) = (0.into(), 0.into());
                record
            };
            text.lines().map(record).collect()
        };
        let [with, without] = self.logs.each_ref().map(records);
        assert_eq!(with.len(), without.len());
        for (with, without) in with.iter().zip(&without) {
            assert_eq!(with, without, "the memory made a difference in the log");
        }
    }

    fn hits(&self) -> u64 {
        self.memory.stats().hits.load(Ordering::Relaxed)
    }
}

/// An answer without its id.
fn shown(response: &CheckResponse) -> String {
    let json = json::check_response(response);
    let id = json["dynamicMetadata"]["decision_id"].as_str().expect("every answer has an id");
    json.to_string().replace(id, "ID")
}

/// The parts in which two calls may differ.
const PARTS: usize = 9;

/// `one` with a part of `other`.
fn crossed(one: &Check, other: &Check, part: usize) -> Check {
    let (mut mixed, mut other) = (one.clone(), other.clone());
    match part {
        0 => {
            mixed.http().path = other.http().path.clone();
        }
        1 => mixed.http().method = other.http().method.clone(),
        2 => mixed.http().host = other.http().host.clone(),
        3 => mixed.http().header_map = other.http().header_map.clone(),
        4 => mixed.http().headers = other.http().headers.clone(),
        5 => mixed.http().raw_body = other.http().raw_body.clone(),
        6 => mixed.attributes().source = other.attributes().source.clone(),
        7 => mixed.attributes().context_extensions = other.attributes().context_extensions.clone(),
        _ => mixed.attributes().metadata_context = other.attributes().metadata_context.clone(),
    }
    mixed
}

pub fn from(mut check: Check, address: Option<&str>) -> Check {
    let source = check.attributes().source.get_or_insert_with(Peer::default);
    source.address = address.map(|address| {
        let socket = SocketAddress { address: address.to_owned(), ..SocketAddress::default() };
        Address { address: Some(address::Address::SocketAddress(socket)) }
    });
    check
}

/// Two calls that differ in one part, and how much later the second comes.
fn pairs() -> impl Strategy<Value = (Check, Check, i64)> {
    let addresses =
        prop::sample::select(vec![None, Some("10.1.2.3"), Some("10.1.2.4"), Some("192.0.2.1"), Some("::1")]);
    let later = prop::sample::select(vec![0, 0, 1, 60_000, 400_000, 400_000_000_000]);
    let one = (check(), addresses.clone()).prop_map(|(check, address)| from(check, address));
    let other = (check(), addresses).prop_map(|(check, address)| from(check, address));
    (one, other, 0..PARTS, later).prop_map(|(one, other, part, later)| {
        let mixed = crossed(&one, &other, part);
        (one, mixed, later)
    })
}

fn trees() -> [Tree; 2] {
    let nasty = crate::props::NASTY;
    let all: Vec<_> = nasty.iter().chain(READING).copied().collect();
    let without_role: Vec<_> = all.iter().copied().filter(|(file, _)| !file.ends_with("open.cedar")).collect();
    [tree(&all), tree(&without_role)]
}

#[test]
fn with_and_without_the_memory_every_answer_and_every_record_is_the_same() {
    let runtime = Runtime::new().unwrap();
    let trees = trees();
    for profile in profiles() {
        let twins = runtime.block_on(Twins::new(trees[0].clone(), &profile));
        for round in 0..4 {
            holds(400, pairs(), |(one, other, later)| {
                for request in [&one, &one, &other, &one] {
                    twins.ask(&runtime, &request.0);
                }
                twins.clock.store(NOW.0 + later, Ordering::Relaxed);
                for request in [&one, &other] {
                    twins.ask(&runtime, &request.0);
                }
                twins.clock.store(NOW.0, Ordering::Relaxed);
            });
            // An entry of one tree must not answer for the next.
            twins.reload(&runtime, trees[(round + 1) % 2].clone());
        }
        assert!(twins.hits() > 20, "the memory was hardly ever asked for the same: {} hits", twins.hits());
        twins.assert_same_records(&runtime);
    }
}

#[test]
fn parts_that_no_step_reads_do_not_matter_to_the_cache() {
    let runtime = Runtime::new().unwrap();
    let twins = runtime.block_on(Twins::new(tree(&[("namespaces/shop/a.cedar", PERMIT_ALL)]), &Profile::default()));
    let calls = [
        orders().header("x-request-id", "1").header("user-agent", "a"),
        orders().header("x-request-id", "2").header("user-agent", "b"),
        orders().header("authorization", "Bearer of-somebody"),
        from(orders().header("accept", "*/*"), Some("192.0.2.7")),
    ];
    let answers: Vec<String> = calls.iter().map(|call| twins.ask(&runtime, &call.0)).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(twins.hits(), 3);
    twins.assert_same_records(&runtime);
}

/// The bound on the cache is a bound on weights, so weights must not be less than the memory. This test counts the
/// judgement itself, the answer and the place in the cache; heaptrack's count is within the factor.
#[test]
fn a_cached_result_weighs_at_least_its_memory() {
    const CALLS: u64 = 100;
    let runtime = Runtime::new().unwrap();
    let twins = runtime.block_on(Twins::new(tree(&[("namespaces/shop/a.cedar", PERMIT_ALL)]), &Profile::default()));
    let ask = |number: u64| {
        let mut check = orders();
        check.http().path = format!("/v1/{number}");
        twins.ask(&runtime, &check.0)
    };
    let answers: Vec<String> = (0..CALLS).map(ask).collect();
    let (entries, bytes) = twins.memory.settled();
    assert_eq!(entries, CALLS);
    let counted = u64::try_from(size_of::<Judgement>() + answers[0].len() + 300).unwrap();
    assert!((counted..3 * counted).contains(&(bytes / entries)), "{} by weight, {counted} counted", bytes / entries);
}

#[test]
fn a_call_is_cached_at_its_second_request_and_not_before() {
    let runtime = Runtime::new().unwrap();
    let tree = tree(&[("namespaces/shop/a.cedar", PERMIT_ALL)]);
    let twins = runtime.block_on(Twins::with_memory(tree, &Profile::default(), CheckCache::default()));
    let counted = |twins: &Twins| (twins.hits(), twins.memory.stats().misses.load(Ordering::Relaxed));
    for (asked, hits_and_misses) in [(1, (0, 1)), (2, (0, 2)), (3, (1, 2)), (4, (2, 2))] {
        twins.ask(&runtime, &orders().0);
        assert_eq!(counted(&twins), hits_and_misses, "asked {asked} times");
    }
    twins.assert_same_records(&runtime);
}

#[test]
fn a_header_that_is_stripped_is_stripped_from_memory_as_well() {
    let runtime = Runtime::new().unwrap();
    let twins = runtime.block_on(Twins::new(tree(&[("namespaces/shop/a.cedar", PERMIT_ALL)]), &Profile::default()));
    for call in [orders(), orders().header("x-picket-user", "admin"), orders().header("x_picket_user", "admin")] {
        twins.ask(&runtime, &call.0);
        let again = twins.ask(&runtime, &call.0);
        assert_eq!(again.contains("picket-user") || again.contains("picket_user"), call.0 != orders().0, "{again}");
    }
    assert_eq!(twins.hits(), 3);
}

#[test]
fn a_result_for_one_moment_is_never_cached() {
    let runtime = Runtime::new().unwrap();
    let [tree, _] = trees();
    let twins = runtime.block_on(Twins::new(tree, &crate::props::tokens_and_peer()));
    let method = |method: &str| {
        let mut check = orders();
        check.http().method = method.to_owned();
        check
    };
    let with_body = |mut check: Check| {
        check.http().raw_body = b"12345".to_vec();
        check.header("x-envoy-auth-partial-body", "false").header("content-length", "5")
    };
    let certificate = |mut check: Check| {
        check.attributes().source.get_or_insert_default().certificate = "-----BEGIN".to_owned();
        check
    };
    let rows = [
        ("a policy that reads the clock", method("PUT")),
        ("a policy that reads the length of a body", with_body(method("PATCH"))),
        ("a record that holds more than a judgement keeps", method("DELETE")),
        ("a token", orders().bearer("a.b.c")),
        ("claims that the proxy verified", orders().claims(&serde_json::json!({}))),
        ("a certificate", certificate(orders())),
        ("a failure", orders().service("shop/none")),
        ("a protocol whose bodies are judged", orders().service("agents/tools")),
    ];
    for (why, check) in rows {
        for _ in 0..3 {
            twins.ask(&runtime, &check.0);
        }
        assert_eq!(twins.hits(), 0, "{why}");
    }
    twins.assert_same_records(&runtime);
}

fn decoded(check: &Check) -> Call {
    decode::call(&decode::CheckView::of(&check.0), decode::Limits::default(), NOW).unwrap()
}

#[test]
fn a_wrong_cache_entry_is_reported_and_not_used_where_decisions_are_verified() {
    let runtime = Runtime::new().unwrap();
    let twins = runtime.block_on(Twins::new(tree(&[]), &Profile::default()));
    let open = runtime.block_on(Twins::new(tree(&[("namespaces/shop/a.cedar", PERMIT_ALL)]), &Profile::default()));
    let call = decoded(&orders());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let wrong = checker(&open.store, &Profile::default(), Some(ListenerCache::new(&open.memory)));
    let wrong = runtime.block_on(async { wrong.judge(&call, deadline).done().await });
    let cache = ListenerCache::new(&twins.memory);
    poison(&cache, &twins.store.current().unwrap(), &call, &wrong);
    let mut checker = checker(&twins.store, &Profile::default(), Some(cache));
    let allowed =
        |judgement: &Judgement| judgement.result.as_ref().is_ok_and(|verdict| !verdict.determining.is_empty());
    let believed = runtime.block_on(async { checker.judge(&call, deadline).done().await });
    assert!(allowed(&believed), "the memory is poisoned for this test");
    let (verifier, _verification) = shadow_verify::verifier(1);
    let stats = verifier.stats();
    checker.verifier = Some(Arc::new(verifier));
    let judged = runtime.block_on(async { checker.judge(&call, deadline).done().await });
    assert!(!allowed(&judged));
    assert_eq!(stats.mismatches.load(Ordering::Relaxed), 1);
}

/// Caches a judgement for a call that it does not belong to.
fn poison(cache: &ListenerCache, snapshot: &Snapshot, call: &Call, judgement: &Arc<Judgement>) {
    let service = snapshot.catalog().service("shop/orders").unwrap();
    let (family, changeable) = (Family::Get, snapshot.changeable("shop"));
    let reads = snapshot.reads("shop/orders", family);
    let profile = Profile::default();
    let reduced = CacheKeyParts::of(call, Relevance { profile: &profile, service, family, reads, changeable }).unwrap();
    let generations = Versions { snapshot: snapshot.generation(), keys: 0 };
    // A lookup sets the newest snapshot of the cache.
    assert!(cache.get(&cache.key(generations, &reduced)).is_none());
    cache.insert(cache.key(generations, &reduced), Entry::Judgement(Arc::clone(judgement)));
}
