//! Bodies through Envoy: chunked, cut, encoded, not sent to us, of methods that mostly have none, over both protocols.

use std::time::Duration;

use picket_demo::process::EnvoyProcess;
use serde_json::{Value, json};

use super::{Scene, request, safe, send, show, upstream};

const CATALOG: &str = "services: [{id: shop/plain}, {id: shop/json, body: {json: true}}, {id: shop/unread}]";
const POLICIES: &str = r#"
@id("all") permit (principal, action in Action::"any", resource);
@id("large") forbid (principal, action in Action::"any", resource in Service::"shop/plain")
when { context.http has bodyBytes && context.http.bodyBytes > 100 };
@id("index") forbid (principal, action in Action::"write", resource in Service::"shop/json")
unless { context has args && context.args.hasTag("/index") && context.args.getTag("/index") == "catalog" };
"#;

fn attaches(max: usize, partial: bool) -> Value {
    json!({"with_request_body": {"max_request_bytes": max, "allow_partial_message": partial, "pack_as_bytes": true}})
}

async fn scene() -> Scene {
    Scene::new(&[("catalog.yaml", CATALOG), ("namespaces/shop/a.cedar", POLICIES)]).await
}

fn sized(line: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let length = format!("content-length: {}", body.len());
    [request(line, &[&[length.as_str()], headers].concat()), body.to_vec()].concat()
}

fn chunked(line: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let chunk = format!("{:x}\r\n", body.len()).into_bytes();
    let end: &[u8] = if body.is_empty() { b"0\r\n\r\n" } else { b"\r\n0\r\n\r\n" };
    let begin = if body.is_empty() { Vec::new() } else { chunk };
    [request(line, &[&["transfer-encoding: chunked"], headers].concat()), begin, body.to_vec(), end.to_vec()].concat()
}

#[tokio::test]
async fn p17_a_rule_on_the_length_of_bodies_is_not_passed_by_hiding_the_body() {
    const MAX: usize = 1024;
    let mut scene = scene().await;
    let limits = |stated: bool| json!({"limits": {"check": {"body_bytes_max": MAX, "every_body_attached": stated}}});
    let _picket = scene.picket("picket", limits(false)).await;
    let _stated = scene.picket("stated", limits(true)).await;
    let listeners = vec![
        safe("whole", "shop/plain").authz(attaches(MAX, false)),
        safe("partial", "shop/plain").authz(attaches(MAX, true)),
        safe("none", "shop/plain"),
        safe("stated", "shop/plain").authz(super::asks("stated")).authz(attaches(MAX, false)),
        safe("unread", "shop/unread"),
    ];
    let envoy = scene.envoy("envoy", listeners).await;
    let (small, large, over) = (vec![b'x'; 50], vec![b'x'; 500], vec![b'x'; MAX + 100]);
    let gzip = "content-encoding: gzip";
    let rows: Vec<(&str, Vec<u8>, &str)> = vec![
        ("whole", sized("POST /", &[], &small), "200"),
        ("whole", chunked("POST /", &[], &small), "200"),
        ("whole", sized("POST /", &[], &large), "403 denied"),
        ("whole", chunked("POST /", &[], &large), "403 denied"),
        ("whole", sized("POST /", &[gzip], &small), "415 body_encoded"),
        ("whole", sized("GET /", &[], &large), "403 denied"),
        ("whole", chunked("GET /", &[], &large), "403 denied"),
        ("whole", chunked("DELETE /", &[], &large), "403 denied"),
        ("whole", chunked("POST /", &[], b""), "200"),
        ("whole", request("GET /", &["content-length: 0"]), "200"),
        // No body is attached, which proves nothing unless a setting states that all are.
        ("whole", request("GET /", &[]), "413 body_incomplete"),
        ("stated", request("GET /", &[]), "200"),
        ("stated", request("DELETE /", &[]), "200"),
        ("stated", chunked("GET /", &[], &large), "403 denied"),
        ("partial", sized("POST /", &[], &over), "413 body_incomplete"),
        ("partial", chunked("POST /", &[], &over), "413 body_incomplete"),
        ("partial", sized("POST /", &[], &large), "403 denied"),
        // Envoy removes `transfer-encoding` before it sends the check: these look equal.
        ("none", chunked("POST /", &[], &large), "413 body_incomplete"),
        ("none", chunked("GET /", &[], &large), "413 body_incomplete"),
        ("none", request("GET /", &[]), "413 body_incomplete"),
        ("none", sized("POST /", &[], &large), "413 body_incomplete"),
        ("none", request("GET /", &["content-length: 0"]), "200"),
        // No policy reads a body of this service.
        ("unread", request("GET /", &[]), "200"),
        ("unread", chunked("POST /", &[], &over), "200"),
    ];
    for (listener, sent, expected) in rows {
        let answer = send(&envoy, listener, &sent).await;
        let line = String::from_utf8_lossy(&sent[..sent.len().min(120)]).into_owned();
        assert_eq!(show(&answer), expected, "{listener}: {line:?}");
        if let (Some(seen), "whole" | "partial" | "none" | "stated") = (upstream(&answer), listener) {
            let got = seen.rest.bytes().filter(|byte| *byte == b'x').count();
            assert!(got <= 100, "{listener}: the upstream got {got} bytes: {line:?}");
        }
    }
}

