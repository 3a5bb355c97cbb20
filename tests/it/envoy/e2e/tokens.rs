//! Envoy's jwt_authn takes the token from one place, and the upstream may read another: one token a call.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use picket_demo::client::Answer;
use serde_json::{Value, json};

use super::issuer::{AUDIENCE, ISSUER, Issuer};
use super::{Listener, Scene, request, safe, send, show, upstream};

const CATALOG: &str = "services:\n  - {id: people/directory}\n";
const POLICY: &str = r#"@id("known") @set_headers("x-subject=${principal.token.subject}")
    permit (principal, action in Action::"any", resource) when { principal has token };"#;

/// A listener with jwt_authn that takes tokens from there and passes calls without one.
fn verifying(name: &'static str, issuer: &Issuer, from: Value) -> Listener {
    let mut provider = json!({"issuer": ISSUER, "local_jwks": {"inline_string": issuer.key_set()}, "forward": true,
                              "payload_in_metadata": "jwt"});
    super::bench::merge(&mut provider, from);
    let any = json!({"requires_any": {"requirements": [{"provider_name": "login"}, {"allow_missing": {}}]}});
    let filter = json!({"name": "envoy.filters.http.jwt_authn", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        "providers": {"login": provider},
        "rules": [{"match": {"prefix": "/"}, "requires": any}],
    }});
    let namespaces = json!({"metadata_context_namespaces": ["envoy.filters.http.jwt_authn"]});
    safe(name, "people/directory").before(filter).authz(namespaces)
}

fn settings() -> Value {
    let claims = json!({"issuer": ISSUER, "audiences": [AUDIENCE]});
    let from = json!({"headers": ["x-jwt-assertion"], "cookies": ["sid"]});
    json!({"profiles": {"default": {"identity": {"sources": ["peer"],
        "tokens": [{"metadata": {"key": "jwt", "claims": claims, "from": from}}]}}}})
}

fn unsigned(claims: &Value) -> String {
    let [header, claims] =
        [json!({"alg": "none", "typ": "at+jwt"}), claims.clone()].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}.")
}

/// Bad credentials of the kinds that were once forwarded together with a good token.
fn bad(issuer: &Issuer, good: &str) -> Vec<(&'static str, String)> {
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "admin", "iat": now - 5, "exp": now + 300});
    let foreign = json!({"iss": "https://nobody.example", "aud": AUDIENCE, "sub": "admin", "exp": now + 300});
    let parts: Vec<&str> = good.split('.').collect();
    vec![
        ("other claims under the old signature", {
            format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(claims.to_string()), parts[2])
        }),
        ("unsigned, of our issuer", unsigned(&claims)),
        ("unsigned, of a foreign issuer", unsigned(&foreign)),
        ("a good one of somebody else", issuer.token(json!({"sub": "bob"}))),
        ("bound to a certificate", issuer.token(json!({"cnf": {"x5t#S256": URL_SAFE_NO_PAD.encode([1; 32])}}))),
        ("opaque", "opaque-token".to_owned()),
    ]
}

/// The subject that the upstream got, if the call reached it.
fn subject(answer: &Answer) -> Option<String> {
    upstream(answer).map(|seen| seen.values("x-subject").join(","))
}

