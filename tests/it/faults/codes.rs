//! Every failure code can be reached, and is answered with the status that is promised for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::authorization_server::Authorization as _;
use picket::call::Call;
use picket::check::{Evaluation, Judge};
use picket::failure::Code;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;

mod bodies;

pub use bodies::tool_call;

use crate::harness::fake_http::{FakeHttp, Reply};
use crate::harness::issuer::Issuer;
use crate::harness::server::Server;
use crate::harness::{Check, FRONTEND, PERMIT_ALL, check, direct, orders, said};

const CATALOG: &str = "\
services:
  - {id: shop/orders, hosts: [orders.shop]}
  - {id: shop/stock, protocol: grpc}
  - {id: pay/billing}
  - {id: bad/thing}
  - {id: agents/tools, protocol: mcp}
  - {id: agents/orders, protocol: grpc, grpc: {descriptors: orders.binpb}}
";

/// A server over [`TREE`] and the descriptor set it names.
async fn start(settings: &[&str]) -> Server {
    let set = crate::grpc::set_text("orders.proto");
    let files: Vec<(&str, &str)> = TREE.iter().copied().chain([("descriptors/orders.binpb", set.as_str())]).collect();
    Server::start(&files, settings).await
}

/// Policies that read a query key and a header, that need a look-up, and that do not parse.
const TREE: &[(&str, &str)] = &[
    ("catalog.yaml", CATALOG),
    ("facts.cedarschema", "type CallFacts = { ticket?: { state: String } };"),
    ("namespaces/shop/a.cedar", PERMIT_ALL),
    (
        "namespaces/shop/b.cedar",
        r#"forbid (principal, action == Action::"GET", resource) when { context.http.query.hasTag("mode") };"#,
    ),
    (
        "namespaces/pay/a.cedar",
        r#"permit (principal, action == Action::"GET", resource)
           when { context.env has facts && context.env.facts has ticket && context.env.facts.ticket.state == "open" };"#,
    ),
    ("namespaces/agents/a.cedar", bodies::POLICIES),
    (
        "mesh/responses.cedar",
        r#"forbid (principal is Workload, action == Action::"release", resource)
           when { principal has token && principal.token.scopesClaimed.contains("a") && principal has task &&
                  resource in principal.task.tools };"#,
    ),
    ("namespaces/bad/a.cedar", "permit ("),
];

const PROFILES: &str = "profiles={\
    default: {}, \
    xfcc: {identity: {sources: [xfcc: {hops: 1}]}}, \
    metadata: {identity: {tokens: [metadata: {key: jwt, claims: {issuer: 'https://idp.example', audiences: [shop]}}]}}, \
    dead: {identity: {tokens: [verified: {issuers: [dead]}]}}, \
    task: {identity: {task: {issuers: [tts]}}}, \
    responses: {processor: {responses: true}, identity: {tokens: [metadata: {key: jwt, claims: {issuer: 'https://idp.example', audiences: [shop]}}]}}}";
const LISTENERS: &str = "listeners=[\
    {name: default, address: '127.0.0.1:0'}, \
    {name: xfcc, address: '127.0.0.1:0', profile: xfcc}, \
    {name: metadata, address: '127.0.0.1:0', profile: metadata}, \
    {name: dead, address: '127.0.0.1:0', profile: dead}, \
    {name: task, address: '127.0.0.1:0', profile: task}, \
    {name: responses, address: '127.0.0.1:0', profile: responses}]";

/// A look-up of tickets at `source`.
pub fn lookup(source: &FakeHttp, timeout: &str) -> String {
    format!(
        "entity.lookups=[{{name: tickets, target: {{call: {{attribute: ticket}}}}, attributes: {{state: /state}}, \
         url: 'http://{}/t/${{principal.id}}', timeout: {timeout}}}]",
        source.address
    )
}

/// Claims of a good token, with `name` set to something else.
fn claims(name: &str, value: serde_json::Value) -> serde_json::Value {
    let now = jiff::Timestamp::now().as_second();
    let mut claims = json!({"iss": "https://idp.example", "sub": "alice", "aud": "shop", "exp": now + 60});
    claims[name] = value;
    claims
}

