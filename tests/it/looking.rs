//! Explanations have no effect: calls find the same state as without them.

use std::sync::Arc;

use picket::app::admin::AdminBackend;
use picket::app::compose;
use picket::server::{Server, Shutdown};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::harness::fake_http::{FakeHttp, Reply};
use crate::harness::server::{Client, config, write};
use crate::harness::{FRONTEND, check};
use crate::support::tree;

const TREE: &[(&str, &str)] = &[
    (
        "namespaces/shop/a.cedar",
        r#"@id("approved") permit (principal, action == Action::"POST", resource)
           when { context has approval && context.approval.state == "approved" && !context.approval.used };
           @id("known") permit (principal, action == Action::"GET", resource)
           when { context.env has facts && context.env.facts has ticket && context.env.facts.ticket == "open" };
           @id("empty") permit (principal, action == Action::"PATCH", resource)
           when { context.http has bodyBytes && context.http.bodyBytes == 0 };"#,
    ),
    ("facts.cedarschema", "type CallFacts = { ticket?: String };"),
];

/// A server with an open operators' port.
struct Running {
    backend: Arc<dyn AdminBackend>,
    client: Client,
    running: JoinSet<picket::server::Ended>,
    _home: TempDir,
}

impl Running {
    async fn start(source: &FakeHttp, facts: &FakeHttp) -> Self {
        let approvals = format!(
            "approvals=[{{name: changes, reference: {{header: x-approval}}, url: 'http://{}/${{reference}}', timeout: 5s, \
             ttl: 60s, fields: {{id: /id, kind: {{constant: change}}, state: /state, requested_by: /by, \
             approved_by: /approvers, not_after: /end}}}}]",
            source.address
        );
        let lookups = format!(
            "entity.lookups=[{{name: tickets, target: {{call: {{attribute: ticket}}}}, timeout: 5s, missing: absent, \
             url: 'http://{}/t/${{context.http.headers[x-approval]}}', whole: true, cache: {{ttl: 1h}}}}]",
            facts.address
        );
        let home = TempDir::new().unwrap();
        write(home.path(), &tree(TREE));
        let config = config(
            home.path(),
            &[&approvals, &lookups, "limits.verify_every=1", "limits.check.every_body_attached=true"],
        );
        let app = compose(config, None).await.unwrap();
        let (server, backend) = (Server::bind(app.server).unwrap(), app.backend);
        let address = server.addresses().into_iter().find(|(name, _)| name == "ext_authz").unwrap().1;
        let mut running = JoinSet::new();
        running.spawn(server.run(Shutdown::default()));
        let client = Client::of(&address.to_string()).await;
        Self { backend, client, running, _home: home }
    }

    /// The result that a call would have.
    async fn explained(&self, method: &str) -> String {
        let http = json!({"method": method, "path": "/v1/orders/1", "host": "orders.shop", "scheme": "http",
                          "headers": {"x-approval": "CHG1"}});
        let call = json!({"attributes": {"source": {"principal": FRONTEND}, "request": {"http": http},
                                         "contextExtensions": {"service": "shop/orders"}}});
        let said = self.backend.explain(&call.to_string(), "default").await.unwrap();
        serde_json::from_str::<Value>(&said).unwrap()["reason"].as_str().unwrap().to_owned()
    }

    /// The result of a call.
    async fn asked(&mut self, method: &str) -> String {
        let check = check(method, "/v1/orders/1").service("shop/orders").by(FRONTEND).header("x-approval", "CHG1");
        self.client.ask(check).await.reason
    }

    /// All counts of which a call may be the cause. Numbers of entries lag behind: the caches count when they tidy up.
    fn metrics(&self) -> Vec<String> {
        let metrics = self.backend.metrics();
        let is_of_calls = |line: &&str| {
            !line.starts_with('#')
                && !["process_", "tokio_", "picket_policy_", "seconds", "picket_connection", "_entries"]
                    .iter()
                    .any(|name| line.contains(name))
        };
        metrics.lines().filter(is_of_calls).map(str::to_owned).collect()
    }
}

fn not_found() -> Reply {
    Reply::Bytes(b"HTTP/1.1 404 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec())
}

fn ticket() -> Reply {
    let ticket =
        json!({"id": "CHG1", "state": "approved", "by": "ana", "approvers": ["lee"], "end": "9999-01-01T00:00:00Z"});
    Reply::Json(ticket.to_string())
}

#[tokio::test]
async fn an_approval_that_is_explained_is_not_used_up() {
    let (source, facts) = (FakeHttp::start(ticket()).await, FakeHttp::start(not_found()).await);
    let mut running = Running::start(&source, &facts).await;
    for _ in 0..3 {
        assert_eq!(running.explained("POST").await, "policy_permit");
    }
    assert_eq!(running.asked("POST").await, "policy_permit", "nobody has used it");
    assert_eq!(running.explained("POST").await, "no_permit", "looking sees that it was used");
    assert_eq!(running.asked("POST").await, "no_permit");
    running.running.abort_all();
}

#[tokio::test]
async fn an_answer_fetched_for_an_explanation_is_not_cached_for_calls() {
    let (source, facts) = (FakeHttp::start(not_found()).await, FakeHttp::start(not_found()).await);
    let mut running = Running::start(&source, &facts).await;
    assert_eq!([running.explained("POST").await, running.explained("GET").await], ["no_permit", "no_permit"]);
    source.set(ticket());
    facts.set(Reply::Json(r#""open""#.to_owned()));
    assert_eq!(running.asked("POST").await, "policy_permit", "that there was none is forgotten");
    assert_eq!(running.asked("GET").await, "policy_permit", "that there was none is forgotten");
    // An explanation uses the state that calls have left.
    facts.set(not_found());
    assert_eq!(running.explained("GET").await, "policy_permit");
    running.running.abort_all();
}

#[tokio::test]
async fn a_call_is_explained_by_the_limits_that_checks_are_decoded_by() {
    let (source, facts) = (FakeHttp::start(not_found()).await, FakeHttp::start(not_found()).await);
    let mut running = Running::start(&source, &facts).await;
    // Only because every body is attached does a check without a body prove that there is none.
    assert_eq!([running.asked("PATCH").await, running.explained("PATCH").await], ["policy_permit", "policy_permit"]);
    running.running.abort_all();
}

#[tokio::test]
async fn explaining_moves_no_metric() {
    let (source, facts) = (FakeHttp::start(ticket()).await, FakeHttp::start(not_found()).await);
    let mut running = Running::start(&source, &facts).await;
    assert_eq!(running.asked("PUT").await, "no_permit");
    // That call's decision is verified in the background.
    let is_verified = |metrics: &[String]| metrics.iter().any(|line| line == "picket_decisions_verified_total 1.0");
    while !is_verified(&running.metrics()) {
        tokio::task::yield_now().await;
    }
    let before = running.metrics();
    for method in ["POST", "GET", "PUT", "DELETE"] {
        running.explained(method).await;
    }
    assert_eq!(running.metrics(), before);
    running.running.abort_all();
}
