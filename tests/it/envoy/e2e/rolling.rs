//! Two Pickets behind one Envoy are replaced one after the other while calls go on: no call fails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use picket_demo::client;
use picket_demo::process::EnvoyProcess;
use serde_json::{Value, json};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::picket::Picket;
use super::{Scene, asks, request, safe, send, show};
use crate::envoy::bench::{cluster_of, http2, merge};

const CATALOG: &str = "services: [{id: shop/orders}]";
const POLICIES: &str = r#"@id("all") permit (principal, action in Action::"any", resource);"#;
const NAMES: [&str; 2] = ["one", "two"];
/// Callers at the same time.
const CALLERS: usize = 4;
/// The settings' `drain_timeout`, with some time for a busy machine.
const GONE: Duration = Duration::from_secs(6);
const PAUSE: Duration = Duration::from_millis(20);

fn settings() -> Value {
    // Longer than Envoy needs to notice a failed health check: the check's interval, and a second in which Envoy
    // gathers changes of health before it updates its workers (`update_merge_window`).
    json!({"shutdown": {"pre_drain": "2s", "drain_timeout": "4s", "flush_timeout": "500ms"}})
}

#[derive(Default)]
struct Tally {
    good: AtomicU64,
    bad: std::sync::Mutex<Vec<String>>,
    stop: AtomicBool,
}

async fn calls(address: SocketAddr, tally: Arc<Tally>) {
    while !tally.stop.load(Ordering::Relaxed) {
        let exchanged = async { client::exchange(TcpStream::connect(address).await?, &request("GET /", &[])).await };
        match exchanged.await {
            Ok(answer) if show(&answer) == "200" => drop(tally.good.fetch_add(1, Ordering::Relaxed)),
            Ok(answer) => tally.bad.lock().unwrap().push(show(&answer)),
            Err(error) => tally.bad.lock().unwrap().push(error.to_string()),
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until Envoy's health checks have found that many Pickets good.
async fn healthy(envoy: &EnvoyProcess, count: usize) {
    let limit = Instant::now() + Duration::from_secs(15);
    loop {
        let clusters = client::get(envoy.admin(), "/clusters").await.unwrap().text();
        let good = clusters.lines().filter(|l| l.starts_with("pickets::") && l.ends_with("::health_flags::healthy"));
        if good.count() == count {
            return;
        }
        assert!(Instant::now() < limit, "{clusters}");
        sleep(PAUSE).await;
    }
}

fn cluster(pickets: &[Picket]) -> Value {
    let pipes: Vec<Value> = pickets.iter().map(Picket::pipe).collect();
    let mut cluster = http2(cluster_of("pickets", &pipes));
    merge(
        &mut cluster,
        json!({
            "health_checks": [{
                "timeout": "1s", "interval": "0.1s", "no_traffic_interval": "0.1s", "unhealthy_interval": "0.1s",
                "unhealthy_threshold": 1, "healthy_threshold": 1, "always_log_health_check_failures": false,
                "grpc_health_check": {"service_name": "envoy.service.auth.v3.Authorization"},
            }],
            "common_lb_config": {"healthy_panic_threshold": {"value": 0.0}},
        }),
    );
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_under_load_fails_no_call() {
    let mut scene = Scene::new(&[("catalog.yaml", CATALOG), ("namespaces/shop/a.cedar", POLICIES)]).await;
    let mut pickets = Vec::new();
    for name in NAMES {
        pickets.push(scene.picket(name, settings()).await);
    }
    scene.cluster(cluster(&pickets));
    let mut authz = asks("pickets");
    merge(
        &mut authz["grpc_service"],
        json!({"retry_policy": {
            "num_retries": 2, "retry_on": "connect-failure,refused-stream,unavailable,reset",
        }}),
    );
    let envoy = scene.envoy("envoy", vec![safe("orders", "shop/orders").authz(authz)]).await;
    healthy(&envoy, 2).await;
    assert_eq!(show(&send(&envoy, "orders", &request("GET /", &[])).await), "200");

    let (tally, mut callers) = (Arc::<Tally>::default(), JoinSet::new());
    let address = envoy.listener("orders").unwrap();
    for _ in 0..CALLERS {
        callers.spawn(calls(address, Arc::clone(&tally)));
    }
    for (picket, name) in pickets.iter_mut().zip(NAMES) {
        // A peer that connects and never says anything must not hold the exit.
        let _silent = UnixStream::connect(picket.socket()).await.unwrap();
        let before = tally.good.load(Ordering::Relaxed);
        while tally.good.load(Ordering::Relaxed) < before + 20 {
            sleep(PAUSE).await;
        }
        picket.terminate().await;
        let (status, took) = picket.ended(GONE).await;
        assert!(status.success(), "{status} after {took:?}: {}", picket.log());
        *picket = Picket::start(scene.folder.path(), name, settings()).await;
        healthy(&envoy, 2).await;
    }
    tally.stop.store(true, Ordering::Relaxed);
    timeout(GONE, callers.join_all()).await.unwrap();
    let (good, bad) = (tally.good.load(Ordering::Relaxed), tally.bad.lock().unwrap().clone());
    assert!(bad.is_empty() && good > 100, "{good} calls were good; the others: {bad:?}");
}
