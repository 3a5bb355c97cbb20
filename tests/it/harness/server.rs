//! A whole server in this process: built from settings like `picket serve` builds it, on ports of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use picket::app::compose_at;
use picket::config::{self, Config, Sources};
use picket::decision::snapshot::Tree;
use picket::envoy::authz::{Clock, system_clock};
use picket::server::socket::Address;
use picket::server::{self, Ended, Shutdown};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tonic::transport::Channel;

use super::{Check, Said, said};
use crate::support::tree;

/// Ports the system chooses, no decision log, a short drain.
const BASE: [&str; 8] = [
    "listeners=[{name: ext_authz, address: '127.0.0.1:0'}]",
    "admin.http_address=127.0.0.1:0",
    "admin.grpc_address=127.0.0.1:0",
    "telemetry.decision_log.sink=none",
    "telemetry.log.level='off'",
    "shutdown.pre_drain=0s",
    "shutdown.flush_timeout=100ms",
    // Debug builds on busy machines: what a test says about time it sets itself.
    "limits.check.deadline=10s",
];

/// A running server.
pub struct Server {
    pub addresses: BTreeMap<String, Address>,
    pub shutdown: Shutdown,
    /// Where its policies lie, for as long as it runs.
    _home: Arc<TempDir>,
    running: JoinSet<Ended>,
}

/// Writes a tree under `folder`.
pub fn write(folder: &Path, tree: &Tree) {
    for name in &tree.folders {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    for (path, text) in &tree.files {
        std::fs::create_dir_all(folder.join(path).parent().unwrap()).unwrap();
        let is_base64 = path.starts_with("descriptors/");
        let content = if is_base64 { STANDARD.decode(text.as_bytes()).unwrap() } else { text.as_bytes().to_vec() };
        std::fs::write(folder.join(path), content).unwrap();
    }
}

/// The settings that `more` makes of [`BASE`], over policies in `folder`.
pub fn config(folder: &Path, more: &[&str]) -> Config {
    let dir = format!("policies.dir={}", serde_json::Value::from(folder.to_str().unwrap()));
    let flags = BASE.iter().copied().chain([dir.as_str()]).chain(more.iter().copied());
    let flags = flags.map(|flag| (flag.to_owned(), flag.to_owned())).collect();
    config::load(&Sources { flags, ..Sources::default() }).unwrap().config
}

impl Server {
    /// Serves a tree of `catalog.yaml` and these files; `more` are settings as `section.field=value`.
    pub async fn start(files: &[(&str, &str)], more: &[&str]) -> Self {
        let home = TempDir::new().unwrap();
        write(home.path(), &tree(files));
        Self::over(Arc::new(home), more).await
    }

    /// Serves the policies in a folder.
    pub async fn over(home: Arc<TempDir>, more: &[&str]) -> Self {
        let config = config(home.path(), more);
        Self::run(config, home).await
    }

    /// Serves by these settings.
    pub async fn run(config: Config, home: Arc<TempDir>) -> Self {
        Self::run_at(config, home, system_clock()).await
    }

    /// The same by another clock.
    pub async fn run_at(config: Config, home: Arc<TempDir>, clock: Clock) -> Self {
        let app = compose_at(config, None, clock).await.unwrap();
        let server = server::Server::bind(app.server).unwrap();
        let addresses = server.addresses().into_iter().collect();
        let shutdown = Shutdown::default();
        let mut running = JoinSet::new();
        running.spawn(server.run(shutdown.clone()));
        Self { addresses, shutdown, _home: home, running }
    }

    /// `ip:port` of a listener.
    pub fn port(&self, listener: &str) -> String {
        self.addresses[listener].to_string()
    }

    /// A client of the listener of checks, on a connection of its own.
    pub async fn client(&self) -> Client {
        self.client_of("ext_authz").await
    }

    /// A client of a listener, on a connection of its own.
    pub async fn client_of(&self, listener: &str) -> Client {
        Client::of(&self.port(listener)).await
    }

    /// `GET path` on the admin port: the whole answer, head and body.
    pub async fn http(&self, path: &str) -> String {
        self.http_by("127.0.0.1", path).await
    }

    /// The same by another name of the host.
    pub async fn http_by(&self, host: &str, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(self.port("admin_http")).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Terminates it, and waits until it has ended.
    pub async fn end(&mut self) -> Ended {
        self.shutdown.begin.cancel();
        self.running.join_next().await.unwrap().unwrap()
    }
}

/// A gRPC client of a server.
#[derive(Clone)]
pub struct Client(pub AuthorizationClient<Channel>);

impl Client {
    /// A client of `ip:port`, on a connection of its own.
    pub async fn of(address: &str) -> Self {
        Self(AuthorizationClient::connect(format!("http://{address}")).await.unwrap())
    }

    /// Sends a check; panics on a gRPC error.
    pub async fn ask(&mut self, check: Check) -> Said {
        said(self.0.check(check.0).await.unwrap().get_ref())
    }
}
