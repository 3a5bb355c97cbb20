//! The decoder of bytes, compared with the generated message.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::core::v3::address::Address as Kind;
use envoy_types::pb::envoy::config::core::v3::{Address, HeaderMap, HeaderValue, SocketAddress};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{self, HttpRequest, Request, TlsSession};
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use envoy_types::pb::google::protobuf::Struct;
use proptest::prelude::*;

use super::*;

/// Every field that there is, each with a value of its own.
fn full() -> CheckRequest {
    let map = |name: &str| [(name.to_owned(), format!("{name}'s")), (format!("{name}2"), String::new())].into();
    let metadata =
        |name: &str| Metadata { filter_metadata: [(name.to_owned(), Struct::default())].into(), ..Metadata::default() };
    let socket = SocketAddress { address: "10.1.2.3".to_owned(), ..SocketAddress::default() };
    let peer = |name: &str| attribute_context::Peer {
        address: Some(Address { address: Some(Kind::SocketAddress(socket.clone())) }),
        service: format!("{name} service"),
        labels: map(&format!("{name} label")),
        principal: format!("{name} principal"),
        certificate: format!("{name} certificate"),
    };
    let header = |key: &str, value: &str, raw: &[u8]| HeaderValue {
        key: key.to_owned(),
        value: value.to_owned(),
        raw_value: raw.to_owned(),
    };
    let http = HttpRequest {
        id: "id".to_owned(),
        method: "method".to_owned(),
        headers: map("header"),
        path: "path".to_owned(),
        host: "host".to_owned(),
        scheme: "scheme".to_owned(),
        query: "query".to_owned(),
        fragment: "fragment".to_owned(),
        size: -1,
        protocol: "protocol".to_owned(),
        body: "body".to_owned(),
        raw_body: vec![0xff, 0],
        header_map: Some(HeaderMap { headers: vec![header("a", "text", b""), header("a", "", b"\xff")] }),
    };
    let time = Some(Timestamp { seconds: 1, nanos: 2 });
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(peer("source")),
            destination: Some(peer("destination")),
            request: Some(Request { time, http: Some(http) }),
            context_extensions: map("extension"),
            metadata_context: Some(metadata("filter")),
            route_metadata_context: Some(metadata("route")),
            tls_session: Some(TlsSession { sni: "sni".to_owned() }),
        }),
    }
}

/// Maps have no order, and of equal names the last counts.
fn sorted<'a>(pairs: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    pairs.iter().copied().collect::<BTreeMap<_, _>>().into_iter().collect()
}

fn in_order(mut sent: CheckView<'_>) -> CheckView<'_> {
    sent.extensions = sorted(&sent.extensions);
    if let Some(http) = &mut sent.http {
        http.joined = sorted(&http.joined);
    }
    sent
}

/// Fails where one reads other things than the other, or only one can read. Returns whether they can.
#[track_caller]
fn agree(bytes: &[u8]) -> bool {
    match (CheckRequest::decode(bytes), check(bytes)) {
        (Ok(message), Ok(sent)) => {
            assert_eq!(in_order(sent), in_order(CheckView::of(&message)), "{bytes:?}");
            true
        }
        (Err(_), Err(_)) => false,
        (message, sent) => panic!("only one reads {bytes:?}: {message:?}, {sent:?}"),
    }
}

#[test]
fn every_field_is_read() {
    let bytes = full().encode_to_vec();
    assert!(agree(&bytes));
    let read = format!("{:?}", check(&bytes).unwrap());
    for text in ["source principal", "destination certificate", "extension2", "filter", "sni", "method", "header's"] {
        assert!(read.contains(text), "{text}: {read}");
    }
}

#[test]
fn split_messages_are_merged_and_repeated_fields_replace() {
    let mut other = full();
    let attributes = other.attributes.as_mut().unwrap();
    attributes.source.as_mut().unwrap().principal = "another".to_owned();
    attributes.destination = None;
    attributes.context_extensions = [("extension".to_owned(), "another".to_owned())].into();
    let bytes = [full().encode_to_vec(), other.encode_to_vec()].concat();
    assert!(agree(&bytes));
    let sent = check(&bytes).unwrap();
    assert_eq!((sent.source.principal, sent.destination.principal), ("another", "destination principal"));
    assert_eq!(sent.http.unwrap().raw.len(), 4);
}

#[test]
fn bytes_that_are_not_a_check_are_rejected() {
    let refused = |bytes: &[u8]| {
        assert!(!agree(bytes), "{bytes:?}");
        check(bytes).unwrap_err().to_string()
    };
    assert_eq!(refused(&[0x0a, 5, 0]), "a length goes beyond the message");
    assert_eq!(refused(&[0x08, 1]), "field 1 has the wrong wire type");
    // The principal of the source.
    assert_eq!(refused(&[0x0a, 5, 0x0a, 3, 0x22, 1, 0xff]), "a text is not UTF-8");
    assert!(refused(&[0x0f]).contains("wire type"), "{}", refused(&[0x0f]));
    assert!(agree(&[]), "no attributes at all");
}

/// Messages of fields that a check has and of others, in any order, repeated, nested, of any type.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![".{0,4}".prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..4)];
    leaf.prop_recursive(5, 48, 5, |inner| {
        let number = prop::sample::select(vec![1_u8, 1, 1, 2, 2, 3, 4, 4, 5, 8, 9, 10, 11, 12, 13, 14]);
        let wire = prop::sample::select(vec![2_u8, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 0, 1, 5]);
        prop::collection::vec((number, wire, inner), 0..5).prop_map(|fields| {
            let mut bytes = Vec::new();
            for (number, wire, value) in fields {
                bytes.push(number << 3 | wire);
                match wire {
                    0 => bytes.push(7),
                    1 => bytes.extend([7; 8]),
                    5 => bytes.extend([7; 4]),
                    _ => {
                        prost::encoding::encode_varint(value.len() as u64, &mut bytes);
                        bytes.extend(value);
                    }
                }
            }
            bytes
        })
    })
}

/// A change of some bytes: what, where and by what.
type Change = (u8, u16, u8);

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for (what, at, by) in changes {
        let at = usize::from(*at) % bytes.len().max(1);
        match what {
            _ if bytes.is_empty() => bytes.push(*by),
            0 => bytes[at] = *by,
            1 => bytes[at] ^= 1 << (by % 8),
            2 => bytes.insert(at, *by),
            3 => drop(bytes.remove(at)),
            4 => bytes.truncate(at),
            _ => bytes.extend_from_within(at..),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn drawn_messages_are_read_alike(message in messages()) {
        agree(&message);
        // As attributes, and as the request in them.
        let within = |tag: u8, inner: &[u8]| {
            let mut outer = vec![tag << 3 | 2];
            prost::encoding::encode_varint(inner.len() as u64, &mut outer);
            [outer, inner.to_vec()].concat()
        };
        agree(&within(1, &message));
        agree(&within(1, &within(4, &within(2, &message))));
        agree(&within(1, &within(4, &within(2, &within(13, &message)))));
        agree(&[full().encode_to_vec(), within(1, &message)].concat());
    }

    #[test]
    fn changed_checks_are_read_alike(changes in prop::collection::vec((0_u8..6, any::<u16>(), any::<u8>()), 1..5)) {
        agree(&changed(full().encode_to_vec(), &changes));
    }
}
