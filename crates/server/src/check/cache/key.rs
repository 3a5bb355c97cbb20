//! The relevant parts of a call: as a cache key, and as a reduced call to evaluate.
//!
//! Knows: which parts of a call each step of a check reads, from the lists that stand beside those steps. Must not
//! know: what the steps make of them.
//!
//! The key and the call are both made from the same parts and from nothing else, so nothing that is not in the key
//! can have a say in a judgement that is remembered by it.

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

/// The parts of a call that can make a difference to its judging and to its answer.
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
    /// The family of the action that the call asks for.
    pub family: Family,
    /// What the policies that can judge such a call can read.
    pub reads: &'a Reads,
    /// What its policies can change: what a client sent under these names is replaced, stripped or refused.
    pub changeable: &'a Changeable,
}

impl<'a> CacheKeyParts<'a> {
    /// Cuts a call down. `None` where its judging is of the moment: it looks at a token or a certificate, at a body,
    /// or at every header there is.
    #[must_use]
    pub fn of(call: &'a Call, looks: Relevance<'_>) -> Option<Self> {
        let Relevance { profile, service, family, reads, changeable } = looks;
        // Of a body that nobody reads only that none is shown can count: for a preflight, and where one is refused.
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
            // Of a header that is only stripped nobody sees the value.
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

    /// Writes every part, so that no two that differ are written alike.
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

    /// The same parts as a call. Its time is the one thing that it has beside them; a judgement that the time had a
    /// say in is not remembered.
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
