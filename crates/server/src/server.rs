//! The running server: binds, serves, and shuts down gracefully.
//!
//! Knows: listeners, health, signals, background tasks. Must not know: how a call is evaluated; it gets its services
//! ready-made.
//!
//! On SIGTERM or SIGINT the server reports not ready and NOT_SERVING. It keeps serving for `pre_drain`, because proxies
//! notice late that an endpoint is gone. Then it sends GOAWAY on every connection. It aborts remaining connections
//! early enough to write out logs before `drain_timeout`. A second signal aborts them at once.

pub mod accept;
pub mod by_client;
pub mod connection;
pub mod descriptors;
pub mod health;
mod heard;
pub mod hosts;
pub mod limits;
pub mod peers;
mod requests;
mod seldom;
pub mod settings;
pub mod signals;
mod slots;
pub mod socket;
pub mod stats;
pub mod tasks;
pub mod tls;
mod turn;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use accept::{Connections, Drained, Served};
use by_client::ByClient;
use connection::Wire;
use health::Health;
use requests::Streamed;
pub use signals::Shutdown;
use socket::{Address, Listener};
use stats::ConnStats;
use tasks::Tasks;
use tls::Acceptor;

use crate::incomplete::Budget;

/// gRPC services with a health that the listeners report; the empty name is the server.
const HEALTH_NAMES: [&str; 3] =
    ["", "envoy.service.auth.v3.Authorization", "envoy.service.ext_proc.v3.ExternalProcessor"];
/// The method of the listeners with requests that are streams of messages.
const STREAMED_PATH: &str = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";
/// Most bytes of incomplete messages of such streams; a quarter of it on one connection. Envoy hands over up to 1 MiB of a
/// response in one message.
const STREAMED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest health request, in bytes: it holds one name.
const HEALTH_BYTES_MAX: usize = 1024;
/// Most bytes of incomplete requests on the ports for operators.
const OPERATORS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How soon gRPC health follows the first snapshot.
const HEALTH_POLL: Duration = Duration::from_millis(100);

/// The parts of a server.
pub struct Parts {
    /// The gRPC listeners with their services, by client; health is added here.
    pub listeners: Vec<(settings::Listener, ByClient<tonic::service::Routes>)>,
    /// The ports for operators, with what they serve.
    pub admin: AdminPorts,
    /// Limits of a connection.
    pub limits: limits::Settings,
    /// How to stop.
    pub shutdown: settings::Shutdown,
    /// The background tasks; ended after the last connection.
    pub tasks: Tasks,
    /// Counts of connections, shared with the metrics.
    pub stats: Arc<ConnStats>,
    /// Called with the listeners with TLS, by name, once they are bound: for the metrics.
    pub on_tls_bound: OnTlsBound,
    /// Writes out buffered data; awaited after the last call, while the background tasks still run.
    pub flush: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// The ports for operators and their services. The server binds the ports and reports the health.
#[derive(Debug)]
pub struct AdminPorts {
    /// Where the ports listen and what their connections may cost.
    pub settings: settings::Admin,
    /// The services of the HTTP port.
    pub http: axum::Router,
    /// The services of the gRPC port.
    pub grpc: axum::Router,
    /// The health that those services report.
    pub health: Health,
}

/// Receives the listeners with TLS, each by its name.
pub type OnTlsBound = Box<dyn FnOnce(Vec<(String, Arc<Acceptor>)>) + Send>;

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("listeners", &self.listeners.len()).finish_non_exhaustive()
    }
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartProblem {
    /// An address cannot be bound.
    #[error("could not listen on `{address}` for `{name}`")]
    Bind {
        /// The listener's name.
        name: String,
        /// Its address.
        address: Address,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Its certificates cannot be used.
    #[error("could not use the certificates of listener `{name}`")]
    Tls {
        /// The listener's name.
        name: String,
        /// Why.
        source: tls::TlsProblem,
    },
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Gracefully, though some connections may have been aborted at the deadline.
    Drained(Drained),
    /// By a second signal.
    Forced,
}

/// Binds and serves until `shutdown` begins.
///
/// # Errors
/// [`StartProblem`]. A server that serves always ends by `drain_timeout` after the signal.
pub async fn run(parts: Parts, shutdown: Shutdown) -> Result<Ended, StartProblem> {
    Ok(Server::bind(parts)?.run(shutdown).await)
}

/// A server that listens, and does not serve yet.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<(Listener, Served)>,
    admin: Vec<(Listener, Served)>,
    health: Health,
    reporter: HealthReporter,
    rest: Lifecycle,
}

