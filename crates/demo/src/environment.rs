//! The demo's environment: certificates, policies, upstream, Picket in this process, and Envoy.

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
use super::provider::{self, SentAnswer};
use super::scenario::{Caller, Login, Scenario};
use super::tls;
use super::tokens::TokenError;
use super::{logins, settings, tree, upstream};
use picket_core::problem::Problem;
use picket_server::app::compose;
use picket_server::config::{Sources, load};
use picket_server::server::socket::Address;
use picket_server::server::{Server, Shutdown, StartProblem};
use picket_server::telemetry::Observed;

/// How long the parts may take to stop.
const STOP: Duration = Duration::from_secs(5);

/// Why the environment could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// The file system or the network failed.
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

/// Picket's result for one call.
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
pub struct Environment {
    envoy: EnvoyProcess,
    /// Where Envoy listens for the mesh.
    pub mesh: SocketAddr,
    /// Picket's reports, one for each call.
    pub told: UnboundedReceiver<Told>,
    /// Answers that the provider of models sent; none where the upstream is not one.
    pub sent: UnboundedReceiver<SentAnswer>,
    authority: Authority,
    leaves: Vec<(Caller, Leaf)>,
    logins: Vec<logins::Lines>,
    shutdown: Shutdown,
    stop: CancellationToken,
    tasks: TaskTracker,
    // Last, so that it goes when nobody uses it any more.
    folder: Folder,
}

impl Environment {
    /// Starts everything; returns when a call can be made.
    ///
    /// # Errors
    /// What failed first.
    pub async fn start(envoy: &Path, scenario: Scenario) -> Result<Self, EnvironmentError> {
        let folder = Folder::new()?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let authority = Authority::new(scenario.trust_domain())?;
        let gateway = format!("spiffe://{}/ns/edge/sa/gateway", scenario.trust_domain());
        let gateway = authority.issue(&[&gateway], &["localhost"])?;
        folder.write("certs/ca.crt", authority.certificate())?;
        folder.write("certs/gateway.crt", &gateway.certificate)?;
        folder.write("certs/gateway.key", &gateway.key)?;
        let leaves = callers(scenario, &folder, &authority)?;
        let logins = logins::write(scenario, &folder)?;
        tree::write(scenario, &folder)?;
        let (upstream, sent) = if scenario.has_answers() {
            provider::serve(&tasks, stop.clone()).await?
        } else {
            (upstream::serve(&tasks, stop.clone()).await?, unbounded_channel().1)
        };
        let records = upstream::serve_tasks(&tasks, stop.clone()).await?;
        let settings = settings::of(scenario, folder.path(), records);
        let (picket_port, told, shutdown) = picket(&folder, &settings, &tasks).await?;
        let mesh = Mesh {
            trust_domain: scenario.trust_domain(),
            picket_port,
            upstream_port: upstream.port(),
            services: scenario.services(),
            has_processor: scenario.has_answers(),
        };
        let envoy = EnvoyProcess::start(envoy, folder.path(), &yaml(&mesh)).await?;
        let address = envoy.listener("mesh").ok_or_else(|| EnvoyError::Admin("no listener `mesh`".to_owned()))?;
        Ok(Self { envoy, mesh: address, told, sent, authority, leaves, logins, shutdown, stop, tasks, folder })
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

    /// The header lines of a login, if the call has one.
    #[must_use]
    pub fn login(&self, login: Login) -> Option<&Vec<String>> {
        self.logins.iter().find(|(known, _)| *known == login).map(|(_, lines)| lines)
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
fn callers(
    scenario: Scenario,
    folder: &Folder,
    authority: &Authority,
) -> Result<Vec<(Caller, Leaf)>, EnvironmentError> {
    let mut leaves = Vec::new();
    for &caller in scenario.callers() {
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

/// Starts Picket in this process; gives its port, what it tells of calls, and how to stop it.
async fn picket(
    folder: &Folder,
    settings: &serde_json::Value,
    tasks: &TaskTracker,
) -> Result<(u16, UnboundedReceiver<Told>, Shutdown), EnvironmentError> {
    let problems = |problems: Vec<Problem>| {
        EnvironmentError::Settings(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    };
    let text = settings.to_string();
    folder.write("picket.yaml", &text)?;
    let sources = Sources { file: Some(("picket.yaml".to_owned(), text)), ..Sources::default() };
    let config = load(&sources).map_err(problems)?.config;
    let (tell, told) = unbounded_channel();
    // A receiver that is gone means that the demonstration is over.
    let observer = Arc::new(move |seen: &Observed<'_>| drop(tell.send(Told::of(seen))));
    let app = compose(config, Some(observer)).await.map_err(problems)?;
    let server = Server::bind(app.server)?;
    let port = server.addresses().into_iter().find_map(|(name, address)| match address {
        Address::Tcp(address) if name == "ext_authz" => Some(address.port()),
        Address::Tcp(_) | Address::Unix(_) => None,
    });
    let port = port.ok_or_else(|| EnvironmentError::Settings("no listener `ext_authz`".to_owned()))?;
    let shutdown = Shutdown::default();
    tasks.spawn(server.run(shutdown.clone()));
    Ok((port, told, shutdown))
}
