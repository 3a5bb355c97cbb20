//! Calls by protocol, method and state of their body.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::harness::{Check, FRONTEND, check};

/// The called service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Plain,
    Json,
    /// A path under `http_paths` of a service that reads bodies elsewhere.
    HttpPath,
    /// No descriptors.
    Grpc,
    Described,
    Mcp,
    A2a,
    Llm,
}

/// How it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Named(&'static str),
    Preflight,
    Upgrade,
    Connect,
}

/// The state of the body in the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// Nothing at all: none was attached, and there may be one.
    NotSent,
    /// `content-length: 0`.
    Zero,
    /// Attached, and without a byte.
    Empty,
    /// Attached whole, with nothing bad in it.
    Small,
    /// Attached whole, long, and with something bad where there is a place for it.
    Large,
    /// Attached whole, in a content encoding.
    Encoded,
    /// Attached in part.
    Cut,
    /// Attached, and nothing says that this is all.
    Unframed,
    /// Attached as repaired text.
    Text,
    /// A length, and nothing attached.
    Announced,
    /// Chunks, and nothing attached.
    Chunked,
    /// The caller waits for leave to send it.
    Expected,
}

const KINDS: [Kind; 8] =
    [Kind::Plain, Kind::Json, Kind::HttpPath, Kind::Grpc, Kind::Described, Kind::Mcp, Kind::A2a, Kind::Llm];
const METHODS: [Method; 13] = [
    Method::Named("GET"),
    Method::Named("HEAD"),
    Method::Named("OPTIONS"),
    Method::Named("POST"),
    Method::Named("PUT"),
    Method::Named("PATCH"),
    Method::Named("DELETE"),
    Method::Named("QUERY"),
    Method::Named("TRACE"),
    Method::Named("get"),
    Method::Preflight,
    Method::Upgrade,
    Method::Connect,
];
const BODIES: [Body; 12] = [
    Body::NotSent,
    Body::Zero,
    Body::Empty,
    Body::Small,
    Body::Large,
    Body::Encoded,
    Body::Cut,
    Body::Unframed,
    Body::Text,
    Body::Announced,
    Body::Chunked,
    Body::Expected,
];

/// Every call there is.
pub fn all() -> impl Iterator<Item = (Kind, Method, Body)> {
    let of = |kind| METHODS.into_iter().flat_map(move |method| BODIES.map(|body| (kind, method, body)));
    KINDS.into_iter().flat_map(of)
}

/// A call without a body.
pub fn bare(kind: Kind, method: Method) -> Check {
    let name = match method {
        Method::Named(name) => name,
        Method::Preflight => "OPTIONS",
        Method::Upgrade => "GET",
        Method::Connect => "CONNECT",
    };
    let (service, path) = match kind {
        Kind::Plain => ("t/plain", "/x"),
        Kind::Json => ("t/json", "/x"),
        Kind::HttpPath => ("t/llm", "/health"),
        Kind::Grpc => ("t/grpc", "/shop.v1.Orders/Refund"),
        Kind::Described => ("t/described", "/shop.v1.Orders/Refund"),
        Kind::Mcp => ("t/mcp", "/mcp"),
        Kind::A2a if name == "POST" => ("t/a2a", "/a2a/message:send"),
        Kind::A2a => ("t/a2a", "/a2a/tasks/1"),
        Kind::Llm => ("t/llm", "/v1/chat/completions"),
    };
    let path = if method == Method::Connect { "" } else { path };
    let kind_of_content = match kind {
        Kind::Grpc | Kind::Described => "application/grpc",
        Kind::Plain | Kind::Json | Kind::HttpPath | Kind::Mcp | Kind::A2a | Kind::Llm => "application/json",
    };
    let call = check(name, path).service(service).by(FRONTEND).header("content-type", kind_of_content);
    let call = match kind {
        Kind::Mcp => call.header("mcp-protocol-version", "2025-06-18"),
        Kind::A2a => call.header("a2a-version", "1.0"),
        Kind::Plain | Kind::Json | Kind::HttpPath | Kind::Grpc | Kind::Described | Kind::Llm => call,
    };
    match method {
        Method::Preflight => {
            call.header("origin", "https://shop.example").header("access-control-request-method", "POST")
        }
        Method::Upgrade => call.header("upgrade", "websocket").header("connection", "upgrade"),
        Method::Named(_) | Method::Connect => call,
    }
}

/// A call with a body that is attached whole.
pub fn with_bytes(mut call: Check, bytes: Vec<u8>) -> Check {
    let length = bytes.len().to_string();
    call.http().raw_body = bytes;
    call.header("content-length", &length).header("x-envoy-auth-partial-body", "false")
}

/// A call.
pub fn call(kind: Kind, method: Method, body: Body) -> Check {
    let mut call = bare(kind, method);
    let small = bytes(kind, &[]);
    let flag = |call: Check, flag: &str| call.header("x-envoy-auth-partial-body", flag);
    match body {
        Body::NotSent => call,
        Body::Zero => call.header("content-length", "0"),
        Body::Empty => flag(call, "false"),
        Body::Small => with_bytes(call, small),
        Body::Large => with_bytes(call, bytes(kind, &[b'x'; 2000])),
        Body::Encoded => with_bytes(call, gzip(&small)).header("content-encoding", "gzip"),
        Body::Cut => {
            let length = small.len().to_string();
            call.http().raw_body = small;
            flag(call, "true").header("content-length", &length)
        }
        Body::Unframed => {
            call.http().raw_body = small;
            flag(call, "false")
        }
        Body::Text => {
            call.http().body = String::from_utf8_lossy(&small).into_owned();
            flag(call, "false").header("content-length", &small.len().to_string())
        }
        Body::Announced => call.header("content-length", "9"),
        Body::Chunked => call.header("transfer-encoding", "chunked"),
        Body::Expected => call.header("expect", "100-continue"),
    }
}

/// A good body of the protocol; `bad` is a value that policies forbid, where there is any.
fn bytes(kind: Kind, bad: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bad);
    let arguments = if bad.is_empty() { "{}".to_owned() } else { format!(r#"{{"bad":"{text}"}}"#) };
    match kind {
        Kind::Plain | Kind::Json | Kind::HttpPath => arguments.into_bytes(),
        Kind::Grpc | Kind::Described => {
            framed(0, &order(&format!("{}{text}", if bad.is_empty() { "o" } else { "bad" })))
        }
        Kind::Mcp => format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","arguments":{arguments}}}}}"#
        )
        .into_bytes(),
        Kind::A2a => format!(r#"{{"message":{{"messageId":"1","role":"ROLE_USER","parts":[{{"text":"{text}"}}]}}}}"#)
            .into_bytes(),
        Kind::Llm => format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#).into_bytes(),
    }
}

/// A message with this text in its first field.
fn order(id: &str) -> Vec<u8> {
    let mut message = vec![0x0a];
    let mut rest = id.len();
    while rest > 0x7f {
        message.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    message.push(u8::try_from(rest).unwrap());
    message.extend_from_slice(id.as_bytes());
    message
}

/// A message in gRPC's frame.
pub fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flag][..], &length, message].concat()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
