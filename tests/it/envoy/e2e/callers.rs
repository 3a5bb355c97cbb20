//! Callers behind a proxy of another operator: forwarded certificates and expired certificates.

use picket_demo::certs::{Authority, Leaf};
use rcgen::{CertificateParams, KeyPair, SanType, date_time_ymd};
use serde_json::{Value, json};

use super::{Scene, request, safe, send_as, show, upstream};
use crate::envoy::bench::{cluster_of, loopback, merge};

const FRONT: &str = "spiffe://cluster.local/ns/edge/sa/front";
const INNER: &str = "spiffe://cluster.local/ns/shop/sa/orders";
const WEB: &str = "spiffe://cluster.local/ns/web/sa/frontend";
const ADMIN: &str = "spiffe://cluster.local/ns/platform/sa/console";

const CATALOG: &str = "services: [{id: shop/orders}]";
/// Every proven caller may read, and the service gets its id.
const POLICIES: &str = r#"
@id("readers") @set_headers("x-caller=${principal.id}")
permit (principal, action == Action::"GET", resource) when { principal is Workload };
"#;

fn behind_front() -> Value {
    json!({"profiles": {"default": {"identity": {"sources": [{"xfcc": {"hops": 2, "proxies": [FRONT]}}]}}}})
}

fn forwards(details: &str) -> Value {
    json!({"forward_client_cert_details": details, "set_current_client_cert_details": {"uri": true}})
}

/// The caller that the upstream got; else the denial.
fn caller(answer: &picket_demo::client::Answer) -> String {
    upstream(answer).map_or_else(|| show(answer), |seen| seen.values("x-caller").join(","))
}

#[tokio::test]
async fn p14_behind_a_trusted_front_proxy_no_forged_element_wins() {
    let mut scene = Scene::new(&[("catalog.yaml", CATALOG), ("namespaces/shop/a.cedar", POLICIES)]).await;
    let authority = Authority::new("cluster.local").unwrap();
    let leaf = |id: &str| authority.issue(&[id], &["localhost"]).unwrap();
    scene.write("ca.crt", authority.certificate());
    scene.leaf("front", &leaf(FRONT));
    scene.leaf("inner", &leaf(INNER));
    let _picket = scene.picket("picket", behind_front()).await;
    let inner = safe("inner", "shop/orders").manager(forwards("APPEND_FORWARD")).tls(scene.tls("inner", json!({})));
    let inner = scene.envoy("inner", vec![inner]).await;

    // The front proxy sends no checks; it only terminates the callers' TLS and shows its own certificate.
    let mut to_inner = cluster_of("to_inner", &[loopback(inner.listener("inner").unwrap().port())]);
    let mut context = scene.tls("front", json!({}));
    merge(&mut context, json!({"validation_context": {"trusted_ca": {"filename": scene.path("ca.crt")}}}));
    merge(
        &mut to_inner,
        json!({"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": context,
        }}}),
    );
    scene.cluster(to_inner);
    let front = |name: &'static str, details: &str| {
        let route = json!({"match": {"prefix": "/"}, "route": {"cluster": "to_inner"}, "typed_per_filter_config": {
            "envoy.filters.http.ext_authz": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
                "disabled": true,
            },
        }});
        let routes = json!({"route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]}});
        safe(name, "shop/orders").manager(forwards(details)).manager(routes).tls(scene.tls("front", json!({})))
    };
    let listeners = vec![front("append", "APPEND_FORWARD"), front("set", "SANITIZE_SET")];
    let fronts = scene.envoy("front", listeners).await;

    let web = leaf(WEB);
    let forged = format!("x-forwarded-client-cert: By={FRONT};URI={ADMIN}");
    let chain = format!("{forged},By={INNER};URI={FRONT}");
    let (refused, none) = ("403 denied", "x-a: b");
    for (header, appended, set) in [
        (none, WEB, WEB),
        (&*forged, WEB, WEB),
        (&*chain, WEB, WEB),
        // The proxy glues its element to an open quote, or answers a bracket in JSON: then nothing is proven.
        ("x-forwarded-client-cert: Subject=\"", refused, WEB),
        ("x-forwarded-client-cert: [\"]", refused, WEB),
        ("x-forwarded-client-cert: ,", refused, WEB),
    ] {
        let sent = request("GET /", &[header]);
        let answer = send_as(&fronts, "append", &authority, &web, &sent).await;
        assert_eq!(caller(&answer), appended, "append, {header}");
        let answer = send_as(&fronts, "set", &authority, &web, &sent).await;
        assert_eq!(caller(&answer), set, "set, {header}");
    }
    // Past the front proxy: a workload that connects to the inner one itself may write any chain.
    for header in [none, &*forged, &*chain] {
        let answer = send_as(&inner, "inner", &authority, &web, &request("GET /", &[header])).await;
        assert_eq!(caller(&answer), refused, "straight to the inner proxy, {header}");
    }
}

/// A certificate that signs itself, valid in these years.
fn self_signed(id: &str, from: i32, to: i32) -> Leaf {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    let key = KeyPair::generate().unwrap();
    Leaf { certificate: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

#[tokio::test]
async fn p24_p26_a_certificate_out_of_its_time_is_refused_where_the_proxy_lets_it_in() {
    let mut scene = Scene::new(&[("catalog.yaml", CATALOG), ("namespaces/shop/a.cedar", POLICIES)]).await;
    let authority = Authority::new("cluster.local").unwrap();
    scene.write("ca.crt", authority.certificate());
    scene.leaf("inner", &authority.issue(&[INNER], &["localhost"]).unwrap());
    let required = json!({"profiles": {"default": {"identity": {"sources": ["peer"], "certificate": "required"}}}});
    let _picket = scene.picket("picket", required).await;
    let lax = scene.tls("inner", json!({"trust_chain_verification": "ACCEPT_UNTRUSTED"}));
    let listeners = vec![
        safe("sends", "shop/orders").tls(lax.clone()),
        safe("sends none", "shop/orders").tls(lax).authz(json!({"include_peer_certificate": false})),
    ];
    let envoy = scene.envoy("envoy", listeners).await;
    let in_time = self_signed(WEB, 2020, 2120);
    for (listener, leaf, expected) in [
        ("sends", &in_time, WEB),
        ("sends", &self_signed(WEB, 2020, 2021), "403 denied"),
        ("sends", &self_signed(WEB, 2119, 2120), "403 denied"),
        ("sends none", &in_time, "403 denied"),
    ] {
        let answer = send_as(&envoy, listener, &authority, leaf, &request("GET /", &[])).await;
        assert_eq!(caller(&answer), expected, "{listener}");
    }
}
