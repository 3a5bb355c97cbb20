//! Metric collectors: each scrape reads the modules' counters through them.
//!
//! Knows: every module's counters and the table of metrics. Must not know: how anything is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::Semaphore;

use crate::approval::Approvals;
use crate::check::cache::CheckCache;
use crate::check::shadow_verify;
use crate::entity::{Entities, cache};
use crate::envoy::{authz, ext_proc};
use crate::keys::Keys;
use crate::policy::status::Why;
use crate::policy::{PLATFORM, Status, Store};
use crate::server::stats::{Closed, ConnStats};
use crate::server::tls::Acceptor;
use crate::telemetry::metrics::table::Spec;
use crate::telemetry::metrics::{Distribution, Metrics, Sample, table};
use picket_core::decision::engine::{Engine, candidates};

/// The modules with counters.
#[derive(Debug, Clone)]
pub struct Counted {
    /// The limit of checks in flight.
    pub in_flight: Arc<Semaphore>,
    /// Its size.
    pub in_flight_max: usize,
    /// The ext_authz service's counts.
    pub calls: Arc<authz::Stats>,
    /// The ext_proc service's counts, and what it holds.
    pub responses: ext_proc::Shared,
    /// The connections' counts.
    pub connections: Arc<ConnStats>,
    /// The policy store.
    pub policies: Arc<Store>,
    /// The look-ups.
    pub entities: Arc<Entities>,
    /// The sources of approvals.
    pub approvals: Arc<Approvals>,
    /// The key sets.
    pub keys: Arc<Keys>,
    /// Results of shadow verification.
    pub verified: Arc<shadow_verify::Stats>,
    /// The cache of whole results.
    pub cache: Arc<CheckCache>,
}

/// Lets every scrape read the counters.
pub fn register(metrics: &Metrics, counted: &Counted) {
    let Counted { in_flight, in_flight_max, calls, .. } = counted.clone();
    metrics.add_source(&table::INFLIGHT, move || {
        one(number(u64::try_from(in_flight_max.saturating_sub(in_flight.available_permits())).unwrap_or(u64::MAX)))
    });
    let stats = Arc::clone(&calls);
    metrics.add_source(&table::SHED, move || one(number(stats.sheds())));
    let responses = Arc::clone(counted.responses.stats());
    metrics.add_source(&table::PANICS, move || one(number(calls.panics() + responses.panics())));
    self::responses(metrics, &counted.responses);
    policies(metrics, &counted.policies);
    engine(metrics, &counted.policies);
    verified(metrics, &counted.verified);
    cache(metrics, &counted.cache);
    sources(metrics, &counted.entities, &counted.approvals);
    keys(metrics, &counted.keys);
    connections(metrics, &counted.connections);
}

