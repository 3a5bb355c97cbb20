//! An authorization server that answers as the test defines and records its checks.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use envoy_types::ext_authz::v3::pb::{Authorization, AuthorizationServer, CheckRequest, CheckResponse};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tonic::transport::server::TcpIncoming;

/// The server's reaction to a check.
#[derive(Debug, Clone)]
pub enum Reply {
    Check(Box<CheckResponse>),
    Error(tonic::Code),
    Never,
}

impl From<CheckResponse> for Reply {
    fn from(response: CheckResponse) -> Self {
        Self::Check(Box::new(response))
    }
}

/// The script, shared by server and test.
pub struct Script {
    reply: Mutex<Reply>,
    seen: Mutex<Vec<CheckRequest>>,
    asked: Notify,
}

impl Script {
    pub fn reply(&self, reply: impl Into<Reply>) {
        *self.reply.lock().unwrap() = reply.into();
        self.seen.lock().unwrap().clear();
    }

    /// Every check since the last [`reply`](Self::reply).
    pub fn seen(&self) -> Vec<CheckRequest> {
        self.seen.lock().unwrap().clone()
    }

    /// Returns whether a check arrived, at once or within the time.
    pub async fn asked_within(&self, limit: Duration) -> bool {
        let asked = self.asked.notified();
        if !self.seen.lock().unwrap().is_empty() {
            return true;
        }
        tokio::time::timeout(limit, asked).await.is_ok()
    }
}

struct Server(Arc<Script>);

#[tonic::async_trait]
impl Authorization for Server {
    async fn check(
        &self,
        request: tonic::Request<CheckRequest>,
    ) -> Result<tonic::Response<CheckResponse>, tonic::Status> {
        self.0.seen.lock().unwrap().push(request.into_inner());
        self.0.asked.notify_waiters();
        let reply = self.0.reply.lock().unwrap().clone();
        match reply {
            Reply::Check(response) => Ok(tonic::Response::new(*response)),
            Reply::Error(code) => Err(tonic::Status::new(code, "scripted")),
            Reply::Never => std::future::pending().await,
        }
    }
}

/// Serves on a free port as long as `tasks` lives.
pub async fn serve(tasks: &mut JoinSet<()>) -> (Arc<Script>, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = Arc::new(Script {
        reply: Mutex::new(CheckResponse::default().into()),
        seen: Mutex::default(),
        asked: Notify::new(),
    });
    let service = AuthorizationServer::new(Server(Arc::clone(&script)));
    tasks.spawn(async move {
        let server = tonic::transport::Server::builder().add_service(service);
        server.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap();
    });
    (script, port)
}

/// The HTTP part of a check.
pub fn http(check: &CheckRequest) -> HttpRequest {
    check.attributes.as_ref().unwrap().request.as_ref().unwrap().http.clone().unwrap()
}

/// Every value of a header in a check, raw or joined.
pub fn values(check: &CheckRequest, name: &str) -> Vec<String> {
    let http = http(check);
    let raw = http.header_map.into_iter().flat_map(|map| map.headers).filter(|header| header.key == name);
    let raw: Vec<String> = raw.map(|header| header.raw_value.escape_ascii().to_string()).collect();
    let joined = http.headers.get(name).map(|value| value.as_bytes().escape_ascii().to_string());
    raw.into_iter().chain(joined).collect()
}
