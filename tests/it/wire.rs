//! Real gRPC calls over loopback: the real server as a proxy meets it.

pub mod mutual_tls;
mod raw;
mod readiness;
mod tasks;

use std::time::{Duration, Instant};

use envoy_types::pb::envoy::service::auth::v3::CheckResponse;
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use prost::Message as _;
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::fake_http::{FakeHttp, Reply};
use crate::harness::server::Server;
use crate::harness::{FRONTEND, PERMIT_ALL, check, orders, said};
use raw::{CHECK, Raw};

const SHOP: &[(&str, &str)] = &[("namespaces/shop/a.cedar", PERMIT_ALL)];
/// The namespace `pay` waits for a source.
const WAITS: &[(&str, &str)] = &[
    ("facts.cedarschema", "type CallFacts = { ticket?: { state: String } };"),
    SHOP[0],
    (
        "namespaces/pay/a.cedar",
        r#"permit (principal, action == Action::"GET", resource)
           when { context.env has facts && context.env.facts has ticket };"#,
    ),
];

fn waiting() -> crate::harness::Check {
    check("GET", "/").service("pay/billing").by(FRONTEND)
}

#[tokio::test]
async fn an_allow_and_a_deny_are_answers_and_not_errors() {
    let server = Server::start(SHOP, &[]).await;
    let mut client = server.client().await;
    assert_eq!(client.ask(orders()).await.status, 200);
    assert_eq!(client.ask(orders().by("CN=x")).await.status, 403);
}

#[tokio::test]
async fn many_calls_on_one_connection_get_their_own_answers() {
    let server = Server::start(SHOP, &[]).await;
    let client = server.client().await;
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..200 {
        let mut client = client.clone();
        calls.spawn(async move {
            let good = number % 2 == 0;
            let check = if good { orders() } else { orders().service("pay/billing") };
            (good, client.ask(check).await.status == 200)
        });
    }
    assert!(calls.join_all().await.iter().all(|(good, allowed)| good == allowed));
}

#[tokio::test]
async fn p30_the_proxys_timeout_goes_before_ours() {
    let source = FakeHttp::start(Reply::Hang).await;
    let lookup = crate::faults::lookup(&source, "5s");
    let server = Server::start(WAITS, &["limits.check.deadline=9s", &lookup]).await;
    // Without a client that gives up by itself, so that it is the answer that is timed.
    let raw = Raw::new(&server.port("ext_authz"));
    #[expect(clippy::disallowed_methods, reason = "sockets need the real clock")]
    let start = Instant::now();
    let answer = raw.call(CHECK, &waiting().0.encode_to_vec(), Some("400m")).await;
    let said = said(&answer.check_response());
    assert_eq!(said.status, 503);
    assert!(["deadline", "entities_unavailable"].contains(&said.reason.as_str()), "{said:?}");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let spent = raw.call(CHECK, &waiting().0.encode_to_vec(), Some("1n")).await;
    assert_eq!(crate::harness::said(&spent.check_response()).reason, "deadline");
}

