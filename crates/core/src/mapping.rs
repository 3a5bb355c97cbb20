//! Maps a call, its identity and the catalogue to a query.
//!
//! Knows: calls, identities, the catalogue, the schema's shape. Must not know: policies, Cedar. It decides
//! nothing and reads neither clock nor network.

mod a2a;
pub mod action;
pub mod address;
pub mod context;
mod grpc;
pub mod http;
pub mod list;
mod llm;
mod mcp;
pub mod parameters;
pub mod principal;
pub mod release;
pub mod resource;
pub mod service;
pub mod task;
mod values;

use smol_str::SmolStr;

use crate::body;
use crate::call::Call;
use crate::catalog::{Catalog, Service};
use crate::failure::{Code, Failure};
use crate::identity::Identity;
use crate::query::{Query, Reads};
use crate::setting::{CheckSettings, SettingProblem};

pub use action::{Asked, What};

/// The mapping settings of a profile.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How the called service is found, in order. A value that is present but unknown ends the search.
    /// Default: the context extension `service` only.
    pub service: Vec<service::Source>,
    /// Whether CONNECT is evaluated (as action `connect`) or rejected. Default false.
    pub allow_connect: bool,
    /// Protocols (`websocket`, `h2c`) with upgrades that are evaluated (as action `upgrade`); others are rejected.
    /// Default none.
    pub allow_upgrades: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { service: vec![service::Source::ContextExtension], allow_connect: false, allow_upgrades: Vec::new() }
    }
}

impl CheckSettings for Settings {
    fn problems(&self) -> Vec<SettingProblem> {
        // No value is out of bounds: a service that no catalogue knows is `unmapped`.
        let Self { service: _, allow_connect: _, allow_upgrades: _ } = self;
        Vec::new()
    }
}

/// The place of a listener in the mesh.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Name of the listener, `context.env.listener`.
    pub listener: &'a str,
    /// The home trust domain: only its workloads lie in plain namespaces.
    pub home: &'a str,
    /// The catalogue of the snapshot that evaluates the call.
    pub catalog: &'a Catalog,
}

/// Builds the query.
///
/// `asked` is what the call requests; `reads` is what the policies that judge it can read.
///
/// # Errors
/// `header_duplicated`, `header_refused` or `query_refused` where a value that can be read has no single reading;
/// `message_refused` or `body_refused` for arguments that do not fit the schema of their tool; those of
/// [`body::bytes`](crate::body::bytes()) where the body's length can be read and is not known.
pub fn query(
    call: &Call,
    identity: &Identity,
    service: &Service,
    asked: &Asked,
    reads: &Reads,
    place: Place<'_>,
) -> Result<Query, Failure> {
    let body_bytes = if reads.size { Some(length(call, service, asked)?) } else { None };
    let (context, bags) = context::context(call, identity, asked, reads, body_bytes, place.listener)?;
    let mut query = Query {
        principal: principal::principal(identity, place.home, service, place.catalog),
        action: SmolStr::new_static(asked.action()),
        resource: resource::resource(service, asked, place.home),
        context,
        bags,
        namespace: service.namespace().into(),
    };
    mcp::add_typed_input(&mut query, service, asked)?;
    Ok(query)
}

/// How many bytes the whole body has, encodings undone: a packed body would hide how much the service has to take.
fn length(call: &Call, service: &Service, asked: &Asked) -> Result<usize, Failure> {
    match &asked.what {
        What::Grpc { .. } => body::grpc::length(call, &service.body),
        What::Http { .. } | What::Mcp(_) | What::A2a(_) | What::Llm(_) => {
            body::bytes(call, &service.body).map(|bytes| bytes.len())
        }
    }
}

/// Finds the called service; see [`service::find`].
///
/// # Errors
/// `unmapped` where none is meant, or one that the catalogue does not know.
pub fn service<'a>(
    call: &Call,
    settings: &Settings,
    catalog: &'a Catalog,
    home: &str,
) -> Result<std::borrow::Cow<'a, Service>, Failure> {
    service::find(call, &settings.service, catalog, home)
}

/// Checks that a token was made for the service, where the catalogue says what such tokens name.
///
/// # Errors
/// `token_rejected` for one that was made for another: a service must not take, nor pass on, what is not its own.
pub fn audience(identity: &Identity, service: &Service) -> Result<(), Failure> {
    let (Some(token), Some(metadata)) = (&identity.token, &service.token) else { return Ok(()) };
    if metadata.audiences.is_empty() || !token.audiences.is_disjoint(&metadata.audiences) {
        return Ok(());
    }
    Err(Failure::new(Code::TokenRejected, format!("`aud` has no audience of service `{}`", service.id)))
}
