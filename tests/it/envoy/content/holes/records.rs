//! Records that do not belong to the response: forged, of another proxy, of a denied call, of another call's result; and
//! filters that do not hand over what they should.

use envoy_types::ext_authz::v3::pb::CheckRequest;
use envoy_types::pb::google::protobuf::value::Kind;
use picket_demo::certs::Authority;
use picket_demo::folder::Folder;
use serde_json::{Value, json};

use super::{CALLER, chat, document, server, show};
use crate::envoy::bench::{cluster_of, http2, loopback, merge};
use crate::envoy::content::answers::Answer;
use crate::envoy::content::site::{GUARDED, Request, Setup, Site, sample};
use crate::envoy::processing::site::{duplex, filter};
use crate::harness::server::Server;

/// A filter that sets the record in the metadata of the check.
fn forges(record: &str) -> Value {
    json!({"name": "envoy.filters.http.set_metadata", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config",
        "metadata": [{
            "metadata_namespace": "envoy.filters.http.ext_authz", "allow_overwrite": true, "value": {"release": record},
        }],
    }})
}

fn ours() -> Value {
    filter("picket", duplex(), json!({}))
}

/// The record that a check of this server has, made for a proxy without a certificate.
async fn record(server: &Server, check: CheckRequest) -> String {
    let mut client = server.client().await;
    let answer = client.0.check(check).await.unwrap().into_inner();
    let metadata = answer.dynamic_metadata.unwrap();
    let Some(Kind::StringValue(text)) = metadata.fields["release"].kind.clone() else { panic!("{metadata:?}") };
    text
}

#[tokio::test]
async fn a_record_that_another_filter_wrote_releases_nothing() {
    let server = server(&[]).await;
    let check = |path: &str| crate::harness::check("GET", path).host("shop.local").by(CALLER).0;
    let denied = record(&server, check("/closed")).await;
    let allowed = record(&server, check("/open")).await;
    let mut changed = allowed.clone();
    changed.replace_range(30..31, if &allowed[30..31] == "A" { "B" } else { "A" });
    let mut setup = Setup::new(&server.port("ext_authz"), sample());
    setup.listeners.push(("changed", vec![forges(&changed), ours()]));
    setup.listeners.push(("invented", vec![forges("picket1.AAAA"), ours()]));
    setup.listeners.push(("empty", vec![forges(""), ours()]));
    setup.listeners.push(("denied", vec![forges(&denied), ours()]));
    let site = Site::start(setup).await;
    let withheld = "503 the response was withheld";
    for (listener, path, expected) in [
        (GUARDED, "/open", "200 masked"),
        ("changed", "/open", withheld),
        ("invented", "/open", withheld),
        ("empty", "/open", withheld),
        ("denied", "/open", withheld),
        // No check was made at all: there is no record, or the record of a denied call.
        (GUARDED, "/unchecked", withheld),
        ("denied", "/unchecked", withheld),
    ] {
        let (received, _) = site.send_to(listener, CALLER, &Request::get("shop.local", path), document()).await;
        assert_eq!(show(&received.unwrap()), expected, "{listener} {path}");
    }
}

#[tokio::test]
async fn a_denied_call_keeps_its_denial_and_never_reaches_the_service() {
    let server = server(&[]).await;
    let site = Site::start(Setup::new(&server.port("ext_authz"), sample())).await;
    let (received, reached) = site.send_to(GUARDED, CALLER, &Request::get("shop.local", "/closed"), document()).await;
    let received = received.unwrap();
    let problem: Value = serde_json::from_slice(&received.body).unwrap();
    let decision = received.values("x-picket-decision-id").next();
    assert_eq!((received.status, reached), (403, false), "{received:?}");
    assert!(decision.is_some() && problem["decision_id"].as_str() == decision, "{received:?}");
}

