//! The Call: what the proxy reported about one request, in canonical form.
//!
//! Knows: the peer as the proxy describes it, the canonical path and host, headers, the body.
//! Must not know: protobuf, Cedar, policies. A noun: built by `envoy::decode`, read by everybody.
//!
//! What is decided on is what is forwarded: a [`Call`] only exists if its path, host and method have
//! one canonical reading. Ambiguous input never becomes a `Call`; it ends as a
//! [`Failure`](crate::failure::Failure).

pub mod alike;
pub mod headers;
pub mod host;
pub mod parameters;
pub mod path;
pub mod query_string;

use std::collections::BTreeMap;
use std::net::IpAddr;

use bytes::Bytes;

pub use headers::Headers;
pub use host::Host;
pub use path::CanonicalPath;

/// Milliseconds since the Unix epoch; the only clock reading that a decision sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// The same instant in whole seconds, rounded down.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

/// One HTTP or gRPC call as the proxy described it.
#[derive(Debug, Clone)]
pub struct Call {
    /// The two ends of the connection, as the proxy reports them.
    pub peer: Peer,
    /// The method as sent, a valid HTTP token (`GET`, `PROPFIND`).
    pub method: String,
    /// `http` or `https`, lower case, as the proxy gave it; empty if it gave none.
    pub scheme: String,
    /// The canonical authority.
    pub host: Host,
    /// The target of the request.
    pub target: Target,
    /// `:path` as sent, for the decision log only; never decide on it.
    pub path_sent: String,
    /// The name in `upgrade` or `:protocol` (`websocket`), lower case, of a call that requests an upgrade.
    pub upgrade: Option<String>,
    /// All headers without pseudo headers, names in lower case.
    pub headers: Headers,
    /// The body, as far as the proxy sent it and proved it complete.
    pub body: Body,
    /// `context_extensions`: what the operator wrote for the route. Trusted.
    pub extensions: BTreeMap<String, String>,
    /// Payloads that Envoy's jwt_authn filter verified, by the key of its `payload_in_metadata`.
    pub verified_tokens: BTreeMap<String, serde_json::Value>,
    /// When the evaluation of the call began.
    pub received_at: UnixMillis,
}

impl Call {
    /// Whether a header announces a body.
    ///
    /// Envoy takes `transfer-encoding` away before it asks, and over HTTP/2 no header needs to announce anything: so
    /// where none does, there may be a body all the same.
    #[must_use]
    pub fn announces_body(&self) -> bool {
        self.headers.all("content-length").any(|length| length != b"0")
            || self.headers.has("transfer-encoding")
            || self.headers.has("expect")
    }

    /// Whether no body is visible: none is attached and none is announced. This does not prove its absence.
    #[must_use]
    pub fn shows_no_body(&self) -> bool {
        let is_attached = match &self.body {
            Body::NotSent => false,
            Body::Complete(bytes) => !bytes.is_empty(),
            Body::Encoded { .. } | Body::Unproven(_) => true,
        };
        !is_attached && !self.announces_body()
    }
}

impl Body {
    /// How many bytes of it there are to read.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::NotSent | Self::Unproven(_) => 0,
            Self::Complete(bytes) | Self::Encoded { bytes, .. } => bytes.len(),
        }
    }
}

/// The connection, as the proxy describes it.
#[derive(Debug, Clone, Default)]
pub struct Peer {
    /// `source.principal`: the first URI SAN, else DNS SAN, else subject; filled even for certificates
    /// nobody verified.
    pub principal: Option<String>,
    /// `source.certificate`: URL-encoded PEM of the leaf.
    pub certificate: Option<String>,
    /// Address of the connection's far end. Never an identity.
    pub address: Option<IpAddr>,
    /// `destination.principal`: the proxy's own certificate.
    pub destination_principal: Option<String>,
    /// `tls_session.sni`, where sent.
    pub sni: Option<String>,
}

/// The target of the request line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An ordinary request: the canonical path, and the query as sent (without `?`).
    Path {
        /// The canonical path.
        path: CanonicalPath,
        /// The raw query, `None` where there is no `?`.
        query: Option<String>,
    },
    /// CONNECT without a path: the authority is all there is.
    Authority,
}

/// The body, as far as its completeness is proven. Its bytes are a part of the message that they came in: they are never copied,
/// and hold that message in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The proxy attached no body, and nothing proves that the call has none: it may be on the wire.
    NotSent,
    /// The complete body, in identity encoding. Empty if the call provably has none.
    Complete(Bytes),
    /// The whole body, in a content encoding.
    Encoded {
        /// Its bytes as sent.
        bytes: Bytes,
        /// The value of `content-encoding`, lower case.
        encoding: String,
    },
    /// A body was attached but cannot be proven complete; the text says why.
    Unproven(&'static str),
}
