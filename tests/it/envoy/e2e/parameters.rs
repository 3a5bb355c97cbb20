//! Query keys that policies read, set or remove, in the spellings that only an upstream takes for them; and paths that
//! become others when they are decoded again.

use serde_json::json;

use super::{Scene, request, safe, send, show, upstream};

const CATALOG: &str = "services: [{id: shop/orders}]";
const POLICIES: &str = r#"
@id("told") @set_query("tenant=acme") @remove_query("debug") @remove_headers("x-debug")
permit (principal, action in Action::"read", resource in Path::"shop/orders/v1");
@id("untold") permit (principal, action in Action::"write", resource in Path::"shop/orders/v1");
@id("no-admins") forbid (principal, action in Action::"any", resource)
when { context.http.query.hasTag("role") && context.http.query.getTag("role") == "admin" };
@id("public") permit (principal, action == Action::"GET", resource in Path::"shop/orders/public");
"#;

#[tokio::test]
async fn p47_a_query_key_in_another_spelling_reaches_no_upstream() {
    let mut scene = Scene::new(&[("catalog.yaml", CATALOG), ("namespaces/shop/a.cedar", POLICIES)]).await;
    let _picket = scene.picket("picket", json!({})).await;
    let lenient = json!({"common_http_protocol_options": {}});
    let envoy = scene.envoy("envoy", vec![safe("orders", "shop/orders").manager(lenient)]).await;
    let refused = "400 query_refused";
    for (line, expected) in [
        ("GET /v1", "/v1?tenant=acme"),
        ("GET /v1?a=1", "/v1?a=1&tenant=acme"),
        ("GET /v1?tenant=evil&tenant=evil2", "/v1?tenant=acme"),
        ("GET /v1?tenant", "/v1?tenant=acme"),
        ("GET /v1?debug=1&a=2", "/v1?a=2&tenant=acme"),
        ("GET /v1?%74enant=evil", refused),
        ("GET /v1?%2574enant=evil", refused),
        ("GET /v1?Tenant=evil", refused),
        ("GET /v1?tenant[]=evil", refused),
        ("GET /v1?tenant%5B%5D=evil", refused),
        ("GET /v1?+tenant=evil", refused),
        ("GET /v1?tenant.x=evil", refused),
        ("GET /v1?_tenant=evil", refused),
        ("GET /v1?a=1;tenant=evil", refused),
        ("GET /v1?a=1?tenant=evil", refused),
        ("GET /v1??tenant=evil", refused),
        ("GET /v1?a&amp;tenant=evil", refused),
        ("GET /v1?%EF%BD%94enant=evil", refused),
        ("GET /v1?%C1%B4enant=evil", refused),
        ("GET /v1?tenant%00=evil", refused),
        ("GET /v1?%64ebug=1", refused),
        ("GET /v1?DEBUG=1", refused),
        ("GET /v1%3Ftenant=evil", refused),
        // The permit that is satisfied here sets and removes nothing.
        ("PUT /v1?a=1", "/v1?a=1"),
        ("PUT /v1?b=1&a=2", "/v1?b=1&a=2"),
        ("PUT /v1?tenant=evil&a=1", "/v1?a=1"),
        ("PUT /v1?tenant=evil", "/v1"),
        ("PUT /v1?%74enant=evil", refused),
        ("PUT /v1?Tenant=evil", refused),
        ("PUT /v1?debug=1", "/v1"),
        // Read and neither set nor removed.
        ("PUT /v1?role=user", "/v1?role=user"),
        ("PUT /v1?role=admin", "403 denied"),
        ("PUT /v1?roles=admin", "/v1?roles=admin"),
        ("PUT /v1?ROLE=admin", refused),
        ("PUT /v1?role[]=admin", refused),
        ("PUT /v1?r%6fle=admin", refused),
        ("PUT /v1?role=user&ROLE=admin", refused),
        ("PUT /v1?+role=admin", refused),
        ("PUT /v1?role+=admin", refused),
        ("PUT /v1?role.=admin", refused),
        ("PUT /v1?role=user&role=admin", refused),
    ] {
        let answer = send(&envoy, "orders", &request(line, &["content-length: 0"])).await;
        let got = upstream(&answer).map_or_else(|| show(&answer), |seen| seen.target().to_owned());
        assert_eq!(got, expected, "{line}");
    }
    // A header that the verdict removes is removed in every spelling that servers read as the same.
    let spelt = ["x-debug: 1", "x_debug: 1", "X_Debug: 1", "x.debug: 1", "x~debug: 1", "x-debugs: kept"];
    let seen = upstream(&send(&envoy, "orders", &request("GET /v1", &spelt)).await).unwrap();
    let left: Vec<&str> = seen.headers.iter().map(|(name, _)| name.as_str()).filter(|n| n.contains("debug")).collect();
    assert_eq!(left, ["x-debugs"]);
}

#[tokio::test]
async fn p9_a_path_that_a_second_decoding_changes_reaches_no_upstream() {
    let mut scene = Scene::new(&[("catalog.yaml", CATALOG), ("namespaces/shop/a.cedar", POLICIES)]).await;
    let _picket = scene.picket("picket", json!({})).await;
    // Envoy's own defaults: nothing is decoded on the way to Picket.
    let defaults = json!({
        "normalize_path": false,
        "merge_slashes": false,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
    });
    let listeners = vec![safe("defaults", "shop/orders").manager(defaults), safe("safe", "shop/orders")];
    let envoy = scene.envoy("envoy", listeners).await;
    for (path, passes) in [
        ("/public/a", true),
        ("/public/100%25", true),
        ("/public/%C3%A9t%C3%A9", true),
        ("/public/%2e%2e/secret", false),
        ("/public/%252e%252e/secret", false),
        ("/public/%25%32%65%25%32%65/secret", false),
        ("/public/%252%65%252%65/secret", false),
        ("/public/%25%32%66..%25%32%66secret", false),
        ("/public/x%25%33%62y", false),
        ("/public/x%25%30%30y", false),
        ("/public/%c0%ae%c0%ae/secret", false),
        ("/public/%e0%80%ae%e0%80%ae/secret", false),
        ("/public/%f0%80%80%ae/secret", false),
        ("/public/%ef%bc%8e%ef%bc%8e/secret", false),
        ("/public/..%ef%bc%8fsecret", false),
        ("/public/..%e2%88%95secret", false),
    ] {
        let answer = send(&envoy, "defaults", &request(&format!("GET {path}"), &[])).await;
        assert_eq!(show(&answer), if passes { "200" } else { "400 path_refused" }, "{path}");
        let answer = send(&envoy, "safe", &request(&format!("GET {path}"), &[])).await;
        assert_eq!(upstream(&answer).is_some(), passes, "{path} where Envoy normalises: {}", show(&answer));
    }
}