/// A check with a task token of `issuer`, good for a minute, with `name` set to something else.
fn task(issuer: &Issuer, name: &str, value: serde_json::Value) -> Check {
    let now = jiff::Timestamp::now().as_second();
    let mut claims = json!({
        "iss": "https://txn.example", "aud": "cluster.local", "sub": "alice", "iat": now - 1, "exp": now + 60,
        "txn": "t", "req_wl": FRONTEND, "tctx": {"tools": []},
    });
    claims[name] = value;
    orders().header("txn-token", &issuer.task_token(&claims))
}

fn many_headers() -> Check {
    (0..=200).fold(orders(), |check, number| check.header(&format!("x-{number}"), "1"))
}

/// Code, status, listener and check of everything that a request can bring about.
fn rows(tasks: &Issuer) -> Vec<(Code, i32, &'static str, Check)> {
    let mut tcp = orders();
    tcp.attributes().request = None;
    let bare = |method: &str, path: &str| check(method, path).service("shop/orders").by(FRONTEND);
    let token = |name: &str, value| orders().claims(&claims(name, value));
    let foreign = Issuer::new("k1").token_of("https://dead.example");
    let scopes: String = (0..500).map(|number| format!("s{number} ")).collect();
    vec![
        (Code::MalformedRequest, 400, "default", bare("", "/")),
        (Code::TcpUnsupported, 403, "default", tcp),
        (Code::PathRefused, 400, "default", bare("GET", "/a/../b")),
        (Code::HostRefused, 400, "default", orders().host("a@b")),
        (Code::QueryRefused, 400, "default", bare("GET", "/?mode=1&mode=2")),
        (Code::HeaderDuplicated, 400, "default", orders().header("content-type", "a").header("content-type", "b")),
        (Code::HeaderRefused, 400, "default", orders().header("x-a", "\0")),
        (Code::TooLarge, 431, "default", many_headers()),
        (Code::MethodOverride, 400, "default", orders().header("x-http-method-override", "DELETE")),
        (Code::ConnectRefused, 403, "default", bare("CONNECT", "")),
        (Code::UpgradeRefused, 403, "default", orders().header("upgrade", "websocket")),
        (Code::PeerRejected, 403, "default", orders().by("CN=frontend")),
        (Code::XfccRejected, 403, "xfcc", orders().header("x-forwarded-client-cert", "URI=\"open")),
        (Code::TrustDomainRefused, 403, "default", orders().by("spiffe://other.example/ns/web/sa/frontend")),
        (Code::TokenRejected, 401, "metadata", token("iss", json!("https://other.example"))),
        (Code::TokenExpired, 401, "metadata", token("exp", json!(1))),
        (Code::TokenNotBound, 403, "metadata", token("cnf", json!({"jkt": "x"}))),
        (Code::TokenRepeated, 400, "metadata", bare("GET", "/?access_token=a").header("authorization", "Bearer b")),
        (Code::TaskRejected, 403, "task", task(tasks, "aud", json!("other.example"))),
        (Code::TaskExpired, 403, "task", task(tasks, "exp", json!(1))),
        (Code::TaskNotBound, 403, "task", task(tasks, "req_wl", json!("spiffe://cluster.local/ns/web/sa/other"))),
        (Code::ReleaseTooLarge, 403, "responses", token("scope", json!(scopes))),
        (Code::ReleaseForeign, 403, "responses", bodies::tasks_get()),
        (Code::Unmapped, 403, "default", orders().service("shop/none")),
        (Code::ProtocolMismatch, 400, "default", orders().service("shop/stock")),
        // A time that fits the claim and no `datetime`.
        (Code::QueryInvalid, 400, "metadata", token("exp", json!(9_000_000_000_000_000_i64))),
        (Code::BundleInvalid, 503, "default", orders().service("bad/thing")),
        (Code::EntitiesUnavailable, 503, "default", orders().service("pay/billing")),
        (Code::KeysUnavailable, 503, "dead", orders().bearer(&foreign)),
    ]
    .into_iter()
    .chain(bodies::rows())
    .collect()
}

