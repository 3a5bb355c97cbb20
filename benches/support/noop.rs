//! A server that evaluates nothing, on Picket's own accept loop with the same limits: the cost of gRPC alone.

use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::authorization_server::{Authorization, AuthorizationServer};
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use envoy_types::pb::google::rpc::Status;
use picket::app::admin::{AdminBackend, AdminState, Answer, Unit};
use picket::server::{Parts, Shutdown};

/// Allows every check.
pub struct NoOp;

#[tonic::async_trait]
impl Authorization for NoOp {
    async fn check(&self, _: tonic::Request<CheckRequest>) -> Result<tonic::Response<CheckResponse>, tonic::Status> {
        let status = Some(Status { code: 0, message: String::new(), details: Vec::new() });
        Ok(tonic::Response::new(CheckResponse { status, ..CheckResponse::default() }))
    }
}

struct Nothing;

impl AdminBackend for Nothing {
    fn loaded(&self) -> bool {
        true
    }
    fn keys_never_had(&self) -> Vec<String> {
        Vec::new()
    }
    fn waits_for_keys(&self) -> bool {
        false
    }
    fn units(&self) -> Vec<Unit> {
        Vec::new()
    }
    fn metrics(&self) -> String {
        String::new()
    }
    fn explain<'a>(&'a self, _: &'a str, _: &'a str) -> Answer<'a, Result<String, String>> {
        Box::pin(async { Err(String::new()) })
    }
}

/// A configuration file's content.
pub fn config(file: &str) -> picket::config::Config {
    let text = std::fs::read_to_string(file).unwrap();
    let sources = picket::config::Sources { file: Some((file.to_owned(), text)), ..Default::default() };
    picket::config::load(&sources).unwrap().config
}

/// Serves the listeners of a configuration on Picket's own accept loop until its process ends.
pub fn serve_nothing(config_file: &str) {
    let config = config(config_file);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let routes = |listener| (listener, tonic::service::Routes::new(AuthorizationServer::new(NoOp)).into());
        let parts = Parts {
            listeners: config.listeners.into_iter().map(routes).collect(),
            admin: AdminState::new(Arc::new(Nothing), Default::default()).ports(config.admin),
            limits: config.limits.connection,
            shutdown: config.shutdown,
            tasks: Default::default(),
            stats: Arc::default(),
            on_tls_bound: Box::new(drop),
            flush: Box::pin(async {}),
        };
        picket::server::run(parts, Shutdown::default()).await.unwrap();
    });
}
