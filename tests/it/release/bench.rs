//! A server that gets responses from its proxy, and what it reports of them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use envoy_types::pb::envoy::service::auth::v3::CheckResponse;
use picket::check::Profile;
use picket::check::cache::{Admission, CheckCache, ListenerCache};
use picket::check::profile::Processor;
use picket::check::release_record::ReleaseSealer;
use picket::check::request_forward::{Promise, RequestForwarder};
use picket::check::response::{Begun, GuardedResponse, ResponseChecker, ResponseHead, ResponseRecord};
use picket::check::response_body::Responses;
use picket::check::response_phase::{Content, ResponseHead as SentHead};
use picket::decision::allowance::Pace;
use picket::decision::snapshot::Tree;
use picket::envoy::authz::Authz;
use picket::mapping;
use picket::release::ReleaseKey;
use picket::response::ruling::{Ruling, Seen};

use crate::harness::direct::{Direct, authz};
use crate::harness::{Check, FRONTEND, check, said};
use crate::memory::checker;
use crate::support::NOW;

const CATALOG: &str = "
services:
  - {id: shop/orders, groups: [guarded]}
  - {id: shop/pages}
  - {id: agents/tickets, protocol: mcp, mcp: {batches: each}, tools: {read: {}, write: {}}}
workloads:
  - {id: 'spiffe://cluster.local/ns/web/sa/frontend', groups: [storefront]}
  - {id: 'spiffe://cluster.local/ns/web/sa/batch', groups: [others]}
";

/// A server, its proxy, and what it reported.
pub struct Bench {
    pub direct: Direct,
    pub responses: ResponseChecker,
    reported: Arc<Mutex<Vec<ResponseRecord>>>,
}

pub fn tree(policies: &[&str]) -> Tree {
    crate::support::tree(&[("catalog.yaml", CATALOG), ("mesh/a.cedar", &policies.join("\n"))])
}

/// The same with policies in shadow mode.
fn tree_with_shadow(policies: &[&str], shadow: &[&str]) -> Tree {
    let modes = "modes: {mesh/s.cedar: shadow}";
    let (policies, shadow) = (policies.join("\n"), shadow.join("\n"));
    // Lists that are filtered require a record of every call.
    let catalog = CATALOG.replace("batches: each", "batches: each, lists: unfiltered");
    let files = [("catalog.yaml", &*catalog), ("mesh/a.cedar", &*policies), ("mesh/s.cedar", &*shadow)];
    crate::support::tree(&[&files[..], &[("manifest.yaml", modes)]].concat())
}

pub fn sealer() -> Arc<ReleaseSealer> {
    Arc::new(ReleaseSealer::new(ReleaseKey::new(&[1; 32]).unwrap(), Duration::from_secs(60)))
}

/// The phase of responses behind a proxy that does not hand over requests.
pub fn phase(checker: ResponseChecker) -> Responses {
    let requests = RequestForwarder {
        listener: "mesh".into(),
        promise: Promise::None,
        policies: Arc::clone(&checker.policies),
        sealer: Arc::clone(&checker.sealer),
        streams: Arc::default(),
    };
    Responses::new(checker, requests)
}

pub fn profile() -> Profile {
    let mapping = mapping::Settings { allow_upgrades: vec!["websocket".to_owned()], ..mapping::Settings::default() };
    Profile { processor: Processor { responses: true, requests: false }, mapping, ..Profile::default() }
}

impl Bench {
    pub async fn new(policies: &[&str]) -> Self {
        Self::of(tree(policies)).await
    }

    pub async fn with_shadow(policies: &[&str], shadow: &[&str]) -> Self {
        Self::of(tree_with_shadow(policies, shadow)).await
    }

    async fn of(tree: Tree) -> Self {
        let direct = Direct::with(tree, profile()).await.with_records(sealer());
        let reported = Arc::<Mutex<Vec<ResponseRecord>>>::default();
        let sink = Arc::clone(&reported);
        let responses = ResponseChecker {
            home: "cluster.local".to_owned(),
            policies: Arc::clone(&direct.store),
            sealer: sealer(),
            evaluation_max: Duration::from_secs(30),
            has_lookups: false,
            observer: Arc::new(move |record| sink.lock().unwrap().push(record.clone())),
            rulings_max: 0,
        };
        Self { direct, responses, reported }
    }

    pub async fn reload(&self, policies: &[&str]) {
        self.direct.source.give(tree(policies));
        self.direct.store.load_now().await;
        assert!(self.direct.store.status().is_current(), "{policies:?} did not load");
    }

    /// The same, with another text in the catalogue.
    pub async fn recatalogue(&self, policies: &[&str], from: &str, to: &str) {
        assert!(CATALOG.contains(from));
        let files = [("catalog.yaml", &CATALOG.replace(from, to)), ("mesh/a.cedar", &policies.join("\n"))];
        self.direct.source.give(crate::support::tree(&files.map(|(name, text)| (name, text.as_str()))));
        self.direct.store.load_now().await;
        assert!(self.direct.store.status().is_current(), "{to} did not load");
    }

