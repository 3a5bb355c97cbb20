//! The gRPC services for operators: status and explain.
//!
//! Knows: the messages of `proto/picket/v1/admin.proto`. Must not know: how a verdict is reached.

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use tonic::{Response, Status};

use super::proto::admin_server::{Admin, AdminServer};
use super::{AdminState, Unit, proto};
use crate::server::hosts::{Hosts, REFUSED};

/// Longest request, in bytes. By default no check is as long.
const MESSAGE_BYTES_MAX: usize = 2 << 20;

/// The admin service of a server in this state, for requests to one of `hosts`.
pub(super) fn router(state: AdminState, hosts: Hosts) -> axum::Router {
    let by_name = move |request: Request, next: Next| {
        let is_allowed = hosts.allow(&request);
        async move { if is_allowed { next.run(request).await } else { Status::permission_denied(REFUSED).into_http() } }
    };
    let service = AdminServer::new(Service { state }).max_decoding_message_size(MESSAGE_BYTES_MAX);
    tonic::service::Routes::new(service).into_axum_router().layer(from_fn(by_name))
}

#[derive(Debug)]
struct Service {
    state: AdminState,
}

#[tonic::async_trait]
impl Admin for Service {
    async fn status(&self, _: tonic::Request<proto::StatusRequest>) -> Result<Response<proto::StatusResponse>, Status> {
        Ok(Response::new(proto::StatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: self.state.health.ready(),
            draining: self.state.health.draining(),
            units: self.state.backend.units().into_iter().map(message).collect(),
        }))
    }

    async fn explain(
        &self,
        request: tonic::Request<proto::ExplainRequest>,
    ) -> Result<Response<proto::ExplainResponse>, Status> {
        let request = request.into_inner();
        let profile = if request.profile.is_empty() { "default" } else { request.profile.as_str() };
        let explained = self.state.backend.explain(&request.call_json, profile).await;
        let explanation_json = explained.map_err(Status::invalid_argument)?;
        Ok(Response::new(proto::ExplainResponse { explanation_json }))
    }
}

fn message(unit: Unit) -> proto::Unit {
    proto::Unit {
        name: unit.name,
        digest: unit.digest,
        age_seconds: unit.age_seconds,
        refused: unit.refused.unwrap_or_default(),
    }
}
