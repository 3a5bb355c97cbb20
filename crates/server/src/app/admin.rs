//! The services for operators: health, metrics, status and explain.
//!
//! Knows: the requests of operators, and their protocols. Must not know: sockets, or how a verdict is reached.

pub mod backend;
mod grpc;
mod http;
#[expect(clippy::allow_attributes, reason = "generated code")]
pub mod proto {
    //! Generated from `proto/picket/v1/admin.proto`.
    tonic::include_proto!("picket.v1");
}

use std::pin::Pin;
use std::sync::Arc;

use crate::server::health::{Health, Readiness};
use crate::server::settings::Admin;
use crate::server::tasks::Tasks;
use crate::server::{AdminPorts, hosts::Hosts};

/// One independently loaded part of the policies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unit {
    /// `mesh`, or a namespace.
    pub name: String,
    /// Hex SHA-256 of the active policies; empty if there are none.
    pub digest: String,
    /// Seconds since they became active.
    pub age_seconds: u64,
    /// Why the newest version on disk was rejected, if it was.
    pub refused: Option<String>,
}

/// A boxed future, so that the trait can be an object.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The rest of Picket, as the admin services use it.
pub trait AdminBackend: Send + Sync {
    /// Returns whether a snapshot is loaded. Called often; must not block.
    fn loaded(&self) -> bool;

    /// Issuers without keys: no fetch has succeeded yet.
    fn keys_never_had(&self) -> Vec<String>;

    /// Returns whether calls should go elsewhere until those keys are loaded. Called often; must not block.
    fn waits_for_keys(&self) -> bool;

    /// The loaded units.
    fn units(&self) -> Vec<Unit>;

    /// The metrics as Prometheus text.
    fn metrics(&self) -> String;

    /// Explains the verdict on a call: protobuf JSON in, the explanation as JSON out. The error is for the operator; it
    /// holds no secret.
    fn explain<'a>(&'a self, call_json: &'a str, profile: &'a str) -> Answer<'a, Result<String, String>>;
}

/// The backend's readiness, as the server sees it.
struct Ready(Arc<dyn AdminBackend>);

impl Readiness for Ready {
    /// A bad policy that arrives later does not change the result.
    fn is_ready(&self) -> bool {
        self.0.loaded() && !self.0.waits_for_keys()
    }
}

/// State of the services for operators: their backend, the server's health, its background tasks.
#[derive(Clone)]
pub struct AdminState {
    backend: Arc<dyn AdminBackend>,
    health: Health,
    tasks: Tasks,
}

impl std::fmt::Debug for AdminState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminState").field("health", &self.health).finish_non_exhaustive()
    }
}

impl AdminState {
    /// The state of a server that does not drain.
    #[must_use]
    pub fn new(backend: Arc<dyn AdminBackend>, tasks: Tasks) -> Self {
        let health = Health::new(Arc::new(Ready(Arc::clone(&backend))));
        Self { backend, health, tasks }
    }

    /// The ports for operators, with their services.
    #[must_use]
    pub fn ports(self, settings: Admin) -> AdminPorts {
        let http = http::router(self.clone(), settings.hosts(&settings.http_address));
        let grpc = grpc::router(self.clone(), settings.hosts(&settings.grpc_address));
        AdminPorts { settings, http, grpc, health: self.health }
    }

    /// The routes of the HTTP port, for requests to one of `hosts`.
    pub fn http(self, hosts: Hosts) -> axum::Router {
        http::router(self, hosts)
    }
}
