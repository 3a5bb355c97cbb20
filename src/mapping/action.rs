//! The requested operation: the action, and its target.

use crate::body::{Inside, a2a, grpc, json::Json, llm, mcp};
use crate::call::{Call, CanonicalPath, Target};
use crate::catalog::{Protocol, Service};
use crate::failure::{Code, Failure};
use crate::query::Family;
use crate::query::action::CALL_TOOL;

use super::Settings;

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
        message: Option<grpc::Message>,
    },
    /// A message to an MCP server.
    Mcp(mcp::Ask),
    /// A call to an A2A agent.
    A2a(a2a::Message),
    /// A request to a model.
    Llm(Box<llm::Request>),
}

impl Asked {
    /// The id of the schema's action; a tool with typed arguments has one of its own below it.
    #[must_use]
    pub fn action(&self) -> &'static str {
        match &self.what {
            What::Http { action, .. } => action,
            What::Grpc { .. } => "grpc.call",
            What::Mcp(mcp::Ask::CallTool { .. }) => CALL_TOOL,
            What::Mcp(mcp::Ask::ReadResource { .. }) => "mcp.resources.read",
            What::Mcp(mcp::Ask::SubscribeResource { .. }) => "mcp.resources.subscribe",
            What::Mcp(mcp::Ask::GetPrompt { .. }) => "mcp.prompts.get",
            What::Mcp(mcp::Ask::UseServer { .. }) => "mcp.server.use",
            What::A2a(message) => message.ask.action(),
            What::Llm(_) => "llm.generate",
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
            What::Mcp(mcp::Ask::CallTool { arguments, .. } | mcp::Ask::GetPrompt { arguments, .. }) => Some(arguments),
            What::Mcp(
                mcp::Ask::ReadResource { .. } | mcp::Ask::SubscribeResource { .. } | mcp::Ask::UseServer { .. },
            )
            | What::A2a(_)
            | What::Llm(_) => None,
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
    let by_method = || Family::of(http_action(&call.method)).unwrap_or(Family::Other);
    if service.http_paths.contains(path) || is_preflight(call) {
        return by_method();
    }
    match service.protocol {
        Protocol::Http => by_method(),
        Protocol::Grpc => Family::Grpc,
        Protocol::Mcp => Family::Mcp,
        // The public card is read like any page.
        Protocol::A2a if service.a2a.as_ref().is_some_and(|rules| a2a::is_card(path, rules)) => by_method(),
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
        Target::Authority => return connect(settings).map(Spoken::Known),
        Target::Path { path, .. } => path.clone(),
    };
    if service.exact_paths {
        exact(call, &path)?;
    }
    if let Some(protocol) = &call.upgrade {
        return upgrade(protocol, call, path, service, settings).map(Spoken::Known);
    }
    if service.http_paths.contains(&path) || is_preflight(call) {
        return Ok(Spoken::Known(http(call, path, None)));
    }
    match service.protocol {
        Protocol::Http if service.body.is_json && !family(call, service).hides_body() => {
            Ok(Spoken::ByBody(Protocol::Http, path))
        }
        Protocol::Http => Ok(Spoken::Known(http(call, path, None))),
        Protocol::Grpc => grpc(call, path).map(Spoken::Known),
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
        (Spoken::ByBody(Protocol::Http | Protocol::A2a, path), Inside::Nothing) => return Ok(http(call, path, None)),
        (Spoken::ByBody(Protocol::Http, path), Inside::Json(document)) => return Ok(http(call, path, Some(document))),
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

/// Refuses a path that is not spelt canonically, and one whose escapes are no text: whoever stores things under names
/// may read them by another rule.
fn exact(call: &Call, path: &CanonicalPath) -> Result<(), Failure> {
    let sent = call.path_sent.split('?').next().unwrap_or_default();
    if sent != path.as_str() || !sent.is_ascii() {
        return Err(Failure::new(
            Code::PathRefused,
            "the service accepts paths in plain ASCII and their canonical spelling only",
        ));
    }
    match percent_encoding::percent_decode_str(sent).decode_utf8() {
        Ok(_) => Ok(()),
        Err(_) => Err(Failure::new(Code::PathRefused, "the path's escapes are not UTF-8")),
    }
}

fn http(call: &Call, path: CanonicalPath, document: Option<Json>) -> Asked {
    let action = http_action(&call.method);
    Asked { path, what: What::Http { action, method: call.method.clone(), document } }
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

fn connect(settings: &Settings) -> Result<Asked, Failure> {
    if !settings.allow_connect {
        return Err(Failure::new(Code::ConnectRefused, "CONNECT is off on this listener"));
    }
    let root = CanonicalPath::parse("/").map_err(|problem| Failure::new(Code::PathRefused, problem.to_string()))?;
    let what = What::Http { action: "connect", method: "CONNECT".to_owned(), document: None };
    Ok(Asked { path: root, what })
}

fn upgrade(
    protocol: &str,
    call: &Call,
    path: CanonicalPath,
    service: &Service,
    settings: &Settings,
) -> Result<Asked, Failure> {
    let allowed = settings.allow_upgrades.iter().any(|name| name == protocol);
    if !allowed {
        return Err(Failure::new(Code::UpgradeRefused, format!("upgrades to `{protocol}` are off on this listener")));
    }
    if service.protocol != Protocol::Http {
        let detail = format!("service `{}` uses {}, which has no upgrades", service.id, service.protocol.as_str());
        return Err(Failure::new(Code::UpgradeRefused, detail));
    }
    Ok(Asked { path, what: What::Http { action: "upgrade", method: call.method.clone(), document: None } })
}

/// The schema's action for a method; methods are case-sensitive, so `get` is `other`.
fn http_action(method: &str) -> &'static str {
    match method {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

/// A CORS preflight: OPTIONS with an origin and an asked-for method, and nothing that shows a body.
fn is_preflight(call: &Call) -> bool {
    call.method == "OPTIONS"
        && call.headers.has("origin")
        && call.headers.has("access-control-request-method")
        && call.shows_no_body()
}

/// A gRPC call: POST, a content type of the family, and a path of exactly service and method.
fn grpc(call: &Call, path: CanonicalPath) -> Result<Asked, Failure> {
    let mismatch = |detail: &str| Failure::new(Code::ProtocolMismatch, detail);
    if call.method != "POST" {
        return Err(mismatch("a gRPC call must be a POST"));
    }
    let content_type = call.headers.single("content-type").ok().flatten().unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence != "application/grpc" && !essence.starts_with("application/grpc+") {
        return Err(mismatch("a gRPC call has the content type application/grpc"));
    }
    let segments: Vec<&str> = path.segments().collect();
    let [service, method] = segments.as_slice() else {
        return Err(mismatch("a gRPC path is `/<package.Service>/<Method>`"));
    };
    let name = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
    if !name(service) || !name(method) || method.contains('.') {
        return Err(mismatch("a gRPC path is `/<package.Service>/<Method>`"));
    }
    // Servers look methods up by the path as it came: another spelling is another method, or none.
    if call.path_sent != path.as_str() {
        return Err(mismatch("a gRPC path has no escapes, no query and no slash at its end"));
    }
    let (service, method) = ((*service).to_owned(), (*method).to_owned());
    Ok(Asked { path, what: What::Grpc { service, method, message: None } })
}
