//! Sources that are dead, slow, hang or send false data, through a whole server: the promised code, in time, and nothing allowed.

use std::time::{Duration, Instant};

use crate::harness::fake_http::{FakeHttp, Reply};
use crate::harness::issuer::{AUDIENCE, ISSUER, Issuer};
use crate::harness::server::{Client, Server};
use crate::harness::{FRONTEND, Said, check, orders};
use crate::support::CATALOG;

/// Time limit of a check here; the lookup's own 200 ms come first.
const DEADLINE: Duration = Duration::from_secs(2);
const OPEN: &str = r#"{"state": "open"}"#;

const TREE: &[(&str, &str)] = &[
    ("catalog.yaml", CATALOG),
    ("facts.cedarschema", "type CallFacts = { ticket?: { state: String } };"),
    (
        "namespaces/pay/a.cedar",
        r#"@id("open") permit (principal, action == Action::"GET", resource)
           when { context.env has facts && context.env.facts has ticket && context.env.facts.ticket.state == "open" };
           @id("closed") forbid (principal, action == Action::"GET", resource)
           when { context.env has facts && context.env.facts has ticket && context.env.facts.ticket.state == "closed" };"#,
    ),
    (
        "namespaces/shop/a.cedar",
        r#"@id("users") permit (principal, action == Action::"GET", resource) when { principal has token };"#,
    ),
];

async fn server(source: &FakeHttp, timeout: &str, more: &[&str]) -> Server {
    let lookup = super::codes::lookup(source, timeout);
    let settings: Vec<&str> = ["limits.check.deadline=2s", &lookup].into_iter().chain(more.iter().copied()).collect();
    Server::start(TREE, &settings).await
}

fn billing(principal: &str) -> crate::harness::Check {
    check("GET", "/v1/bills").service("pay/billing").by(principal)
}

/// Sends a check, and asserts that the answer came before the deadline.
async fn ask(client: &mut Client, check: crate::harness::Check) -> Said {
    #[expect(clippy::disallowed_methods, reason = "sockets need the real clock")]
    let start = Instant::now();
    let said = client.ask(check).await;
    assert!(start.elapsed() < DEADLINE, "{said:?} took {:?}", start.elapsed());
    said
}

fn http(head: &str, body: &str) -> Reply {
    Reply::Bytes(format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into())
}

