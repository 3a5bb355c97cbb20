//! What is asked of a service: the action, and what it is asked about.

use crate::call::{Body, Call, CanonicalPath, Target};
use crate::catalog::{Protocol, Service};
use crate::failure::{Code, Failure};

use super::Settings;

/// What a call asks for, in terms of its service's protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A request for a path: one of the schema's HTTP actions.
    Http {
        /// `GET` … `DELETE`, `other`, `connect` or `upgrade`.
        action: &'static str,
        /// The method as sent, for matching routes.
        method: String,
        /// The canonical path.
        path: CanonicalPath,
    },
    /// A gRPC call.
    Grpc {
        /// `package.Service`.
        service: String,
        /// `Method`.
        method: String,
        /// The canonical path.
        path: CanonicalPath,
    },
}

impl Asked {
    /// The id of the schema's action.
    #[must_use]
    pub fn action(&self) -> &str {
        match self {
            Self::Http { action, .. } => action,
            Self::Grpc { .. } => "grpc.call",
        }
    }

    /// The canonical path.
    #[must_use]
    pub fn path(&self) -> &CanonicalPath {
        match self {
            Self::Http { path, .. } | Self::Grpc { path, .. } => path,
        }
    }
}

/// Reads the call as the service's protocol says; never as another.
///
/// # Errors
/// `connect_refused`, `upgrade_refused`, `protocol_unsupported` for a protocol this build does not judge,
/// `protocol_mismatch` for a call that does not speak its service's protocol.
pub fn asked(call: &Call, service: &Service, settings: &Settings) -> Result<Asked, Failure> {
    let path = match &call.target {
        Target::Authority => return connect(settings),
        Target::Path { path, .. } => path.clone(),
    };
    if let Some(protocol) = &call.upgrade {
        return upgrade(protocol, call, path, service, settings);
    }
    if service.protocol == Protocol::Http || service.http_paths.contains(&path) || is_preflight(call) {
        return Ok(Asked::Http { action: http_action(&call.method), method: call.method.clone(), path });
    }
    match service.protocol {
        Protocol::Http => Ok(Asked::Http { action: http_action(&call.method), method: call.method.clone(), path }),
        Protocol::Grpc => grpc(call, path),
        Protocol::Mcp | Protocol::A2a | Protocol::Openai | Protocol::Anthropic => Err(Failure::new(
            Code::ProtocolUnsupported,
            format!("service `{}` speaks {}, which this build does not judge", service.id, service.protocol.as_str()),
        )),
    }
}

/// The headers that [`asked`] looks at for a call of this method to a service of this protocol.
#[must_use]
pub fn headers(method: &str, protocol: Protocol) -> &'static [&'static str] {
    const OPTIONS: [&str; 5] =
        ["access-control-request-method", "content-length", "content-type", "origin", "transfer-encoding"];
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
    Ok(Asked::Http { action: "connect", method: "CONNECT".to_owned(), path: root })
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
        let detail = format!("service `{}` speaks {}, which has no upgrades", service.id, service.protocol.as_str());
        return Err(Failure::new(Code::UpgradeRefused, detail));
    }
    Ok(Asked::Http { action: "upgrade", method: call.method.clone(), path })
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

/// A CORS preflight: OPTIONS with an origin and an asked-for method, and provably no body.
fn is_preflight(call: &Call) -> bool {
    let empty = match &call.body {
        Body::NotSent => true,
        Body::Complete(bytes) => bytes.is_empty(),
        Body::Unproven(_) => false,
    };
    let no_length = call.headers.all("content-length").all(|value| value == b"0");
    call.method == "OPTIONS"
        && call.headers.has("origin")
        && call.headers.has("access-control-request-method")
        && empty
        && no_length
        && !call.headers.has("transfer-encoding")
}

/// A gRPC call: POST, a content type of the family, and a path of exactly service and method.
fn grpc(call: &Call, path: CanonicalPath) -> Result<Asked, Failure> {
    let mismatch = |detail: &str| Failure::new(Code::ProtocolMismatch, detail);
    if call.method != "POST" {
        return Err(mismatch("a gRPC call is a POST"));
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
    Ok(Asked::Grpc { service, method, path })
}
