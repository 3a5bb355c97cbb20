//! The policies that are to be evaded, and the listeners before them.

use picket_demo::process::EnvoyProcess;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::super::bench::{self, Listener, cluster_of, loopback};
use super::super::e2e::issuer::{self, AUDIENCE, ISSUER, Issuer};
use super::super::e2e::picket::Picket;
use super::super::e2e::{Scene, safe};
use super::Recorder;

/// Longest body that may go to the service `edge/sized`.
pub const SIZE_MAX: usize = 64;
/// Most bytes of a body that a filter sends.
const REQUEST_BYTES_MAX: u32 = 256;
/// Every listener; each has one service of its own behind it.
pub const LISTENERS: [&str; 9] = [
    "plain",
    "plain-as-sent",
    "sized",
    "sized-cut",
    "sized-unsent",
    "json",
    "tokens",
    "tokens-by-header",
    "tokens-by-cookie",
];

const CATALOG: &str = "
services:
  - {id: edge/plain}
  - {id: edge/sized}
  - {id: edge/json, body: {json: true}}
  - {id: edge/tokens}
";
const POLICIES: &str = r#"
@id("terms") @set_query("tenant=acme") @remove_query("debug") @set_headers("x-caller=${principal.id}") @remove_headers("x-debug")
permit (principal, action in Action::"any", resource in Path::"edge/plain/terms");
@id("plain")
permit (principal, action in Action::"any", resource in Service::"edge/plain");
@id("no-admins")
forbid (principal, action in Action::"any", resource in Service::"edge/plain")
when { context.http.query.hasTag("role") && context.http.query.getTag("role") == "admin" };
@id("no-secrets")
forbid (principal, action in Action::"any", resource in Path::"edge/plain/secret");
@id("sized")
permit (principal, action in Action::"any", resource in Service::"edge/sized");
@id("no-long-bodies")
forbid (principal, action in Action::"any", resource in Service::"edge/sized")
when { context.http has bodyBytes && context.http.bodyBytes > 64 };
@id("json")
permit (principal, action in Action::"any", resource in Service::"edge/json");
@id("no-payroll")
forbid (principal, action in Action::"write", resource in Service::"edge/json")
when { context has args && context.args.hasTag("/index") && context.args.getTag("/index") == "payroll" };
@id("users") @set_headers("x-user=${principal.token.subject}")
permit (principal, action in Action::"any", resource in Service::"edge/tokens") when { principal has token };
"#;

/// Tokens that a drawn request may carry.
pub struct Tokens {
    /// Good, of alice.
    pub alice: String,
    /// Good, of bob.
    pub bob: String,
    /// Good, of alice, and another than the first.
    pub alice_again: String,
    /// Of bob, bound to a certificate that no client has.
    pub bound: String,
    /// Says that it is root's; unsigned, of our issuer.
    pub unsigned: String,
    /// Claims to be root's; unsigned, of an unknown issuer.
    pub foreign: String,
}

/// Envoy, the Pickets behind it, and the upstream.
pub struct World {
    pub envoy: EnvoyProcess,
    pub recorder: Recorder,
    pub tokens: Tokens,
    _pickets: Vec<Picket>,
    _scene: Scene,
    _tasks: JoinSet<()>,
}

impl World {
    pub async fn start() -> Self {
        let mut scene = Scene::new(&[("catalog.yaml", CATALOG), ("mesh/a.cedar", POLICIES)]).await;
        let mut tasks = JoinSet::new();
        let recorder = Recorder::default();
        let port = recorder.serve(&mut tasks).await;
        scene.cluster(cluster_of("recorder", &[loopback(port)]));
        let issuer = Issuer::new();
        scene.write("jwks.json", &issuer.key_set());
        let verified = issuer::settings(&scene.path("jwks.json"));
        let pickets = vec![
            scene.picket("picket", json!({})).await,
            scene.picket("attached", json!({"limits": {"check": {"every_body_attached": true}}})).await,
            scene.picket("verifier", verified).await,
            scene.picket("by-header", by_proxy(json!({"headers": ["x-token"]}))).await,
            scene.picket("by-cookie", by_proxy(json!({"cookies": ["session"]}))).await,
        ];
        let keys = issuer.key_set();
        let envoy = scene.envoy("envoy", listeners(&keys)).await;
        Self { envoy, recorder, tokens: tokens(&issuer), _pickets: pickets, _scene: scene, _tasks: tasks }
    }
}