    /// The same, with `entities.json`.
    pub async fn declare(&self, policies: &[&str], entities: &str) {
        let files = [("catalog.yaml", CATALOG), ("mesh/a.cedar", &policies.join("\n")), ("entities.json", entities)];
        self.direct.source.give(crate::support::tree(&files));
        self.direct.store.load_now().await;
        assert!(self.direct.store.status().is_current(), "{entities} did not load");
    }

    /// The same with a cache, in which every call is cached at its first request.
    pub fn cached(&self) -> (Arc<CheckCache>, Authz) {
        let memory = Arc::new(CheckCache::new(Admission::FirstSight));
        let checker = checker(&self.direct.store, &profile(), Some(ListenerCache::new(&memory)));
        (memory, authz(Arc::new(checker), Arc::new(|_| {})).with_records(sealer()))
    }

    /// The record of an answer to a check.
    pub async fn record(&self, check: Check) -> String {
        let response = self.direct.ask(check.0).await;
        record(&response).unwrap_or_else(|| panic!("{:?}", said(&response)))
    }

    pub fn begin(&self, record: &str) -> Begun {
        self.responses.begin(&head(Some(record)), Pace::Quick)
    }

    pub fn read(&self, record: &str) -> GuardedResponse {
        match self.begin(record) {
            Begun::Read(response) => *response,
            other => panic!("{other:?}"),
        }
    }

    /// Everything that was reported since the last time.
    pub fn all(&self) -> Vec<ResponseRecord> {
        std::mem::take(&mut self.reported.lock().unwrap())
    }

    /// The oldest record that was not taken.
    pub fn first(&self) -> Option<ResponseRecord> {
        let mut reported = self.reported.lock().unwrap();
        (!reported.is_empty()).then(|| reported.remove(0))
    }

    pub fn last(&self) -> ResponseRecord {
        self.reported.lock().unwrap().pop().expect("every evaluated response is reported")
    }
}

pub fn head(record: Option<&str>) -> ResponseHead<'_> {
    ResponseHead {
        record,
        proxy: "",
        code_details: None,
        at: NOW,
        status: 200,
        media_type: "text/event-stream".into(),
        is_stream: true,
        deadline: tokio::time::Instant::now() + Duration::from_secs(60),
    }
}

pub fn metadata(response: &CheckResponse) -> serde_json::Value {
    picket::envoy::json::check_response(response)["dynamicMetadata"].clone()
}

pub fn record(response: &CheckResponse) -> Option<String> {
    metadata(response)["release"].as_str().map(str::to_owned)
}

pub fn seen(found: &[&str], inspected: bool) -> Seen {
    Seen { found: found.iter().map(|name| (*name).into()).collect(), inspected, passed: BTreeSet::new() }
}

pub fn masked(masks: &[&str]) -> Ruling {
    Ruling::Release { masks: masks.iter().map(|name| (*name).into()).collect() }
}

/// The reason of a refusal; `pass` or `read` for anything else.
pub fn outcome(begun: &Begun) -> String {
    match begun {
        Begun::Pass | Begun::Released => "pass".to_owned(),
        Begun::Read(_) => "read".to_owned(),
        Begun::Watch(_) => "watch".to_owned(),
        Begun::TooLong(_) => "too long".to_owned(),
        Begun::Refuse(refusal) => refusal.reason.as_str().to_owned(),
        Begun::RefuseCall(response) => {
            response.refusal().map_or_else(String::new, |refusal| refusal.reason.as_str().to_owned())
        }
    }
}

pub fn mcp(method: &str, params: &str) -> Check {
    posted(&format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{params}}}"#), "2025-11-25")
}

/// A call with this body; without a header for its version in the oldest one.
pub fn posted(body: &str, version: &str) -> Check {
    let length = body.len().to_string();
    let headers = [
        ("content-type", "application/json"),
        ("content-length", length.as_str()),
        ("x-envoy-auth-partial-body", "false"),
    ];
    let mut sent = check("POST", "/mcp").service("agents/tickets").by(FRONTEND);
    for (name, value) in headers {
        sent = sent.header(name, value);
    }
    if version != "2025-03-26" {
        sent = sent.header("mcp-protocol-version", version);
    }
    sent.http().raw_body = body.as_bytes().to_vec();
    sent
}

pub fn resumed() -> Check {
    let get = check("GET", "/mcp").service("agents/tickets").by(FRONTEND);
    get.header("mcp-protocol-version", "2025-11-25").header("last-event-id", "41")
}

/// A response as the edge hands it over.
pub fn sent(record: &str, headers: &[(&str, &str)], content: Content) -> SentHead {
    SentHead {
        record: Some(record.to_owned()),
        proxy: None,
        status: 200,
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect(),
        code_details: None,
        content,
        received_at: NOW,
    }
}
