//! Wiring: builds the server and its services from the configuration.
//!
//! Knows: which module needs which. Must not know: how any of them works.

pub mod admin;
pub mod collectors;
pub mod elicitation_key;
mod low_priority;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::service::Routes;

use admin::backend::Backend;
use admin::{AdminBackend, AdminState};
use low_priority::run_at_low_priority;

use crate::approval::Approvals;
use crate::check::cache::{CheckCache, ListenerCache};
use crate::check::elicitation::StateTokens;
use crate::check::explainer::Explainer;
use crate::check::profile::Profile;
use crate::check::release_record::ReleaseSealer;
use crate::check::request_forward::RequestForwarder;
use crate::check::request_streams::RequestStreams;
use crate::check::response::ResponseChecker;
use crate::check::response_body::Responses;
use crate::check::{Checker, Judge, shadow_verify};
use crate::config::{Config, sections};
use crate::entity::Entities;
use crate::envoy::authz::{self, Authz, Clock, Observer, system_clock};
use crate::envoy::ext_proc::{self, Processor};
use crate::keys::Keys;
use crate::policy::{Directory, Loader, Store};
use crate::server::by_client::ByClient;
use crate::server::peers::AllowedClients;
use crate::server::settings::{ClientProfile, Listener};
use crate::server::stats::ConnStats;
use crate::server::tasks::Tasks;
use crate::server::{OnTlsBound, Parts};
use crate::telemetry::Telemetry;
use picket_core::decision::Snapshot;
use picket_core::decision::load::Purpose;
use picket_core::problem::Problem;
use picket_core::problem::chain;
use picket_core::release::ReleaseKey;

