//! gRPC calls with messages through a whole server.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{bytes, framed, number, set_text};
use crate::harness::server::Server;
use crate::harness::{Check, FRONTEND, check};

const CATALOG: &str = "
services:
  - {id: shop/refunds, protocol: grpc, grpc: {descriptors: orders.binpb}}
  - {id: shop/lenient, protocol: grpc, grpc: {descriptors: orders.binpb, unknown_fields: allowed}, body: {inflate_max_bytes: 4096}}
  - {id: shop/plain, protocol: grpc}
  - {id: free/refunds, protocol: grpc, grpc: {descriptors: orders.binpb}}
  - {id: free/tools, protocol: mcp}
";
const SHOP: &str = r#"
@id("orders") permit (principal, action == Action::"grpc.call", resource)
when { context has fields && context.fields.hasTag("/order_id") && context.fields.getTag("/order_id") like "o-*" };
@id("much") forbid (principal, action == Action::"grpc.call", resource)
when { context has numbers && context.numbers.hasTag("/amount/units") && context.numbers.getTag("/amount/units") > 100 };
@id("second-item") forbid (principal, action == Action::"grpc.call", resource)
when { context has fields && context.fields.hasTag("/items/1/sku") };
@id("label") forbid (principal, action == Action::"grpc.call", resource)
when { context has fields && context.fields.hasTag("/labels/a~1b/currency") };
@id("plain") permit (principal, action == Action::"grpc.call", resource in Service::"shop/plain");
"#;
/// A policy that reads numbers of other protocols causes no parsing of a gRPC message.
const FREE: &str = r#"
@id("all") permit (principal, action in Action::"any", resource);
@id("few") forbid (principal, action == Action::"mcp.tools.call", resource)
when { context.numbers.hasTag("/n") && context.numbers.getTag("/n") > 5 };
"#;

async fn server() -> Server {
    let set = set_text("orders.proto");
    let files = [
        ("catalog.yaml", CATALOG),
        ("descriptors/orders.binpb", &set),
        ("namespaces/shop/a.cedar", SHOP),
        ("namespaces/free/a.cedar", FREE),
    ];
    Server::start(&files, &[]).await
}

/// A call as Envoy sends it with its body; a header that is given replaces its own.
fn call(service: &str, method: &str, body: &[u8], headers: &[(&str, &str)]) -> Check {
    let length = body.len().to_string();
    let own =
        [("content-type", "application/grpc"), ("content-length", &length), ("x-envoy-auth-partial-body", "false")];
    let kept = own.iter().filter(|(name, _)| headers.iter().all(|(other, _)| other != name));
    let path = format!("/shop.v1.Orders/{method}");
    let check = check("POST", &path).service(service).by(FRONTEND);
    let mut check = kept.chain(headers).fold(check, |check, (name, value)| check.header(name, value));
    check.http().raw_body = body.to_vec();
    check
}

fn refund(order: &str, units: u64) -> Vec<u8> {
    [bytes(1, order.as_bytes()), bytes(2, &number(2, units))].concat()
}

fn gzip(message: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(message).unwrap();
    encoder.finish().unwrap()
}

fn compressed(message: &[u8]) -> Vec<u8> {
    let mut frame = framed(&gzip(message));
    frame[0] = 1;
    frame
}

/// Service, method, body, headers, and the reason of the answer.
type Row<'a> = (&'a str, &'a str, &'a [u8], &'a [(&'a str, &'a str)], &'a str);

