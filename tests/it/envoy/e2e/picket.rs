//! `picket serve` as a process of its own, listening on a socket file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// How long a start may take. It takes 50 ms on an idle machine; the rest is for busy ones.
const START: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// A running Picket; it is killed with the value.
pub struct Picket {
    child: Child,
    folder: PathBuf,
    name: String,
}

impl Picket {
    /// Starts it over `policies/` in the folder and waits until it listens.
    pub async fn start(folder: &Path, name: &str, settings: Value) -> Self {
        let path = |name: String| folder.join(name).display().to_string();
        let socket = |of: &str| format!("unix:{}", path(format!("{name}{of}.sock")));
        let mut all = json!({
            "listeners": [{"name": "ext_authz", "address": socket("")}],
            "policies": {"dir": path("policies".to_owned())},
            "admin": {"http_address": socket("-http"), "grpc_address": socket("-grpc")},
            "telemetry": {"log": {"level": "warn"}, "decision_log": {"sink": {"file": path(format!("{name}.decisions"))}}},
            // Debug builds on busy machines: what a test says about time it sets itself.
            "limits": {"check": {"deadline": "6s"}},
            "shutdown": {"pre_drain": "0s", "drain_timeout": "3s", "flush_timeout": "500ms"},
        });
        overlay(&mut all, settings);
        let config = folder.join(format!("{name}.yaml"));
        std::fs::write(&config, all.to_string()).unwrap();
        let log = File::create(folder.join(format!("{name}.log"))).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_picket"))
            .args(["serve", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut picket = Self { child, folder: folder.to_owned(), name: name.to_owned() };
        picket.wait_until_it_listens().await;
        picket
    }

    /// The file of its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join(format!("{}.sock", self.name))
    }

    /// Its socket as an address of Envoy's.
    pub fn pipe(&self) -> Value {
        json!({"pipe": {"path": self.socket()}})
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join(format!("{}.log", self.name))).unwrap_or_default()
    }

    /// Ends it without a warning, and waits until it has ended.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Sends SIGTERM.
    pub async fn terminate(&self) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().await.unwrap();
        assert!(sent.success());
    }

    /// How it ended, and how long that took from now on.
    pub async fn ended(&mut self, limit: Duration) -> (ExitStatus, Duration) {
        let begin = Instant::now();
        let status = tokio::time::timeout(limit, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("still there after {limit:?}: {}", self.log()));
        (status.unwrap(), begin.elapsed())
    }

    async fn wait_until_it_listens(&mut self) {
        let deadline = Instant::now() + START;
        while UnixStream::connect(self.socket()).await.is_err() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "{ended:?}: {}", self.log());
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Sets the values of `keys`, map by map.
fn overlay(into: &mut Value, keys: Value) {
    match (into, keys) {
        (Value::Object(into), Value::Object(keys)) => {
            for (key, value) in keys {
                overlay(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, keys) => *into = keys,
    }
}
