//! The edge and everything behind it, without sockets: `CheckRequest` in, `CheckResponse` out.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use envoy_types::pb::envoy::service::auth::v3::authorization_server::Authorization as _;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use futures_util::future::BoxFuture;
use picket::app::elicitation_key;
use picket::approval::Approvals;
use picket::check::elicitation::StateTokens;
use picket::check::release_record::ReleaseSealer;
use picket::check::{Checker, Judge, Profile};
use picket::decision::snapshot::Tree;
use picket::decision::verdict::Decision;
use picket::decision::{Snapshot, Verdict};
use picket::entity::Entities;
use picket::envoy::authz::{Authz, AuthzSettings, Observer};
use picket::failure::Failure;
use picket::inspection::Inspection;
use picket::keys::Keys;
use picket::policy::{Loader, PolicySource, Reading, Store};
use picket::problem::Problem;
use picket::query::Query;
use picket::telemetry::Telemetry;
use tokio::sync::Semaphore;

use crate::support::{NOW, tree};

/// A policy source with a next reading that the test sets.
#[derive(Default)]
pub struct Memory(Mutex<Option<Reading>>);

impl Memory {
    /// Gives a whole tree from now on.
    pub fn give(&self, tree: Tree) {
        *self.0.lock().unwrap() = Some(Reading { tree, ..Reading::default() });
    }

    /// Cannot be read from now on.
    pub fn vanish(&self) {
        *self.0.lock().unwrap() = None;
    }
}

impl PolicySource for Memory {
    fn read(&self) -> BoxFuture<'_, Result<Reading, Vec<Problem>>> {
        let reading = self.0.lock().unwrap().clone();
        Box::pin(async move { reading.ok_or_else(|| vec![Problem::error("", "gone")]) })
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

/// The observer's record of one call.
#[derive(Debug, Clone)]
pub struct Seen {
    pub result: Result<Verdict, Failure>,
    pub query: Option<Query>,
    pub snapshot: Option<Arc<Snapshot>>,
    pub content: Option<Inspection>,
    /// Detectors with values that the service gets masked.
    pub masked: Vec<String>,
}

impl Seen {
    pub fn is_allow(&self) -> bool {
        self.result.as_ref().is_ok_and(|verdict| verdict.decision() == Decision::Allow)
    }
}

/// The service of one listener, its policies in memory.
pub struct Direct {
    authz: Authz,
    pub checker: Arc<Checker>,
    pub source: Arc<Memory>,
    pub store: Arc<Store>,
    last: Arc<Mutex<Option<Seen>>>,
}

impl Direct {
    /// Serves a tree of `catalog.yaml` and these files, with default settings.
    pub async fn new(files: &[(&str, &str)]) -> Self {
        Self::with(tree(files), Profile::default()).await
    }

    /// Serves a tree with a profile.
    pub async fn with(tree: Tree, profile: Profile) -> Self {
        Self::loading(tree, profile, Arc::new(Snapshot::load_on)).await
    }

    /// Serves a tree with a profile, its snapshots made by `loader`.
    pub async fn loading(tree: Tree, profile: Profile, loader: Loader) -> Self {
        let source = Arc::new(Memory::default());
        source.give(tree);
        let store = Arc::new(Store::over(source.clone(), loader, Duration::from_secs(10)));
        store.load_now().await;
        let checker = Arc::new(Checker {
            listener: "test".to_owned(),
            profile,
            policies: Arc::clone(&store),
            entities: Arc::new(Entities::over(Vec::new())),
            approvals: Arc::new(Approvals::none()),
            state_tokens: StateTokens::new(elicitation_key::load(None).unwrap(), Duration::from_secs(600)),
            keys: Arc::new(Keys::new(&picket::keys::Settings::default(), Path::new(".")).unwrap()),
            verifier: None,
            streams: Arc::default(),
            cache: None,
        });
        let last = Arc::default();
        Self { authz: authz(checker.clone(), recorder(&last)), checker, source, store, last }
    }

    /// The same, with its calls observed by telemetry and not recorded.
    pub fn observed_by(self, telemetry: Arc<Telemetry>) -> Self {
        let observer: Observer = Arc::new(move |observed| telemetry.finish(observed));
        Self { authz: authz(self.checker.clone(), observer), ..self }
    }

    /// The same, with a release record in every answer.
    pub fn with_records(self, sealer: Arc<ReleaseSealer>) -> Self {
        Self { authz: self.authz.with_records(sealer), ..self }
    }

    /// Sends a check; panics on a gRPC error.
    pub async fn ask(&self, request: CheckRequest) -> CheckResponse {
        self.authz.check(tonic::Request::new(request)).await.unwrap().into_inner()
    }

    /// Sends a check, and returns its judgement.
    pub async fn judged(&self, request: CheckRequest) -> (CheckResponse, Seen) {
        let response = self.ask(request).await;
        let seen = self.last.lock().unwrap().take().expect("every answered call is observed");
        (response, seen)
    }
}

/// The service over any `Judge`, on a fixed clock.
pub fn authz(judge: Arc<dyn Judge>, observer: Observer) -> Authz {
    // Far above what a debug build on a busy machine needs, so that no answer depends on its speed.
    let settings = AuthzSettings { deadline: Duration::from_secs(30), ..AuthzSettings::default() };
    let permits = Arc::new(Semaphore::new(1024));
    Authz::new(judge, settings, "test", permits, Arc::new(|| NOW), observer, Arc::default())
}

fn recorder(last: &Arc<Mutex<Option<Seen>>>) -> Observer {
    let last = Arc::clone(last);
    Arc::new(move |observed| {
        let judgement = observed.judgement;
        *last.lock().unwrap() = Some(Seen {
            result: judgement.result.clone(),
            query: judgement.query.clone(),
            snapshot: judgement.snapshot.clone(),
            content: judgement.content.clone(),
            masked: judgement.masked.iter().map(|name| name.to_string()).collect(),
        });
    })
}