#[tokio::test]
async fn a_second_token_never_reaches_the_upstream() {
    let mut scene = Scene::new(&[("catalog.yaml", CATALOG), ("namespaces/people/a.cedar", POLICY)]).await;
    let issuer = Issuer::new();
    let _picket = scene.picket("picket", settings()).await;
    let in_header = json!({"from_headers": [{"name": "x-jwt-assertion"}]});
    let listeners = vec![
        verifying("header", &issuer, in_header),
        verifying("cookie", &issuer, json!({"from_cookies": ["sid"]})),
        verifying("usual", &issuer, json!({})),
    ];
    let envoy = scene.envoy("envoy", listeners).await;
    let good = issuer.token(json!({}));
    let bearer = format!("authorization: Bearer {good}");
    for (listener, line) in [
        ("header", format!("x-jwt-assertion: {good}")),
        ("cookie", format!("cookie: a=b; sid={good}")),
        ("usual", bearer.clone()),
    ] {
        let ask = |path: String, headers: Vec<String>| {
            let envoy = &envoy;
            let headers: Vec<String> = std::iter::once(line.clone()).chain(headers).collect();
            async move {
                let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
                send(envoy, listener, &request(&path, &headers)).await
            }
        };
        let alone = ask("GET /x".to_owned(), Vec::new()).await;
        assert_eq!((show(&alone).as_str(), subject(&alone).as_deref()), ("200", Some("alice")), "{listener}");
        let is_usual = listener == "usual";
        if !is_usual {
            let same = ask("GET /x".to_owned(), vec![bearer.clone()]).await;
            assert_eq!((show(&same).as_str(), subject(&same).as_deref()), ("200", Some("alice")), "{listener}");
        }
        for (what, token) in bad(&issuer, &good) {
            for (path, header, expected) in [
                ("GET /x".to_owned(), format!("authorization: Bearer {token}"), "401 denied"),
                ("GET /x".to_owned(), format!("x-jwt-assertion: {token}"), "401 denied"),
                ("GET /x".to_owned(), format!("cookie: sid={token}"), "401 denied"),
                (format!("GET /x?access_token={token}"), "x-a: b".to_owned(), "400 token_repeated"),
                (format!("GET /x?a=b&access%5Ftoken={token}"), "x-a: b".to_owned(), "400 token_repeated"),
            ] {
                let answer = ask(path.clone(), vec![header.clone()]).await;
                let shown = show(&answer);
                assert_eq!(upstream(&answer), None, "{listener}: {what}: {path} {header}: {shown}");
                // If Envoy reads a place itself, it rejects first.
                assert!(
                    shown == expected || shown.ends_with("by Envoy"),
                    "{listener}: {what}: {path} {header}: {shown}"
                );
            }
        }
        let basic = ask("GET /x".to_owned(), vec!["authorization: Basic YWxpY2U6cGFzc3dvcmQ=".to_owned()]).await;
        assert_eq!(upstream(&basic), None, "{listener}");
        let form = ["content-type: application/x-www-form-urlencoded", "content-length: 14"];
        let mut bytes = request("POST /x", &[&[line.as_str()][..], &form].concat());
        bytes.extend_from_slice(b"access_token=x");
        let answer = send(&envoy, listener, &bytes).await;
        assert_eq!(show(&answer), "413 body_incomplete", "{listener}");
    }
    // Alone, a bad token does not count as absent either, in any place.
    for (what, token) in bad(&issuer, &good) {
        for path in [format!("GET /x?access_token={token}"), format!("GET /x?ACCESS-TOKEN={token}")] {
            let answer = send(&envoy, "header", &request(&path, &[])).await;
            assert_eq!(show(&answer), "401 denied", "{what}: {path}");
        }
    }
    let sent = send(&envoy, "usual", &request(&format!("GET /x?access_token={good}"), &[])).await;
    assert_eq!(subject(&sent).as_deref(), Some("alice"), "verified by Envoy, alone: {}", show(&sent));
}

/// By default the filter takes the token out of its header, and leaves it in a cookie.
#[tokio::test]
async fn a_token_that_is_not_forwarded_is_gone_from_its_header_alone() {
    let mut scene = Scene::new(&[("catalog.yaml", CATALOG), ("namespaces/people/a.cedar", POLICY)]).await;
    let issuer = Issuer::new();
    let _picket = scene.picket("picket", settings()).await;
    let taken = |from: Value| {
        let mut keys = json!({"forward": false});
        super::bench::merge(&mut keys, from);
        keys
    };
    let listeners = vec![
        verifying("header", &issuer, taken(json!({"from_headers": [{"name": "x-jwt-assertion"}]}))),
        verifying("cookie", &issuer, taken(json!({"from_cookies": ["sid"]}))),
        verifying("usual", &issuer, taken(json!({}))),
    ];
    let envoy = scene.envoy("envoy", listeners).await;
    let good = issuer.token(json!({}));
    for (listener, path, line, is_forwarded) in [
        ("header", "GET /x".to_owned(), format!("x-jwt-assertion: {good}"), false),
        ("usual", "GET /x".to_owned(), format!("authorization: Bearer {good}"), false),
        ("cookie", "GET /x".to_owned(), format!("cookie: sid={good}"), true),
    ] {
        let answer = send(&envoy, listener, &request(&path, &[&line])).await;
        let seen = upstream(&answer).unwrap_or_else(|| panic!("{listener}: {}", show(&answer)));
        assert_eq!(seen.values("x-subject"), ["alice"], "{listener}");
        let text = format!("{seen:?}");
        assert_eq!(text.contains(&good), is_forwarded, "{listener}: {text}");
    }
    let evil = issuer.token(json!({"sub": "bob"}));
    let lines = [format!("x-jwt-assertion: {good}"), format!("authorization: Bearer {evil}")];
    let answer = send(&envoy, "header", &request("GET /x", &[&lines[0], &lines[1]])).await;
    assert_eq!(show(&answer), "401 denied", "the token is gone, and its claims are compared all the same");
}
