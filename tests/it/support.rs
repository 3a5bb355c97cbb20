//! Builders shared by all tests. What is built is boring and denied unless a test says otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;

use picket::call::{Body, Call, CanonicalPath, Headers, Host, Peer, Target, UnixMillis};
use picket::decision::snapshot::{Loaded, Tree};
use picket::decision::{self, Snapshot, Verdict};
use picket::entity::Entities;
use picket::failure::Failure;
use picket::identity::{Binding, Identity, Proof, SpiffeId, Token, TokenKind, Workload};
use picket::mapping::{self, Place, action};

/// 2026-11-23T00:00:00Z.
pub const NOW: UnixMillis = UnixMillis(1_795_392_000_000);

/// A catalogue with one HTTP service `shop/orders`, one gRPC service and one MCP service.
pub const CATALOG: &str = r"
services:
  - id: shop/orders
    hosts: [orders.shop]
    service_accounts: [orders]
    groups: [pci]
    routes:
      - {name: get-order, match: '/v1/orders/{id}', methods: [GET], scopes: {required: ['orders:read'], acceptable: [openid]}}
  - id: shop/inventory
    protocol: grpc
    http_paths: [/healthz]
  - id: pay/billing
    token: {resource_metadata: 'https://billing.example/.well-known/oauth-protected-resource'}
  - id: agents/tools
    protocol: mcp
    http_paths: [/healthz]
workloads:
  - {id: 'spiffe://cluster.local/ns/web/sa/frontend', groups: [storefront]}
";

/// A tree of `catalog.yaml` and the given files.
pub fn tree(files: &[(&str, &str)]) -> Tree {
    let mut all: BTreeMap<String, Arc<str>> = [("catalog.yaml".to_owned(), CATALOG.into())].into();
    all.extend(files.iter().map(|(path, text)| ((*path).to_owned(), Arc::from(*text))));
    let folders = all.keys().filter_map(|path| path.rsplit_once('/')).map(|(folder, _)| folder.to_owned()).collect();
    Tree { files: all, folders }
}

/// Loads a tree that must be good.
pub fn snapshot(files: &[(&str, &str)]) -> Arc<Snapshot> {
    let loaded = Snapshot::load(&tree(files), None);
    assert!(loaded.refused.is_empty(), "{}", problems(&loaded));
    loaded.snapshot.expect("a snapshot without refused units")
}

/// Everything found, a line each.
pub fn problems(loaded: &Loaded) -> String {
    loaded.problems.iter().map(|problem| format!("{:?} {problem}\n", problem.severity)).collect()
}

/// A call: `GET /` on `orders.shop`, without a caller, for no service.
pub fn call() -> CallBuilder {
    CallBuilder(Call {
        peer: Peer::default(),
        method: "GET".into(),
        scheme: "http".into(),
        host: Host::parse("orders.shop").unwrap(),
        target: Target::Path { path: CanonicalPath::parse("/").unwrap(), query: None },
        path_sent: "/".into(),
        upgrade: None,
        headers: Headers::default(),
        body: Body::NotSent,
        extensions: BTreeMap::new(),
        verified_tokens: BTreeMap::new(),
        received_at: NOW,
    })
}

/// Builds a [`Call`].
#[derive(Clone)]
pub struct CallBuilder(pub Call);

impl CallBuilder {
    pub fn method(mut self, method: &str) -> Self {
        self.0.method = method.into();
        self
    }

    pub fn path(mut self, sent: &str) -> Self {
        let (path, query) = match sent.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (sent, None),
        };
        self.0.target = Target::Path { path: CanonicalPath::parse(path).unwrap(), query };
        self.0.path_sent = sent.into();
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        let entries = self.0.headers.iter().chain([(name, value.as_bytes())]);
        self.0.headers = if self.0.headers.is_joined() { Headers::joined(entries) } else { Headers::raw(entries) };
        self
    }

    pub fn joined(mut self) -> Self {
        self.0.headers = Headers::joined(self.0.headers.iter());
        self
    }

    pub fn service(mut self, id: &str) -> Self {
        self.0.extensions.insert("service".into(), id.into());
        self
    }
}

/// A workload by its SPIFFE id, proven by its certificate.
pub fn workload(id: &str) -> Identity {
    Identity {
        workload: Some(Workload { id: SpiffeId::parse(id).unwrap(), proof: Proof::Mtls }),
        ..Identity::default()
    }
}

/// The workload most tests call with.
pub fn frontend() -> Identity {
    workload("spiffe://cluster.local/ns/web/sa/frontend")
}

/// An access token with these scopes, living from now for five minutes.
pub fn token(scopes: &[&str]) -> Token {
    let scopes: std::collections::BTreeSet<String> = scopes.iter().map(|s| (*s).to_owned()).collect();
    Token {
        issuer: "https://issuer.example".into(),
        subject: "alice".into(),
        kind: TokenKind::Access,
        audiences: ["shop".to_owned()].into(),
        scopes_claimed: scopes.clone(),
        scopes_proven: scopes,
        roles: Default::default(),
        binding: Binding::Unbound,
        is_user: false,
        client_id: None,
        token_id: None,
        acr: None,
        amr: None,
        auth_time: None,
        issued_at: Some(NOW),
        expires_at: UnixMillis(NOW.0 + 300_000),
        actor: None,
        actor_depth: 0,
    }
}

/// Maps and decides a call, with default settings and no look-ups.
pub fn judge(snapshot: &Snapshot, identity: &Identity, call: &Call) -> Result<Verdict, Failure> {
    let settings = mapping::Settings::default();
    let place = Place { listener: "test", home: "cluster.local", catalog: snapshot.catalog() };
    let service = mapping::service(call, &settings, snapshot.catalog(), place.home)?;
    let asked = action::spoken(call, &service, &settings)?.without_body(call).expect("a call without a body");
    let reads = snapshot.reads(&service.id, action::family(call, &service));
    let mut query = mapping::query(call, identity, &service, &asked, reads, place)?;
    let facts = Entities::declared(snapshot, &query)?;
    decision::decide(snapshot, &mut query, &facts)
}

/// A verdict on one line: the answer, why, and by which policies.
pub fn show(verdict: &Result<Verdict, Failure>) -> String {
    match verdict {
        Ok(verdict) => {
            let by = verdict.determining.join(" ");
            format!("{} {} [{by}]", verdict.decision().as_str(), verdict.reason().as_str())
        }
        Err(failure) => format!("error {}", failure.code.as_str()),
    }
}