#[tokio::test]
async fn a_call_that_is_cancelled_gives_its_place_back() {
    let source = FakeHttp::start(Reply::Hang).await;
    let lookup = crate::faults::lookup(&source, "5s");
    let server = Server::start(WAITS, &["limits.in_flight_max=1", &lookup]).await;
    let (mut gives_up, mut patient) = (server.client().await, server.client().await);
    {
        let mut call = Box::pin(gives_up.0.check(waiting().0));
        while source.requests() == 0 {
            tokio::select! {
                biased;
                answer = &mut call => panic!("it did not wait: {answer:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
        assert_eq!(patient.ask(orders()).await.reason, "overload");
    }
    #[expect(clippy::disallowed_methods, reason = "sockets need the real clock")]
    let start = Instant::now();
    while patient.ask(orders()).await.status != 200 {
        assert!(start.elapsed() < Duration::from_secs(4), "the place is not given back");
    }
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_denied_and_the_connection_lives() {
    let server = Server::start(SHOP, &["limits.check.message_bytes_max=4096"]).await;
    let mut client = server.client().await;
    let mut large = orders();
    large.http().raw_body = vec![b'x'; 5000];
    let answer = client.ask(large).await;
    assert_eq!((answer.status, answer.reason.as_str()), (431, "too_large"));
    assert_eq!(client.ask(orders()).await.status, 200);
}

#[tokio::test]
async fn a_message_that_is_not_a_check_is_denied() {
    let server = Server::start(SHOP, &[]).await;
    let raw = Raw::new(&server.port("ext_authz"));
    let good = orders().0.encode_to_vec();
    assert_eq!(said(&raw.call(CHECK, &good, None).await.check_response()).status, 200);
    // Cut, of another type, and with a text that is not UTF-8.
    for message in [&good[..good.len() - 1], &[0xff; 8], &[0x0a, 0x04, 0x52, 0x02, 0x0a, 0xff]] {
        let answer = said(&raw.call(CHECK, message, None).await.check_response());
        assert_eq!((answer.status, answer.reason.as_str()), (400, "malformed_request"), "{message:?}");
    }
    // Nothing at all is a check without attributes.
    assert_eq!(said(&raw.call(CHECK, &[], None).await.check_response()).reason, "malformed_request");
}

#[tokio::test]
async fn the_listener_reports_its_health_under_both_names() {
    let server = Server::start(SHOP, &[]).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", server.port("ext_authz"))).unwrap();
    let mut client = HealthClient::new(endpoint.connect().await.unwrap());
    for service in ["", "envoy.service.auth.v3.Authorization"] {
        let request = || HealthCheckRequest { service: service.to_owned() };
        while client.check(request()).await.unwrap().into_inner().status != 1 {
            tokio::task::yield_now().await;
        }
    }
    let stranger = client.check(HealthCheckRequest { service: "none".to_owned() }).await;
    assert_eq!(stranger.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn p36_only_the_exact_method_is_served_and_reflection_is_not() {
    let server = Server::start(SHOP, &[]).await;
    let raw = Raw::new(&server.port("ext_authz"));
    let message = orders().0.encode_to_vec();
    let others = [
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/picket.v1.Admin/Explain",
        "/envoy.service.auth.v3.Authorization/check",
        "/envoy.service.auth.v3.Authorization/Check/",
        "/envoy.service.auth.v3.authorization/Check",
        "/envoy.service.auth.v2.Authorization/Check",
        "/envoy.service.auth.v3.Authorization",
        "//envoy.service.auth.v3.Authorization/Check",
        "/envoy.service.auth.v3.Authorization/%43heck",
        "/",
    ];
    for path in others {
        let answer = raw.call(path, &message, None).await;
        assert!(answer.message.is_none(), "{path} was served: {answer:?}");
        assert_eq!(answer.code, Some(Code::Unimplemented), "{path}");
    }
}

#[tokio::test]
async fn requests_other_than_grpc_get_no_answer_that_allows() {
    let server = Server::start(SHOP, &[]).await;
    let url = format!("http://{}{CHECK}", server.port("ext_authz"));
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    for request in [client.get(&url), client.post(&url).header("content-type", "application/json").body("{}")] {
        let answer = request.send().await.unwrap();
        let code = answer.headers().get("grpc-status").map(|code| code.to_str().unwrap().to_owned());
        assert!(code.as_deref() != Some("0"), "{code:?}");
        let message = CheckResponse::decode(answer.bytes().await.unwrap().slice(5..)).unwrap();
        assert_eq!(said(&message).reason, "malformed_request");
    }
    // HTTP/1.1 is not supported at all.
    let old = reqwest::Client::builder().http1_only().no_proxy().build().unwrap();
    assert!(old.post(&url).body("x").send().await.is_err());
}

#[tokio::test]
async fn a_server_that_leaves_takes_no_new_connection_and_ends_in_good_order() {
    let mut server = Server::start(SHOP, &["shutdown.drain_timeout=5s"]).await;
    let mut client = server.client().await;
    assert_eq!(client.ask(orders()).await.status, 200);
    let address = format!("http://{}", server.port("ext_authz"));
    assert!(matches!(server.end().await, picket::server::Ended::Drained(_)));
    assert!(AuthorizationClient::connect(address).await.is_err());
    assert!(client.0.check(orders().0).await.is_err());
}
