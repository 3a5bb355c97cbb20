//! One ext_authz service, composed as the server composes it, for benches in process.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use picket::app::elicitation_key;
use picket::approval::Approvals;
use picket::check::cache::{CheckCache, ListenerCache};
use picket::check::elicitation::StateTokens;
use picket::check::{Checker, Profile};
use picket::entity::Entities;
use picket::envoy::authz::system_clock;
use picket::envoy::authz::{Authz, AuthzSettings, Stats};
use picket::keys::Keys;
use picket::policy::Store;
use picket::telemetry::{Settings, Telemetry};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tonic::metadata::MetadataMap;

/// A whole ext_authz service over the policies of `folder`, its decision log in a file there.
pub fn service(runtime: &Runtime, folder: TempDir) -> Authz {
    let store = Arc::new(Store::new(&picket::policy::Settings::new(folder.path().join("policies"))));
    runtime.block_on(store.load_now());
    assert!(store.status().is_current(), "{}", store.status());
    let sink = serde_json::json!({"decision_log": {"sink": {"file": folder.path().join("log")}}});
    let settings: Settings = serde_json::from_value(sink).unwrap();
    let telemetry = Telemetry::start(&settings, "bench").unwrap();
    let checker = Checker {
        listener: "bench".to_owned(),
        profile: Profile::default(),
        policies: store,
        entities: Arc::new(Entities::over(Vec::new())),
        approvals: Arc::new(Approvals::none()),
        state_tokens: StateTokens::new(elicitation_key::load(None).unwrap(), Duration::from_secs(600)),
        keys: Arc::new(Keys::new(&picket::keys::Settings::default(), std::path::Path::new(".")).unwrap()),
        verifier: None,
        streams: Arc::default(),
        cache: Some(ListenerCache::new(&Arc::<CheckCache>::default())),
    };
    let observer: picket::envoy::authz::Observer = Arc::new(move |seen| telemetry.finish(seen));
    let in_flight = Arc::new(Semaphore::new(16));
    // The folder holds the log for as long as the process lives.
    std::mem::forget(folder);
    // Under valgrind a first check takes longer than the default deadline where other work runs too.
    let settings = AuthzSettings { deadline: Duration::from_secs(10), ..AuthzSettings::default() };
    Authz::new(Arc::new(checker), settings, "bench", in_flight, system_clock(), observer, Arc::<Stats>::default())
}

/// From the bytes of a check to the bytes of its answer.
pub async fn whole(service: &Authz, bytes: &Bytes) -> Vec<u8> {
    let reply = service.reply(bytes.clone(), &MetadataMap::new()).await.unwrap();
    let mut answer = Vec::with_capacity(1024);
    reply.write(&mut answer).unwrap();
    answer
}
