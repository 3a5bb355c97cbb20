//! A replica is terminated while calls arrive, and no client notices.
//!
//! Two processes of the real binary, and clients that behave as a proxy does: they follow the replicas' health and send
//! checks to the healthy ones. One retry would hide a failure, so there is none.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::server::write;
use crate::harness::{PERMIT_ALL, orders, said};
use crate::support::tree;

const SETTINGS: [&str; 9] = [
    "listeners.0.name=ext_authz",
    "listeners.0.address=127.0.0.1:0",
    "admin.http_address=127.0.0.1:0",
    "admin.grpc_address=127.0.0.1:0",
    "telemetry.decision_log.sink=none",
    "limits.check.deadline=5s",
    "shutdown.pre_drain=1s",
    "shutdown.drain_timeout=8s",
    "shutdown.flush_timeout=500ms",
];
/// `shutdown.drain_timeout`, and what a process may take to end on a busy machine.
const GONE: Duration = Duration::from_secs(10);

/// A process of `picket serve`; killed if a test ends before it does.
struct Replica {
    process: Child,
    address: String,
    is_well: AtomicBool,
    answered: AtomicU64,
}

impl Replica {
    fn start(policies: &TempDir) -> Arc<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_picket"));
        command.args(["serve", "--policies", policies.path().to_str().unwrap()]);
        for setting in SETTINGS {
            command.args(["--set", setting]);
        }
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let line = lines.find(|line| line.as_ref().unwrap().contains("listener=\"ext_authz\"")).unwrap().unwrap();
        let address = line.split("listening on `").nth(1).unwrap().split('`').next().unwrap().to_owned();
        // Read to the end, so that the process never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        Arc::new(Self { process, address, is_well: AtomicBool::new(true), answered: AtomicU64::new(0) })
    }

    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        // Fails where the process has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits for a process to end.
async fn ended(process: &mut Child) -> (ExitStatus, Duration) {
    #[expect(clippy::disallowed_methods, reason = "processes live on the real clock")]
    let start = Instant::now();
    loop {
        if let Some(status) = process.try_wait().unwrap() {
            return (status, start.elapsed());
        }
        assert!(start.elapsed() < GONE, "still there after {:?}", start.elapsed());
        tokio::task::yield_now().await;
    }
}

/// Follows a replica's health every 50 ms, as a proxy does every few seconds.
async fn follow(replica: Arc<Replica>, stop: CancellationToken) {
    let Ok(channel) = replica.endpoint().connect().await else { return };
    let mut client = HealthClient::new(channel);
    let mut pause = tokio::time::interval(Duration::from_millis(50));
    while stop.run_until_cancelled(pause.tick()).await.is_some() {
        let answer = client.check(HealthCheckRequest::default()).await;
        let is_well = answer.is_ok_and(|answer| answer.into_inner().status == 1);
        replica.is_well.store(is_well, Ordering::Relaxed);
    }
}

/// Sends checks to the healthy replicas in turn; returns the failures.
async fn call(replicas: Vec<Arc<Replica>>, stop: CancellationToken) -> Vec<String> {
    let mut clients: Vec<(Arc<Replica>, AuthorizationClient<Channel>)> =
        replicas.into_iter().map(|r| (r.clone(), AuthorizationClient::new(r.endpoint().connect_lazy()))).collect();
    let mut failed = Vec::new();
    while !stop.is_cancelled() {
        for (replica, client) in &mut clients {
            if !replica.is_well.load(Ordering::Relaxed) {
                continue;
            }
            match client.check(orders().0).await {
                Ok(answer) if said(answer.get_ref()).status == 200 => {
                    replica.answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(answer) => failed.push(format!("{:?}", said(answer.get_ref()))),
                Err(status) => failed.push(format!("{status:?}")),
            }
        }
    }
    failed
}

/// Waits until a replica has answered this many more calls.
async fn answers(replica: &Replica, more: u64) {
    let goal = replica.answered.load(Ordering::Relaxed) + more;
    while replica.answered.load(Ordering::Relaxed) < goal {
        tokio::task::yield_now().await;
    }
}

fn policies() -> TempDir {
    let home = TempDir::new().unwrap();
    write(home.path(), &tree(&[("namespaces/shop/a.cedar", PERMIT_ALL)]));
    home
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_leaves_under_load_fails_no_call_and_exits_in_time() {
    let policies = policies();
    let (leaving, staying) = (Replica::start(&policies), Replica::start(&policies));
    // A client connects and stays silent.
    let mut silent = std::net::TcpStream::connect(&leaving.address).unwrap();
    let stop = CancellationToken::new();
    let (mut callers, mut followers) = (JoinSet::new(), JoinSet::new());
    for _ in 0..4 {
        callers.spawn(call(vec![leaving.clone(), staying.clone()], stop.clone()));
    }
    for replica in [&leaving, &staying] {
        followers.spawn(follow(replica.clone(), stop.clone()));
    }
    answers(&leaving, 100).await;
    answers(&staying, 100).await;
    leaving.signal("TERM");
    while leaving.is_well.load(Ordering::Relaxed) {
        tokio::task::yield_now().await;
    }
    answers(&staying, 200).await;
    // The process ends while calls continue; `/proc` shows it without the handle that the tasks share.
    #[expect(clippy::disallowed_methods, reason = "processes live on the real clock")]
    let start = Instant::now();
    while is_running(leaving.process.id()) {
        assert!(start.elapsed() < GONE, "still there after {:?}", start.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    answers(&staying, 100).await;
    stop.cancel();
    let failed: Vec<String> = callers.join_all().await.concat();
    followers.join_all().await;
    assert!(failed.is_empty(), "{} calls failed: {:?}", failed.len(), failed.first());
    // Ours have gone with the process: what was sent to the silent peer ends.
    drop(silent.read_to_end(&mut Vec::new()));
    let mut leaving = Arc::into_inner(leaving).unwrap();
    let (status, _) = ended(&mut leaving.process).await;
    assert_eq!(status.code(), Some(0));
}

/// Returns whether a process has not ended yet; an ended one waits for its parent as a zombie.
fn is_running(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

#[tokio::test]
async fn a_second_signal_ends_a_drain_at_once() {
    let replica = Replica::start(&policies());
    replica.signal("TERM");
    replica.signal("INT");
    let mut replica = Arc::into_inner(replica).unwrap();
    let (status, took) = ended(&mut replica.process).await;
    assert_eq!(status.code(), Some(1), "forced");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn a_replica_that_is_killed_leaves_its_calls_to_the_other() {
    let policies = policies();
    let (killed, staying) = (Replica::start(&policies), Replica::start(&policies));
    let mut clients = [&killed, &staying].map(|r| AuthorizationClient::new(r.endpoint().connect_lazy()));
    for client in &mut clients {
        assert_eq!(said(client.check(orders().0).await.unwrap().get_ref()).status, 200);
    }
    killed.signal("KILL");
    let mut killed = Arc::into_inner(killed).unwrap();
    ended(&mut killed.process).await;
    assert!(clients[0].check(orders().0).await.is_err(), "nobody is there, and nobody may answer");
    assert_eq!(said(clients[1].check(orders().0).await.unwrap().get_ref()).status, 200);
}
