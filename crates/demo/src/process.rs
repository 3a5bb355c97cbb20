//! A running Envoy: started with one configuration, queried for its ports, stopped on drop.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use super::client;
use super::envoy::{EnvoyError, file_error, last_lines};

/// How long Envoy may take to listen. It takes 0.2 s on an idle machine; the rest is for busy ones.
const READY_SECONDS: u64 = 30;
/// How often it is asked.
const PAUSE: Duration = Duration::from_millis(20);

/// A running Envoy. It is stopped when the value is dropped.
#[derive(Debug)]
pub struct EnvoyProcess {
    child: Child,
    admin: SocketAddr,
    listeners: BTreeMap<String, SocketAddr>,
    log: PathBuf,
}

impl EnvoyProcess {
    /// Starts Envoy and waits until it is live and all its listeners are bound.
    ///
    /// `config` is YAML or JSON and must have an `admin` on `127.0.0.1:0`; its listeners may use port 0 too. Files that
    /// it names are relative to `folder`, where Envoy's own files go as well.
    ///
    /// # Errors
    /// Why it does not run, with the end of its log.
    pub async fn start(binary: &Path, folder: &Path, config: &str) -> Result<Self, EnvoyError> {
        let config_path = folder.join("envoy.yaml");
        let address_path = folder.join("admin-address");
        let log = folder.join("envoy.log");
        fs::write(&config_path, config).map_err(file_error("write", &config_path))?;
        let output = File::create(&log).map_err(file_error("write", &log))?;
        let errors = output.try_clone().map_err(file_error("write", &log))?;
        // Envoy starts in its own folder, where a relative path names another file.
        let absolute = std::path::absolute(binary).map_err(file_error("find", binary))?;
        let child = Command::new(absolute)
            .args(["--config-path", "envoy.yaml", "--admin-address-path", "admin-address"])
            .args(["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|source| EnvoyError::Start { path: binary.to_owned(), source })?;
        let unknown = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut process = Self { child, admin: unknown, listeners: BTreeMap::new(), log };
        process.wait_until_live(&address_path).await?;
        process.listeners = process.ask_for_listeners().await?;
        Ok(process)
    }

    /// Where the listener of that name is bound.
    #[must_use]
    pub fn listener(&self, name: &str) -> Option<SocketAddr> {
        self.listeners.get(name).copied()
    }

    /// Where its admin interface is bound.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Envoy's log so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    async fn wait_until_live(&mut self, address_path: &Path) -> Result<(), EnvoyError> {
        let deadline = Instant::now() + Duration::from_secs(READY_SECONDS);
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return Err(EnvoyError::Ended(last_lines(&self.log())));
            }
            let address = fs::read_to_string(address_path).ok().and_then(|text| text.trim().parse().ok());
            if let Some(address) = address {
                self.admin = address;
                if matches!(client::get(address, "/ready").await, Ok(answer) if answer.status == 200) {
                    return Ok(());
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(EnvoyError::Late { seconds: READY_SECONDS, log: last_lines(&self.log()) })
    }

    async fn ask_for_listeners(&self) -> Result<BTreeMap<String, SocketAddr>, EnvoyError> {
        let answer = client::get(self.admin, "/listeners?format=json").await;
        let answer = answer.map_err(|error| EnvoyError::Admin(error.to_string()))?;
        let listeners = serde_json::from_slice::<Listeners>(&answer.body);
        let listeners = listeners.map_err(|error| EnvoyError::Admin(error.to_string()))?;
        listeners.listener_statuses.into_iter().map(Status::bound).collect()
    }
}

impl Drop for EnvoyProcess {
    fn drop(&mut self) {
        // Only what we started, by its own handle; if it has ended already there is nothing to do.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[derive(serde::Deserialize)]
struct Listeners {
    #[serde(default)]
    listener_statuses: Vec<Status>,
}

#[derive(serde::Deserialize)]
struct Status {
    name: String,
    local_address: Address,
}

#[derive(serde::Deserialize)]
struct Address {
    socket_address: SocketAddress,
}

#[derive(serde::Deserialize)]
struct SocketAddress {
    address: String,
    port_value: u16,
}

impl Status {
    fn bound(self) -> Result<(String, SocketAddr), EnvoyError> {
        let SocketAddress { address, port_value } = self.local_address.socket_address;
        match address.parse() {
            Ok(ip) => Ok((self.name, SocketAddr::new(ip, port_value))),
            Err(_) => Err(EnvoyError::Admin(format!("`{address}` is not an address"))),
        }
    }
}
