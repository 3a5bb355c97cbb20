//! What operators may ask by gRPC: status and explain.
//!
//! Knows: the messages of `proto/picket/v1/admin.proto`. Must not know: how a verdict comes about.

use tonic::{Request, Response, Status};

use super::admin::{Health, Unit};
use super::proto;
use super::proto::admin_server::{Admin, AdminServer};

/// The admin service of a server whose health is `health`.
#[must_use]
pub fn service(health: Health) -> AdminServer<impl Admin> {
    AdminServer::new(Service { health })
}

#[derive(Debug)]
struct Service {
    health: Health,
}

#[tonic::async_trait]
impl Admin for Service {
    async fn status(&self, _: Request<proto::StatusRequest>) -> Result<Response<proto::StatusResponse>, Status> {
        Ok(Response::new(proto::StatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: self.health.ready(),
            draining: self.health.draining(),
            units: self.health.backend().units().into_iter().map(message).collect(),
        }))
    }

    async fn explain(
        &self,
        request: Request<proto::ExplainRequest>,
    ) -> Result<Response<proto::ExplainResponse>, Status> {
        let request = request.into_inner();
        let profile = if request.profile.is_empty() { "default" } else { request.profile.as_str() };
        let explained = self.health.backend().explain(&request.call_json, profile).await;
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
