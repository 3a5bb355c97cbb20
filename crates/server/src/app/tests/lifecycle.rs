//! The whole server: readiness, health, metrics, admin and the order of a shutdown. Loopback, port 0.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::super::admin::proto::admin_client::AdminClient;
use super::super::admin::proto::{ExplainRequest, StatusRequest};
use super::super::admin::{AdminBackend, AdminState, Answer, Unit};
use crate::server::accept::Drained;
use crate::server::hosts::Hosts;
use crate::server::limits::Settings;
use crate::server::settings::{self, Listener};
use crate::server::socket::{Address, Peer};
use crate::server::tasks::Tasks;
use crate::server::{Ended, Parts, Server, Shutdown};

/// A backend with a snapshot that the test loads.
#[derive(Default)]
struct Backend(AtomicBool);

impl AdminBackend for Backend {
    fn loaded(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn keys_never_had(&self) -> Vec<String> {
        Vec::new()
    }

    fn waits_for_keys(&self) -> bool {
        false
    }

    fn units(&self) -> Vec<Unit> {
        vec![Unit { name: "shop".into(), digest: "4be1".into(), age_seconds: 7, refused: Some("no schema".into()) }]
    }

    fn metrics(&self) -> String {
        "picket_up 1\n".to_owned()
    }

    fn explain<'a>(&'a self, call_json: &'a str, profile: &'a str) -> Answer<'a, Result<String, String>> {
        let good = call_json == "{}";
        Box::pin(async move { if good { Ok(format!("{{\"profile\":\"{profile}\"}}")) } else { Err("no call".into()) } })
    }
}

struct Running {
    backend: Arc<Backend>,
    shutdown: Shutdown,
    flushed: Arc<AtomicBool>,
    tasks: Tasks,
    ports: Vec<SocketAddr>,
    ended: JoinHandle<Ended>,
}

impl Running {
    fn start(settings: settings::Shutdown) -> Self {
        let local: Address = "127.0.0.1:0".parse().unwrap();
        let listener = Listener {
            name: "a".into(),
            address: local.clone(),
            profile: "default".into(),
            client_profiles: Vec::new(),
            tls: None,
            insecure: false,
        };
        let (backend, flushed, tasks) = (Arc::<Backend>::default(), Arc::<AtomicBool>::default(), Tasks::default());
        let flag = Arc::clone(&flushed);
        let ports = settings::Admin { http_address: local.clone(), grpc_address: local, ..settings::Admin::default() };
        let server = Server::bind(Parts {
            listeners: vec![(listener, tonic::service::Routes::default().into())],
            admin: AdminState::new(backend.clone(), tasks.clone()).ports(ports),
            limits: Settings::default(),
            shutdown: settings,
            tasks: tasks.clone(),
            stats: Arc::default(),
            on_tls_bound: Box::new(drop),
            flush: Box::pin(async move { flag.store(true, Ordering::Relaxed) }),
        })
        .unwrap();
        let port = |address| if let Address::Tcp(address) = address { Some(address) } else { None };
        let ports = server.addresses().into_iter().filter_map(|(_, address)| port(address)).collect();
        let shutdown = Shutdown::default();
        let ended = tokio_util::task::TaskTracker::new().spawn(server.run(shutdown.clone()));
        Self { backend, shutdown, flushed, tasks, ports, ended }
    }

    async fn http(&self, path: &str) -> String {
        self.http_by("127.0.0.1", path).await
    }