fn responses(metrics: &Metrics, responses: &ext_proc::Shared) {
    type Read = fn(&ext_proc::Shared) -> u64;
    let sources: [(&'static Spec, Read); 7] = [
        (&table::RESPONSES_INFLIGHT, |shared| u64::try_from(shared.streams()).unwrap_or(u64::MAX)),
        (&table::RESPONSES_HELD, |shared| u64::try_from(shared.held_bytes()).unwrap_or(u64::MAX)),
        (&table::RESPONSE_SHED, |shared| shared.stats().sheds()),
        (&table::RESPONSE_UNFIT_MODE, |shared| shared.stats().unfit_modes()),
        (&table::REQUESTS_MASKED, |shared| shared.stats().masked_requests()),
        (&table::REQUESTS_NOT_MASKED, |shared| shared.stats().refused_requests()),
        (&table::RESPONSE_UNFINISHED, |shared| shared.stats().unfinished()),
    ];
    for (spec, read) in sources {
        let shared = responses.clone();
        metrics.add_source(spec, move || one(number(read(&shared))));
    }
}

/// Lets every scrape read the certificates of the listeners, by their names.
pub fn register_certificates(metrics: &Metrics, acceptors: Vec<(String, Arc<Acceptor>)>) {
    let acceptors: Arc<[(String, Arc<Acceptor>)]> = acceptors.into();
    let all = Arc::clone(&acceptors);
    metrics.add_source(&table::TLS_RENEWALS, move || {
        let samples = all.iter().flat_map(|(listener, acceptor)| {
            [("ok", acceptor.reloads()), ("refused", acceptor.failures())]
                .map(|(result, count)| Sample::new([listener, result], number(count)))
        });
        samples.collect()
    });
    metrics.add_source(&table::TLS_EXPIRY, move || {
        let expiry = |(listener, acceptor): &(String, Arc<Acceptor>)| {
            let seconds = u64::try_from(acceptor.expires_at()).ok()?;
            Some(Sample::new([listener], number(seconds)))
        };
        acceptors.iter().filter_map(expiry).collect()
    });
}

fn one(value: f64) -> Vec<Sample> {
    vec![Sample::new([], value)]
}

#[expect(clippy::cast_precision_loss, reason = "a scrape shows doubles; counters stay far below 2^53")]
fn number(value: u64) -> f64 {
    value as f64
}

fn policies(metrics: &Metrics, store: &Arc<Store>) {
    let policies = Arc::clone(store);
    metrics.add_source(&table::POLICY_RELOAD, move || {
        let counts = policies.status().counts;
        let results = [("ok", counts.ok), ("refused", counts.refused), ("unchanged", counts.unchanged)];
        results.into_iter().map(|(result, count)| Sample::new([result], number(count))).collect()
    });
    let policies = Arc::clone(store);
    metrics.add_source(&table::POLICY_LAST_SUCCESS, move || {
        let at = policies.status().succeeded_at;
        at.and_then(|at| u64::try_from(at.seconds()).ok()).map(|seconds| one(number(seconds))).unwrap_or_default()
    });
    let policies = Arc::clone(store);
    metrics.add_source(&table::POLICY_REJECTED, move || {
        let (status, snapshot) = (policies.status(), policies.current());
        let withheld: BTreeMap<&str, &str> = withheld(&status).collect();
        let units = snapshot.iter().flat_map(|snapshot| snapshot.digests().keys()).map(String::as_str);
        let units: BTreeSet<&str> = units.chain(withheld.keys().copied()).collect();
        units.into_iter().map(|unit| Sample::new([unit], if withheld.contains_key(unit) { 1.0 } else { 0.0 })).collect()
    });
    let policies = Arc::clone(store);
    metrics.add_source(&table::POLICY_WITHHELD, move || {
        let status = policies.status();
        withheld(&status).map(|(unit, why)| Sample::new([unit, why], 1.0)).collect()
    });
    let policies = Arc::clone(store);
    metrics.add_source(&table::RELOAD_DURATION, move || one(policies.status().loading.as_secs_f64()));
}

/// Units with an inactive newest version, and why. An unreadable directory counts for the platform.
fn withheld(status: &Status) -> impl Iterator<Item = (&str, &str)> {
    let unread = (!status.unreadable.is_empty()).then_some((PLATFORM, Why::Unreadable.as_str()));
    let refused = status.refused.iter().map(|(unit, why)| (unit.as_str(), why.as_str()));
    refused.filter(move |(unit, _)| unread.is_none() || *unit != PLATFORM).chain(unread)
}

fn engine(metrics: &Metrics, store: &Arc<Store>) {
    type Read = fn(&Engine) -> Vec<Sample>;
    let sources: [(&'static Spec, Read); 4] = [
        (&table::DECISION_CACHE, |engine| {
            let stats = engine.stats();
            let results =
                [("hit", &stats.decision_hits), ("miss", &stats.decision_misses), ("skip", &stats.decision_skips)];
            results.map(|(result, count)| Sample::new([result], number(count.load(Relaxed)))).into()
        }),
        (&table::DECISION_CACHE_ENTRIES, |engine| one(number(engine.entries().0))),
        (&table::POLICY_SETS, |engine| {
            let results = [("hit", &engine.stats().plan_hits), ("miss", &engine.stats().plan_misses)];
            results.map(|(result, count)| Sample::new([result], number(count.load(Relaxed)))).into()
        }),
        (&table::POLICY_SETS_ENTRIES, |engine| one(number(engine.entries().1))),
    ];
    for (spec, read) in sources {
        let policies = Arc::clone(store);
        metrics
            .add_source(spec, move || policies.current().map(|snapshot| read(snapshot.engine())).unwrap_or_default());
    }
    let policies = Arc::clone(store);
    metrics.add_distribution(&table::CANDIDATES, move || {
        let snapshot = policies.current()?;
        let counted = &snapshot.engine().stats().candidates;
        let bounds = candidates::BOUNDS.into_iter().map(number).chain([f64::INFINITY]);
        Some(Distribution { sum: number(counted.sum()), buckets: bounds.zip(counted.counts()).collect() })
    });
}

fn verified(metrics: &Metrics, stats: &Arc<shadow_verify::Stats>) {
    let all = Arc::clone(stats);
    metrics.add_source(&table::DECISIONS_VERIFIED, move || one(number(all.verified.load(Relaxed))));
    let all = Arc::clone(stats);
    metrics.add_source(&table::DECISION_MISMATCHES, move || one(number(all.mismatches.load(Relaxed))));
}

fn cache(metrics: &Metrics, cache: &Arc<CheckCache>) {
    let all = Arc::clone(cache);
    metrics.add_source(&table::CALL_MEMORY, move || {
        let stats = all.stats();
        let results = [("hit", &stats.hits), ("miss", &stats.misses), ("skip", &stats.skips)];
        results.map(|(result, count)| Sample::new([result], number(count.load(Relaxed)))).into()
    });
    let all = Arc::clone(cache);
    metrics.add_source(&table::CALL_MEMORY_ENTRIES, move || one(number(all.entries())));
}

/// Name, counts and cached records of each source that is queried over HTTP.
fn caches<'a>(
    entities: &'a Entities,
    approvals: &'a Approvals,
) -> impl Iterator<Item = (&'a str, &'a cache::Stats, u64)> {
    let lookups = entities.caches().map(|(source, cache)| (source, cache.stats(), cache.entries()));
    lookups.chain(approvals.caches())
}

fn sources(metrics: &Metrics, entities: &Arc<Entities>, approvals: &Arc<Approvals>) {
    let all = (Arc::clone(entities), Arc::clone(approvals));
    metrics.add_source(&table::ENTITY_REQUESTS, move || {
        let samples = caches(&all.0, &all.1).flat_map(|(source, stats, _)| {
            let results = [
                ("hit", stats.hits.load(Relaxed)),
                ("stale", stats.stale.load(Relaxed)),
                ("miss", stats.misses.load(Relaxed)),
                ("negative", stats.negatives.load(Relaxed)),
                ("error", stats.errors.load(Relaxed)),
            ];
            results.map(|(result, count)| Sample::new([source, result], number(count)))
        });
        samples.collect()
    });
    let all = (Arc::clone(entities), Arc::clone(approvals));
    metrics.add_source(&table::ENTITY_CACHE_ENTRIES, move || {
        caches(&all.0, &all.1).map(|(source, _, entries)| Sample::new([source], number(entries))).collect()
    });
    let all = (Arc::clone(entities), Arc::clone(approvals));
    metrics.add_source(&table::ENTITY_CACHE_EVICTIONS, move || {
        caches(&all.0, &all.1)
            .map(|(source, stats, _)| Sample::new([source], number(stats.evictions.load(Relaxed))))
            .collect()
    });
}

fn keys(metrics: &Metrics, keys: &Arc<Keys>) {
    let all = Arc::clone(keys);
    metrics.add_source(&table::KEYS_LAST_SUCCESS, move || {
        let stats = all.stats().filter_map(|(issuer, stats)| {
            let seconds = u64::try_from(stats.last_success_seconds()?).ok()?;
            Some(Sample::new([issuer], number(seconds)))
        });
        stats.collect()
    });
    let all = Arc::clone(keys);
    metrics.add_source(&table::KEYS_REFRESH, move || {
        let stats = all.stats().flat_map(|(issuer, stats)| {
            [("ok", stats.fetches_succeeded()), ("error", stats.fetches_failed())]
                .map(|(result, count)| Sample::new([issuer, result], number(count)))
        });
        stats.collect()
    });
}

fn connections(metrics: &Metrics, stats: &Arc<ConnStats>) {
    let all = Arc::clone(stats);
    metrics.add_source(&table::CONNECTIONS, move || one(number(all.open())));
    let all = Arc::clone(stats);
    metrics.add_source(&table::CONNECTION_CLOSED, move || {
        Closed::ALL.iter().map(|reason| Sample::new([reason.as_str()], number(all.closed(*reason)))).collect()
    });
    let all = Arc::clone(stats);
    metrics.add_source(&table::ACCEPT_ERRORS, move || one(number(all.accept_errors())));
}
