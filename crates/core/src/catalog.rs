//! The catalogue: services with their hosts, protocols and routes; workloads with their groups.
//!
//! A noun, read from `catalog.yaml`. Must not know: policies, Cedar, the network.

pub mod a2a;
mod check;
pub mod file;
pub mod grpc;
pub mod mcp;
pub mod routes;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::call::{CanonicalPath, Host};
use crate::problem::Problem;

/// Name of the platform's own part of a policy tree; no namespace can have it.
pub const MESH: &str = "mesh";

/// Everything that is known to exist; immutable.
///
/// ```
/// use picket_core::catalog::{Catalog, Protocol};
///
/// let text = "services: [{id: shop/orders, hosts: [orders.shop], protocol: http}]";
/// let catalog = Catalog::parse("catalog.yaml", text).unwrap();
/// assert_eq!(catalog.service("shop/orders").map(|s| s.protocol), Some(Protocol::Http));
/// assert!(Catalog::parse("catalog.yaml", "services: [{id: orders}]").is_err());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    services: BTreeMap<String, Service>,
    workloads: BTreeMap<String, Workload>,
    hosts: HashMap<String, String>,
    accounts: HashMap<(String, String), Vec<String>>,
    namespaces: BTreeSet<String>,
    groups: BTreeSet<String>,
    open: bool,
    implicit: bool,
    warnings: Vec<Problem>,
}

/// The protocol of a service, from the catalogue and never from a content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Plain HTTP: paths and methods.
    #[default]
    Http,
    /// gRPC: methods.
    Grpc,
    /// Model Context Protocol.
    Mcp,
    /// Agent2Agent.
    A2a,
    /// OpenAI's API.
    Openai,
    /// Anthropic's API.
    Anthropic,
}

impl Protocol {
    /// All protocols.
    pub const ALL: [Self; 6] = [Self::Http, Self::Grpc, Self::Mcp, Self::A2a, Self::Openai, Self::Anthropic];

    /// The name used in files, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::Mcp => "mcp",
            Self::A2a => "a2a",
            Self::Openai => "openai",
            Self::Anthropic => "anthropic",
        }
    }
}

/// A service: what calls are made to.
#[derive(Debug, Clone, Default)]
pub struct Service {
    /// `<namespace>/<name>`.
    pub id: String,
    /// Canonical hosts without ports.
    pub hosts: Vec<String>,
    /// Kubernetes service accounts of the workloads that serve it.
    pub service_accounts: Vec<String>,
    /// Its protocol.
    pub protocol: Protocol,
    /// Groups it belongs to.
    pub groups: BTreeSet<String>,
    /// Labels repeated on every resource inside it.
    pub labels: BTreeSet<String>,
    /// Facts repeated on every resource inside it; shape `ServiceFacts`, as JSON.
    pub facts: Option<serde_json::Value>,
    /// Paths evaluated as plain HTTP although the protocol is another (`/healthz`).
    pub http_paths: Vec<CanonicalPath>,
    /// Whether a path must come in plain ASCII and its canonical spelling; any other is refused, though it means the same.
    pub exact_paths: bool,
    /// Routes, in the order written.
    pub routes: Vec<routes::Route>,
    /// Scopes and labels of gRPC methods by `package.Service/Method` or `package.Service`.
    pub methods: BTreeMap<String, routes::Scopes>,
    /// Where callers find out how to get a token for it.
    pub token: Option<TokenMetadata>,
    /// How its gRPC messages are read; `None`: nothing describes them, and policies see none of their fields.
    pub grpc: Option<grpc::Grpc>,
    /// Its MCP settings; set for every service of that protocol.
    pub mcp: Option<mcp::Mcp>,
    /// Its known tools, by name.
    pub tools: BTreeMap<String, mcp::Tool>,
    /// Its A2A settings; set for every service of that protocol.
    pub a2a: Option<a2a::A2a>,
    /// Its known models, by name.
    pub models: BTreeMap<String, Model>,
    /// A gateway to models that offers OpenAI's API and Anthropic's, on their own paths.
    pub both_apis: bool,
    /// How its requests' bodies are read.
    pub body: BodyRules,
}

/// A known model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Model {
    /// Groups it belongs to.
    pub groups: BTreeSet<String>,
    /// Labels.
    pub labels: BTreeSet<String>,
}

/// How the bodies of a service's requests are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BodyRules {
    /// Plain HTTP only: bodies are JSON, and their values are arguments. Anything else is refused.
    pub is_json: bool,
    /// Most bytes that a compressed body may inflate to; `None`: compressed bodies are refused.
    pub inflate_max_bytes: Option<usize>,
}

