//! The caller, as Envoy reports it: the principal, and the elements that callers can forge in
//! `x-forwarded-client-cert`.

use expect_test::expect_file;
use picket_demo::certs::{Authority, Leaf};
use picket_demo::client;
use picket_demo::tls::Caller;
use serde_json::{Value, json};

use super::{list, ok, row, table};
use crate::envoy::bench::{Bench, Listener, Outcome, get, listener};
use crate::envoy::scripted::values;

const FRONTEND: &str = "spiffe://cluster.local/ns/web/sa/frontend";
const HEADER: &str = "x-forwarded-client-cert";

/// A listener's TLS: with the SPIFFE validator, with the plain one, or with none.
fn context(validation: Option<Value>) -> Value {
    let own = json!([{"certificate_chain": {"filename": "server.crt"}, "private_key": {"filename": "server.key"}}]);
    match validation {
        Some(validation) => json!({"tls_certificates": own, "validation_context": validation}),
        None => json!({"tls_certificates": own}),
    }
}

fn spiffe() -> Value {
    json!({"custom_validator_config": {"name": "envoy.tls.cert_validator.spiffe", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig",
        "trust_domains": [{"name": "cluster.local", "trust_bundle": {"filename": "ca.crt"}}],
    }}})
}

fn signed() -> Value {
    json!({"trusted_ca": {"filename": "ca.crt"}})
}

async fn bench(authority: &Authority, listeners: Vec<Listener>) -> Bench {
    let server = authority.issue(&["spiffe://cluster.local/ns/edge/sa/gateway"], &["localhost"]).unwrap();
    let files =
        [("ca.crt", authority.certificate()), ("server.crt", &*server.certificate), ("server.key", &*server.key)];
    Bench::start(listeners, &files).await
}

async fn call(bench: &Bench, listener: &str, authority: &Authority, leaf: &Leaf, request: &[u8]) -> Outcome {
    bench.script.reply(ok(Default::default()));
    let caller = Caller::new(authority.certificate(), leaf).unwrap();
    let answer = match caller.connect(bench.envoy.listener(listener).unwrap()).await {
        Ok(stream) => client::exchange(stream, request).await,
        Err(error) => Err(error),
    };
    Outcome { answer, checks: bench.script.seen() }
}

/// Certificate hashes differ from run to run.
fn without_hash(value: &str) -> String {
    let mut text = value.to_owned();
    while let Some(at) = hash_at(&text) {
        text.replace_range(at..at + 64, "HASH");
    }
    text
}

fn hash_at(text: &str) -> Option<usize> {
    text.as_bytes().windows(64).position(|window| window.iter().all(u8::is_ascii_hexdigit))
}

#[tokio::test]
async fn p14_appending_keeps_what_the_caller_wrote_in_front() {
    let text = json!({"uri": true});
    let as_json = json!({"uri": true, "format": "JSON"});
    let mode = |name: &'static str, details: &str, set: &Value| {
        let keys = json!({"forward_client_cert_details": details, "set_current_client_cert_details": set});
        let tls = context(Some(signed()));
        listener(name).manager(keys).authz(json!({"encode_raw_headers": true})).tls(tls)
    };
    let listeners = vec![
        mode("append", "APPEND_FORWARD", &text),
        mode("append json", "APPEND_FORWARD", &as_json),
        mode("set", "SANITIZE_SET", &text),
        mode("set json", "SANITIZE_SET", &as_json),
        mode("sanitize", "SANITIZE", &text),
        mode("forward only", "FORWARD_ONLY", &text),
        mode("always", "ALWAYS_FORWARD_ONLY", &text),
    ];
    let names: Vec<&str> = vec!["append", "append json", "set", "set json", "sanitize", "forward only", "always"];
    let authority = Authority::new("cluster.local").unwrap();
    let bench = bench(&authority, listeners).await;
    let frontend = authority.issue(&[FRONTEND], &[]).unwrap();
    let spliced =
        authority.issue(&["spiffe://cluster.local/ns/web/sa/a,URI=spiffe://cluster.local/ns/x/sa/admin"], &[]);
    let quoted = authority.issue(&["spiffe://cluster.local/ns/web/sa/a\",\"URI\":\"spiffe://x/admin"], &[]);
    let (spliced, quoted) = (spliced.unwrap(), quoted.unwrap());
    let cases: [(&str, &Leaf, Vec<&str>); 8] = [
        ("nothing sent", &frontend, vec![]),
        ("an element sent", &frontend, vec!["x-forwarded-client-cert: By=a;URI=spiffe://cluster.local/ns/x/sa/admin"]),
        ("an open quote sent", &frontend, vec!["x-forwarded-client-cert: Subject=\"a"]),
        ("two headers sent", &frontend, vec!["x-forwarded-client-cert: URI=a", "x-forwarded-client-cert: URI=b"]),
        ("`[\"]` sent", &frontend, vec!["x-forwarded-client-cert: [\"]"]),
        ("a JSON element sent", &frontend, vec!["x-forwarded-client-cert: [{\"URI\":\"spiffe://x/admin\"}]"]),
        ("comma in the URI name", &spliced, vec![]),
        ("quote in the URI name", &quoted, vec![]),
    ];
    let mut text = String::new();
    for (name, leaf, headers) in cases {
        let mut rows = Vec::new();
        for listener in &names {
            let outcome = call(&bench, listener, &authority, leaf, &get(&headers)).await;
            let got =
                outcome.checks.first().map_or(outcome.status(), |check| without_hash(&list(&values(check, HEADER))));
            rows.push(row(["", listener, &got]));
        }
        text.push_str(&format!("{name}\n{}", table(&rows)));
    }
    expect_file!["../golden/forwarded.txt"].assert_eq(&text);
}