/// Settings that have Picket take the claims of jwt_authn, which found the token in these places.
fn by_proxy(from: Value) -> Value {
    let claims = json!({"issuer": ISSUER, "audiences": [AUDIENCE]});
    let source = json!({"metadata": {"key": "jwt", "claims": claims, "from": from}});
    json!({"profiles": {"default": {"identity": {"sources": ["peer"], "tokens": [source]}}}})
}

fn listeners(keys: &str) -> Vec<Listener> {
    let body = |is_partial: bool| {
        json!({"with_request_body": {
            "max_request_bytes": REQUEST_BYTES_MAX, "allow_partial_message": is_partial, "pack_as_bytes": true,
        }})
    };
    let to_recorder = |listener: Listener, service: &str| {
        listener.manager(json!({"route_config": super::super::e2e::routes(service, "recorder")}))
    };
    let of = |name: &'static str, service: &str| to_recorder(safe(name, service), service);
    let as_sent = json!({
        "normalize_path": false, "merge_slashes": false, "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "common_http_protocol_options": {},
    });
    let asks = |cluster: &str| json!({"grpc_service": {"envoy_grpc": {"cluster_name": cluster}, "timeout": "8s"}});
    let proxied = |name, cluster: &str, from: Value| {
        let namespaces = json!({"metadata_context_namespaces": ["envoy.filters.http.jwt_authn"]});
        let listener = of(name, "edge/tokens").authz(body(false)).authz(asks(cluster)).authz(namespaces);
        listener.before(jwt_authn(keys, from))
    };
    vec![
        of("plain", "edge/plain").authz(body(false)),
        of("plain-as-sent", "edge/plain").manager(as_sent),
        of("sized", "edge/sized").authz(body(false)).authz(asks("attached")),
        of("sized-cut", "edge/sized").authz(body(true)).authz(asks("attached")),
        of("sized-unsent", "edge/sized"),
        of("json", "edge/json").authz(body(false)),
        of("tokens", "edge/tokens").authz(body(false)).authz(asks("verifier")),
        proxied("tokens-by-header", "by-header", json!({"from_headers": [{"name": "x-token"}]})),
        proxied("tokens-by-cookie", "by-cookie", json!({"from_cookies": ["session"]})),
    ]
}

/// The filter that verifies tokens and leaves their claims for Picket.
fn jwt_authn(keys: &str, from: Value) -> Value {
    let mut provider = json!({
        "issuer": ISSUER, "local_jwks": {"inline_string": keys}, "forward": true, "payload_in_metadata": "jwt",
    });
    bench::merge(&mut provider, from);
    json!({"name": "envoy.filters.http.jwt_authn", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        "providers": {"login": provider},
        "rules": [{"match": {"prefix": "/"}, "requires": {"requires_any": {"requirements": [
            {"provider_name": "login"}, {"allow_missing": {}},
        ]}}}],
    }})
}

fn tokens(issuer: &Issuer) -> Tokens {
    // Runs may take long, so the tokens live for a day.
    let end = jiff::Timestamp::now().as_second() + 86_400;
    let of = |subject: &str| issuer.token(json!({"sub": subject, "exp": end}));
    let unsigned = |issuer: &str| {
        use base64::Engine as _;
        let part = |value: Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({"iss": issuer, "aud": AUDIENCE, "sub": "root", "exp": end});
        format!("{}.{}.", part(json!({"alg": "none", "typ": "at+jwt"})), part(claims))
    };
    Tokens {
        alice: of("alice"),
        bob: of("bob"),
        alice_again: issuer.token(json!({"sub": "alice", "exp": end - 1})),
        bound: issuer.token(json!({"sub": "bob", "exp": end, "cnf": {"x5t#S256": "A".repeat(43)}})),
        unsigned: unsigned(ISSUER),
        foreign: unsigned("https://nobody.example"),
    }
}