/// The codes that were reached, with their statuses.
#[derive(Default)]
struct Reached(BTreeMap<Code, i32>);

impl Reached {
    #[track_caller]
    fn add(&mut self, code: Code, status: i32, said: &crate::harness::Said) {
        assert_eq!((said.decision.as_str(), said.reason.as_str()), ("error", code.as_str()));
        assert_eq!(said.status, status, "status of {}", code.as_str());
        assert!(self.0.insert(code, status).is_none(), "{} has two rows", code.as_str());
    }
}

/// A `Judge` that panics.
enum Scripted {
    Panics,
}

impl Judge for Scripted {
    fn judge<'a>(&'a self, _: &'a Call, _: Instant) -> Evaluation<'a> {
        match self {
            Self::Panics => panic!("of the test"),
        }
    }
}

async fn scripted(judge: Scripted) -> crate::harness::Said {
    let authz = direct::authz(Arc::new(judge), Arc::new(|_| {}));
    said(authz.check(tonic::Request::new(orders().0)).await.unwrap().get_ref())
}

#[tokio::test]
async fn every_failure_code_is_reached_and_has_its_status() {
    let mut reached = Reached::default();
    let source = FakeHttp::start(Reply::Close).await;
    let keys = FakeHttp::start(Reply::Close).await;
    let tasks = Issuer::new("t1");
    let home = TempDir::new().unwrap();
    let key_set = home.path().join("tasks.json");
    std::fs::write(&key_set, tasks.key_set()).unwrap();
    let issuer = format!(
        "keys.issuers=[{{name: dead, jwks: {{url: {{address: 'http://{}/keys'}}}}, \
         claims: {{issuer: 'https://dead.example', audiences: [shop]}}}}, {{name: tts, jwks: {{file: '{}'}}, \
         claims: {{issuer: 'https://txn.example', audiences: [cluster.local], kind: transaction}}}}]",
        keys.address,
        key_set.display()
    );
    let lookup_now = lookup(&source, "5s");
    let server = start(&[PROFILES, LISTENERS, &issuer, &lookup_now]).await;
    for (code, status, listener, check) in rows(&tasks) {
        let said = server.client_of(listener).await.ask(check).await;
        reached.add(code, status, &said);
    }

    reached.add(Code::ApprovalUsed, 403, &crate::approvals::used().await);

    // Our own trouble.
    let late = start(&["limits.check.deadline=0s"]).await;
    reached.add(Code::Deadline, 503, &late.client().await.ask(orders()).await);
    let empty = Server::over(Arc::new(TempDir::new().unwrap()), &["policies.dir=/nowhere/at/all"]).await;
    reached.add(Code::NotReady, 503, &empty.client().await.ask(orders()).await);
    reached.add(Code::Overload, 503, &overloaded().await);
    reached.add(Code::Internal, 503, &scripted(Scripted::Panics).await);

    let (found, all): (BTreeSet<_>, BTreeSet<_>) = (reached.0.into_keys().collect(), Code::ALL.into_iter().collect());
    assert_eq!(found, all, "every code of crates/core/src/failure.rs needs a row here");
}

/// The answer to a second check while the only place is taken by one that waits for its source.
async fn overloaded() -> crate::harness::Said {
    let source = FakeHttp::start(Reply::Hang).await;
    let server = start(&["limits.in_flight_max=1", &lookup(&source, "5s")]).await;
    let mut first = server.client().await;
    let mut waiting = Box::pin(first.ask(orders().service("pay/billing")));
    let mut second = server.client().await;
    loop {
        tokio::select! {
            biased;
            said = &mut waiting => panic!("the first check did not wait: {said:?}"),
            () = tokio::task::yield_now() => {}
        }
        if source.requests() > 0 {
            return second.ask(orders()).await;
        }
    }
}