#[tokio::test]
async fn a_record_of_one_proxy_releases_nothing_for_another() {
    let (authority, folder) = (Authority::new("cluster.local").unwrap(), Folder::new().unwrap());
    folder.write("ca.crt", authority.certificate()).unwrap();
    for name in ["picket", "one", "other"] {
        let leaf = authority.issue(&[&format!("spiffe://cluster.local/ns/mesh/sa/{name}")], &["localhost"]).unwrap();
        folder.write(&format!("{name}.crt"), &leaf.certificate).unwrap();
        folder.write(&format!("{name}.key"), &leaf.key).unwrap();
    }
    let path = |name: &str| folder.path().join(name);
    let tls = json!({"certificate": path("picket.crt"), "private_key": path("picket.key"), "client_roots": path("ca.crt"),
        "clients": {"trust_domains": ["cluster.local"]}});
    let listeners = json!([{"name": "ext_authz", "address": "127.0.0.1:0", "tls": tls}]);
    let server = server(&[&format!("listeners={listeners}")]).await;
    let port: u16 = server.port("ext_authz").rsplit_once(':').unwrap().1.parse().unwrap();
    let cluster = |cluster: &str, identity: &str| {
        let file = |name: String| json!({"filename": path(&name)});
        let own = json!({"certificate_chain": file(format!("{identity}.crt")), "private_key": file(format!("{identity}.key"))});
        let mut all = http2(cluster_of(cluster, &[loopback(port)]));
        merge(
            &mut all,
            json!({"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "common_tls_context": {"tls_certificates": [own], "alpn_protocols": ["h2"],
                    "validation_context": {"trusted_ca": file("ca.crt".to_owned())}},
            }}}),
        );
        all
    };
    let site = Site::start(Setup {
        listeners: vec![
            (GUARDED, vec![filter("picket", duplex(), json!({}))]),
            ("other", vec![filter("other", duplex(), json!({}))]),
        ],
        clusters: vec![cluster("picket", "one"), cluster("other", "other")],
        ..Setup::new("127.0.0.1:1", Vec::new())
    })
    .await;
    for (listener, expected) in [(GUARDED, "200 masked"), ("other", "503 the response was withheld")] {
        let (received, reached) = site.send_to(listener, CALLER, &Request::get("shop.local", "/"), document()).await;
        assert_eq!((show(&received.unwrap()).as_str(), reached), (expected, true), "{listener}");
    }
}

#[tokio::test]
async fn an_answer_with_the_result_of_another_call_is_not_requested() {
    let server = server(&[]).await;
    let site = Site::start(Setup::new(&server.port("ext_authz"), sample())).await;
    let mcp = |method: &str, params: Value| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut request = Request::post("mcp.local", "/mcp", &body);
        request.headers.push(("mcp-protocol-version".to_owned(), "2025-11-25".to_owned()));
        request.headers.push(("accept".to_owned(), "application/json, text/event-stream".to_owned()));
        request
    };
    let resumed = {
        let mut request = Request::get("mcp.local", "/mcp");
        request.headers.push(("mcp-protocol-version".to_owned(), "2025-11-25".to_owned()));
        request.headers.push(("accept".to_owned(), "text/event-stream".to_owned()));
        request.headers.push(("last-event-id".to_owned(), "7".to_owned()));
        request
    };
    let result = json!({"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": super::SECRET}]}});
    for (case, request, expected) in [
        ("of a tool without a forbid", mcp("tools/call", json!({"name": "write", "arguments": {}})), (200, true)),
        ("of a task", mcp("tasks/result", json!({"taskId": "t"})), (403, false)),
        ("of a resumed stream", resumed, (403, false)),
    ] {
        let answer = Answer::new("application/json", result.to_string().as_bytes());
        let (received, reached) = site.send_to(GUARDED, CALLER, &request, answer).await;
        let received = received.unwrap();
        assert_eq!((received.status, reached), expected, "{case}: {}", received.text());
        assert_eq!(received.text().contains(super::SECRET), reached, "{case}");
    }
}

#[tokio::test]
async fn a_filter_that_does_not_hand_over_responses_loses_the_call_before_its_service_gets_it() {
    let server = server(&[]).await;
    let mode = |mode: &str| json!({"response_body_mode": mode, "response_trailer_mode": "SEND"});
    let modes = vec![
        ("none", mode("NONE")),
        ("partial", mode("BUFFERED_PARTIAL")),
        ("streamed", mode("STREAMED")),
        ("buffered", json!({"response_body_mode": "BUFFERED"})),
        ("unseen head", json!({"response_header_mode": "SKIP", "response_body_mode": "NONE"})),
        ("unseen request", json!({"request_header_mode": "SKIP", "response_body_mode": "NONE"})),
    ];
    let site = Site::start(Setup::new(&server.port("ext_authz"), modes)).await;
    for (listener, expected) in [
        ("none", ("500 the response was withheld", false)),
        ("partial", ("500 the response was withheld", false)),
        ("streamed", ("500 the response was withheld", false)),
        ("unseen head", ("500 the response was withheld", false)),
        // The first message is about the response.
        ("unseen request", ("500 the response was withheld", true)),
        ("buffered", ("200 masked", true)),
    ] {
        for request in [chat(), Request::get("shop.local", "/")] {
            let (received, reached) = site.send_to(listener, CALLER, &request, document()).await;
            assert_eq!((show(&received.unwrap()).as_str(), reached), expected, "{listener} {}", request.host);
        }
        // A service without policies about its responses pays nothing for a wrong mode.
        let (received, reached) = site.send_to(listener, CALLER, &Request::get("pages.local", "/"), document()).await;
        assert_eq!((show(&received.unwrap()).as_str(), reached), ("200 raw", true), "{listener}");
    }
}
