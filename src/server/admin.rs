//! What operators and scrapers may ask by HTTP: `/livez`, `/readyz`, `/metrics`.
//!
//! Knows: whether the server is ready, and where the metrics' text comes from. Must not know: policies.

use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::{Extension, RawQuery, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::hosts::{Hosts, REFUSED};
use super::socket::Peer;
use super::tasks::Tasks;
use crate::telemetry::metrics::CONTENT_TYPE;

/// One independently loaded part of the policies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unit {
    /// `mesh`, or a namespace.
    pub name: String,
    /// Hex SHA-256 of what is in force; empty where nothing is.
    pub digest: String,
    /// Seconds since it came into force.
    pub age_seconds: u64,
    /// Why the newest version on disk was refused, where it was.
    pub refused: Option<String>,
}

/// A boxed future, so that the trait can be an object.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What the admin services ask the rest of Picket.
pub trait AdminBackend: Send + Sync {
    /// Whether a snapshot is loaded. Called often; must not block.
    fn loaded(&self) -> bool;

    /// Issuers whose keys were never had.
    fn keys_never_had(&self) -> Vec<String>;

    /// Whether calls should go elsewhere until those keys are had. Called often; must not block.
    fn waits_for_keys(&self) -> bool;

    /// What is loaded.
    fn units(&self) -> Vec<Unit>;

    /// The metrics as Prometheus text.
    fn metrics(&self) -> String;

    /// Explains the verdict on a call: protobuf JSON in, the explanation as JSON out.
    /// The error is for the operator who asked; it holds no secret.
    fn explain<'a>(&'a self, call_json: &'a str, profile: &'a str) -> Answer<'a, Result<String, String>>;
}

/// How the server is, for everyone who asks.
#[derive(Clone)]
pub struct Health {
    backend: Arc<dyn AdminBackend>,
    draining: Arc<AtomicBool>,
    tasks: Tasks,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Health").field("draining", &self.draining()).finish_non_exhaustive()
    }
}

impl Health {
    /// Health as `backend` and `tasks` see it.
    #[must_use]
    pub fn new(backend: Arc<dyn AdminBackend>, tasks: Tasks) -> Self {
        Self { backend, draining: Arc::default(), tasks }
    }

    /// Whether calls should be sent here. A bad policy that came later does not change that.
    #[must_use]
    pub fn ready(&self) -> bool {
        !self.draining() && self.backend.loaded() && !self.backend.waits_for_keys()
    }

    /// Whether the server is leaving.
    #[must_use]
    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// The rest of Picket.
    #[must_use]
    pub fn backend(&self) -> &Arc<dyn AdminBackend> {
        &self.backend
    }

    pub(super) fn begin_drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// What anybody may know beside yes or no.
    fn verbose(&self) -> String {
        let mark = |good: bool| if good { "ok" } else { "no" };
        format!("snapshot loaded: {}\nnot draining: {}\n", mark(self.backend.loaded()), mark(!self.draining()))
    }

    /// What of the policies and keys is in force. Names, digests and problems say what is written in them.
    fn units(&self) -> String {
        let mut text = String::new();
        for issuer in self.backend.keys_never_had() {
            let then =
                if self.backend.waits_for_keys() { "not ready for want of them" } else { "its tokens are refused" };
            let _infallible = writeln!(text, "keys of issuer {issuer}: never had, {then}");
        }
        for unit in self.backend.units() {
            let digest = if unit.digest.is_empty() { "nothing in force" } else { unit.digest.as_str() };
            let _infallible = writeln!(text, "unit {}: {digest}, {} s old", unit.name, unit.age_seconds);
            if let Some(why) = unit.refused {
                // A file's text is quoted here, and must not look like another line.
                let why = why.replace(char::is_control, " ");
                let _infallible = writeln!(text, "unit {}: newest version refused: {why}", unit.name);
            }
        }
        for (task, times) in self.tasks.failed() {
            let _infallible = writeln!(text, "background task {task}: ended {times} times before its time");
        }
        text
    }
}

/// The routes of the admin port.
pub fn router(health: Health, hosts: Hosts) -> Router {
    let by_name = move |request: Request, next: Next| {
        let is_allowed = hosts.allow(&request);
        async move { if is_allowed { next.run(request).await } else { misdirected() } }
    };
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health)
        // Also for paths that are not there, so that nothing at all is said.
        .layer(from_fn(by_name))
}

fn misdirected() -> Response {
    (StatusCode::MISDIRECTED_REQUEST, REFUSED).into_response()
}

/// Whether somebody asks from this machine.
fn is_near(peer: &Peer) -> bool {
    match peer {
        Peer::Tcp(address) => address.ip().to_canonical().is_loopback(),
        Peer::Unix => true,
        Peer::Workload(_) => false,
    }
}

async fn readyz(
    State(health): State<Health>,
    Extension(peer): Extension<Peer>,
    RawQuery(query): RawQuery,
) -> impl IntoResponse {
    let (status, word) =
        if health.ready() { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") };
    let verbose =
        query.is_some_and(|query| query.split('&').any(|key| key == "verbose" || key.starts_with("verbose=")));
    let text = match (verbose, is_near(&peer)) {
        (true, true) => format!("{}{}{word}", health.verbose(), health.units()),
        (true, false) => format!("{}{word}", health.verbose()),
        (false, _) => word.to_owned(),
    };
    (status, [(header::CACHE_CONTROL, "no-store")], text)
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], health.backend.metrics())
}