/// A server that is ready to listen, and the backend of its admin services.
pub struct App {
    /// The parts of the server.
    pub server: Parts,
    /// The backend of the services for operators.
    pub backend: Arc<dyn AdminBackend>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Builds a server. `observer` sees every answered call, after telemetry.
///
/// Policies and keys are loaded once before this returns, so that a good start is ready at once. If they cannot be
/// loaded, the server starts not ready and keeps trying.
///
/// # Errors
/// Every problem of the settings that shows only when they are applied.
pub async fn compose(config: Config, observer: Option<Observer>) -> Result<App, Vec<Problem>> {
    compose_at(config, observer, system_clock()).await
}

/// As [`compose`], with a clock of the caller's, for tests that depend on the time. No setting selects it.
///
/// # Errors
/// As [`compose`].
pub async fn compose_at(config: Config, observer: Option<Observer>, clock: Clock) -> Result<App, Vec<Problem>> {
    let (telemetry, tasks) = (telemetry(&config)?, Tasks::default());
    let entities = Arc::new(Entities::new(&config.entity, "configuration", &tasks.tracker())?);
    let approvals = approvals(&config, &tasks)?;
    let (state_tokens, sealer) = (state_tokens(&config)?, release_sealer(&config)?);
    let keys = keys(&config)?;
    let policies = store(&config, &telemetry);
    futures_util::future::join(policies.load_now(), keys.load()).await;
    report(&policies);

    let observer = observers(&telemetry, observer);
    let (verifier, verified) = verifier(config.limits.verify_every, &tasks);
    let (cache, streams) = (Arc::<CheckCache>::default(), Arc::<RequestStreams>::default());
    let checker = |name: &str, profile: &str, cache: Option<ListenerCache>| Checker {
        listener: name.to_owned(),
        profile: config.profiles.get(profile).cloned().unwrap_or_default(),
        policies: Arc::clone(&policies),
        entities: Arc::clone(&entities),
        approvals: Arc::clone(&approvals),
        state_tokens: state_tokens.clone(),
        keys: Arc::clone(&keys),
        verifier: verifier.clone(),
        streams: Arc::clone(&streams),
        cache,
    };
    let explainers: BTreeMap<String, Arc<Explainer>> =
        config.profiles.keys().map(|name| (name.clone(), Arc::new(Explainer::of(checker(name, name, None))))).collect();
    let (in_flight, calls) = (Arc::new(Semaphore::new(config.limits.in_flight_max)), Arc::<authz::Stats>::default());
    let processors = Processors::new(&config, &policies, sealer, (&telemetry, &streams), &clock);
    let routes = |listener: &Listener, profile: &str| {
        let judge: Arc<dyn Judge> = Arc::new(checker(&listener.name, profile, Some(ListenerCache::new(&cache))));
        let (settings, name) = (config.limits.check.clone(), listener.name.as_str());
        let (in_flight, observer, calls) = (Arc::clone(&in_flight), Arc::clone(&observer), Arc::clone(&calls));
        let service = Authz::new(judge, settings, name, in_flight, Arc::clone(&clock), observer, calls);
        processors.routes(service, name, &config.profiles.get(profile).cloned().unwrap_or_default())
    };
    let listeners = config.listeners.iter().map(|one| (one.clone(), by_client(one, &routes))).collect();
    let connections = Arc::<ConnStats>::default();
    let work = collectors::Counted {
        in_flight,
        in_flight_max: config.limits.in_flight_max,
        calls,
        responses: processors.shared.clone(),
        connections: Arc::clone(&connections),
        policies: Arc::clone(&policies),
        entities,
        approvals: Arc::clone(&approvals),
        keys: Arc::clone(&keys),
        verified,
        cache: Arc::clone(&cache),
    };
    collectors::register(telemetry.metrics(), &work);
    start(&tasks, &policies, &keys, config.keys.issuers.is_empty());
    let (flush, on_tls_bound) = (flush(&telemetry, config.shutdown.flush_timeout), measured(&telemetry));
    let ready_anyway = Instant::now() + config.keys.ready_wait;
    let limits = config.limits.check.limits();
    let backend: Arc<dyn AdminBackend> =
        Arc::new(Backend::new(policies, telemetry, explainers, keys, limits, ready_anyway));
    let server = Parts {
        listeners,
        admin: AdminState::new(Arc::clone(&backend), tasks.clone()).ports(config.admin),
        limits: config.limits.of_connections(),
        shutdown: config.shutdown,
        tasks,
        stats: connections,
        on_tls_bound,
        flush,
    };
    Ok(App { server, backend })
}

/// Makes the service for responses of each profile.
struct Processors {
    /// Evaluates responses; each profile has its own home.
    checker: ResponseChecker,
    streams: Arc<RequestStreams>,
    settings: sections::ResponseLimits,
    shared: ext_proc::Shared,
    clock: Clock,
}

impl Processors {
    fn new(
        config: &Config,
        policies: &Arc<Store>,
        sealer: Arc<ReleaseSealer>,
        (telemetry, streams): (&Arc<Telemetry>, &Arc<RequestStreams>),
        clock: &Clock,
    ) -> Self {
        let (settings, telemetry) = (config.limits.responses.clone(), Arc::clone(telemetry));
        let streams = Arc::clone(streams);
        let checker = ResponseChecker {
            home: String::new(),
            policies: Arc::clone(policies),
            sealer,
            evaluation_max: config.limits.check.deadline,
            has_lookups: config.entity.has_lookups(),
            observer: Arc::new(move |record| telemetry.finish_response(record)),
            rulings_max: 0,
        };
        Self { checker, streams, shared: ext_proc::Shared::new(&settings), settings, clock: Arc::clone(clock) }
    }

