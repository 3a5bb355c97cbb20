//! The requested operation: the action, and its target.

use crate::body::{self, Inside, json::Json};
use crate::call::{Call, CanonicalPath, Target};
use crate::catalog::{Protocol, Service};
use crate::failure::{Code, Failure};
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
    /// Read without its body.
    Known(Asked),
    /// The body contains the operation, in this protocol.
    ByBody(Protocol, CanonicalPath),
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
        Target::Authority => return http::connect(settings).map(Spoken::Known),
        Target::Path { path, .. } => path.clone(),
    };
    if service.exact_paths {
        http::check_exact(call, &path)?;
    }
    if let Some(protocol) = &call.upgrade {
        return http::upgrade(protocol, call, path, service, settings).map(Spoken::Known);
    }
    if service.http_paths.contains(&path) || http::is_preflight(call) {
        return Ok(Spoken::Known(http::asked(call, path, None)));
    }
    match service.protocol {
        Protocol::Http if service.body.is_json && !family(call, service).hides_body() => {
            Ok(Spoken::ByBody(Protocol::Http, path))
        }
        Protocol::Http => Ok(Spoken::Known(http::asked(call, path, None))),
        Protocol::Grpc => grpc::asked(call, path).map(Spoken::Known),
        Protocol::Mcp | Protocol::A2a | Protocol::Openai | Protocol::Anthropic => {
            Ok(Spoken::ByBody(service.protocol, path))
        }
    }
}

/// The operation, with the parsed body.
///
/// # Errors
/// `internal` where what is inside is not of the protocol that the call is read as: a defect of the caller's.
pub fn asked(call: &Call, spoken: Spoken, inside: Inside) -> Result<Asked, Failure> {
    let (protocol, path) = match (spoken, inside) {
        (Spoken::Known(Asked { path, what: What::Grpc { service, method, .. } }), Inside::Grpc(message)) => {
            return Ok(Asked { path, what: What::Grpc { service, method, message: Some(message) } });
        }
        (Spoken::Known(asked), Inside::Nothing) => return Ok(asked),
        // An agent's public card is read like any page.
        (Spoken::ByBody(Protocol::Http | Protocol::A2a, path), Inside::Nothing) => {
            return Ok(http::asked(call, path, None));
        }
        (Spoken::ByBody(Protocol::Http, path), Inside::Json(document)) => {
            return Ok(http::asked(call, path, Some(document)));
        }
        (Spoken::ByBody(Protocol::Mcp, path), Inside::Mcp(message)) => {
            return Ok(Asked { path, what: What::Mcp(message.ask) });
        }
        (Spoken::ByBody(Protocol::A2a, path), Inside::A2a(message)) => {
            return Ok(Asked { path, what: What::A2a(message) });
        }
        (Spoken::ByBody(Protocol::Openai | Protocol::Anthropic, path), Inside::Llm(request)) => {
            return Ok(Asked { path, what: What::Llm(request) });
        }
        (Spoken::ByBody(protocol, path), _) => (protocol.as_str(), path),
        (Spoken::Known(Asked { path, .. }), _) => ("http", path),
    };
    let detail = format!("the body of `{path}` was not parsed as {protocol}");
    Err(Failure::new(Code::Internal, detail))
}

/// The headers that [`asked`] reads for a call of this method to a service of this protocol.
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
