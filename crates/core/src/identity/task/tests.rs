use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::call::{Call, Headers};
use crate::failure::Code;
use crate::identity::TokenKind;
use crate::identity::fixtures::*;
use crate::identity::settings::{Bindings, Settings};
use crate::identity::{KeyRing, KeySet, Rejection, Task, identify};

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new("k1"));
static STRANGER: LazyLock<Signer> = LazyLock::new(|| Signer::new("k1"));

/// A ring of the issuers `idp`, `spire` and `tts`, all signing with the same key.
fn all() -> KeyRing {
    let keys = Arc::new(KeySet::parse(SIGNER.jwks().as_bytes(), TokenKind::Transaction).unwrap());
    let ring = KeyRing::new([issuer_rules(), svid_rules(), task_rules()]);
    ring.with_keys("idp", &keys).with_keys("spire", &keys).with_keys("tts", &keys)
}

fn header() -> Value {
    with(SIGNER.header(), json!({"typ": "txntoken+jwt"}))
}

fn signed(changes: Value) -> String {
    SIGNER.sign(&header(), &with(task_claims(), changes))
}

fn profile() -> Settings {
    tasks(tokens(&[verified(&["idp", "spire"])]))
}

fn run(call: &Call, settings: &Settings) -> Result<Option<Task>, Rejection> {
    identify(call, settings, &all()).map(|identity| identity.task.map(|task| *task))
}

/// The task's id, `-` without a task, or the failure's code.
fn show(call: &Call) -> String {
    match run(call, &profile()) {
        Ok(task) => task.map_or("-".to_owned(), |task| task.id),
        Err(rejection) => rejection.failure.code.as_str().to_owned(),
    }
}

fn sent(token: &str) -> Call {
    call().principal(WEB).header("txn-token", token)
}

fn task(changes: Value) -> Task {
    run(&sent(&signed(changes)), &profile()).unwrap().unwrap()
}

#[test]
fn a_good_task_token_gives_the_claims_of_its_context() {
    let task = task(json!({"scope": "task.triage", "rctx": {"req_ip": "10.0.0.1"}, "tctx": {
        "task_id": "TASK-7781", "tools": ["tickets.get", "kb.search"], "resources": ["ticket://4711/"],
        "peers": ["https://summarizer.example"], "models": ["small"], "paths": "shop/orders/v1",
        "servers": ["https://a.example/mcp"], "mcp_servers": ["https://b.example"],
        "ticket_id": "4711", "limit": 500, "big": 18_446_744_073_709_551_615_u64, "half": 2.0, "dry": true,
        "nothing": null, "more": {"x": 1}, "list": ["y"],
    }}));
    assert_eq!((task.id.as_str(), task.issuer.as_str(), task.subject.as_str()), ("TASK-7781", TASKS, "user-1"));
    assert_eq!((task.issued_at.seconds(), task.expires_at.seconds()), (NOW - 20, NOW + 100));
    let lists = [&task.tools, &task.resources, &task.paths, &task.agents, &task.models, &task.servers];
    let lists: Vec<Vec<&str>> = lists.iter().map(|list| list.iter().map(String::as_str).collect()).collect();
    assert_eq!(
        lists,
        [
            vec!["kb.search", "tickets.get"],
            vec!["ticket://4711/"],
            vec!["shop/orders/v1"],
            vec!["https://summarizer.example"],
            vec!["small"],
            vec!["https://a.example/mcp", "https://b.example"],
        ]
    );
    let expected =
        [("big", "18446744073709551615"), ("dry", "true"), ("half", "2"), ("limit", "500"), ("ticket_id", "4711")];
    let expected: BTreeMap<String, String> = expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    assert_eq!(task.params, expected);
}

#[test]
fn without_a_task_id_the_transaction_is_the_task() {
    assert_eq!(task(json!({"tctx": {}})).id, "txn-1");
}