    /// The routes of a profile: `checks`, with records where its proxies send responses, and the service for these.
    fn routes(&self, checks: Authz, listener: &str, profile: &Profile) -> Routes {
        let (has_records, sealer) = (profile.processor.has_records(), Arc::clone(&self.checker.sealer));
        let checks = if has_records { checks.with_records(Arc::clone(&sealer)) } else { checks };
        let requests = RequestForwarder {
            listener: listener.into(),
            promise: profile.processor.promise(),
            policies: Arc::clone(&self.checker.policies),
            sealer,
            streams: Arc::clone(&self.streams),
        };
        let checker = ResponseChecker { home: profile.identity.home_trust_domain.clone(), ..self.checker.clone() };
        let phase = Arc::new(Responses::new(checker, requests));
        let responses = Processor::new(phase, self.settings.clone(), self.shared.clone(), Arc::clone(&self.clock));
        Routes::new(checks.into_server()).add_service(responses.into_server())
    }
}

/// The routes of a listener: `routes` makes them from the profile of each client.
fn by_client(listener: &Listener, routes: &impl Fn(&Listener, &str) -> Routes) -> ByClient<Routes> {
    let row = |row: &ClientProfile| (AllowedClients::new(&row.clients), routes(listener, &row.profile));
    let rows = listener.client_profiles.iter().map(row).collect();
    ByClient::new(rows, routes(listener, &listener.profile))
}

fn flush(telemetry: &Arc<Telemetry>, timeout: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let telemetry = Arc::clone(telemetry);
    Box::pin(async move { telemetry.shutdown(tokio::time::Instant::now() + timeout).await })
}

fn measured(telemetry: &Arc<Telemetry>) -> OnTlsBound {
    let telemetry = Arc::clone(telemetry);
    Box::new(move |acceptors| collectors::register_certificates(telemetry.metrics(), acceptors))
}

fn approvals(config: &Config, tasks: &Tasks) -> Result<Arc<Approvals>, Vec<Problem>> {
    let (sources, store) = (&config.approvals, &config.approvals_store);
    Approvals::new(sources, store, "configuration", &tasks.tracker()).map(Arc::new)
}

fn state_tokens(config: &Config) -> Result<StateTokens, Vec<Problem>> {
    let key = elicitation_key::load(config.elicitation.key_file.as_deref());
    let key = key.map_err(|message| vec![Problem::error("configuration", message)])?;
    Ok(StateTokens::new(key, config.elicitation.state_ttl))
}

fn telemetry(config: &Config) -> Result<Arc<Telemetry>, Vec<Problem>> {
    let started = Telemetry::start(&config.telemetry, env!("CARGO_PKG_VERSION"));
    started.map_err(|error| vec![Problem::error("configuration", chain(&error))])
}

fn release_sealer(config: &Config) -> Result<Arc<ReleaseSealer>, Vec<Problem>> {
    let (file, ttl) = (config.responses.key_file.as_deref(), config.responses.record_ttl);
    let key = elicitation_key::load_as(file, ReleaseKey::new);
    let key = key.map_err(|message| vec![Problem::error("configuration", message)])?;
    let has_records = config.profiles.values().any(|profile| profile.processor.has_records());
    if has_records && file.is_none() {
        tracing::warn!(
            "`responses.key_file` is not set: responses that another replica gets than their checks are refused"
        );
    }
    Ok(Arc::new(ReleaseSealer::new(key, ttl)))
}

fn keys(config: &Config) -> Result<Arc<Keys>, Vec<Problem>> {
    let problem = |message| Problem::error("configuration", message);
    let keys = Keys::new(&config.keys, Path::new("."));
    keys.map(Arc::new).map_err(|problems| problems.into_iter().map(problem).collect())
}

/// Verifies every `every`th decision, none at 0. Also returns the counts.
fn verifier(every: u64, tasks: &Tasks) -> (Option<Arc<shadow_verify::Verifier>>, Arc<shadow_verify::Stats>) {
    let (verifier, verification) = shadow_verify::verifier(every);
    let stats = verifier.stats();
    if every == 0 {
        return (None, stats);
    }
    tasks.spawn("verify", verification.run());
    (Some(Arc::new(verifier)), stats)
}

fn observers(telemetry: &Arc<Telemetry>, observer: Option<Observer>) -> Observer {
    let telemetry = Arc::clone(telemetry);
    Arc::new(move |seen| {
        telemetry.finish(seen);
        if let Some(observer) = &observer {
            observer(seen);
        }
    })
}

/// The policy store, which reports every snapshot that it makes to the metrics.
fn store(config: &Config, telemetry: &Arc<Telemetry>) -> Arc<Store> {
    let settings = &config.policies;
    let telemetry = Arc::clone(telemetry);
    let loader: Loader = Arc::new(move |tree, base| {
        let loaded = Snapshot::load_on(tree, base);
        if let (Some(snapshot), Purpose::Activate) = (&loaded.snapshot, base.purpose) {
            telemetry.metrics().loaded(&snapshot.policy_ids(), snapshot.digests());
        }
        loaded
    });
    Arc::new(Store::over(Arc::new(Directory::new(settings)), loader, settings.poll))
}

fn report(policies: &Store) {
    let status = policies.status();
    if status.is_current() {
        let units = policies.current().map_or(0, |snapshot| snapshot.digests().len());
        tracing::info!(units, "loaded the policies of {units} units");
    } else {
        tracing::error!("not all policies were loaded: {status}");
    }
}

fn start(tasks: &Tasks, policies: &Arc<Store>, keys: &Arc<Keys>, no_issuers: bool) {
    let stop = tasks.stop_token();
    let store = Arc::clone(policies);
    tasks.spawn("policies", run_at_low_priority("policies", async move { store.run(stop).await }));
    if !no_issuers {
        let (keys, stop) = (Arc::clone(keys), tasks.stop_token());
        tasks.spawn("keys", async move { keys.run(stop).await });
    }
}
