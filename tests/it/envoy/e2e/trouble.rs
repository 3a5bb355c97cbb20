//! Picket in trouble: it still denies by itself, so that a filter that fails open does not open.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Scene, asks, request, safe, send, show, upstream};
use crate::envoy::bench::Listener;

const CATALOG: &str = "services: [{id: shop/orders}, {id: pay/billing}]";
const FACTS: &str = "type CallFacts = { ticket?: { state: String } };";
const POLICIES: &str = r#"@id("all") permit (principal, action in Action::"any", resource);"#;
const TICKETS: &str = r#"
@id("open") permit (principal, action == Action::"GET", resource)
when { context.env has facts && context.env.facts has ticket && context.env.facts.ticket.state == "open" };
"#;

async fn scene() -> Scene {
    Scene::new(&[
        ("catalog.yaml", CATALOG),
        ("facts.cedarschema", FACTS),
        ("namespaces/shop/a.cedar", POLICIES),
        ("namespaces/pay/a.cedar", TICKETS),
    ])
    .await
}

/// A pair of listeners before that Picket, one that fails closed and one that fails open.
fn pair(names: [&'static str; 2], picket: &str, service: &str) -> [Listener; 2] {
    let [closed, open] = names;
    [
        safe(closed, service).authz(asks(picket)),
        safe(open, service).authz(asks(picket)).authz(json!({"failure_mode_allow": true})),
    ]
}

fn no_time() -> Value {
    json!({"limits": {"check": {"deadline": "0s"}}})
}

#[tokio::test]
async fn p30_picket_in_trouble_denies_even_where_the_filter_fails_open() {
    let mut scene = scene().await;
    let _late = scene.picket("late", no_time()).await;
    let _empty = scene.picket("empty", json!({"policies": {"dir": scene.path("nowhere")}})).await;
    let source = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tickets = json!({
        "limits": {"check": {"deadline": "500ms"}},
        "entity": {"lookups": [{
            "name": "tickets", "target": {"call": {"attribute": "ticket"}}, "timeout": "5s",
            "url": format!("http://{}/t/${{resource.id}}", source.local_addr().unwrap()), "attributes": {"state": "/state"},
        }]},
    });
    let _hangs = scene.picket("hangs", tickets).await;
    let listeners = [
        pair(["late closed", "late open"], "late", "shop/orders"),
        pair(["empty closed", "empty open"], "empty", "shop/orders"),
        pair(["hangs closed", "hangs open"], "hangs", "pay/billing"),
        pair(["unknown closed", "unknown open"], "late", "shop/unknown"),
    ];
    let envoy = scene.envoy("envoy", listeners.into_iter().flatten().collect()).await;
    for (listener, expected) in [
        ("late closed", "503 deadline"),
        ("late open", "503 deadline"),
        ("empty closed", "503 not_ready"),
        ("empty open", "503 not_ready"),
        ("hangs closed", "503 entities_unavailable"),
        ("hangs open", "503 entities_unavailable"),
    ] {
        let answer = send(&envoy, listener, &request("GET /", &[])).await;
        assert_eq!(show(&answer), expected, "{listener}");
        assert!(upstream(&answer).is_none() && answer.values("retry-after").next().is_some(), "{listener}");
    }
}

#[tokio::test]
async fn p30_overload_denies_at_once_even_where_the_filter_fails_open() {
    let mut scene = scene().await;
    let source = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tickets = json!({
        "limits": {"in_flight_max": 1, "check": {"deadline": "6s"}},
        "entity": {"lookups": [{
            "name": "tickets", "target": {"call": {"attribute": "ticket"}}, "timeout": "5s",
            "url": format!("http://{}/t/${{resource.id}}", source.local_addr().unwrap()), "attributes": {"state": "/state"},
        }]},
    });
    let _picket = scene.picket("picket", tickets).await;
    let [closed, open] = pair(["closed", "open"], "picket", "pay/billing");
    let envoy = scene.envoy("envoy", vec![closed, open]).await;
    let waiting = request("GET /", &[]);
    let waiting = send(&envoy, "open", &waiting);
    tokio::pin!(waiting);
    // The first check holds the only place from when its look-up connects until that one gives up.
    let held = tokio::select! {
        answer = &mut waiting => panic!("the first call did not wait: {}", show(&answer)),
        accepted = source.accept() => accepted.unwrap(),
    };
    for listener in ["closed", "open"] {
        let answer = tokio::time::timeout(Duration::from_secs(4), send(&envoy, listener, &request("GET /", &[]))).await;
        assert_eq!(show(&answer.unwrap()), "503 overload", "{listener}");
    }
    drop((held, source));
    assert_eq!(show(&waiting.await), "503 entities_unavailable");
}

#[tokio::test]
async fn p30_a_dead_picket_is_a_503_only_where_the_filter_fails_closed() {
    let mut scene = scene().await;
    let mut picket = scene.picket("picket", json!({})).await;
    let [closed, open] = pair(["closed", "open"], "picket", "shop/orders");
    let envoy = scene.envoy("envoy", vec![closed, open]).await;
    for listener in ["closed", "open"] {
        assert_eq!(show(&send(&envoy, listener, &request("GET /", &[])).await), "200", "{listener}");
    }
    picket.kill().await;
    // 503 and not 403: `status_on_error` separates an outage from a denial. The open one is why the samples are closed.
    for (listener, expected) in [("closed", "503 by Envoy"), ("open", "200")] {
        assert_eq!(show(&send(&envoy, listener, &request("GET /", &[])).await), expected, "{listener}");
    }
}
