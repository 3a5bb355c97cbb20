//! Responses of gRPC: messages of described methods are masked, others count as unread.

use super::answers::Answer;
use super::holes::{CALLER, SECRET};
use super::site::{Request, Setup, Site, sample};
use crate::grpc::{bytes, framed, set_text};
use crate::harness::server::Server;

const CATALOG: &str = "services:
- {id: shop/orders, hosts: [orders.local], protocol: grpc, grpc: {descriptors: orders.binpb}}
- {id: shop/plain, hosts: [plain.local], protocol: grpc}
";
const DETECTORS: &str = r"detectors: {incident: {pattern: 'INC-\d{4}-\d{5}'}}";
const POLICIES: &str = r#"@id("all") permit (principal, action in Action::"any", resource);
@id("release") permit (principal, action == Action::"release", resource);
@id("mask") @remedy("mask") @mask("incident") forbid (principal, action == Action::"release", resource)
when { context.found.contains("incident") };
@id("refuse") forbid (principal, action == Action::"release", resource) when { context.found.contains("aws_key") };"#;

fn call(host: &str, method: &str) -> Request {
    Request {
        method: "POST".to_owned(),
        path: format!("/shop.v1.Orders/{method}"),
        host: host.to_owned(),
        headers: vec![
            ("content-type".to_owned(), "application/grpc".to_owned()),
            ("te".to_owned(), "trailers".to_owned()),
            ("grpc-accept-encoding".to_owned(), "gzip, identity".to_owned()),
        ],
        body: framed(b""),
    }
}

fn reply(note: &str) -> Vec<u8> {
    framed(&bytes(1, note.as_bytes()))
}

#[tokio::test]
async fn messages_of_described_methods_are_masked_and_others_are_unread() {
    let set = set_text("orders.proto");
    let files = [
        ("catalog.yaml", CATALOG),
        ("detectors.yaml", DETECTORS),
        ("descriptors/orders.binpb", set.as_str()),
        ("mesh/a.cedar", POLICIES),
    ];
    let settings = ["profiles.default.processor.responses=true", "profiles.default.mapping.service=[host]"];
    let server = Server::start(&files, &settings).await;
    let site = Site::start(Setup::new(&server.port("ext_authz"), sample())).await;
    let answer = |body: &[u8]| Answer::new("application/grpc", body);

    // A value over two messages of a stream, and bytes of the second that arrive later.
    let sent = [reply("see INC-2026"), reply("-00412 and more"), reply("the end")].concat();
    let left = [reply("see [incident]"), reply(" and more"), reply("the end")].concat();
    for places in [&[][..], &[3, 9, 40]] {
        let cut = answer(&sent).cut(places, std::time::Duration::from_millis(20));
        let received = site.send(CALLER, &call("orders.local", "Watch"), cut).await.unwrap();
        assert_eq!((received.status, received.body), (200, left.clone()), "{places:?}");
    }

    let key = reply("AKIAIOSFODNN7EXAMPLE");
    let compressed = [&[1][..], &reply("x")[1..]].concat();
    for (what, host, method, body) in [
        ("a value for which a response is refused", "orders.local", "Watch", key),
        ("a compressed message", "orders.local", "Watch", compressed),
        ("a field that the descriptor does not have", "orders.local", "Refund", framed(&bytes(9, SECRET.as_bytes()))),
        ("a service without descriptors", "plain.local", "Watch", reply("nothing")),
    ] {
        let received = site.send(CALLER, &call(host, method), answer(&body)).await.unwrap();
        // Envoy writes the denial as gRPC has it: PERMISSION_DENIED.
        assert_eq!(received.values("grpc-status").collect::<Vec<_>>(), ["7"], "{what}: {}", received.text());
        assert!(!received.text().contains("INC-") && !received.text().contains("AKIA"), "{what}");
    }

    // The service is asked for messages that are not compressed.
    let received = site.send(CALLER, &call("orders.local", "Watch"), answer(&reply("fine"))).await.unwrap();
    assert_eq!((received.status, received.body), (200, reply("fine")));
    let seen = site.answers.last_request();
    assert_eq!(seen.values("grpc-accept-encoding"), ["identity"]);
    assert_eq!(seen.values("accept-encoding"), ["identity"]);
}