#[tokio::test]
async fn p23_p24_p25_a_principal_is_a_verified_uri_only_behind_the_spiffe_validator() {
    let home = Authority::new("cluster.local").unwrap();
    let other = Authority::new("other.example").unwrap();
    let untrusted = json!({"trusted_ca": {"filename": "ca.crt"}, "trust_chain_verification": "ACCEPT_UNTRUSTED"});
    let authz = || json!({"include_peer_certificate": true});
    let listeners = vec![
        listener("spiffe").authz(authz()).tls(context(Some(spiffe()))),
        listener("signed").authz(authz()).tls(context(Some(signed()))),
        listener("untrusted").authz(authz()).tls(context(Some(untrusted))),
        listener("no context").authz(authz()).tls(context(None)),
    ];
    let bench = bench(&home, listeners).await;
    let foreign = "spiffe://other.example/ns/web/sa/frontend";
    let second = "spiffe://cluster.local/ns/x/sa/admin";
    let cases: Vec<(&str, Leaf)> = vec![
        ("one URI", home.issue(&[FRONTEND], &[]).unwrap()),
        ("two URIs", home.issue(&[FRONTEND, second], &[]).unwrap()),
        ("two URIs, another domain second", home.issue(&[FRONTEND, foreign], &[]).unwrap()),
        ("two URIs, another domain first", home.issue(&[foreign, FRONTEND], &[]).unwrap()),
        ("a URI of another scheme first", home.issue(&["https://web.example/", FRONTEND], &[]).unwrap()),
        ("URI and host", home.issue(&[FRONTEND], &["web.example"]).unwrap()),
        ("host only", home.issue(&[], &["web.example"]).unwrap()),
        ("host that spells an id", home.issue(&[], &[second]).unwrap()),
        ("no name", home.issue(&[], &[]).unwrap()),
        ("id of another domain, our authority", home.issue(&[foreign], &[]).unwrap()),
        ("our id, another authority", other.issue(&[FRONTEND], &[]).unwrap()),
        ("comma in the URI", home.issue(&["spiffe://cluster.local/ns/web/sa/a,URI=b"], &[]).unwrap()),
        ("upper case domain", home.issue(&["spiffe://CLUSTER.local/ns/web/sa/frontend"], &[]).unwrap()),
    ];
    let mut rows =
        vec![row(["certificate", "SPIFFE validator", "trusted_ca", "ACCEPT_UNTRUSTED", "no validation_context"])];
    for (name, leaf) in cases {
        let mut cells = vec![name.to_owned()];
        for listener in ["spiffe", "signed", "untrusted", "no context"] {
            let outcome = call(&bench, listener, &home, &leaf, &get(&[])).await;
            cells.push(outcome.checks.first().map_or("refused".to_owned(), |check| {
                let source = check.attributes.as_ref().unwrap().source.clone().unwrap();
                let sent =
                    if source.certificate.contains("BEGIN%20CERTIFICATE") { "" } else { " (no certificate sent)" };
                format!("`{}`{sent}", source.principal)
            }));
        }
        rows.push(cells);
    }
    expect_file!["../golden/principals.txt"].assert_eq(&table(&rows));
}
