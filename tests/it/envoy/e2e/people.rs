//! The example everybody starts with, in Cedar: a directory of people, two roles in a signed token, and a caller that
//! is known by its SPIFFE id. The policies are those of `policies/library/people`; `docs/opa-envoy.md` explains them.

use picket_demo::certs::Authority;
use serde_json::{Value, json};

use super::issuer::{self, Issuer};
use super::{Scene, request, safe, send, send_as, show};

const CATALOG: &str = include_str!("../../../../policies/library/people/catalog.yaml");
const POLICIES: &str = include_str!("../../../../policies/library/people/namespaces/people/directory.cedar");

async fn scene() -> (Scene, Issuer) {
    let scene = Scene::new(&[("catalog.yaml", CATALOG), ("namespaces/people/directory.cedar", POLICIES)]).await;
    let issuer = Issuer::new();
    scene.write("jwks.json", &issuer.key_set());
    (scene, issuer)
}

#[tokio::test]
async fn roles_in_a_token_decide_who_may_read_and_who_may_add() {
    let (mut scene, issuer) = scene().await;
    let _picket = scene.picket("picket", issuer::settings(&scene.path("jwks.json"))).await;
    let envoy = scene.envoy("envoy", vec![safe("people", "people/directory")]).await;
    let now = jiff::Timestamp::now().as_second();
    let role = |role: Value| issuer.bearer(json!({"roles": role}));
    let (guest, admin) = (role(json!(["guest"])), role(json!(["admin"])));
    let unsigned = {
        let token = issuer.token(json!({"roles": ["admin"]}));
        let (_, rest) = token.split_once('.').unwrap();
        let (claims, _) = rest.split_once('.').unwrap();
        // {"alg":"none","typ":"at+jwt"}
        format!("authorization: Bearer eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{claims}.")
    };
    let forged = Issuer::new().bearer(json!({"roles": ["admin"]}));
    let (ok, no, login) = ("200", "403 denied", "401 denied");
    let rows: Vec<(&str, &str, &str)> = vec![
        ("GET /people", &guest, ok),
        ("POST /people", &guest, no),
        ("GET /people", &admin, ok),
        ("POST /people", &admin, ok),
        ("DELETE /people", &admin, no),
        ("GET /people/1", &admin, no),
        ("GET /export", &admin, no),
        ("GET /people", "x-a: b", login),
        ("GET /people", "authorization: Basic YWxpY2U6cGFzc3dvcmQ=", login),
        ("POST /people", &forged, login),
        ("POST /people", &unsigned, login),
    ];
    for (line, header, expected) in rows {
        let answer = send(&envoy, "people", &request(line, &[header, "content-length: 0"])).await;
        assert_eq!(show(&answer), expected, "{line} {header}");
        let challenge = answer.values("www-authenticate").next();
        assert_eq!(challenge.is_some_and(|text| text.starts_with("Bearer ")), expected == login, "{challenge:?}");
    }
    for (claims, expected) in [
        (json!({"roles": ["guest", "admin"]}), ok),
        (json!({"roles": "admin"}), ok),
        (json!({"roles": ["Admin", "admin "]}), no),
        (json!({"role": "admin"}), no),
        (json!({"roles": {"admin": true}}), login),
        (json!({"roles": ["admin"], "exp": now - 60}), login),
        (json!({"roles": ["admin"], "nbf": now + 120}), login),
        (json!({"roles": ["admin"], "aud": "another"}), login),
        (json!({"roles": ["admin"], "iss": "https://other.example"}), login),
    ] {
        let answer = send(&envoy, "people", &request("GET /people", &[&issuer.bearer(claims.clone())])).await;
        assert_eq!(show(&answer), expected, "{claims}");
    }
}

#[tokio::test]
async fn a_workload_is_admitted_by_its_spiffe_id_and_by_none_of_its_headers() {
    let (mut scene, issuer) = scene().await;
    let authority = Authority::new("cluster.local").unwrap();
    scene.write("ca.crt", authority.certificate());
    scene.leaf("server", &authority.issue(&["spiffe://cluster.local/ns/people/sa/directory"], &["localhost"]).unwrap());
    let _picket = scene.picket("picket", issuer::settings(&scene.path("jwks.json"))).await;
    let tls = scene.tls("server", json!({}));
    let envoy = scene.envoy("envoy", vec![safe("people", "people/directory").tls(tls)]).await;
    let nightly = authority.issue(&["spiffe://cluster.local/ns/jobs/sa/nightly"], &[]).unwrap();
    let other = authority.issue(&["spiffe://cluster.local/ns/jobs/sa/hourly"], &[]).unwrap();
    let foreign = authority.issue(&["spiffe://other.example/ns/jobs/sa/nightly"], &[]).unwrap();
    let named = "x-forwarded-client-cert: URI=spiffe://cluster.local/ns/jobs/sa/nightly";
    let admin = issuer.bearer(json!({"roles": ["admin"]}));
    for (leaf, line, header, expected) in [
        (&nightly, "GET /export", "x-a: b", "200"),
        (&nightly, "POST /export", "x-a: b", "401 denied"),
        (&nightly, "GET /people", "x-a: b", "401 denied"),
        (&nightly, "GET /people", &admin, "200"),
        (&other, "GET /export", "x-a: b", "401 denied"),
        (&other, "GET /export", named, "401 denied"),
        (&other, "GET /export", &admin, "403 denied"),
        (&foreign, "GET /export", "x-a: b", "403 denied"),
    ] {
        let answer = send_as(&envoy, "people", &authority, leaf, &request(line, &[header, "content-length: 0"])).await;
        assert_eq!(show(&answer), expected, "{line} {header}");
    }
}