#[tokio::test]
async fn p17_no_method_hides_the_document_of_a_service_that_reads_bodies() {
    const MAX: usize = 1024;
    let mut scene = scene().await;
    let _picket = scene.picket("picket", json!({"limits": {"check": {"body_bytes_max": MAX}}})).await;
    let listeners = vec![safe("whole", "shop/json").authz(attaches(MAX, false)), safe("none", "shop/json")];
    let envoy = scene.envoy("envoy", listeners).await;
    let (bad, good, json) = (br#"{"index":"payroll"}"#, br#"{"index":"catalog"}"#, "content-type: application/json");
    for listener in ["whole", "none"] {
        for method in ["GET", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"] {
            let line = format!("{method} /_search");
            let sent = [sized(&line, &[json], bad), sized(&line, &[], bad), sized(&line, &[json, "origin: a"], bad)];
            for sent in sent {
                let answer = send(&envoy, listener, &sent).await;
                assert_eq!(upstream(&answer), None, "{listener} {method}: {}", show(&answer));
            }
        }
        for method in ["GET", "OPTIONS"] {
            let answer = send(&envoy, listener, &request(&format!("{method} /_search"), &[])).await;
            assert_eq!(show(&answer), "200", "{listener} {method} without a body");
            let answer = send(&envoy, listener, &request(&format!("{method} /_search"), &[json])).await;
            assert_eq!(show(&answer), "200", "{listener} {method} without a body, whatever it says of it");
        }
    }
    for method in ["GET", "OPTIONS", "DELETE"] {
        let answer = send(&envoy, "whole", &chunked(&format!("{method} /_search"), &[json], bad)).await;
        assert_eq!(upstream(&answer), None, "{method}, chunked: {}", show(&answer));
    }
    let answer = send(&envoy, "whole", &sized("POST /_search", &[json], good)).await;
    assert_eq!(show(&answer), "200");
    let answer = send(&envoy, "whole", &sized("POST /_search", &["content-type: application/x-ndjson"], good)).await;
    assert_eq!(show(&answer), "400 message_refused");
}

/// Sends a body over HTTP/2: the status and the answer's text.
async fn over_http2(envoy: &EnvoyProcess, listener: &str, method: &str, body: Vec<u8>) -> (u16, String) {
    let client = reqwest::Client::builder().http2_prior_knowledge().timeout(Duration::from_secs(15)).build().unwrap();
    let url = format!("http://{}/", envoy.listener(listener).unwrap());
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let answer = client.request(method, url).body(body).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.text().await.unwrap_or_default())
}

/// Over HTTP/2 Envoy lets bodies that are a little longer than the limit go on whole, though only their first part is
/// attached; longer ones it refuses itself.
#[tokio::test]
async fn p17_over_http2_a_body_just_above_the_limit_never_counts_as_whole() {
    const MAX: usize = 65536;
    const CATALOG: &str = "services: [{id: shop/plain}, {id: shop/json, body: {json: true}}, {id: shop/unread}]";
    const POLICIES: &str = r#"
    @id("all") permit (principal, action in Action::"any", resource);
    @id("huge") forbid (principal, action in Action::"any", resource in Service::"shop/plain")
    when { context.http has bodyBytes && context.http.bodyBytes > 65000 };
    @id("bad") forbid (principal, action in Action::"write", resource in Service::"shop/json")
    when { context has args && context.args.hasTag("/bad") };"#;
    let mut scene = Scene::new(&[("catalog.yaml", CATALOG), ("namespaces/shop/a.cedar", POLICIES)]).await;
    let _picket = scene.picket("picket", json!({"limits": {"check": {"body_bytes_max": MAX}}})).await;
    let listeners = vec![
        safe("plain", "shop/plain").authz(attaches(MAX, false)),
        safe("json", "shop/json").authz(attaches(MAX, false)),
        safe("unread", "shop/unread").authz(attaches(MAX, false)),
    ];
    let envoy = scene.envoy("envoy", listeners).await;
    for length in [MAX, MAX + 1, MAX + 4000, 81_000, 90_000] {
        for method in ["POST", "GET", "HEAD", "DELETE"] {
            let (status, text) = over_http2(&envoy, "plain", method, vec![b'x'; length]).await;
            assert!(matches!(status, 403 | 413), "{method} {length}: {status} {text:.100}");
        }
        let mut document = br#"{"bad":1,"pad":""#.to_vec();
        document.resize(length - 2, b'x');
        document.extend_from_slice(br#""}"#);
        let (status, text) = over_http2(&envoy, "json", "POST", document).await;
        assert!(matches!(status, 400 | 413), "{length}: {status} {text:.100}");
    }
    for method in ["GET", "HEAD", "OPTIONS"] {
        let (status, text) = over_http2(&envoy, "json", method, br#"{"bad":1}"#.to_vec()).await;
        assert_eq!(status, 400, "{method}: {text:.100}");
    }
    let (status, _) = over_http2(&envoy, "plain", "POST", vec![b'x'; 100]).await;
    assert_eq!(status, 200);
    let (status, _) = over_http2(&envoy, "unread", "POST", vec![b'x'; MAX]).await;
    assert_eq!(status, 200);
}
