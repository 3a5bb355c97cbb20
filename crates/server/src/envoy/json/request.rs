//! Parses `CheckRequest` from JSON.
//!
//! Every key that Envoy can send is accepted, also those that `decode` ignores, so that a recorded check can be
//! used as it is. Any other key is an error: a misspelt one would silently test something else.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::service::auth::v3 as auth;
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};

use super::JsonError;
use crate::envoy::protobuf_struct;

/// Reads a check from protobuf's JSON.
///
/// # Errors
/// [`JsonError`] with the path to what does not fit; an unknown key is named with the known ones.
pub fn check_request(text: &str) -> Result<auth::CheckRequest, JsonError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let shape = |path: String, source| JsonError::Shape { path, source };
    let check: Check = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| shape(error.path().to_string(), error.into_inner()))?;
    reader.end().map_err(|source| shape(".".to_owned(), source))?;
    Ok(auth::CheckRequest { attributes: check.attributes.map(Attributes::into_proto) })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    attributes: Option<Attributes>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
#[derive(Default)]
struct Attributes {
    source: Option<Peer>,
    destination: Option<Peer>,
    request: Option<Request>,
    #[serde(alias = "context_extensions")]
    context_extensions: HashMap<String, String>,
    #[serde(alias = "metadata_context")]
    metadata_context: Option<Metadata>,
    #[serde(alias = "route_metadata_context")]
    route_metadata_context: Option<Metadata>,
    #[serde(alias = "tls_session")]
    tls_session: Option<TlsSession>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Peer {
    address: Option<Address>,
    service: String,
    labels: HashMap<String, String>,
    principal: String,
    certificate: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
enum Address {
    #[serde(rename = "socketAddress", alias = "socket_address")]
    Socket(SocketAddress),
    Pipe(Pipe),
    #[serde(rename = "envoyInternalAddress", alias = "envoy_internal_address")]
    Internal(InternalAddress),
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct SocketAddress {
    #[serde(rename = "protocol")]
    _protocol: Option<IgnoredAny>,
    address: String,
    #[serde(alias = "port_value")]
    port_value: Option<Integer>,
    #[serde(alias = "named_port", rename = "namedPort")]
    _named_port: Option<IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Pipe {
    path: String,
    #[serde(rename = "mode")]
    _mode: Option<IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct InternalAddress {
    #[serde(alias = "server_listener_name", rename = "serverListenerName")]
    _server_listener_name: Option<IgnoredAny>,
    #[serde(alias = "endpoint_id")]
    endpoint_id: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Request {
    #[serde(rename = "time")]
    _time: Option<IgnoredAny>,
    http: Option<Http>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Http {
    id: String,
    method: String,
    headers: HashMap<String, String>,
    #[serde(alias = "header_map")]
    header_map: Option<HeaderMap>,
    path: String,
    host: String,
    scheme: String,
    query: String,
    fragment: String,
    size: Option<Integer>,
    protocol: String,
    body: String,
    #[serde(alias = "raw_body")]
    raw_body: Bytes,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct HeaderMap {
    headers: Vec<Header>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Header {
    key: String,
    value: String,
    #[serde(alias = "raw_value")]
    raw_value: Bytes,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Metadata {
    #[serde(alias = "filter_metadata")]
    filter_metadata: BTreeMap<String, serde_json::Map<String, serde_json::Value>>,
    #[serde(alias = "typed_filter_metadata", rename = "typedFilterMetadata")]
    _typed_filter_metadata: Option<IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct TlsSession {
    sni: String,
}

/// A 64-bit integer, which protobuf's JSON writes as text.
#[derive(Clone, Copy)]
struct Integer(i64);

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(from)?;
        let number = value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
        number.map(Self).ok_or_else(|| D::Error::custom("not a 64-bit integer, as a number or as text"))
    }
}

/// Bytes, which protobuf's JSON writes in base64 of either alphabet, padded or not.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        const EITHER: GeneralPurposeConfig =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let text = String::deserialize(from)?.replace('-', "+").replace('_', "/");
        let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, EITHER);
        engine.decode(text).map(Self).map_err(|error| D::Error::custom(format!("not base64: {error}")))
    }
}

impl Attributes {
    fn into_proto(self) -> auth::AttributeContext {
        auth::AttributeContext {
            source: self.source.map(Peer::into_proto),
            destination: self.destination.map(Peer::into_proto),
            request: self.request.map(|request| auth::attribute_context::Request {
                time: None,
                http: request.http.map(Http::into_proto),
            }),
            context_extensions: self.context_extensions,
            metadata_context: self.metadata_context.map(Metadata::into_proto),
            route_metadata_context: self.route_metadata_context.map(Metadata::into_proto),
            tls_session: self.tls_session.map(|tls| auth::attribute_context::TlsSession { sni: tls.sni }),
        }
    }
}

impl Peer {
    fn into_proto(self) -> auth::attribute_context::Peer {
        auth::attribute_context::Peer {
            address: self.address.map(|address| core::Address { address: Some(address.into_proto()) }),
            service: self.service,
            labels: self.labels,
            principal: self.principal,
            certificate: self.certificate,
        }
    }
}

impl Address {
    fn into_proto(self) -> core::address::Address {
        match self {
            Self::Socket(socket) => {
                let port = socket.port_value.and_then(|Integer(port)| u32::try_from(port).ok());
                core::address::Address::SocketAddress(core::SocketAddress {
                    address: socket.address,
                    port_specifier: port.map(core::socket_address::PortSpecifier::PortValue),
                    ..Default::default()
                })
            }
            Self::Pipe(pipe) => core::address::Address::Pipe(core::Pipe { path: pipe.path, mode: 0 }),
            Self::Internal(internal) => core::address::Address::EnvoyInternalAddress(core::EnvoyInternalAddress {
                endpoint_id: internal.endpoint_id,
                address_name_specifier: None,
            }),
        }
    }
}

impl Http {
    fn into_proto(self) -> auth::attribute_context::HttpRequest {
        let header =
            |header: Header| core::HeaderValue { key: header.key, value: header.value, raw_value: header.raw_value.0 };
        auth::attribute_context::HttpRequest {
            id: self.id,
            method: self.method,
            headers: self.headers,
            header_map: self
                .header_map
                .map(|map| core::HeaderMap { headers: map.headers.into_iter().map(header).collect() }),
            path: self.path,
            host: self.host,
            scheme: self.scheme,
            query: self.query,
            fragment: self.fragment,
            size: self.size.map_or(0, |Integer(size)| size),
            protocol: self.protocol,
            body: self.body,
            raw_body: self.raw_body.0,
        }
    }
}

impl Metadata {
    fn into_proto(self) -> core::Metadata {
        let filter_metadata = self
            .filter_metadata
            .into_iter()
            .map(|(name, object)| (name, protobuf_struct::from_json(&object)))
            .collect();
        core::Metadata { filter_metadata, typed_filter_metadata: HashMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let error = check_request(text).unwrap_err();
        format!("{error}: {}", std::error::Error::source(&error).unwrap())
    }

    #[test]
    fn camel_case_and_snake_case_say_the_same() {
        let camel = r#"{"attributes":{"source":{"address":{"socketAddress":{"address":"10.0.0.1","portValue":80}}},
            "request":{"time":"2026-01-01T00:00:00Z","http":{"method":"GET","size":"3","rawBody":"AP8=",
            "headerMap":{"headers":[{"key":"a","rawValue":"_w"}]}}},"contextExtensions":{"service":"a/b"},
            "metadataContext":{"filterMetadata":{"n":{"k":[1,null]}}},"tlsSession":{"sni":"x"}}}"#;
        let snake = r#"{"attributes":{"source":{"address":{"socket_address":{"address":"10.0.0.1","port_value":"80"}}},
            "request":{"http":{"method":"GET","size":3,"raw_body":"AP8",
            "header_map":{"headers":[{"key":"a","raw_value":"/w=="}]}}},"context_extensions":{"service":"a/b"},
            "metadata_context":{"filter_metadata":{"n":{"k":[1,null]}}},"tls_session":{"sni":"x"}}}"#;
        let (camel, snake) = (check_request(camel).unwrap(), check_request(snake).unwrap());
        assert_eq!(camel, snake);
        let http = camel.attributes.unwrap().request.unwrap().http.unwrap();
        assert_eq!(http.raw_body, [0, 255]);
        assert_eq!(http.header_map.unwrap().headers[0].raw_value, [255]);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place() {
        let error = error(r#"{"attributes":{"request":{"http":{"metod":"GET"}}}}"#);
        assert!(error.contains("attributes.request.http") && error.contains("unknown field `metod`"), "{error}");
    }

    #[test]
    fn json_that_is_not_a_check_is_an_error() {
        for text in ["", "[]", r#"{"attributes":{}} x"#, r#"{"attributes":{"request":{"http":{"rawBody":"!"}}}}"#] {
            assert!(check_request(text).is_err(), "{text}");
        }
        assert!(error(r#"{"attributes":{"request":{"http":{"size":"x"}}}}"#).contains("64-bit integer"));
        assert_eq!(check_request("{}").unwrap(), auth::CheckRequest { attributes: None });
    }
}
