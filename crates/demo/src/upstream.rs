//! The demo's upstream: echoes every request as JSON.

use std::net::SocketAddr;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Uri};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A request as the upstream saw it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Echo {
    /// Method.
    pub method: String,
    /// Path and query as they arrived.
    pub path: String,
    /// Headers in order of arrival, names in lower case; bytes that are not text appear as `\u{fffd}`.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

impl Echo {
    /// Every value of a header.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Serves on a free loopback port until `stop`; gives the address.
///
/// # Errors
/// If no port can be bound.
pub async fn serve(tasks: &TaskTracker, stop: CancellationToken) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let service = axum::serve(listener, Router::new().fallback(echo));
    tasks.spawn(async move { service.with_graceful_shutdown(stop.cancelled_owned()).await });
    Ok(address)
}

/// Serves the records of tasks, as the system that starts them would: each runs, with calls left. Gives the address.
///
/// # Errors
/// If no port can be bound.
pub async fn serve_tasks(tasks: &TaskTracker, stop: CancellationToken) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let record = || async { Json(serde_json::json!({"state": "active", "used": 3, "limit": 100, "labels": []})) };
    let service = axum::serve(listener, Router::new().route("/tasks/{id}", axum::routing::get(record)));
    tasks.spawn(async move { service.with_graceful_shutdown(stop.cancelled_owned()).await });
    Ok(address)
}

async fn echo(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Json<Echo> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Json(Echo {
        method: method.to_string(),
        path: uri.to_string(),
        headers: headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
        body: text(&body),
    })
}