#[test]
fn a_task_token_is_refused_for_each_claim_that_is_not_as_it_must_be() {
    for (changes, expected) in [
        (json!({}), "TASK-1"),
        (json!({"iss": "https://idp.example"}), "task_rejected"),
        (json!({"iss": "https://nobody.example"}), "task_rejected"),
        (json!({"iss": null}), "task_rejected"),
        (json!({"aud": "other.example"}), "task_rejected"),
        (json!({"aud": null}), "task_rejected"),
        (json!({"aud": ["other.example", "cluster.local"]}), "TASK-1"),
        (json!({"sub": null}), "task_rejected"),
        (json!({"txn": null}), "task_rejected"),
        (json!({"txn": 7}), "task_rejected"),
        (json!({"iat": null}), "task_rejected"),
        (json!({"exp": null}), "task_rejected"),
        (json!({"exp": "soon"}), "task_rejected"),
        (json!({"exp": NOW - 29}), "TASK-1"),
        (json!({"exp": NOW - 30}), "task_expired"),
        (json!({"exp": NOW + 580}), "TASK-1"),
        (json!({"exp": NOW + 581}), "task_rejected"),
        (json!({"iat": NOW + 31}), "task_expired"),
        (json!({"nbf": NOW + 31}), "task_expired"),
        (json!({"nbf": NOW + 30}), "TASK-1"),
        (json!({"req_wl": null}), "task_rejected"),
        (json!({"req_wl": [WEB]}), "task_rejected"),
        (json!({"req_wl": GATEWAY}), "task_not_bound"),
        (json!({"req_wl": format!("{WEB}/")}), "task_not_bound"),
        (json!({"req_wl": WEB.to_uppercase()}), "task_not_bound"),
        (json!({"req_wl": "spiffe://cluster.local.evil.example/ns/web/sa/frontend"}), "task_not_bound"),
        (json!({"cnf": {"jkt": "x"}}), "task_not_bound"),
        (json!({"cnf": "x"}), "task_rejected"),
        (json!({"tctx": null}), "task_rejected"),
        (json!({"tctx": []}), "task_rejected"),
        (json!({"tctx": {"task_id": ""}}), "task_rejected"),
        (json!({"tctx": {"task_id": 7}}), "task_rejected"),
        (json!({"tctx": {"tools": 7}}), "task_rejected"),
        (json!({"tctx": {"tools": ["a", 7]}}), "task_rejected"),
        (json!({"tctx": {"resources": {}}}), "task_rejected"),
        (json!({"tctx": {"peers": [["x"]]}}), "task_rejected"),
        (json!({"tctx": {"mcp_servers": [{"url": "https://x"}]}}), "task_rejected"),
        (json!({"tctx": {"limit": 0.5}}), "task_rejected"),
        (json!({"tctx": {"limit": 1e300}}), "task_rejected"),
    ] {
        let text = changes.to_string();
        assert_eq!(show(&sent(&signed(changes))), expected, "{text}");
    }
}

#[test]
fn a_task_token_is_good_by_its_own_issuers_signature_alone() {
    let sign = |header: Value| SIGNER.sign(&header, &task_claims());
    let good = signed(json!({}));
    let (message, signature) = good.rsplit_once('.').unwrap();
    for (token, expected) in [
        (good.clone(), "TASK-1"),
        (sign(with(header(), json!({"typ": "application/txntoken+jwt"}))), "TASK-1"),
        (STRANGER.sign(&header(), &task_claims()), "task_rejected"),
        (format!("{message}."), "task_rejected"),
        (format!("{message}.{}A", &signature[1..]), "task_rejected"),
        (sign(with(header(), json!({"typ": "at+jwt"}))), "task_rejected"),
        (sign(with(header(), json!({"typ": "JWT"}))), "task_rejected"),
        (sign(with(header(), json!({"typ": null}))), "task_rejected"),
        (sign(with(header(), json!({"alg": "none"}))), "task_rejected"),
        (sign(with(header(), json!({"alg": "HS256"}))), "task_rejected"),
        (sign(with(header(), json!({"crit": ["x"]}))), "task_rejected"),
        (format!("Bearer {good}"), "task_rejected"),
        (format!("{good},{good}"), "task_rejected"),
        (format!("{good}.x.y"), "task_rejected"),
        (" ".to_owned(), "task_rejected"),
        (String::new(), "task_rejected"),
        ("opaque".to_owned(), "task_rejected"),
    ] {
        assert_eq!(show(&sent(&token)), expected, "{token}");
    }
    let unknown = run(&sent(&sign(with(header(), json!({"kid": "k2"})))), &profile()).unwrap_err();
    assert_eq!((unknown.failure.code, unknown.unknown_key_of.as_deref()), (Code::TaskRejected, Some("tts")));
    let keyless = identify(&sent(&good), &profile(), &KeyRing::new([task_rules()])).unwrap_err();
    assert_eq!(keyless.failure.code, Code::KeysUnavailable);
}