/// Ways in which a source may fail.
fn failures() -> Vec<(&'static str, Reply)> {
    let json = "200 OK\r\ncontent-type: application/json";
    vec![
        ("closes", Reply::Close),
        ("hangs", Reply::Hang),
        ("is slower than its timeout", Reply::Late(Duration::from_secs(1), OPEN.to_owned())),
        ("speaks no HTTP", Reply::Bytes(b"SSH-2.0-OpenSSH\r\n".to_vec())),
        ("fails", http("500 Error\r\ncontent-type: application/json", OPEN)),
        ("knows nothing", http("404 Not Found\r\ncontent-type: application/json", "{}")),
        ("sends elsewhere", http("302 Found\r\nlocation: http://127.0.0.1:1/", "")),
        ("asks for a password", http("401 Unauthorized", "")),
        ("says nothing", http("204 No Content", "")),
        ("sends HTML", http("200 OK\r\ncontent-type: text/html", OPEN)),
        ("sends half of its JSON", http(json, r#"{"state": "op"#)),
        (
            "breaks off",
            Reply::Bytes(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{".into()),
        ),
        ("sends another type", http(json, r#"{"state": 1}"#)),
        ("sends null", http(json, r#"{"state": null}"#)),
        ("sends too much", http(json, &format!(r#"{{"state": "{}"}}"#, "x".repeat(70_000)))),
    ]
}

#[tokio::test]
async fn a_look_up_that_fails_in_any_way_denies_in_time_and_is_not_remembered() {
    let source = FakeHttp::start(Reply::Close).await;
    let server = server(&source, "200ms", &[]).await;
    let mut client = server.client().await;
    for (number, (name, reply)) in failures().into_iter().enumerate() {
        let caller = format!("spiffe://cluster.local/ns/web/sa/caller-{number}");
        source.set(reply);
        let said = ask(&mut client, billing(&caller)).await;
        assert_eq!((said.status, said.reason.as_str()), (503, "entities_unavailable"), "a source that {name}");
        // Its late answer may still be on the way; the calls use the next good one.
        source.set(Reply::Json(OPEN.to_owned()));
        let mut said = ask(&mut client, billing(&caller)).await;
        while said.reason == "entities_unavailable" {
            said = ask(&mut client, billing(&caller)).await;
        }
        assert_eq!(said.reason, "policy_permit", "after a source that {name}");
    }
}

#[tokio::test]
async fn a_killed_source_is_unavailable_and_its_facts_live_no_longer_than_their_time() {
    let source = FakeHttp::start(Reply::Json(OPEN.to_owned())).await;
    let lookup =
        super::codes::lookup(&source, "200ms").replace("timeout: 200ms", "timeout: 200ms, cache: {ttl: 300ms}");
    let server = Server::start(TREE, &["limits.check.deadline=2s", &lookup]).await;
    let mut client = server.client().await;
    assert_eq!(ask(&mut client, billing(FRONTEND)).await.reason, "policy_permit");
    drop(source);
    #[expect(clippy::disallowed_methods, reason = "sockets need the real clock")]
    let killed = Instant::now();
    while ask(&mut client, billing(FRONTEND)).await.reason == "policy_permit" {
        assert!(killed.elapsed() < Duration::from_secs(2), "a record outlives its time");
    }
    let said = ask(&mut client, billing(FRONTEND)).await;
    assert_eq!((said.status, said.reason.as_str()), (503, "entities_unavailable"));
    // A call that does not need the source is not delayed by it.
    assert_eq!(ask(&mut client, orders()).await.reason, "no_permit");
}

#[tokio::test]
async fn a_fact_that_forbids_is_never_read_as_absent() {
    let source = FakeHttp::start(Reply::Json(r#"{"state": "closed"}"#.to_owned())).await;
    let server = server(&source, "1s", &[]).await;
    assert_eq!(ask(&mut server.client().await, billing(FRONTEND)).await.reason, "no_permit");
    source.set(Reply::Close);
    let said = ask(&mut server.client().await, billing("spiffe://cluster.local/ns/web/sa/other")).await;
    assert_eq!(said.reason, "entities_unavailable");
}

#[tokio::test]
async fn many_calls_make_one_request_for_each_key() {
    let source = FakeHttp::start(Reply::Late(Duration::from_millis(300), OPEN.to_owned())).await;
    let server = server(&source, "1900ms", &[]).await;
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..40 {
        let mut client = server.client().await;
        let caller = format!("spiffe://cluster.local/ns/web/sa/caller-{}", number % 4);
        calls.spawn(async move { client.ask(billing(&caller)).await.reason });
    }
    for reason in calls.join_all().await {
        assert_eq!(reason, "policy_permit");
    }
    assert_eq!((source.requests(), source.in_flight_max()), (4, 1));
}

/// A profile that takes Bearers of one issuer, with its key set at `source`.
fn tokens(source: &FakeHttp) -> Vec<String> {
    vec![
        "profiles={default: {identity: {tokens: [verified: {issuers: [idp]}]}}}".to_owned(),
        "keys.timeout=200ms".to_owned(),
        "keys.min_interval=1s".to_owned(),
        format!(
            "keys.issuers=[{{name: idp, jwks: {{url: {{address: 'http://{}/keys'}}}}, \
             claims: {{issuer: '{ISSUER}', audiences: [{AUDIENCE}]}}}}]",
            source.address
        ),
    ]
}

async fn server_with_keys(source: &FakeHttp) -> Server {
    let settings = tokens(source);
    let settings: Vec<&str> = settings.iter().map(String::as_str).chain(["limits.check.deadline=2s"]).collect();
    Server::start(TREE, &settings).await
}

#[tokio::test]
async fn keys_that_were_never_had_deny_in_time_and_come_into_force_when_they_come() {
    let issuer = Issuer::new("k1");
    let wrong: [Reply; 6] = [
        Reply::Close,
        Reply::Hang,
        Reply::Late(Duration::from_millis(500), issuer.key_set()),
        Reply::Bytes(b"garbage".to_vec()),
        http("200 OK\r\ncontent-type: application/json", r#"{"keys": []}"#),
        http("500 Error", &issuer.key_set()),
    ];
    for reply in wrong {
        let source = FakeHttp::start(reply.clone()).await;
        let server = server_with_keys(&source).await;
        let mut client = server.client().await;
        let said = ask(&mut client, orders().bearer(&issuer.token())).await;
        assert_eq!((said.status, said.reason.as_str()), (503, "keys_unavailable"), "{reply:?}");
        // Calls without a token need no keys.
        assert_eq!(ask(&mut client, orders()).await.reason, "no_permit");
        assert_eq!(source.in_flight_max(), 1);
    }
    let source = FakeHttp::start(Reply::Close).await;
    let server = server_with_keys(&source).await;
    let mut client = server.client().await;
    source.set(Reply::Json(issuer.key_set()));
    #[expect(clippy::disallowed_methods, reason = "sockets need the real clock")]
    let start = Instant::now();
    while ask(&mut client, orders().bearer(&issuer.token())).await.reason != "policy_permit" {
        assert!(start.elapsed() < Duration::from_secs(5), "the keys never come into force");
    }
}

#[tokio::test]
async fn keys_that_were_had_stay_when_the_issuer_dies_and_a_flood_of_unknown_keys_costs_one_fetch() {
    let (issuer, stranger) = (Issuer::new("k1"), Issuer::new("k2"));
    let source = FakeHttp::start(Reply::Json(issuer.key_set())).await;
    let server = server_with_keys(&source).await;
    let mut client = server.client().await;
    let good = orders().bearer(&issuer.token());
    assert_eq!(ask(&mut client, good.clone()).await.reason, "policy_permit");
    source.set(Reply::Bytes(b"garbage".to_vec()));
    let before = source.requests();
    #[expect(clippy::disallowed_methods, reason = "sockets need the real clock")]
    let start = Instant::now();
    for _ in 0..60 {
        let said = ask(&mut client, orders().bearer(&stranger.token())).await;
        assert_eq!((said.status, said.reason.as_str()), (401, "token_rejected"));
        assert_eq!(ask(&mut client, good.clone()).await.reason, "policy_permit");
    }
    // One per `min_interval` of a second, and one at each end of the time measured.
    let allowed = start.elapsed().as_secs() + 2;
    assert!(source.requests() - before <= allowed, "{} fetches, at most {allowed}", source.requests() - before);
    assert_eq!(source.in_flight_max(), 1);
}
