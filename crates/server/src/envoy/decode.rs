//! Decodes Envoy's `CheckRequest` into a [`Call`], or fails with a reason.
//!
//! Knows: what each field of the check means and who may have written it. Must not know: policies,
//! identities, what is allowed.
//!
//! Nothing is repaired: a check with two readings is refused. `source.service`, labels, `request.time` and
//! `size` are never read, because a client can steer them or because they say nothing about the call.

mod body;
mod check_view;
mod headers;
mod target;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;
use std::net::IpAddr;

use envoy_types::pb::envoy::config::core::v3::{Metadata, address};

use super::protobuf_struct;
pub use check_view::CheckView;
use picket_core::call::{Call, Peer, Target, UnixMillis};
use picket_core::failure::{Code, Failure};

/// Most bytes of header names and values, pseudo headers included.
pub const HEADER_BYTES_MAX: usize = 96 * 1024;
/// Most headers, pseudo headers included.
pub const HEADERS_MAX: usize = 200;
/// How the content types of gRPC begin.
const GRPC: &str = "application/grpc";
/// Where Envoy's jwt_authn filter leaves what it verified.
const JWT_AUTHN: &str = "envoy.filters.http.jwt_authn";

/// Properties of checks that follow from the proxy's settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// The filter's `max_request_bytes`. Bodies of that size or more count as cut off, because Envoy says
    /// "not partial" when its buffer is exactly full. Without it only `content-length` can prove a body whole.
    pub body_bytes_max: Option<usize>,
    /// Meaning of a check without a body.
    pub unattached: Unattached,
}

/// Meaning of a check without a body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unattached {
    /// Nothing: the proxy attaches none on this route, or the call has none.
    #[default]
    Unknown,
    /// The call has none: every proxy attaches every body, on every route.
    Absent,
}

/// The response format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Caller {
    /// Plain HTTP.
    #[default]
    Http,
    /// gRPC: the body of a denial becomes `grpc-message`.
    Grpc,
}

impl Caller {
    /// One of two, for what is prepared for each.
    #[must_use]
    pub fn pick<T>(self, [http, grpc]: &[T; 2]) -> &T {
        match self {
            Self::Http => http,
            Self::Grpc => grpc,
        }
    }
}

/// The parts of a check for the response and the log, available even if decoding fails. No decision depends on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outline<'a> {
    /// The response format.
    pub caller: Caller,
    /// `x-request-id`, where it is short and printable.
    pub request_id: Option<&'a str>,
    /// `traceparent`, where it is short and printable.
    pub trace_parent: Option<&'a str>,
}

/// An [`Outline`] that outlives its check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnedOutline {
    caller: Caller,
    request_id: Option<String>,
    trace_parent: Option<String>,
}

impl Outline<'_> {
    /// The same, with texts of its own.
    #[must_use]
    pub fn into_owned(self) -> OwnedOutline {
        let Self { caller, request_id, trace_parent } = self;
        let owned = |text: Option<&str>| text.map(str::to_owned);
        OwnedOutline { caller, request_id: owned(request_id), trace_parent: owned(trace_parent) }
    }
}

impl OwnedOutline {
    /// The same, with borrowed texts.
    #[must_use]
    pub fn borrowed(&self) -> Outline<'_> {
        let Self { caller, request_id, trace_parent } = self;
        Outline { caller: *caller, request_id: request_id.as_deref(), trace_parent: trace_parent.as_deref() }
    }
}

/// Reads the parts for the response without validating them.
#[must_use]
pub fn outline<'a>(sent: &CheckView<'a>) -> Outline<'a> {
    let Some(http) = &sent.http else { return Outline::default() };
    let peeked = |name: &str| headers::peek(http, name).filter(|text| printable(text));
    let is_grpc = |kind: &str| kind.get(..GRPC.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(GRPC));
    let grpc = peeked("content-type").is_some_and(is_grpc);
    Outline {
        caller: if grpc { Caller::Grpc } else { Caller::Http },
        request_id: peeked("x-request-id"),
        trace_parent: peeked("traceparent"),
    }
}

fn printable(text: &str) -> bool {
    // All at once is quicker than one by one.
    let is_shown = |byte: u8| (b' '..=b'~').contains(&byte);
    !text.is_empty() && text.len() <= 128 && text.bytes().fold(true, |shown, byte| shown & is_shown(byte))
}

/// Reads one check.
///
/// # Errors
/// A [`Failure`] for whatever has no single canonical reading, exceeds the limits, or is not HTTP.
pub fn call(sent: &CheckView<'_>, limits: Limits, received_at: UnixMillis) -> Result<Call, Failure> {
    if !sent.has_attributes {
        return Err(Failure::new(Code::MalformedRequest, "the check has no attributes"));
    }
    // Envoy's network filter, which guards TCP connections, sends no request at all.
    let Some(http) = &sent.http else {
        return Err(Failure::new(Code::TcpUnsupported, "the check is not about an HTTP request"));
    };
    let read = headers::read(http)?;
    let line = target::read(http, &read)?;
    let stream = match (&line.target, &line.upgrade) {
        (Target::Authority, _) | (_, Some(_)) => body::Stream::GoesOn,
        (Target::Path { .. }, None) => body::Stream::Ends,
    };
    let body = body::read(sent.bytes(http.raw_body), http.body, &read, limits, stream);
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Ok(Call {
        peer: peer(sent),
        method: line.method,
        scheme: line.scheme,
        host: line.host,
        target: line.target,
        path_sent: line.path_sent,
        upgrade: line.upgrade,
        headers: read.headers,
        body,
        extensions: sent.extensions.iter().map(owned).collect(),
        verified_tokens: verified_tokens(sent.metadata.as_deref())?,
        received_at,
    })
}

fn peer(sent: &CheckView<'_>) -> Peer {
    let present = |text: &str| Some(text).filter(|text| !text.is_empty()).map(str::to_owned);
    Peer {
        address: sent.source.address.as_ref().and_then(|outer| outer.address.as_ref()).and_then(ip),
        principal: present(sent.source.principal),
        certificate: present(sent.source.certificate),
        destination_principal: present(sent.destination.principal),
        sni: present(sent.sni),
    }
}

/// The far end's IP address. Pipes and Envoy's internal listeners have none.
fn ip(address: &address::Address) -> Option<IpAddr> {
    match address {
        address::Address::SocketAddress(socket) => {
            socket.address.parse::<IpAddr>().map(|address| address.to_canonical()).ok()
        }
        address::Address::Pipe(_) | address::Address::EnvoyInternalAddress(_) => None,
    }
}

/// Payloads that jwt_authn verified, by key; what they mean is for `identity` to say.
fn verified_tokens(metadata: Option<&Metadata>) -> Result<BTreeMap<String, serde_json::Value>, Failure> {
    let Some(verified) = metadata.and_then(|metadata| metadata.filter_metadata.get(JWT_AUTHN)) else {
        return Ok(BTreeMap::new());
    };
    let mut tokens = BTreeMap::new();
    for (key, value) in &verified.fields {
        let json = protobuf_struct::value_to_json(value).ok_or_else(|| {
            Failure::new(Code::MalformedRequest, format!("metadata of `{JWT_AUTHN}` holds a number that is not finite"))
        })?;
        tokens.insert(key.clone(), json);
    }
    Ok(tokens)
}

/// Input as it may stand in a failure's detail: escaped and cut.
fn shown(input: &str) -> String {
    input.chars().take(64).flat_map(char::escape_debug).collect()
}