/// The parts that are needed while the server runs and stops.
struct Lifecycle {
    shutdown: settings::Shutdown,
    tasks: Tasks,
    stats: Arc<ConnStats>,
    flush: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl std::fmt::Debug for Lifecycle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lifecycle").field("shutdown", &self.shutdown).finish_non_exhaustive()
    }
}

/// The HTTP version of a listener, the limits of its connections, and its method with streams.
type WireAndLimits<'a> = (Wire, &'a limits::Settings, &'a Arc<Budget>, Option<&'a Streamed>);

/// The limits of each listener and of each port for operators, reduced if there are too few descriptors.
fn fitted_limits(
    admin: &settings::Admin,
    limits: &limits::Settings,
    listeners: usize,
) -> (limits::Settings, limits::Settings) {
    let max = admin.connections_max;
    let of_admin = limits::Settings { connections_max: max, handshakes_max: max, ..limits.clone() };
    let of_listeners =
        descriptors::fitted(listeners, limits, &[of_admin.clone(), of_admin.clone()], descriptors::limit());
    (of_listeners, of_admin)
}

impl Server {
    /// Binds every address, or none.
    ///
    /// # Errors
    /// [`StartProblem`].
    pub fn bind(parts: Parts) -> Result<Self, StartProblem> {
        let AdminPorts { settings: admin, http, grpc, health } = parts.admin;
        let reporter = HealthReporter::new();
        let (limits, of_admin) = fitted_limits(&admin, &parts.limits, parts.listeners.len());
        let (checks, of_operators) = (Budget::new(limits.unfinished_bytes_max), Budget::new(OPERATORS_BYTES_MAX));
        let streamed = Streamed { path: STREAMED_PATH, budget: Budget::new(STREAMED_BYTES_MAX) };
        let bind = |name: &str, address: &Address, routers: ByClient<axum::Router>, tls, how: WireAndLimits<'_>| {
            let (wire, limits, unfinished, streamed) = how;
            let listener = Listener::bind(address).map_err(|source| StartProblem::Bind {
                name: name.to_owned(),
                address: address.clone(),
                source,
            })?;
            let (limits, unfinished, routers) = (limits.clone(), Arc::clone(unfinished), Arc::new(routers));
            let streamed = streamed.cloned();
            Ok((listener, Served { name: name.into(), routers, wire, limits, tls, unfinished, streamed }))
        };
        let mut listeners = Vec::new();
        for (settings, routes) in parts.listeners {
            let tls = settings.tls.map(Acceptor::new).transpose();
            let tls = tls.map_err(|source| StartProblem::Tls { name: settings.name.clone(), source })?.map(Arc::new);
            if settings.insecure {
                tracing::warn!(
                    listener = %settings.name, address = %settings.address,
                    "listener `{}` is insecure: any client that reaches it can claim any caller", settings.name
                );
            }
            let routers = routes.map(|routes| {
                let health = tonic_health::server::HealthService::from_health_reporter(reporter.clone());
                let health = tonic_health::pb::health_server::HealthServer::new(health);
                let health = health.max_decoding_message_size(HEALTH_BYTES_MAX);
                routes.add_service(health).prepare().into_axum_router()
            });
            listeners.push(bind(
                &settings.name,
                &settings.address,
                routers,
                tls,
                (Wire::Http2, &limits, &checks, Some(&streamed)),
            )?);
        }
        let admin = vec![
            bind("admin_http", &admin.http_address, http.into(), None, (Wire::Http1, &of_admin, &of_operators, None))?,
            bind("admin_grpc", &admin.grpc_address, grpc.into(), None, (Wire::Http2, &of_admin, &of_operators, None))?,
        ];
        let tls = |served: &Served| served.tls.clone().map(|tls| (served.name.to_string(), tls));
        (parts.on_tls_bound)(listeners.iter().filter_map(|(_, served)| tls(served)).collect());
        let rest = Lifecycle { shutdown: parts.shutdown, tasks: parts.tasks, stats: parts.stats, flush: parts.flush };
        Ok(Self { listeners, admin, health, reporter, rest })
    }

    /// Names and addresses of all listeners, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> Vec<(String, Address)> {
        let all = self.listeners.iter().chain(&self.admin);
        all.filter_map(|(listener, served)| Some((served.name.to_string(), listener.address().ok()?))).collect()
    }

    /// Serves until `shutdown` begins, then drains.
    pub async fn run(self, shutdown: Shutdown) -> Ended {
        let Self { listeners, admin, health, reporter, rest } = self;
        set_health(&reporter, ServingStatus::NotServing).await;
        rest.tasks.spawn("health", sync_health(health.clone(), reporter.clone()));
        // Operators may watch a drain until its end, so their connections are a group of their own.
        let (calls, operators) = (Connections::new(Arc::clone(&rest.stats)), Connections::new(Arc::default()));
        for (listener, served) in listeners {
            if let Some(tls) = &served.tls {
                rest.tasks.spawn("certificates", Arc::clone(tls).keep_fresh());
            }
            calls.serve(listener, served);
        }
        admin.into_iter().for_each(|(listener, served)| operators.serve(listener, served));
        tracing::info!("serving");

        shutdown.begin.cancelled().await;
        tracing::info!("draining");
        health.begin_drain();
        set_health(&reporter, ServingStatus::NotServing).await;
        let forced = shutdown.force.clone();
        let left = forced.run_until_cancelled(drain(rest, &calls, &operators)).await;
        if let Some(drained) = left {
            tracing::info!(?drained, "stopped");
            return Ended::Drained(drained);
        }
        tokio::join!(calls.abort_all(), operators.abort_all());
        Ended::Forced
    }
}