#[test]
fn a_task_token_counts_once_in_its_own_header_and_nowhere_else() {
    let good = signed(json!({}));
    assert_eq!(show(&sent(&good).header("txn-token", &good)), "task_rejected");
    assert_eq!(show(&sent(&good).header("txn_token", &good)), "task_rejected");
    assert_eq!(show(&call().principal(WEB).header("txn_token", &good)), "task_rejected");
    let mut joined = sent("");
    joined.headers = Headers::joined(vec![("txn-token".to_owned(), format!("{good}, {good}").into_bytes())]);
    assert_eq!(show(&joined), "task_rejected");
    joined.headers = Headers::raw(vec![("txn-token".to_owned(), vec![0xff])]);
    assert_eq!(show(&joined), "task_rejected");
    assert_eq!(show(&call().principal(WEB).bearer(&good)), "token_rejected");
    assert_eq!(show(&call().principal(WEB).header("x-txn-token", &good)), "-");
    assert_eq!(run(&sent("garbage"), &tokens(&[verified(&["idp"])])).unwrap(), None, "a profile without tasks");
    // Even where operator and issuer mix the kinds up, one is not read as the other.
    let access = SIGNER.token(&claims());
    assert_eq!(show(&sent(&access)), "task_rejected");
}

#[test]
fn a_task_is_one_proven_workloads() {
    let good = signed(json!({}));
    assert_eq!(show(&call().header("txn-token", &good)), "task_not_bound");
    assert_eq!(show(&call().principal(GATEWAY).header("txn-token", &good)), "task_not_bound");
    let lenient = Settings { bindings: Bindings::Unchecked, ..profile() };
    let code = |call: &Call| run(call, &lenient).map(|_| ()).map_err(|rejection| rejection.failure.code);
    assert_eq!(code(&call().header("txn-token", &good)), Err(Code::TaskNotBound));
    assert_eq!(code(&sent(&signed(json!({"cnf": {"jkt": "x"}})))), Ok(()), "as the profile says of tokens");
    let forwarded = tasks(xfcc(1, &[SIDECAR]));
    let element = format!("By={SIDECAR};URI={WEB}");
    let behind = call().header("x-forwarded-client-cert", &element).header("txn-token", &good);
    assert_eq!(run(&behind, &forwarded).unwrap().map(|task| task.id).as_deref(), Some("TASK-1"));
}

#[test]
fn a_task_and_the_token_next_to_it_have_the_same_subject() {
    let good = sent(&signed(json!({})));
    let access = |sub: &str| SIGNER.token(&with(claims(), json!({"sub": sub})));
    assert_eq!(show(&good.clone().bearer(&access("user-1"))), "TASK-1");
    assert_eq!(show(&good.clone().bearer(&access("user-2"))), "task_rejected");
    let svid = SIGNER.sign(
        &with(SIGNER.header(), json!({"typ": "JWT"})),
        &with(claims(), json!({"iss": "https://spire.example", "sub": WEB})),
    );
    assert_eq!(show(&good.clone().bearer(&svid)), "TASK-1", "it names the workload, and nobody it acts for");
    assert_eq!(show(&good.bearer("a.b.c")), "token_rejected");
}

#[test]
fn the_claims_of_a_cached_signature_are_checked_at_every_call() {
    let ring = all();
    let good = signed(json!({}));
    let at = |seconds: i64| {
        let mut call = sent(&good);
        call.received_at = crate::call::UnixMillis((NOW + seconds) * 1000);
        identify(&call, &profile(), &ring).map(|_| ()).map_err(|rejection| rejection.failure.code)
    };
    assert_eq!((at(0), at(0), at(130)), (Ok(()), Ok(()), Err(Code::TaskExpired)));
}

/// Bytes, and tokens whose parts are anything at all.
fn anything() -> impl Strategy<Value = Vec<u8>> {
    let part = || prop_oneof!["[A-Za-z0-9_-]{0,40}", Just("e30".to_owned())];
    let json = "[\\[{\"a-z:,0-9}\\]]{0,60}".prop_map(|text| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
    });
    let cut = (0..signed_once().len(), any::<u8>()).prop_map(|(at, byte)| {
        let mut bytes = signed_once();
        bytes[at] ^= byte;
        bytes
    });
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        (part(), json, part()).prop_map(|(a, b, c)| format!("{a}.{b}.{c}").into_bytes()),
        cut,
    ]
}

proptest! {
    #[test]
    fn no_bytes_in_the_header_are_a_task_but_a_signed_token(bytes in anything()) {
        let mut call = call().principal(WEB);
        call.headers = Headers::raw(vec![("txn-token".to_owned(), bytes.clone())]);
        let good = bytes == signed_once();
        match run(&call, &profile()) {
            Ok(task) => prop_assert!(good && task.is_some()),
            Err(rejection) => prop_assert_eq!(rejection.failure.code, Code::TaskRejected),
        }
    }
}

/// ECDSA signs differently each time; the strategy flips bytes of one signature.
fn signed_once() -> Vec<u8> {
    static ONCE: LazyLock<String> = LazyLock::new(|| signed(json!({})));
    ONCE.clone().into_bytes()
}
