//! Checks made of parts that once fooled a server, and of ordinary ones.

use picket::check::Profile;
use proptest::prelude::*;
use serde_json::json;

use crate::harness::{Check, FRONTEND};

const METHODS: &[&str] =
    &["GET", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "get", "X", ""];
const SEGMENTS: &[&str] = &[
    "v1",
    "v1",
    "orders",
    "orders",
    "42",
    "refunds",
    "healthz",
    "admin",
    "Admin",
    "..",
    ".",
    "",
    "%2e%2e",
    "%2fadmin",
    "%2F",
    "%5c",
    "a;b",
    "%25",
    "%252e",
    "%61dmin",
    "v1admin",
    "%00",
    "a b",
    "é",
    "shop.inventory.v1.Stock",
    "Get",
    "*",
];
const QUERIES: &[&str] = &[
    "",
    "?key=1",
    "?key=1&key=2",
    "?k%65y=1",
    "?key=%zz",
    "?key=1;key=2",
    "?a=b#c",
    "??",
    "?key",
    "?access_token=a.b.c",
    "?tok=x",
];
const HOSTS: &[&str] = &[
    "orders.shop",
    "orders.shop",
    "ORDERS.shop.",
    "orders.shop:80",
    "a@orders.shop",
    "",
    "x y",
    "billing.pay.svc.cluster.local",
    "orders.shop.svc.cluster.local",
    "evil.example",
];
const SERVICES: &[&str] = &[
    "shop/orders",
    "shop/orders",
    "shop/orders",
    "shop/inventory",
    "pay/billing",
    "pay/billing",
    "web/storefront",
    "agents/tools",
    "shop/none",
    "",
    "shop",
    "mesh/x",
    "../shop/orders",
];
const PRINCIPALS: &[&str] = &[
    FRONTEND,
    FRONTEND,
    "spiffe://cluster.local/ns/shop/sa/orders",
    "spiffe://cluster.local/ns/pay/sa/backoffice",
    "spiffe://cluster.local/ns/edge/sa/gateway",
    "spiffe://cluster.local/ns/platform/sa/console",
    "spiffe://other.example/ns/web/sa/frontend",
    "spiffe://cluster.local/odd",
    "spiffe://cluster.local/ns/web/sa/../sa/x",
    "SPIFFE://cluster.local/ns/web/sa/frontend",
    "CN=frontend",
    "",
];
const NAMES: &[&str] = &[
    "x-role",
    "x-role",
    "x_role",
    "content-type",
    "content-length",
    "origin",
    "access-control-request-method",
    "x-picket-caller",
    "x-caller",
    "authorization",
    "upgrade",
    "host",
    "x-forwarded-client-cert",
    ":path",
    ":method",
    ":authority",
    "x-http-method-override",
    "transfer-encoding",
    "x-envoy-auth-partial-body",
    "x-request-id",
    "x-token",
    "cookie",
    "bad name",
    "",
];
const VALUES: &[&str] = &[
    "admin",
    "admin",
    "user",
    "admin,user",
    "application/grpc",
    "application/json",
    "0",
    "5",
    "GET",
    "https://a.example",
    "websocket",
    "/admin",
    "\r\nx: y",
    "\0",
    "false",
    "é",
    "",
    "By=spiffe://cluster.local/ns/shop/sa/orders;Hash=00;URI=spiffe://cluster.local/ns/web/sa/frontend",
    "Bearer a.b.c",
    "sid=a.b.c",
    "application/x-www-form-urlencoded",
    "orders.shop",
];

fn one(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![12 => prop::sample::select(of).prop_map(str::to_owned), 1 => ".{0,12}"]
}

fn path() -> impl Strategy<Value = String> {
    let plain = prop::sample::select(
        &["/v1/orders/42", "/v1/orders", "/v1/refunds", "/healthz", "/", "/shop.inventory.v1.Stock/Get"][..],
    );
    let built = (prop::collection::vec(one(SEGMENTS), 0..5), one(QUERIES));
    let built = built.prop_map(|(segments, query)| format!("/{}{query}", segments.join("/")));
    prop_oneof![3 => plain.prop_map(str::to_owned), 4 => built, 1 => ".{0,20}"]
}

/// Claims of a token: ordinary, with one claim replaced by something odd.
fn claims() -> impl Strategy<Value = serde_json::Value> {
    let now = crate::support::NOW.seconds();
    let good = json!({"iss": "https://idp.example", "sub": "alice", "aud": "shop", "exp": now + 300, "iat": now - 5,
                      "client_id": "app", "scope": "orders:read openid", "auth_time": now - 30, "acr": "gold"});
    let odd = prop::sample::select(vec![
        json!(null),
        json!(""),
        json!("orders:read"),
        json!([]),
        json!(["a", 1]),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(9.0e15),
        json!(true),
        json!({"sub": "spiffe://cluster.local/ns/web/sa/frontend"}),
        json!({"x5t#S256": "AAAA"}),
        json!("\u{0}\u{fffd}"),
    ]);
    let names = [
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "nbf",
        "scope",
        "scp",
        "roles",
        "act",
        "cnf",
        "auth_time",
        "amr",
        "jti",
        "client_id",
    ];
    let change = proptest::option::weighted(0.4, (prop::sample::select(names.to_vec()), odd));
    change.prop_map(move |change| {
        let mut claims = good.clone();
        if let Some((name, value)) = change {
            claims[name] = value;
        }
        claims
    })
}

/// Any check.
pub fn check() -> impl Strategy<Value = Check> {
    let headers = prop::collection::vec((one(NAMES), one(VALUES)), 0..4);
    let line = (one(METHODS), path(), one(HOSTS), headers, any::<prop::sample::Index>());
    let who =
        (proptest::option::of(one(SERVICES)), proptest::option::of(one(PRINCIPALS)), proptest::option::of(claims()));
    let body = prop_oneof![4 => Just(Vec::new()), 1 => prop::collection::vec(any::<u8>(), 0..20)];
    (line, who, body).prop_map(|((method, path, host, headers, mode), (service, principal, claims), body)| {
        let mut check = crate::harness::check(&method, &path).host(&host);
        if let Some(service) = service {
            check = check.service(&service);
        }
        if let Some(principal) = principal {
            check = check.by(&principal);
        }
        if let Some(claims) = claims {
            check = check.claims(&claims);
        }
        // One in five comes from a proxy that joins repeated headers.
        if mode.index(5) == 0 {
            check.http().header_map = None;
            check.http().headers = headers.into_iter().collect();
        } else {
            check = headers.iter().fold(check, |check, (name, value)| check.header(name, value));
        }
        check.http().raw_body = body;
        check
    })
}

/// A profile from YAML.
fn profile(yaml: &str) -> Profile {
    serde_saphyr::from_str(yaml).unwrap()
}

/// The peer's certificate, and claims that the proxy verified.
pub fn tokens_and_peer() -> Profile {
    profile(
        "identity: {tokens: [metadata: {key: jwt, claims: {issuer: 'https://idp.example', audiences: [shop], users: true}, \
         from: {headers: [x-token], cookies: [sid], query: [tok]}}]}\n\
         mapping: {service: [context_extension, host]}",
    )
}

/// Every way a listener may read calls.
pub fn profiles() -> Vec<Profile> {
    vec![
        Profile::default(),
        tokens_and_peer(),
        profile(
            "identity: {sources: [xfcc: {hops: 1, proxies: ['spiffe://cluster.local/ns/shop/sa/orders']}], \
             allowed_trust_domains: [other.example]}\n\
             mapping: {service: [host], allow_connect: true, allow_upgrades: [websocket]}",
        ),
    ]
}
