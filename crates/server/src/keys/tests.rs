mod issuer;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::time::{Instant, advance};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fetch::{Fetch, FetchProblem};
use super::{IssuerSettings, Jwks, Keys, Settings, UrlSource};
use issuer::{Signer, claim_rules, profile};
use picket_core::failure::Code;
use picket_core::identity::identify;
use picket_core::identity::rules::SignatureAlgorithm;
use picket_core::setting::CheckSettings as _;

static OLD: LazyLock<Signer> = LazyLock::new(|| Signer::new("old"));
static NEW: LazyLock<Signer> = LazyLock::new(|| Signer::new("new"));

fn settings(jwks: Jwks) -> Settings {
    let issuer = IssuerSettings {
        name: "idp".to_owned(),
        jwks,
        algorithms: [SignatureAlgorithm::Es256].into(),
        allow_untyped: false,
        claims: claim_rules(),
    };
    Settings { timeout: Duration::from_millis(500), issuers: vec![issuer], ..Settings::default() }
}

fn url(address: &str) -> Settings {
    settings(Jwks::Url(UrlSource { address: address.to_owned(), ca_file: None }))
}

/// Whether a call with this signer's token is identified; else the failure's code.
fn judge(keys: &Keys, signer: &Signer) -> Result<(), Code> {
    match identify(&signer.call(), &profile(), &keys.ring()) {
        Ok(_) => Ok(()),
        Err(rejection) => {
            if let Some(issuer) = &rejection.unknown_key_of {
                keys.hint_unknown_key(issuer);
            }
            Err(rejection.failure.code)
        }
    }
}

fn counts(keys: &Keys) -> (u64, u64, u64) {
    let (_, stats) = keys.stats().next().unwrap();
    (stats.fetches_succeeded(), stats.fetches_failed(), stats.keys())
}

/// What a script's fetch does.
#[derive(Clone)]
enum Step {
    Give(String),
    Fail,
    Hang,
}

/// A source that plays its steps and then repeats the last one.
#[derive(Clone)]
struct Script {
    steps: Arc<Mutex<VecDeque<Step>>>,
    fetches: Arc<AtomicU64>,
}

impl Script {
    fn new(steps: &[Step]) -> Self {
        Self { steps: Arc::new(Mutex::new(steps.to_vec().into())), fetches: Arc::default() }
    }

    fn fetches(&self) -> u64 {
        self.fetches.load(Ordering::Relaxed)
    }
}

impl Fetch for Script {
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, FetchProblem>> + Send + '_>> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        let mut steps = self.steps.lock().unwrap();
        let step = if steps.len() > 1 { steps.pop_front().unwrap() } else { steps[0].clone() };
        Box::pin(async move {
            match step {
                Step::Give(json) => Ok(json.into_bytes()),
                Step::Fail => Err(FetchProblem::Status(500)),
                Step::Hang => std::future::pending().await,
            }
        })
    }
}

fn give(signer: &Signer) -> Step {
    Step::Give(signer.jwks())
}

/// Keys that run on a paused clock over a script.
struct Running {
    keys: Arc<Keys>,
    script: Script,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    async fn start(steps: &[Step]) -> Self {
        let script = Script::new(steps);
        let keys = Arc::new(Keys::with_sources(&url("https://idp.example/keys"), vec![Box::new(script.clone())]));
        keys.load().await;
        let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(Arc::clone(&keys).run(cancel.clone()));
        let running = Self { keys, script, cancel, tasks };
        running.pass(0).await;
        running
    }