/// Drains, ends the background tasks, writes out; in all no longer than `drain_timeout`.
async fn drain(rest: Lifecycle, calls: &Connections, operators: &Connections) -> Drained {
    let settings = rest.shutdown;
    let gone = Instant::now() + settings.drain_timeout;
    let flush_from = gone.checked_sub(settings.flush_timeout).unwrap_or(gone);
    tokio::time::sleep_until((Instant::now() + settings.pre_drain).min(flush_from)).await;
    let drained = calls.drain(flush_from).await;
    if drained == Drained::Cut {
        tracing::warn!("aborted the remaining connections at the drain deadline");
    }
    let finish = async {
        // The log's writer is one of the tasks, so it must still run.
        rest.flush.await;
        rest.tasks.end().await;
    };
    if tokio::time::timeout_at(gone, finish).await.is_err() {
        tracing::warn!("could not write out all logs in time");
    }
    operators.abort_all().await;
    drained
}

/// Keeps gRPC health equal to readiness.
async fn sync_health(health: Health, reporter: HealthReporter) {
    let mut reported = false;
    loop {
        let ready = health.ready();
        if ready != reported {
            reported = ready;
            set_health(&reporter, if ready { ServingStatus::Serving } else { ServingStatus::NotServing }).await;
        }
        tokio::time::sleep(HEALTH_POLL).await;
    }
}

async fn set_health(reporter: &HealthReporter, status: ServingStatus) {
    for name in HEALTH_NAMES {
        reporter.set_service_status(name, status).await;
    }
}

#[cfg(test)]
mod tests;