/// The token metadata of a service for its clients (RFC 9728).
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct TokenMetadata {
    /// URL of the protected-resource metadata document.
    pub resource_metadata: Option<String>,
    /// `realm` of the challenges.
    pub realm: Option<String>,
    /// Audiences: a token for this service must name one of them; empty: any that the profile accepts.
    #[serde(default)]
    pub audiences: BTreeSet<String>,
    /// The document that Picket serves for the service, which has none of its own.
    pub served: Option<ServedMetadata>,
}

/// A protected-resource metadata document (RFC 9728, section 2).
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct ServedMetadata {
    /// Identifier of the resource: an absolute URL without query and fragment.
    pub resource: String,
    /// Issuers that give tokens for it; at least one.
    pub authorization_servers: Vec<String>,
    /// Scopes that clients may request; none: not reported.
    pub scopes_supported: BTreeSet<String>,
}

/// A workload the catalogue says something about.
#[derive(Debug, Clone, Default)]
pub struct Workload {
    /// Its SPIFFE id.
    pub id: String,
    /// Groups it belongs to.
    pub groups: BTreeSet<String>,
    /// Facts; shape `WorkloadFacts`, as JSON.
    pub facts: Option<serde_json::Value>,
}

/// The namespace part of a service's id, which is short and needed often.
#[must_use]
pub fn namespace_of(service: &str) -> Option<&str> {
    service.get(..service.bytes().position(|byte| byte == b'/')?)
}

impl Service {
    /// The namespace part of the id.
    #[must_use]
    pub fn namespace(&self) -> &str {
        namespace_of(&self.id).unwrap_or_default()
    }

    /// Whether entries of its lists that a caller could never use are to be removed from responses.
    #[must_use]
    pub fn filters_lists(&self) -> bool {
        self.mcp.as_ref().is_some_and(|mcp| mcp.lists == mcp::Lists::Filtered)
    }

    /// Whether bodies of calls to it are opened: its protocol lies in them, or the catalogue says how to read them.
    #[must_use]
    pub fn opens_bodies(&self) -> bool {
        match self.protocol {
            Protocol::Http => self.body.is_json,
            Protocol::Grpc => self.grpc.is_some(),
            Protocol::Mcp | Protocol::A2a | Protocol::Openai | Protocol::Anthropic => true,
        }
    }
}

impl Catalog {
    /// Reads `catalog.yaml`.
    ///
    /// # Errors
    /// Every problem found, never just the first.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        file::parse(file, text, &grpc::Sets::default())
    }

    /// Reads `catalog.yaml` of a tree that holds descriptor sets.
    ///
    /// # Errors
    /// As [`Catalog::parse`].
    pub fn parse_with(file: &str, text: &str, sets: &grpc::Sets) -> Result<Self, Vec<Problem>> {
        file::parse(file, text, sets)
    }

    /// The service with this id (`<namespace>/<name>`).
    #[must_use]
    pub fn service(&self, id: &str) -> Option<&Service> {
        self.services.get(id)
    }

    /// The service that owns this host, ports aside.
    #[must_use]
    pub fn service_by_host(&self, host: &Host) -> Option<&Service> {
        self.hosts.get(host.name()).and_then(|id| self.services.get(id))
    }

    /// The services that a workload account serves, in order of id.
    pub fn services_of_account(&self, namespace: &str, account: &str) -> impl Iterator<Item = &Service> {
        self.accounts
            .get(&(namespace.to_owned(), account.to_owned()))
            .into_iter()
            .flatten()
            .filter_map(|id| self.services.get(id))
    }

    /// All services, by id.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.services.values()
    }

    /// The workload with this SPIFFE id.
    #[must_use]
    pub fn workload(&self, id: &str) -> Option<&Workload> {
        self.workloads.get(id)
    }

    /// All workloads, by SPIFFE id.
    pub fn workloads(&self) -> impl Iterator<Item = &Workload> {
        self.workloads.values()
    }

    /// Ids of the namespaces that `namespaces:`, a service or a workload names.
    ///
    /// A workload names two, `<ns>` and `<trust domain>/<ns>`: which domain is home is not the
    /// catalogue's to know. Good for telling a misspelt id; not a list of folders.
    #[must_use]
    pub fn namespaces(&self) -> &BTreeSet<String> {
        &self.namespaces
    }

    /// Every group named anywhere.
    #[must_use]
    pub fn groups(&self) -> &BTreeSet<String> {
        &self.groups
    }

    /// Warnings and notes; no call is rejected because of them.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// `catalog: {open: true}`: literals the catalogue does not know are warnings, not errors.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// `catalog: {implicit: true}`: an account no service claims is a service of its own.
    #[must_use]
    pub fn is_implicit(&self) -> bool {
        self.implicit
    }
}