    /// Lets that many milliseconds go by, and everything run that is due by then.
    async fn pass(&self, millis: u64) {
        advance(Duration::from_millis(millis)).await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[tokio::test(start_paused = true)]
async fn keys_are_had_at_start_and_fetched_again_after_the_refresh_time() {
    let running = Running::start(&[give(&OLD), give(&NEW)]).await;
    assert_eq!(judge(&running.keys, &OLD), Ok(()));
    let before = running.keys.ring().generation();
    running.pass(599_000).await;
    assert_eq!(running.script.fetches(), 1);
    running.pass(2_000).await;
    assert_eq!((running.script.fetches(), running.keys.ring().generation()), (2, before + 1));
    assert_eq!(judge(&running.keys, &NEW), Ok(()));
    assert_eq!(judge(&running.keys, &OLD), Err(Code::TokenRejected), "a withdrawn key is forgotten");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_rotated_key_is_known_after_the_least_interval() {
    let running = Running::start(&[give(&OLD), give(&NEW)]).await;
    assert_eq!(judge(&running.keys, &NEW), Err(Code::TokenRejected));
    running.pass(29_000).await;
    assert_eq!(running.script.fetches(), 1, "asked for, but too early");
    running.pass(2_000).await;
    assert_eq!(judge(&running.keys, &NEW), Ok(()));
    assert_eq!(running.script.fetches(), 2);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_unknown_key_ids_costs_one_fetch_per_interval() {
    let running = Running::start(&[give(&OLD)]).await;
    for _ in 0..300 {
        for _ in 0..30 {
            running.keys.hint_unknown_key("idp");
        }
        running.keys.hint_unknown_key("nobody");
        running.pass(1_000).await;
    }
    let fetches = running.script.fetches();
    assert!((2..=11).contains(&fetches), "{fetches} fetches in 300 s of flood");
    assert_eq!(judge(&running.keys, &OLD), Ok(()), "good tokens do not suffer");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_last_good_keys_stay_through_any_failure() {
    let broken = |text: &str| Step::Give(text.to_owned());
    let oct = r#"{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"old"}]}"#;
    let steps =
        [give(&OLD), Step::Fail, Step::Hang, broken("<html>"), broken("{\"keys\":[]}"), broken(oct), give(&NEW)];
    let running = Running::start(&steps).await;
    let before = running.keys.ring().generation();
    running.pass(600_000).await;
    for failures in 1..=5 {
        running.pass(600).await;
        assert_eq!(counts(&running.keys), (1, failures, 1));
        assert_eq!((judge(&running.keys, &OLD), running.keys.ring().generation()), (Ok(()), before));
        running.pass(30_000).await;
    }
    running.pass(1_000).await;
    assert_eq!((counts(&running.keys), judge(&running.keys, &NEW)), ((2, 5, 1), Ok(())));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn keys_missed_at_start_are_had_soon_after() {
    let running = Running::start(&[Step::Fail, give(&OLD)]).await;
    assert_eq!(judge(&running.keys, &OLD), Err(Code::KeysUnavailable));
    running.pass(31_000).await;
    assert_eq!(judge(&running.keys, &OLD), Ok(()));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn loading_takes_no_longer_than_the_timeout() {
    let keys = Keys::with_sources(&url("https://idp.example/keys"), vec![Box::new(Script::new(&[Step::Hang]))]);
    let began = Instant::now();
    keys.load().await;
    assert_eq!((began.elapsed(), counts(&keys)), (Duration::from_millis(500), (0, 1, 0)));
    assert_eq!(keys.stats().next().unwrap().1.last_success_seconds(), None);
}

#[tokio::test(start_paused = true)]
async fn without_issuers_there_is_nothing_to_do() {
    let keys = Arc::new(Keys::new(&Settings::default(), Path::new(".")).unwrap());
    keys.load().await;
    Arc::clone(&keys).run(CancellationToken::new()).await;
    assert_eq!(keys.ring().generation(), 0);
}

#[tokio::test]
async fn a_file_is_read_again_and_may_be_gone_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let settings = settings(Jwks::File(PathBuf::from("jwks.json")));
    let keys = Keys::new(&settings, folder.path()).unwrap();
    assert_eq!(keys.issuers[0].period, Duration::from_secs(10));
    let steps: [(Option<String>, _, _); 5] = [
        (None, Err(Code::KeysUnavailable), (0, 1, 0)),
        (Some(OLD.jwks()), Ok(()), (1, 1, 1)),
        (None, Ok(()), (1, 2, 1)),
        (Some(" ".repeat(1024 * 1024 + 1)), Ok(()), (1, 3, 1)),
        (Some(NEW.jwks()), Err(Code::TokenRejected), (2, 3, 1)),
    ];
    for (content, expected, stats) in steps {
        match content {
            Some(content) => std::fs::write(&path, content).unwrap(),
            None => drop(std::fs::remove_file(&path)),
        }
        keys.load().await;
        assert_eq!((judge(&keys, &OLD), counts(&keys)), (expected, stats));
    }
    assert!(keys.stats().next().unwrap().1.last_success_seconds().is_some());
}

/// Serves key sets, good and bad, on a free loopback port.
async fn server(tasks: &TaskTracker, cancel: &CancellationToken) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/good", get(|| async { OLD.jwks() }))
        .route("/garbage", get(|| async { "<html>" }))
        .route("/status/500", get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, OLD.jwks()) }))
        .route("/status/204", get(|| async { StatusCode::NO_CONTENT }))
        .route("/huge", get(|| async { format!("{}{}", " ".repeat(1024 * 1024), OLD.jwks()) }))
        .route("/hang", get(std::future::pending::<String>))
        .route("/redirect", get(|| async { (StatusCode::FOUND, [(header::LOCATION, "/good")]).into_response() }));
    let stop = cancel.clone();
    tasks.spawn(async move { axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await });
    address
}

#[tokio::test]
async fn only_a_whole_good_answer_of_the_named_server_counts() {
    let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
    let address = server(&tasks, &cancel).await;
    for (path, good) in [
        ("good", true),
        ("garbage", false),
        ("status/500", false),
        ("status/204", false),
        ("huge", false),
        ("hang", false),
        ("redirect", false),
        ("missing", false),
    ] {
        let keys = Keys::new(&url(&format!("http://{address}/{path}")), Path::new(".")).unwrap();
        keys.load().await;
        let expected = if good { (Ok(()), (1, 0, 1)) } else { (Err(Code::KeysUnavailable), (0, 1, 0)) };
        assert_eq!((judge(&keys, &OLD), counts(&keys)), expected, "{path}");
    }
    cancel.cancel();
}

#[test]
fn settings_tell_all_their_problems_at_once() {
    let yaml = "
refresh: 5m
issuers:
  - name: idp
    jwks: {url: {address: 'https://idp.example/keys'}}
    algorithms: [RS256, EdDSA]
    claims: {issuer: 'https://idp.example', audiences: [a], users: true}
  - name: cluster
    jwks: {file: jwks.json}
    claims: {issuer: 'https://kubernetes.default.svc', audiences: [a], kind: kubernetes}
";
    let good: Settings = serde_saphyr::from_str(yaml).unwrap();
    assert_eq!((good.problems(), good.rules().len()), (Vec::new(), 2));
    for alg in ["none", "HS256", "rs256"] {
        assert!(serde_saphyr::from_str::<Settings>(&yaml.replace("EdDSA", alg)).is_err(), "{alg}");
    }
    let mut bad = url("http://idp.example/keys");
    bad.issuers.push(IssuerSettings { algorithms: [].into(), ..bad.issuers[0].clone() });
    (bad.refresh, bad.min_interval, bad.timeout) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let found = Keys::new(&bad, Path::new(".")).unwrap_err().join("\n");
    for part in [
        "`keys.refresh`: ",
        "`keys.min_interval`: ",
        "`keys.timeout`: ",
        "`keys.issuers[0].jwks.url.address`: `http://idp.example/keys` is not an https URL",
        "`keys.issuers[1].name`: two issuers",
        "`keys.issuers[1].algorithms`: is empty",
    ] {
        assert!(found.contains(part), "`{part}` is missing in:\n{found}");
    }
    for (address, fine) in [
        ("https://idp.example/x", true),
        ("http://127.0.0.1:80/x", true),
        ("http://[::1]/x", true),
        ("http://localhost/x", true),
        ("http://localhost.evil.example/x", false),
        ("http://127.0.0.1.evil.example/x", false),
        ("http://127.0.0.1@evil.example/x", false),
        ("file:///etc/keys", false),
        ("idp.example", false),
    ] {
        assert_eq!(url(address).problems().is_empty(), fine, "{address}");
    }
    let missing = Jwks::Url(UrlSource { address: "https://idp.example".into(), ca_file: Some("none.pem".into()) });
    assert!(Keys::new(&settings(missing), Path::new("/nowhere")).unwrap_err()[0].contains("none.pem"));
}
