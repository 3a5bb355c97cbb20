//! A borrowed view of a check: over a message, or over the bytes of one.
//!
//! Knows: which fields of a check are looked at. Must not know: what they mean.

use std::borrow::Cow;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::{Address, Metadata};
use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{self, HttpRequest};

use picket_core::failure::{Code, Failure};

/// The fields of a check that Picket reads. A field that the proxy omitted is empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CheckView<'a> {
    /// The message that it was read from; `None` for a view of a decoded message.
    message: Option<&'a Bytes>,
    /// Whether there are attributes at all.
    pub(super) has_attributes: bool,
    pub(super) source: Peer<'a>,
    pub(super) destination: Peer<'a>,
    pub(super) sni: &'a str,
    /// `None` where the check is not about an HTTP request.
    pub(super) http: Option<Http<'a>>,
    /// A later pair replaces an earlier one of the same name.
    pub(super) extensions: Vec<(&'a str, &'a str)>,
    pub(super) metadata: Option<Cow<'a, Metadata>>,
}

/// One end of the connection.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Peer<'a> {
    pub address: Option<Cow<'a, Address>>,
    pub principal: &'a str,
    pub certificate: &'a str,
}

/// The HTTP request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Http<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub host: &'a str,
    pub scheme: &'a str,
    pub query: &'a str,
    pub fragment: &'a str,
    /// Headers with repetitions that the proxy joined. A later pair replaces an earlier one of the same name.
    pub joined: Vec<(&'a str, &'a str)>,
    /// Headers as they came.
    pub raw: Vec<Header<'a>>,
    pub body: &'a str,
    pub raw_body: &'a [u8],
}

/// One header as it came: the value as text, as bytes, or both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Header<'a> {
    pub name: &'a str,
    pub text: &'a str,
    pub bytes: &'a [u8],
}

impl<'a> CheckView<'a> {
    /// A view of a message.
    #[must_use]
    pub fn of(request: &'a CheckRequest) -> Self {
        let Some(attributes) = &request.attributes else { return Self::default() };
        Self {
            message: None,
            has_attributes: true,
            source: attributes.source.as_ref().map(Peer::of).unwrap_or_default(),
            destination: attributes.destination.as_ref().map(Peer::of).unwrap_or_default(),
            sni: attributes.tls_session.as_ref().map_or("", |session| &session.sni),
            http: attributes.request.as_ref().and_then(|request| request.http.as_ref()).map(Http::of),
            extensions: attributes.context_extensions.iter().map(|(name, value)| (&**name, &**value)).collect(),
            metadata: attributes.metadata_context.as_ref().map(Cow::Borrowed),
        }
    }

    /// A view of a message in protobuf's wire format.
    ///
    /// # Errors
    /// [`Code::MalformedRequest`] where the bytes are no such message.
    pub fn read(message: &'a Bytes) -> Result<Self, Failure> {
        let view = super::wire::check(message)
            .map_err(|error| Failure::new(Code::MalformedRequest, format!("the check is not readable: {error}")))?;
        Ok(Self { message: Some(message), ..view })
    }

    /// A field's bytes that outlive the view: a part of the message, or a copy where there is none.
    pub(super) fn bytes(&self, field: &'a [u8]) -> Bytes {
        self.message.map_or_else(|| Bytes::copy_from_slice(field), |message| message.slice_ref(field))
    }
}

impl<'a> Peer<'a> {
    fn of(peer: &'a attribute_context::Peer) -> Self {
        let address = peer.address.as_ref().map(Cow::Borrowed);
        Self { address, principal: &peer.principal, certificate: &peer.certificate }
    }
}

impl<'a> Http<'a> {
    fn of(http: &'a HttpRequest) -> Self {
        let raw = http.header_map.iter().flat_map(|map| &map.headers);
        Self {
            method: &http.method,
            path: &http.path,
            host: &http.host,
            scheme: &http.scheme,
            query: &http.query,
            fragment: &http.fragment,
            joined: http.headers.iter().map(|(name, value)| (&**name, &**value)).collect(),
            raw: raw
                .map(|header| Header { name: &header.key, text: &header.value, bytes: &header.raw_value })
                .collect(),
            body: &http.body,
            raw_body: &http.raw_body,
        }
    }
}
