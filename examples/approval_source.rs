//! A custom source of approvals: a change system that says which deployments may start.
//!
//! Picket queries such systems by HTTP, so a source is not a trait: it is a web service with answers as the settings say.
//! This example serves one, and requests one deployment twice: an approval opens one call.
//! `cargo run --example approval_source` prints:
//!
//! ```text
//! []
//! POST /v1/deployments: deny no_permit
//! [("x-change", "CHG2")]
//! POST /v1/deployments: deny no_permit
//! [("x-change", "CHG1")]
//! POST /v1/deployments: allow policy_permit shop/approved-deployments
//! [("x-change", "CHG1")]
//! POST /v1/deployments: failure approval_used: approval `CHG1` of `changes` was used before
//! ```

mod support;

use std::error::Error;
use std::net::SocketAddr;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use picket::approval::{Approvals, Settings, Store};
use picket::entity::Entities;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

/// The change system. 404 means "no such change"; any other answer that is not a whole record denies the call.
async fn change(Path(id): Path<String>) -> Result<Json<Value>, StatusCode> {
    if id != "CHG1" {
        return Err(StatusCode::NOT_FOUND);
    }
    Ok(Json(
        json!({"id": id, "state": "approved", "author": "ana", "reviewers": ["lee"], "ends": "2999-01-01T00:00:00Z"}),
    ))
}

/// The places of the reference in a call, of the source, and of each value in the answer. In a configuration file this
/// is one entry of `approvals` (docs/approvals.md).
fn settings(address: SocketAddr) -> Result<Settings, Box<dyn Error>> {
    let yaml = format!(
        "name: changes
reference: {{header: x-change}}
url: 'http://{address}/changes/${{reference}}'
timeout: 2s
fields: {{id: /id, kind: {{constant: change}}, state: /state, requested_by: /author, approved_by: /reviewers, not_after: /ends}}
"
    );
    Ok(serde_saphyr::from_str(&yaml)?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let settings = settings(listener.local_addr()?)?;
    let tasks = TaskTracker::new();
    tasks.spawn(async move { axum::serve(listener, Router::new().route("/changes/{id}", get(change))).await });

    // The store records used approvals; the default one is in memory, a server keeps a file.
    let approvals = Approvals::new(&[settings], &Store::default(), "example", &tasks)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let engine = support::engine("examples/changes", Entities::over(Vec::new()), approvals).await?;

    for headers in [&[][..], &[("x-change", "CHG2")], &[("x-change", "CHG1")], &[("x-change", "CHG1")]] {
        println!("{headers:?}");
        support::print_verdict(&engine, &support::call("POST", "shop/deploy", "/v1/deployments", headers)?).await;
    }
    Ok(())
}