    async fn http_by(&self, host: &str, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(self.ports[1]).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn health(&self, service: &str) -> i32 {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", self.ports[0])).unwrap();
        let mut client = HealthClient::new(endpoint.connect().await.unwrap());
        client.check(HealthCheckRequest { service: service.to_owned() }).await.unwrap().into_inner().status
    }

    /// Waits until `/readyz` begins with `status`.
    async fn until(&self, status: u16) {
        while !self.http("/readyz").await.starts_with(&format!("HTTP/1.1 {status}")) {
            tokio::task::yield_now().await;
        }
    }
}

fn quick() -> settings::Shutdown {
    settings::Shutdown {
        pre_drain: Duration::from_millis(400),
        drain_timeout: Duration::from_secs(10),
        flush_timeout: Duration::from_secs(1),
    }
}

const SERVING: i32 = 1;
const NOT_SERVING: i32 = 2;

#[tokio::test]
async fn readiness_and_health_follow_the_first_snapshot() {
    let running = Running::start(quick());
    running.until(503).await;
    assert_eq!(running.health("").await, NOT_SERVING);
    assert!(running.http("/livez").await.starts_with("HTTP/1.1 200"));
    running.backend.0.store(true, Ordering::Relaxed);
    running.until(200).await;
    for service in ["", "envoy.service.auth.v3.Authorization"] {
        while running.health(service).await != SERVING {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn the_admin_port_serves_units_and_metrics_and_nothing_else() {
    let running = Running::start(quick());
    let verbose = running.http("/readyz?verbose").await;
    for line in ["snapshot loaded: no", "unit shop: 4be1, 7 s old", "newest version rejected: no schema"] {
        assert!(verbose.contains(line), "`{line}` is missing in {verbose}");
    }
    let metrics = running.http("/metrics").await;
    assert!(
        metrics.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n")
            && metrics.ends_with("picket_up 1\n"),
        "{metrics}"
    );
    assert!(running.http("/debug").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn no_page_answers_to_a_name_that_others_may_own() {
    let running = Running::start(quick());
    for path in ["/livez", "/readyz", "/readyz?verbose", "/metrics", "/debug"] {
        let answer = running.http_by("evil.example:9192", path).await;
        assert!(answer.starts_with("HTTP/1.1 421") && !answer.contains("unit"), "{path}: {answer}");
    }
    assert!(running.http_by("localhost:9192", "/metrics").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn the_admin_service_answers_to_no_name_that_others_may_own() {
    let running = Running::start(quick());
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", running.ports[2])).unwrap();
    let by = |name: &str| endpoint.clone().origin(format!("http://{name}").parse().unwrap());
    let ask = async |name: &str| {
        let mut client = AdminClient::new(by(name).connect().await.unwrap());
        let status = client.status(StatusRequest {}).await.map_err(|status| status.code());
        let explain = ExplainRequest { call_json: "{}".to_owned(), profile: String::new() };
        (status.map(drop), client.explain(explain).await.map(drop).map_err(|status| status.code()))
    };
    assert_eq!(ask("localhost:9193").await, (Ok(()), Ok(())));
    let denied = Err(tonic::Code::PermissionDenied);
    assert_eq!(ask("evil.example:9193").await, (denied, denied));
}

#[tokio::test]
async fn active_policies_are_shown_on_this_machine_only() {
    for (peer, is_shown) in
        [("127.0.0.1:1", true), ("[::ffff:127.0.0.1]:1", true), ("10.0.0.1:1", false), ("[::2]:1", false)]
    {
        let router = AdminState::new(Arc::<Backend>::default(), Tasks::default()).http(Hosts::Any);
        let mut request = http::Request::get("/readyz?verbose").body(axum::body::Body::empty()).unwrap();
        request.extensions_mut().insert(Peer::Tcp(peer.parse().unwrap()));
        let answer = tower::ServiceExt::oneshot(router, request).await.unwrap();
        let text = axum::body::to_bytes(answer.into_body(), 1 << 16).await.unwrap();
        let text = String::from_utf8_lossy(&text);
        assert!(text.contains("snapshot loaded: no"), "{peer}: {text}");
        assert_eq!(["shop", "4be1", "no schema"].map(|word| text.contains(word)), [is_shown; 3], "{peer}: {text}");
    }
}

#[tokio::test]
async fn the_admin_service_answers_status_and_explain() {
    let running = Running::start(quick());
    let mut client = AdminClient::connect(format!("http://{}", running.ports[2])).await.unwrap();
    let status = client.status(StatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.ready, status.units[0].refused.as_str()), (false, "no schema"));
    let ask = |call_json: &str| ExplainRequest { call_json: call_json.to_owned(), profile: String::new() };
    let explained = client.explain(ask("{}")).await.unwrap().into_inner();
    assert_eq!(explained.explanation_json, "{\"profile\":\"default\"}");
    assert_eq!(client.explain(ask("x")).await.unwrap_err().code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn p36_unknown_methods_are_unimplemented() {
    let running = Running::start(quick());
    let mut client = AdminClient::connect(format!("http://{}", running.ports[0])).await.unwrap();
    let code = client.status(StatusRequest {}).await.unwrap_err().code();
    assert_eq!(code, tonic::Code::Unimplemented, "the admin service answers on a listener of checks");
}

#[tokio::test]
async fn a_draining_server_reports_it_and_serves_until_a_second_signal() {
    let hour = Duration::from_secs(3600);
    let slow = settings::Shutdown { pre_drain: hour, drain_timeout: 3 * hour, flush_timeout: hour };
    let running = Running::start(slow);
    running.backend.0.store(true, Ordering::Relaxed);
    running.until(200).await;
    running.shutdown.begin.cancel();
    running.until(503).await;
    assert_eq!(running.health("").await, NOT_SERVING);
    assert!(running.http("/livez").await.starts_with("HTTP/1.1 200"));
    running.shutdown.force.cancel();
    assert_eq!(running.ended.await.unwrap(), Ended::Forced);
}

#[tokio::test]
async fn a_drain_waits_for_pre_drain_and_writes_out_at_the_end() {
    let running = Running::start(quick());
    running.tasks.spawn("steady", std::future::pending());
    let start = Instant::now();
    running.shutdown.begin.cancel();
    assert_eq!(running.ended.await.unwrap(), Ended::Drained(Drained::Clean));
    assert!((400..5000).contains(&start.elapsed().as_millis()), "left after {:?}", start.elapsed());
    assert!(running.flushed.load(Ordering::Relaxed));
    assert!(running.tasks.failed().is_empty());
}

#[tokio::test]
async fn a_background_task_that_dies_is_named_and_does_not_end_readiness() {
    let running = Running::start(quick());
    running.backend.0.store(true, Ordering::Relaxed);
    running.tasks.spawn("policies", async { panic!("of the test") });
    running.tasks.spawn("keys", async {});
    running.tasks.spawn("steady", std::future::pending());
    while running.tasks.failed().len() < 2 {
        tokio::task::yield_now().await;
    }
    let verbose = running.http("/readyz?verbose").await;
    assert!(verbose.starts_with("HTTP/1.1 200") && verbose.contains("background task policies: ended"), "{verbose}");
    assert!(!running.tasks.failed().contains_key("steady"));
}

#[tokio::test]
async fn an_address_in_use_is_a_problem_with_its_name() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Tcp(taken.local_addr().unwrap());
    let ports = settings::Admin { http_address: address, ..settings::Admin::default() };
    let problem = Server::bind(Parts {
        listeners: Vec::new(),
        admin: AdminState::new(Arc::new(Backend::default()), Tasks::default()).ports(ports),
        limits: Settings::default(),
        shutdown: quick(),
        tasks: Tasks::default(),
        stats: Arc::default(),
        on_tls_bound: Box::new(drop),
        flush: Box::pin(async {}),
    })
    .unwrap_err();
    assert!(problem.to_string().contains("for `admin_http`"), "{problem}");
}
