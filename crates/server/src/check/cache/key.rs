//! The relevant parts of a call: as a cache key, and as a reduced call to evaluate.
//!
//! Knows: which parts of a call each step of a check reads, from the lists next to those steps. Must not know: how the
//! steps use them.
//!
//! The key and the reduced call are made from the same parts and from nothing else. So a part outside the key cannot
//! change a judgement that is cached under it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::check::profile::Profile;
use picket_core::call::headers::is_reserved;
use picket_core::call::{Body, Call, CanonicalPath, Headers, Host, Peer, Target, UnixMillis};
use picket_core::catalog::{Protocol, Service};
use picket_core::identity;
use picket_core::mapping::{action, context};
use picket_core::obligation::Changeable;
use picket_core::query::{Family, Keys, Reads};

/// The parts of a call that can change its judgement or its answer.
#[derive(Debug)]
pub struct CacheKeyParts<'a> {
    principal: Option<&'a str>,
    destination: Option<&'a str>,
    address: Option<IpAddr>,
    method: &'a str,
    host: &'a Host,
    path: Option<&'a CanonicalPath>,
    query: Option<&'a str>,
    path_sent: Option<&'a str>,
    upgrade: Option<&'a str>,
    extensions: &'a BTreeMap<String, String>,
    is_joined: bool,
    headers: Vec<(&'a str, &'a [u8])>,
}

/// The settings, the service and the policies that decide which parts of a call are relevant.
#[derive(Debug, Clone, Copy)]
pub struct Relevance<'a> {
    /// How the listener reads calls.
    pub profile: &'a Profile,
    /// The called service.
    pub service: &'a Service,
    /// The family of the requested action.
    pub family: Family,
    /// The inputs of the policies that can apply to such a call.
    pub reads: &'a Reads,
    /// The parts that its policies can change: a client's own values under these names are replaced, stripped or
    /// rejected.
    pub changeable: &'a Changeable,
}

impl<'a> CacheKeyParts<'a> {
    /// Reduces a call to its relevant parts. `None` if its judgement holds for this call only: it depends on a token, a
    /// certificate, a body, or every header.
    #[must_use]
    pub fn of(call: &'a Call, looks: Relevance<'_>) -> Option<Self> {
        let Relevance { profile, service, family, reads, changeable } = looks;
        // An unread body matters only by its absence: for a preflight, and if a body is rejected.
        let is_refused = service.opens_bodies() && family.hides_body();
        let is_indifferent = call.shows_no_body() || !(is_refused || call.method == "OPTIONS");
        let is_judged_without_body = match service.protocol {
            Protocol::Http | Protocol::Grpc => is_indifferent && !reads.needs_body(),
            Protocol::Mcp | Protocol::A2a | Protocol::Openai | Protocol::Anthropic => false,
        };
        if !is_judged_without_body || reads.headers == Keys::All || identity::is_momentary(call, &profile.identity) {
            return None;
        }
        let (path, query) = match &call.target {
            Target::Path { path, query } => (Some(path), query.as_deref()),
            Target::Authority => (None, None),
        };
        let is_query_looked_at = reads.query != Keys::default() || changeable.has_query();
        let for_identity = identity::headers(&profile.identity);
        let for_action = action::headers(&call.method, service.protocol);
        let part = |(name, value): (&'a str, &'a [u8])| {
            let is_looked_at =
                for_identity.contains(&name) || for_action.contains(&name) || context::looks_at(name, &reads.headers);
            // The value of a header that is only stripped matters to no step.
            let is_stripped = || is_reserved(name) || changeable.has_header(name);
            if is_looked_at {
                return Some((name, value));
            }
            is_stripped().then_some((name, &[][..]))
        };
        Some(Self {
            principal: call.peer.principal.as_deref(),
            destination: call.peer.destination_principal.as_deref(),
            address: call.peer.address.filter(|_| reads.source_ip),
            method: &call.method,
            host: &call.host,
            path,
            query: query.filter(|_| is_query_looked_at),
            // Only gRPC compares the path as it was sent.
            path_sent: (service.protocol == Protocol::Grpc).then_some(call.path_sent.as_str()),
            upgrade: call.upgrade.as_deref(),
            extensions: &call.extensions,
            is_joined: call.headers.is_joined(),
            headers: call.headers.iter().filter_map(part).collect(),
        })
    }

    /// Writes every part, so that different parts have different keys.
    pub fn write_key(&self, out: &mut Vec<u8>) {
        let Self { principal, destination, address, method, host, path, query, .. } = self;
        let Self { path_sent, upgrade, extensions, is_joined, headers, .. } = self;
        optional(*principal, out);
        optional(*destination, out);
        match address {
            None => out.push(0),
            Some(IpAddr::V4(address)) => tagged(4, &address.octets(), out),
            Some(IpAddr::V6(address)) => tagged(6, &address.octets(), out),
        }
        bytes(method.as_bytes(), out);
        bytes(host.name().as_bytes(), out);
        out.extend_from_slice(&host.port().unwrap_or(0).to_be_bytes());
        optional(path.map(CanonicalPath::as_str), out);
        optional(*query, out);
        optional(*path_sent, out);
        optional(*upgrade, out);
        length(extensions.len(), out);
        for (name, value) in *extensions {
            bytes(name.as_bytes(), out);
            bytes(value.as_bytes(), out);
        }
        out.push(u8::from(*is_joined));
        length(headers.len(), out);
        for (name, value) in headers {
            bytes(name.as_bytes(), out);
            bytes(value, out);
        }
    }

    /// The same parts as a call, in addition only the time. A judgement that depends on the time is not cached.
    #[must_use]
    pub fn call(&self, received_at: UnixMillis) -> Call {
        let Self { principal, destination, address, method, host, path, query, .. } = self;
        let Self { path_sent, upgrade, extensions, is_joined, headers, .. } = self;
        let headers = headers.iter().copied();
        Call {
            peer: Peer {
                principal: principal.map(str::to_owned),
                certificate: None,
                address: *address,
                destination_principal: destination.map(str::to_owned),
                sni: None,
            },
            method: (*method).to_owned(),
            scheme: String::new(),
            host: (*host).clone(),
            target: path
                .map_or(Target::Authority, |path| Target::Path { path: path.clone(), query: query.map(str::to_owned) }),
            path_sent: path_sent.map(str::to_owned).unwrap_or_default(),
            upgrade: upgrade.map(str::to_owned),
            headers: if *is_joined { Headers::joined(headers) } else { Headers::raw(headers) }.without_room(),
            body: Body::NotSent,
            extensions: (*extensions).clone(),
            verified_tokens: BTreeMap::new(),
            received_at,
        }
    }
}

fn length(length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&(length as u64).to_be_bytes());
}

fn bytes(content: &[u8], out: &mut Vec<u8>) {
    length(content.len(), out);
    out.extend_from_slice(content);
}

fn tagged(tag: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(content);
}

fn optional(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        None => out.push(0),
        Some(text) => {
            out.push(1);
            bytes(text.as_bytes(), out);
        }
    }
}
