//! The requested operation: the action, and its target.

use crate::body::{self, json::Json};
use crate::call::{Call, CanonicalPath, Target};
use crate::catalog::{Protocol, Service};
use crate::failure::Failure;
use crate::query::Family;

use super::{Settings, a2a, grpc, http, llm, mcp};

/// The operation that a call requests, in terms of its service's protocol.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The canonical path.
    pub path: CanonicalPath,
    /// The operation.
    pub what: What,
}

/// The kinds of operations; each has its own action of the schema.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A request for the path.
    Http {
        /// `GET` … `DELETE`, `other`, `connect` or `upgrade`.
        action: &'static str,
        /// The method as sent, for matching routes.
        method: String,
        /// The body's document, where the service's bodies are JSON and a policy reads them.
        document: Option<Json>,
    },
    /// A gRPC call.
    Grpc {
        /// `package.Service`.
        service: String,
        /// `Method`.
        method: String,
        /// The message, where it is described and a policy reads it.
        message: Option<body::grpc::Message>,
    },
    /// A message to an MCP server.
    Mcp(body::mcp::Ask),
    /// A call to an A2A agent.
    A2a(body::a2a::Message),
    /// A request to a model.
    Llm(Box<body::llm::Request>),
}

impl Asked {
    /// The id of the schema's action; a tool with typed arguments has one of its own below it.
    #[must_use]
    pub fn action(&self) -> &'static str {
        match &self.what {
            What::Http { action, .. } => action,
            What::Grpc { .. } => grpc::action(),
            What::Mcp(ask) => mcp::action(ask),
            What::A2a(message) => a2a::action(message),
            What::Llm(_) => llm::action(),
        }
    }

    /// Values by name that policies read as arguments, where there are any: always an object.
    #[must_use]
    pub fn arguments(&self) -> Option<&Json> {
        match &self.what {
            What::Http { document, .. } => document.as_ref(),
            // What policies cannot see of a message is no part of what was approved.
            What::Grpc { message, .. } => {
                message.as_ref().filter(|message| message.is_whole).map(|message| &message.fields)
            }
            What::Mcp(ask) => mcp::arguments(ask),
            What::A2a(_) | What::Llm(_) => None,
        }
    }
}

/// As what a call is read: its service's protocol, or plain HTTP where the catalogue or the request says so.
#[derive(Debug, Clone, PartialEq)]
pub enum Spoken {
    /// Plain HTTP; the body is not parsed.
    Plain(Asked),
    /// Plain HTTP with a JSON body.
    Json(CanonicalPath),
    /// A gRPC call of a method; the body is its message.
    Grpc {
        /// The canonical path.
        path: CanonicalPath,
        /// `package.Service`.
        service: String,
        /// `Method`.
        method: String,
    },
    /// MCP: the body contains the operation.
    Mcp(CanonicalPath),
    /// A2A: the body contains the operation, or the path is the agent's public card.
    A2a(CanonicalPath),
    /// A request to a model: the body contains the operation.
    Llm(CanonicalPath),
}

impl Spoken {
    /// The operation of a call whose body nobody reads; `None` where the body contains the operation.
    #[must_use]
    pub fn without_body(self, call: &Call) -> Option<Asked> {
        match self {
            Self::Plain(asked) => Some(asked),
            Self::Json(path) => Some(http::asked(call, path, None)),
            Self::Grpc { path, service, method } => {
                Some(Asked { path, what: What::Grpc { service, method, message: None } })
            }
            Self::Mcp(_) | Self::A2a(_) | Self::Llm(_) => None,
        }
    }
}

/// The family of a call's action: known before its body is parsed.
#[must_use]
pub fn family(call: &Call, service: &Service) -> Family {
    let path = match &call.target {
        Target::Authority => return Family::Connect,
        Target::Path { path, .. } => path,
    };
    if call.upgrade.is_some() {
        return Family::Upgrade;
    }
    let by_method = || Family::of(http::action(&call.method)).unwrap_or(Family::Other);
    if service.http_paths.contains(path) || http::is_preflight(call) {
        return by_method();
    }
    match service.protocol {
        Protocol::Http => by_method(),
        Protocol::Grpc => Family::Grpc,
        Protocol::Mcp => Family::Mcp,
        // The public card is read like any page.
        Protocol::A2a if service.a2a.as_ref().is_some_and(|rules| body::a2a::is_card(path, rules)) => by_method(),
        Protocol::A2a => Family::A2a,
        Protocol::Openai | Protocol::Anthropic => Family::Llm,
    }
}

/// Reads the call as the service's protocol says; never as another.
///
/// # Errors
/// `connect_refused`, `upgrade_refused`, `protocol_mismatch` for a call that does not speak its service's protocol,
/// `path_refused` for a path in another spelling where the service takes one only.
pub fn spoken(call: &Call, service: &Service, settings: &Settings) -> Result<Spoken, Failure> {
    let path = match &call.target {
        Target::Authority => return http::connect(settings).map(Spoken::Plain),
        Target::Path { path, .. } => path.clone(),
    };
    if service.exact_paths {
        http::check_exact(call, &path)?;
    }
    if let Some(protocol) = &call.upgrade {
        return http::upgrade(protocol, call, path, service, settings).map(Spoken::Plain);
    }
    if service.http_paths.contains(&path) || http::is_preflight(call) {
        return Ok(Spoken::Plain(http::asked(call, path, None)));
    }
    match service.protocol {
        Protocol::Http if service.body.is_json && !family(call, service).hides_body() => Ok(Spoken::Json(path)),
        Protocol::Http => Ok(Spoken::Plain(http::asked(call, path, None))),
        Protocol::Grpc => grpc::spoken(call, path),
        Protocol::Mcp => Ok(Spoken::Mcp(path)),
        Protocol::A2a => Ok(Spoken::A2a(path)),
        Protocol::Openai | Protocol::Anthropic => Ok(Spoken::Llm(path)),
    }
}

/// The headers that [`spoken`] reads for a call of this method to a service of this protocol.
#[must_use]
pub fn headers(method: &str, protocol: Protocol) -> &'static [&'static str] {
    const OPTIONS: [&str; 6] =
        ["access-control-request-method", "content-length", "content-type", "expect", "origin", "transfer-encoding"];
    match (method, protocol) {
        ("OPTIONS", _) => &OPTIONS,
        (_, Protocol::Grpc) => &["content-type"],
        (_, Protocol::Http | Protocol::Mcp | Protocol::A2a | Protocol::Openai | Protocol::Anthropic) => &[],
    }
}