#[tokio::test]
async fn fields_are_evaluated_and_invalid_messages_are_rejected() {
    let server = server().await;
    let mut client = server.client().await;
    let good = framed(&refund("o-1", 100));
    let two_frames = [good.clone(), good.clone()].concat();
    let mut flagged = good.clone();
    flagged[0] = 2;
    let twice = framed(&[refund("o-1", 1), bytes(1, b"x-1")].concat());
    let newer = framed(&[refund("o-1", 1), number(99, 1)].concat());
    let item = |sku: &[u8]| bytes(4, &bytes(1, sku));
    let items = framed(&[refund("o-1", 1), item(b"a"), item(b"b")].concat());
    let label = framed(&[refund("o-1", 1), bytes(5, &bytes(1, b"a/b"))].concat());
    let packed = compressed(&refund("o-1", 100));
    let bomb = compressed(&bytes(9, &[0; 8192]));
    let (ours, lenient, gzip) = ("shop/refunds", "shop/lenient", [("grpc-encoding", "gzip")]);
    let rows: &[Row<'_>] = &[
        (ours, "Refund", &good, &[], "policy_permit"),
        (ours, "Watch", &good, &[], "policy_permit"),
        (ours, "Refund", &good, &[("content-type", "application/grpc+proto")], "policy_permit"),
        (ours, "Refund", &framed(&refund("o-1", 101)), &[], "policy_forbid"),
        (ours, "Refund", &framed(&refund("x-1", 1)), &[], "no_permit"),
        (ours, "Refund", &framed(b""), &[], "no_permit"),
        (ours, "Refund", &items, &[], "policy_forbid"),
        (ours, "Refund", &label, &[], "policy_forbid"),
        // A second amount, a second order: servers would take the last.
        (ours, "Refund", &twice, &[], "body_refused"),
        (ours, "Refund", &newer, &[], "body_refused"),
        (ours, "Refund", &framed(b"\xff"), &[], "body_refused"),
        (ours, "Refund", b"", &[], "message_refused"),
        (ours, "Refund", &good[..4], &[], "message_refused"),
        (ours, "Refund", &good[..good.len() - 1], &[], "message_refused"),
        (ours, "Refund", &two_frames, &[], "message_refused"),
        (ours, "Refund", &flagged, &[], "message_refused"),
        (ours, "Refund", &good, &[("content-type", "application/grpc+json")], "message_refused"),
        (ours, "Refund", &good, &[("x-envoy-auth-partial-body", "true")], "body_incomplete"),
        (ours, "Refund", &good, &[("content-length", "5")], "body_incomplete"),
        (ours, "Refund", &good, &[("content-encoding", "gzip")], "body_encoded"),
        (ours, "Refund", &packed, &gzip, "body_encoded"),
        (ours, "Refund", &packed, &[], "message_refused"),
        (ours, "Upload", &good, &[], "stream_refused"),
        (ours, "Nothing", &good, &[], "rpc_method_unknown"),
        (lenient, "Refund", &newer, &[], "policy_permit"),
        (lenient, "Refund", &twice, &[], "body_refused"),
        (lenient, "Refund", &packed, &gzip, "policy_permit"),
        (lenient, "Refund", &compressed(&refund("o-1", 101)), &gzip, "policy_forbid"),
        (lenient, "Refund", &packed, &[("grpc-encoding", "snappy")], "body_encoded"),
        (lenient, "Refund", &packed, &[("grpc-encoding", "identity")], "message_refused"),
        (lenient, "Refund", &bomb, &gzip, "body_refused"),
        // These have no descriptor, or no policy reads them: they are not parsed.
        ("shop/plain", "Refund", b"\xff", &[], "policy_permit"),
        ("free/refunds", "Refund", b"\xff", &[], "policy_permit"),
        ("free/refunds", "Upload", b"\xff", &[], "policy_permit"),
    ];
    for (service, method, body, headers, reason) in rows {
        let said = client.ask(call(service, method, body, headers)).await;
        assert_eq!(said.reason, *reason, "{service} {method} {body:?} {headers:?}");
    }
}

#[tokio::test]
async fn a_call_without_its_body_is_denied_where_fields_are_read() {
    let server = server().await;
    let mut client = server.client().await;
    let bare = check("POST", "/shop.v1.Orders/Refund").by(FRONTEND).header("content-type", "application/grpc");
    for (service, reason) in [("shop/refunds", "body_incomplete"), ("free/refunds", "policy_permit")] {
        assert_eq!(client.ask(bare.clone().service(service)).await.reason, reason, "{service}");
    }
}
