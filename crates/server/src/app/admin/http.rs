//! The HTTP endpoints for operators and scrapers: `/livez`, `/readyz`, `/metrics`.
//!
//! Knows: whether the server is ready, and where the metrics' text comes from. Must not know: policies.

use std::fmt::Write as _;

use axum::Router;
use axum::extract::{Extension, RawQuery, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::AdminState;
use crate::server::hosts::{Hosts, REFUSED};
use crate::server::socket::Peer;
use crate::telemetry::metrics::CONTENT_TYPE;

impl AdminState {
    /// Details that any client may see.
    fn verbose(&self) -> String {
        let mark = |good: bool| if good { "ok" } else { "no" };
        format!("snapshot loaded: {}\nnot draining: {}\n", mark(self.backend.loaded()), mark(!self.health.draining()))
    }

    /// The active policies and keys. Names, digests and problems reveal what is in them.
    fn units(&self) -> String {
        let mut text = String::new();
        for issuer in self.backend.keys_never_had() {
            let then = if self.backend.waits_for_keys() { "not ready without them" } else { "its tokens are rejected" };
            let _infallible = writeln!(text, "keys of issuer {issuer}: never loaded, {then}");
        }
        for unit in self.backend.units() {
            let digest = if unit.digest.is_empty() { "nothing active" } else { unit.digest.as_str() };
            let _infallible = writeln!(text, "unit {}: {digest}, {} s old", unit.name, unit.age_seconds);
            if let Some(why) = unit.refused {
                // The problem quotes the text of a file, which must not look like another line.
                let why = why.replace(char::is_control, " ");
                let _infallible = writeln!(text, "unit {}: newest version rejected: {why}", unit.name);
            }
        }
        for (task, times) in self.tasks.failed() {
            let _infallible = writeln!(text, "background task {task}: ended early {times} times");
        }
        text
    }
}

/// The routes of the admin port.
pub(super) fn router(state: AdminState, hosts: Hosts) -> Router {
    let by_name = move |request: Request, next: Next| {
        let is_allowed = hosts.allow(&request);
        async move { if is_allowed { next.run(request).await } else { misdirected() } }
    };
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(state)
        // This covers unknown paths too, so that they reveal nothing.
        .layer(from_fn(by_name))
}

fn misdirected() -> Response {
    (StatusCode::MISDIRECTED_REQUEST, REFUSED).into_response()
}

/// Returns whether the client is on this machine.
fn is_near(peer: &Peer) -> bool {
    match peer {
        Peer::Tcp(address) => address.ip().to_canonical().is_loopback(),
        Peer::Unix => true,
        Peer::Workload(_) => false,
    }
}

async fn readyz(
    State(state): State<AdminState>,
    Extension(peer): Extension<Peer>,
    RawQuery(query): RawQuery,
) -> impl IntoResponse {
    let (status, word) = if state.health.ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    };
    let verbose =
        query.is_some_and(|query| query.split('&').any(|key| key == "verbose" || key.starts_with("verbose=")));
    let text = match (verbose, is_near(&peer)) {
        (true, true) => format!("{}{}{word}", state.verbose(), state.units()),
        (true, false) => format!("{}{word}", state.verbose()),
        (false, _) => word.to_owned(),
    };
    (status, [(header::CACHE_CONTROL, "no-store")], text)
}

async fn metrics(State(state): State<AdminState>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], state.backend.metrics())
}
