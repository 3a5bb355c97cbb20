//! All ports are flooded at once, and a proxy that has a certificate gets its answers.
//!
//! In full, as a load test of a release build: `cargo test --release --test it -- --ignored --nocapture flood::in_full`.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::ports::Open;
use crate::harness::server::write;
use crate::harness::{FORBID_ALL, PERMIT_ALL, orders, said};
use crate::support::tree;
use crate::wire::mutual_tls::{Authority, GATEWAY, listener};

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// How much of everything there is.
#[derive(Debug, Clone, Copy)]
struct Scale {
    unfinished: usize,
    silent: usize,
    admin: usize,
    calls: usize,
}

/// `picket serve` in a process of its own, so that its memory is its own.
struct Served {
    child: Child,
    ports: [String; 3],
    home: TempDir,
    authority: Authority,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait().map(drop));
    }
}

#[expect(clippy::disallowed_methods, reason = "sockets need the real clock")]
fn now() -> Instant {
    Instant::now()
}

impl Served {
    async fn start() -> Self {
        let (home, authority) = (TempDir::new().unwrap(), Authority::new());
        let files =
            [("namespaces/shop/a.cedar", PERMIT_ALL), ("namespaces/busy/a.cedar", PERMIT_ALL), ("mesh/a.cedar", "")];
        write(&home.path().join("policies"), &tree(&files));
        let log = std::fs::File::create(home.path().join("log")).unwrap();
        let secured = listener(home.path(), &authority);
        let (secured, _) = secured.split_at(secured.len() - 1);
        let plain = format!("{secured}, {{name: plain, address: '127.0.0.1:0'}}]");
        let dir = format!("policies.dir={}", home.path().join("policies").display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_picket"));
        command.arg("serve").env_clear().stdout(Stdio::null()).stderr(log);
        for setting in [
            plain.as_str(),
            &dir,
            "admin.http_address=127.0.0.1:0",
            "admin.grpc_address=127.0.0.1:0",
            "telemetry.decision_log.sink=none",
            "limits.check.deadline=1s",
            "policies.poll=500ms",
        ] {
            command.args(["--set", setting]);
        }
        let mut served = Self { child: command.spawn().unwrap(), ports: Default::default(), home, authority };
        let start = now();
        loop {
            assert!(start.elapsed() < Duration::from_secs(30), "it does not start: {}", served.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
            let log = served.log();
            let port = |name: &str| {
                let line = log.lines().find(|line| line.contains("listening on") && line.contains(name))?;
                Some(line.rsplit("listening on `").next()?.split('`').next()?.to_owned())
            };
            let named =
                |name: &str| port(&format!("listener=\"{name}\"")).or_else(|| port(&format!("listener={name}")));
            if let [Some(tls), Some(plain), Some(admin)] = ["ext_authz", "plain", "admin_http"].map(named) {
                served.ports = [tls, plain, admin];
                return served;
            }
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap()
    }

    fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// A client with the certificate of a proxy, with connections of its own.
    fn proxy(&self) -> reqwest::Client {
        let root = reqwest::Certificate::from_pem(self.authority.pem.as_bytes()).unwrap();
        let (certificate, key) = self.authority.issue(GATEWAY);
        let identity = reqwest::Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap();
        let builder = reqwest::Client::builder().no_proxy().tls_certs_only([root]).identity(identity);
        builder.timeout(Duration::from_secs(10)).build().unwrap()
    }

    /// The status that the proxy's caller gets, or none where there was no answer.
    async fn ask(&self, proxy: &reqwest::Client) -> Option<i32> {
        let port = self.ports[0].rsplit(':').next().unwrap();
        let request = proxy.post(format!("https://localhost:{port}{CHECK}")).body(check());
        let answer = request.header("content-type", "application/grpc").header("te", "trailers").send().await.ok()?;
        let body = answer.bytes().await.ok()?;
        let message = body.get(5..)?;
        Some(said(&envoy_types::pb::envoy::service::auth::v3::CheckResponse::decode(message).ok()?).status)
    }

    /// Times of so many calls over an old connection, and of a tenth as many over new ones; sorted.
    async fn times(&self, proxy: &reqwest::Client, calls: usize) -> [Vec<Duration>; 2] {
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for call in 0..calls {
            let (client, times) = if call % 10 == 9 { (&self.proxy(), &mut new) } else { (proxy, &mut old) };
            let start = now();
            assert_eq!(self.ask(client).await, Some(200), "call {call} of the proxy");
            times.push(start.elapsed());
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
        old.sort();
        new.sort();
        [old, new]
    }
}

fn check() -> Vec<u8> {
    let message = orders().0.encode_to_vec();
    [&[0], &u32::try_from(message.len()).unwrap().to_be_bytes()[..], &message].concat()
}

fn percentile(times: &[Duration]) -> Duration {
    times[(times.len() * 99).div_ceil(100) - 1]
}

/// Peers that connect to `address`, say `words`, and no more. There are always so many; each of 32 comes again ten times a
/// second.
fn hold(tasks: &mut JoinSet<()>, address: &str, count: usize, words: &'static [u8]) {
    let lanes = 32.min(count);
    for lane in 0..lanes {
        let address = address.to_owned();
        let of_lane = count / lanes + usize::from(lane < count % lanes);
        tasks.spawn(async move {
            let mut held = std::collections::VecDeque::new();
            loop {
                if let Ok(mut stream) = TcpStream::connect(&address).await {
                    let _closed_again = stream.write_all(words).await;
                    held.push_back(stream);
                }
                if held.len() > of_lane {
                    held.pop_front();
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        });
    }
}

/// Unfinished messages of a megabyte each, all begun again twice a second.
fn unfinished(tasks: &mut JoinSet<()>, address: &str, count: usize) {
    let begun = Bytes::from([&[0][..], &1_000_000_u32.to_be_bytes(), &[0; 900_000]].concat());
    for _ in 0..4 {
        let (address, begun) = (address.to_owned(), begun.clone());
        tasks.spawn(async move {
            loop {
                let mut open = Open::to(&address).await;
                let mut held = JoinSet::new();
                for _ in 0..count / 4 {
                    let (feed, answer) = open.begin(CHECK);
                    let _closed = feed.send(begun.clone());
                    held.spawn(async move {
                        let answer = answer.await;
                        drop((feed, answer));
                    });
                }
                while held.join_next().await.is_some() {}
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
    }
}

/// A namespace with a file that is touched all the time.
fn touch(tasks: &mut JoinSet<()>, policies: &Path) {
    let file = policies.join("namespaces/busy/a.cedar");
    tasks.spawn(async move {
        loop {
            let _kept = std::fs::File::options()
                .append(true)
                .open(&file)
                .and_then(|file| file.set_modified(std::time::SystemTime::now()));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

#[cfg(target_os = "linux")]
fn raise_own_limit() {
    picket::server::descriptors::raise();
}

#[cfg(not(target_os = "linux"))]
fn raise_own_limit() {}

/// The threads of those who flood. They have machines of their own elsewhere, so here they come after the server and the
/// proxy: else the proxy's times would be those of the strangers' own work.
fn strangers() -> tokio::runtime::Runtime {
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    threads.worker_threads(2).enable_all();
    #[cfg(target_os = "linux")]
    threads.on_thread_start(|| rustix::process::setpriority_process(None, 19).unwrap());
    threads.build().unwrap()
}

/// The measured values.
struct Measured {
    quiet: [Duration; 2],
    flooded: [Duration; 2],
    grown_kib: u64,
    in_force: Duration,
}

async fn flooded(scale: Scale, is_touched: bool) -> Measured {
    raise_own_limit();
    let served = Served::start().await;
    let proxy = served.proxy();
    served.times(&proxy, 20).await;
    let quiet = served.times(&proxy, scale.calls).await;
    let before = served.memory_kib();
    let strangers = strangers();
    let mut tasks = JoinSet::new();
    {
        let _on = strangers.enter();
        let [tls, plain, admin] = &served.ports;
        unfinished(&mut tasks, plain, scale.unfinished);
        hold(&mut tasks, tls, scale.silent, b"");
        hold(&mut tasks, admin, scale.admin, b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nx: ");
        if is_touched {
            touch(&mut tasks, &served.home.path().join("policies"));
        }
    }
    let (watching, peak) = (AtomicBool::new(true), std::sync::atomic::AtomicU64::new(0));
    let watch = async {
        while watching.load(Ordering::Relaxed) {
            peak.fetch_max(served.memory_kib(), Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let measure = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let times = served.times(&proxy, scale.calls).await;
        std::fs::write(served.home.path().join("policies/mesh/a.cedar"), FORBID_ALL).unwrap();
        let written = now();
        while served.ask(&proxy).await != Some(403) {
            assert!(written.elapsed() < Duration::from_secs(20), "the forbid does not come into force");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        watching.store(false, Ordering::Relaxed);
        (times, written.elapsed())
    };
    let ((times, in_force), ()) = tokio::join!(measure, watch);
    tasks.abort_all();
    strangers.shutdown_background();
    let each = |times: &[Vec<Duration>; 2]| [percentile(&times[0]), percentile(&times[1])];
    let grown_kib = peak.load(Ordering::Relaxed).saturating_sub(before);
    let measured = Measured { quiet: each(&quiet), flooded: each(&times), grown_kib, in_force };
    println!(
        "{scale:?}: p99 over an old and a new connection, quiet {:?}, flooded {:?}",
        measured.quiet, measured.flooded
    );
    println!("memory grew by {grown_kib} KiB; a forbid was in force after {in_force:?}");
    measured
}

#[tokio::test]
async fn a_failed_handshake_is_logged_with_peer_and_reason() {
    let served = Served::start().await;
    let mut peers = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(&served.ports[0]).await.unwrap();
        peers.push(format!("`{}`", stream.local_addr().unwrap()));
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    }
    let start = now();
    let told = loop {
        let log = served.log();
        if let Some(line) = log.lines().find(|line| line.contains("WARN") && line.contains("TLS handshake failed")) {
            break line.to_owned();
        }
        assert!(start.elapsed() < Duration::from_secs(10), "nothing is told: {log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(peers.iter().any(|peer| told.contains(peer)) && told.contains("InvalidContentType"), "{told}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(served.log().matches("TLS handshake failed").count(), 1, "peers fill the log");
}

/// Enough to fill every room, and short. How fast the answers are depends on the machine; that they come does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flooded_ports_keep_answering_a_proxy_with_a_certificate() {
    let scale = Scale { unfinished: 100, silent: 1200, admin: 200, calls: 50 };
    let measured = flooded(scale, false).await;
    // A debug build's tasks are several times as large as those of a release build.
    assert!(measured.grown_kib < 192 * 1024, "{} KiB", measured.grown_kib);
    assert!(measured.in_force < Duration::from_secs(10), "{:?}", measured.in_force);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a load test: needs a release build, 8,000 descriptors and a quiet machine"]
async fn in_full() {
    let scale = Scale { unfinished: 1000, silent: 4096, admin: 1100, calls: 2000 };
    let measured = flooded(scale, true).await;
    for (quiet, flooded) in measured.quiet.iter().zip(&measured.flooded) {
        assert!(*flooded <= *quiet * 3, "p99 {flooded:?}, quiet {quiet:?}");
    }
    assert!(measured.grown_kib <= 64 * 1024, "{} KiB", measured.grown_kib);
    assert!(measured.in_force <= Duration::from_secs(2), "{:?}", measured.in_force);
}
