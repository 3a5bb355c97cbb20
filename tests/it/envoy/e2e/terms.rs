//! Terms of an allow, and their effect in Envoy: headers, query, metadata, preflights, bodies.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Scene, request, safe, send, show, upstream};

const CATALOG: &str = "services: [{id: shop/orders}]";
const MESH: &str = r#"
@id("cors-preflight")
permit (principal, action == Action::"OPTIONS", resource is Path)
when { context.http.headers.hasTag("origin") && context.http.headers.hasTag("access-control-request-method") };
"#;
const POLICIES: &str = r#"
@id("terms") @response_headers("x-judged=yes, r-x-own=judged") @set_query("tenant=blue") @remove_query("debug")
@metadata("tier=core") @remove_headers("x-secret")
permit (principal, action == Action::"GET", resource in Path::"shop/orders/v1");
@id("encoded") @set_query("caller=${resource.id}")
permit (principal, action == Action::"GET", resource in Path::"shop/orders/encoded");
@id("small-bodies")
permit (principal, action == Action::"POST", resource)
when { context.http has bodyBytes && context.http.bodyBytes < 100 };
"#;

async fn scene() -> Scene {
    Scene::new(&[("catalog.yaml", CATALOG), ("mesh/a.cedar", MESH), ("namespaces/shop/a.cedar", POLICIES)]).await
}

#[tokio::test]
async fn an_allows_terms_reach_caller_upstream_and_access_log() {
    let mut scene = scene().await;
    let _picket = scene.picket("picket", json!({})).await;
    let told = |key: &str| format!("%DYNAMIC_METADATA(envoy.filters.http.ext_authz:{key})%");
    let keys = ["decision_id", "decision", "reason", "policies", "service", "tier"];
    let lines: serde_json::Map<String, Value> = keys.iter().map(|key| ((*key).to_owned(), told(key).into())).collect();
    let log = json!({"access_log": [{"name": "file", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": scene.path("access.log"), "log_format": {"json_format": lines},
    }}], "access_log_options": {"flush_access_log_on_new_request": false}});
    let listeners = vec![safe("orders", "shop/orders").manager(log)];
    let envoy = scene.envoy("envoy", listeners).await;
    let allowed = send(
        &envoy,
        "orders",
        &request("GET /v1/a?debug=1&x=2&tenant=red&debug=3", &["x-secret: s", "r-x-own: upstream", "r-x-kept: yes"]),
    )
    .await;
    assert_eq!(show(&allowed), "200", "{}", allowed.text());
    assert_eq!(allowed.values("x-judged").collect::<Vec<_>>(), ["yes"]);
    assert_eq!(allowed.values("r-x-own").collect::<Vec<_>>(), ["judged"], "replaces the upstream's own");
    assert_eq!(allowed.values("r-x-kept").collect::<Vec<_>>(), ["yes"]);
    let seen = upstream(&allowed).unwrap();
    assert_eq!(seen.target(), "/v1/a?tenant=blue&x=2");
    assert!(seen.values("x-secret").is_empty());

    let denied = send(&envoy, "orders", &request("GET /v2", &[])).await;
    assert_eq!(show(&denied), "403 denied");
    let refused = send(&envoy, "orders", &request("GET /v1/a;b", &[])).await;
    assert_eq!(show(&refused), "400 path_refused");
    // Envoy refuses a value that needs escapes as soon as it validates; docs/envoy.md says so.
    let encoded = send(&envoy, "orders", &request("GET /encoded", &[])).await;
    assert_eq!(show(&encoded), "500 by Envoy");

    let expected = [("allow", "policy_permit"), ("deny", "no_permit"), ("error", "path_refused")];
    let logged = log_lines(&scene, 4).await;
    for (line, (decision, reason)) in logged.iter().zip(expected) {
        assert_eq!((line["decision"].as_str(), line["reason"].as_str()), (Some(decision), Some(reason)), "{line}");
    }
    assert_eq!((logged[0]["tier"].as_str(), logged[0]["service"].as_str()), (Some("core"), Some("shop/orders")));
    assert!(logged[0]["policies"].to_string().contains("shop/terms"), "{}", logged[0]);
    let id = denied.values("x-picket-decision-id").next();
    assert_eq!(logged[1]["decision_id"].as_str(), id, "the caller's id is the log's");
}

