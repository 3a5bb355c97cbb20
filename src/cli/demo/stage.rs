//! Everything that runs: certificates, policies, upstream, Picket in this process, Envoy beside it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::certs::{Authority, Leaf};
use super::config::{Mesh, yaml};
use super::envoy::EnvoyError;
use super::folder::Folder;
use super::process::EnvoyProcess;
use super::story::{Caller, Login, SERVICES};
use super::tls;
use super::tokens::{AUDIENCE, ISSUER, Issuer, TokenError};
use super::{tree, upstream};
use crate::config::{Sources, load};
use crate::problem::Problem;
use crate::server::compose::compose;
use crate::server::socket::Address;
use crate::server::{Server, Shutdown, StartProblem};
use crate::telemetry::Observed;

const TRUST_DOMAIN: &str = "cluster.local";
const GATEWAY: &str = "spiffe://cluster.local/ns/edge/sa/gateway";
/// How long the parts may take to stop.
const STOP: Duration = Duration::from_secs(5);

/// Why the stage could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The file system or the network said no.
    #[error("could not set up the demonstration")]
    Io(#[from] std::io::Error),
    /// No certificate.
    #[error("could not make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// No token.
    #[error("could not make a login")]
    Token(#[from] TokenError),
    /// No Envoy.
    #[error(transparent)]
    Envoy(#[from] EnvoyError),
    /// Picket's own settings are wrong.
    #[error("Picket does not take its settings: {0}")]
    Settings(String),
    /// Picket does not listen.
    #[error(transparent)]
    Start(#[from] StartProblem),
}

/// What Picket made of one call.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Told {
    /// Id of the decision.
    pub decision_id: String,
    /// `allow`, `deny`, `challenge`, or `error` where there was no verdict.
    pub decision: &'static str,
    /// The reason, or the failure's code.
    pub reason: &'static str,
    /// Ids of the deciding policies.
    pub policies: Vec<String>,
}

impl Told {
    fn of(seen: &Observed<'_>) -> Self {
        let decision_id = seen.decision_id.to_string();
        match &seen.judgement.result {
            Ok(verdict) => Self {
                decision_id,
                decision: verdict.decision().as_str(),
                reason: verdict.reason().as_str(),
                policies: verdict.determining.clone(),
            },
            Err(failure) => {
                Self { decision_id, decision: "error", reason: failure.code.as_str(), policies: Vec::new() }
            }
        }
    }
}

/// The running parts.
pub struct Stage {
    envoy: EnvoyProcess,
    /// Where Envoy listens for the mesh.
    pub mesh: SocketAddr,
    /// What Picket tells of each call.
    pub told: UnboundedReceiver<Told>,
    authority: Authority,
    leaves: Vec<(Caller, Leaf)>,
    logins: Vec<(Login, String)>,
    shutdown: Shutdown,
    stop: CancellationToken,
    tasks: TaskTracker,
    // Last, so that it goes when nobody uses it any more.
    folder: Folder,
}

impl Stage {
    /// Starts everything; returns when a call can be made.
    ///
    /// # Errors
    /// What failed first.
    pub async fn start(envoy: &Path) -> Result<Self, StageError> {
        let folder = Folder::new()?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let authority = Authority::new(TRUST_DOMAIN)?;
        let gateway = authority.issue(&[GATEWAY], &["localhost"])?;
        folder.write("certs/ca.crt", authority.certificate())?;
        folder.write("certs/gateway.crt", &gateway.certificate)?;
        folder.write("certs/gateway.key", &gateway.key)?;
        let leaves = callers(&folder, &authority)?;
        let logins = logins(&folder)?;
        tree::write(&folder)?;
        let upstream = upstream::serve(&tasks, stop.clone()).await?;
        let (picket_port, told, shutdown) = picket(&folder, &tasks).await?;
        let mesh = Mesh { trust_domain: TRUST_DOMAIN, picket_port, upstream_port: upstream.port(), services: SERVICES };
        let envoy = EnvoyProcess::start(envoy, folder.path(), &yaml(&mesh)).await?;
        let address = envoy.listener("mesh").ok_or_else(|| EnvoyError::Admin("no listener `mesh`".to_owned()))?;
        Ok(Self { envoy, mesh: address, told, authority, leaves, logins, shutdown, stop, tasks, folder })
    }

    /// The folder of everything: certificates, policies, Envoy's configuration, decision log.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Envoy's admin interface.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.envoy.admin()
    }

    /// The TLS of a caller.
    ///
    /// # Errors
    /// If its certificate cannot be used.
    pub fn caller(&self, caller: Caller) -> std::io::Result<tls::Caller> {
        let leaf = self.leaves.iter().find(|(known, _)| *known == caller).map(|(_, leaf)| leaf);
        tls::Caller::new(self.authority.certificate(), leaf.ok_or(std::io::ErrorKind::NotFound)?)
    }

    /// The header line of a login, if somebody is logged in.
    #[must_use]
    pub fn login(&self, login: Login) -> Option<&str> {
        self.logins.iter().find(|(known, _)| *known == login).map(|(_, header)| header.as_str())
    }

    /// Stops everything, Envoy first.
    pub async fn stop(self) {
        drop(self.envoy);
        self.shutdown.begin.cancel();
        self.stop.cancel();
        self.tasks.close();
        // What has not stopped by then ends with the process.
        drop(tokio::time::timeout(STOP, self.tasks.wait()).await);
    }
}

/// Certificates of the callers, and for each a file of options that makes curl one of them.
fn callers(folder: &Folder, authority: &Authority) -> Result<Vec<(Caller, Leaf)>, StageError> {
    let mut leaves = Vec::new();
    for caller in Caller::ALL {
        let (leaf, name) = (authority.issue(&[caller.id()], &[])?, caller.name());
        folder.write(&format!("certs/{name}.crt"), &leaf.certificate)?;
        folder.write(&format!("certs/{name}.key"), &leaf.key)?;
        let path = |file: &str| folder.path().join("certs").join(file).display().to_string();
        let options = format!(
            "cacert = \"{}\"\ncert = \"{}\"\nkey = \"{}\"\nsilent\nshow-error\ninclude\npath-as-is\n",
            path("ca.crt"),
            path(&format!("{name}.crt")),
            path(&format!("{name}.key")),
        );
        folder.write(&format!("{name}.curl"), &options)?;
        leaves.push((caller, leaf));
    }
    Ok(leaves)
}

fn logins(folder: &Folder) -> Result<Vec<(Login, String)>, StageError> {
    const SCOPE: &str = "openid refunds:write";
    let issuer = Issuer::new()?;
    folder.write("jwks.json", &issuer.jwks())?;
    let old = issuer.token("alice", SCOPE, None, 3600)?;
    let fresh = issuer.token("alice", SCOPE, Some("urn:example:acr:phishing-resistant"), 0)?;
    let mut logins = Vec::new();
    for (login, token) in [(Login::Old, old), (Login::Fresh, fresh)] {
        let header = format!("authorization: Bearer {token}");
        if let Some(file) = login.file() {
            folder.write(file, &header)?;
        }
        logins.push((login, header));
    }
    Ok(logins)
}

/// Starts Picket in this process; gives its port, what it tells of calls, and how to stop it.
async fn picket(folder: &Folder, tasks: &TaskTracker) -> Result<(u16, UnboundedReceiver<Told>, Shutdown), StageError> {
    let problems = |problems: Vec<Problem>| {
        StageError::Settings(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    };
    let text = settings(folder.path()).to_string();
    folder.write("picket.yaml", &text)?;
    let sources = Sources { file: Some(("picket.yaml".to_owned(), text)), ..Sources::default() };
    let config = load(&sources).map_err(problems)?.config;
    let (tell, told) = unbounded_channel();
    // A receiver that is gone means that the demonstration is over.
    let witness = Arc::new(move |seen: &Observed<'_>| drop(tell.send(Told::of(seen))));
    let parts = compose(config, Some(witness)).await.map_err(problems)?;
    let server = Server::bind(parts)?;
    let port = server.addresses().into_iter().find_map(|(name, address)| match address {
        Address::Tcp(address) if name == "ext_authz" => Some(address.port()),
        Address::Tcp(_) | Address::Unix(_) => None,
    });
    let port = port.ok_or_else(|| StageError::Settings("no listener `ext_authz`".to_owned()))?;
    let shutdown = Shutdown::default();
    tasks.spawn(server.run(shutdown.clone()));
    Ok((port, told, shutdown))
}

/// Picket's settings. JSON is YAML, and quotes paths for us.
fn settings(folder: &Path) -> serde_json::Value {
    let path = |name: &str| folder.join(name).display().to_string();
    let claims = serde_json::json!({"issuer": ISSUER, "audiences": [AUDIENCE], "users": true});
    let issuer = serde_json::json!({"name": "demo", "jwks": {"file": path("jwks.json")}, "algorithms": ["ES256"],
        "claims": claims});
    serde_json::json!({
        "listeners": [{"name": "ext_authz", "address": "127.0.0.1:0"}],
        "policies": {"dir": path("policies"), "poll": "200ms"},
        "profiles": {"default": {"identity": {
            "sources": ["peer"], "certificate": "required", "tokens": [{"verified": {"issuers": ["demo"]}}],
        }}},
        "keys": {"issuers": [issuer]},
        // The story speaks for itself; what fails is still told.
        "telemetry": {"log": {"level": "error"}, "decision_log": {"sink": {"file": path("decisions.jsonl")}}},
        // Below Envoy's timeout of 2 s; both are generous, because a demonstration runs on busy machines.
        "limits": {"check": {"deadline": "1500ms"}},
        "admin": {"http_address": "127.0.0.1:0", "grpc_address": "127.0.0.1:0"},
        "shutdown": {"pre_drain": "0s", "drain_timeout": "3s", "flush_timeout": "1s"},
    })
}
