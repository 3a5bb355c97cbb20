//! Latency over offered load: the server that evaluates nothing, and Picket over 10 and over 10,000 policies, in turn.

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use serde_json::json;
use tonic::transport::Channel;

use super::open::{Ask, Step, offer};
use super::rows::row;
use super::servers::{self, Server, ready, zipf};
use super::support::{check, write_policies};

/// Offered checks a second.
const RATES: [usize; 8] = [500, 1_000, 2_000, 4_000, 6_000, 8_000, 12_000, 16_000];
const LENGTH: Duration = Duration::from_secs(2);
/// Each step is offered so often to each server, in turn; the run with the median p99 counts.
const TURNS: usize = 3;
/// Connections, as from two gateways with two workers each.
const CONNECTIONS: usize = 4;

/// Checks of one mix over a few connections.
pub struct Checks {
    clients: Vec<AuthorizationClient<Channel>>,
    requests: Vec<CheckRequest>,
}

impl Checks {
    /// Zipf over the callers of `policies`.
    pub async fn new(server: &Server, policies: usize) -> Arc<Self> {
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            let channel = Channel::from_shared(server.address.clone()).unwrap().connect().await.unwrap();
            clients.push(AuthorizationClient::new(channel));
        }
        let requests = zipf(10_000, policies).into_iter().map(|who| check(who, "acme")).collect();
        Arc::new(Self { clients, requests })
    }
}

impl Ask for Checks {
    async fn ask(&self, number: usize) {
        let mut client = self.clients[number % self.clients.len()].clone();
        let request = self.requests[number % self.requests.len()].clone();
        let response = client.check(request).await.unwrap().into_inner();
        assert_eq!(response.status.unwrap().code, 0, "{:?}", response.http_response);
    }
}

pub async fn run() {
    let folders = [10, 10_000].map(|policies| {
        let folder = tempfile::tempdir().unwrap();
        write_policies(folder.path(), policies);
        folder
    });
    let [few, many] = [0, 1].map(|n| servers::picket(folders[n].path()));
    let noop = servers::noop(folders[0].path());
    let mut sides = Vec::new();
    for (name, server, policies) in [("no-op", &noop, 10), ("picket-10", &few, 10), ("picket-10000", &many, 10_000)] {
        ready(server).await;
        let checks = Checks::new(server, policies).await;
        offer(Arc::clone(&checks), 2_000, LENGTH).await; // warms it
        sides.push((name, checks));
    }
    for rate in RATES {
        let mut steps: Vec<Vec<Step>> = sides.iter().map(|_| Vec::new()).collect();
        for _ in 0..TURNS {
            for ((_, checks), steps) in sides.iter().zip(&mut steps) {
                steps.push(offer(Arc::clone(checks), rate, LENGTH).await);
            }
        }
        for ((side, _), mut steps) in sides.iter().zip(steps) {
            steps.sort_by(|one, other| one.at(0.99).total_cmp(&other.at(0.99)));
            let step = &steps[TURNS / 2];
            row(
                "load",
                json!({"side": side, "offered": step.rate, "answered": step.answered, "unsent": step.unsent,
                       "p50_us": step.at(0.5), "p99_us": step.at(0.99), "p999_us": step.at(0.999)}),
            );
        }
    }
}