/// The lines of the access log, once there are so many; Envoy writes them in batches.
async fn log_lines(scene: &Scene, count: usize) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let text = std::fs::read_to_string(scene.path("access.log")).unwrap_or_default();
        if text.lines().count() >= count {
            return text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        }
        assert!(Instant::now() < deadline, "{text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_preflight_passes_without_identity_and_nothing_else_of_its_kind_does() {
    let mut scene = scene().await;
    let _picket = scene.picket("picket", json!({})).await;
    let envoy = scene.envoy("envoy", vec![safe("orders", "shop/orders")]).await;
    let (origin, asked) = ("origin: https://shop.example", "access-control-request-method: POST");
    for (line, headers, expected) in [
        ("OPTIONS /v1/orders", vec![origin, asked], "200"),
        ("OPTIONS /v1/orders", vec![origin], "403 denied"),
        ("OPTIONS /v1/orders", vec![asked], "403 denied"),
        ("DELETE /v1/orders", vec![origin, asked], "403 denied"),
        // No prefix matches `*`, so Envoy has no route and sends no check.
        ("OPTIONS *", vec![origin, asked], "404 by Envoy"),
    ] {
        let answer = send(&envoy, "orders", &request(line, &headers)).await;
        assert_eq!(show(&answer), expected, "{line} {headers:?}");
    }
}

#[tokio::test]
async fn p17_a_body_that_was_cut_or_may_be_is_never_read() {
    const MAX: usize = 64;
    let mut scene = scene().await;
    let _picket = scene.picket("picket", json!({"limits": {"check": {"body_bytes_max": MAX}}})).await;
    let body = |partial: bool, bytes: bool| {
        json!({"with_request_body": {
            "max_request_bytes": MAX, "allow_partial_message": partial, "pack_as_bytes": bytes,
        }})
    };
    let listeners = vec![
        safe("whole", "shop/orders").authz(body(false, true)),
        safe("partial", "shop/orders").authz(body(true, true)),
        safe("text", "shop/orders").authz(body(false, false)),
        safe("none", "shop/orders"),
    ];
    let envoy = scene.envoy("envoy", listeners).await;
    let (ok, no, packed) = ("200", "413 body_incomplete", "415 body_encoded");
    // A caller that forges Envoy's flag of a body that Envoy does not send: length and framing contradict it.
    for listener in ["whole", "text", "none"] {
        let feigned = ["transfer-encoding: chunked", "x-envoy-auth-partial-body: false"];
        let sent = [request("POST /", &feigned), b"3e8\r\n".to_vec(), vec![b'x'; 1000], b"\r\n0\r\n\r\n".to_vec()];
        let answer = send(&envoy, listener, &sent.concat()).await;
        assert_eq!(upstream(&answer), None, "{listener}: 1000 chunked bytes passed as fewer than 100");
    }
    for (listener, length, header, expected) in [
        ("whole", 10, "x-a: b", ok),
        ("whole", MAX - 1, "x-a: b", ok),
        ("whole", MAX, "x-a: b", no),
        ("whole", MAX + 1, "x-a: b", "413 by Envoy"),
        ("whole", 10, "content-encoding: gzip", packed),
        ("whole", 10, "x-envoy-auth-partial-body: false", ok),
        ("partial", 10, "x-a: b", ok),
        ("partial", MAX, "x-a: b", no),
        ("partial", MAX + 1, "x-a: b", no),
        ("partial", MAX + 1, "x-envoy-auth-partial-body: false", no),
        ("text", 10, "x-a: b", no),
        ("none", 10, "x-a: b", no),
        ("none", 10, "x-envoy-auth-partial-body: false", no),
    ] {
        let mut sent = request("POST /", &[&format!("content-length: {length}"), header]);
        sent.extend(std::iter::repeat_n(b'x', length));
        let answer = send(&envoy, listener, &sent).await;
        assert_eq!(show(&answer), expected, "{listener}: {length} bytes, {header}");
        if let Some(seen) = upstream(&answer) {
            assert_eq!(seen.rest.len(), length, "{listener}: the upstream gets what was judged");
        }
    }
}
