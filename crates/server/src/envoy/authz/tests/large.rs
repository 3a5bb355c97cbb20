//! Large checks: decoded in their connection's lane, and otherwise answered as all are.

use envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest;

use super::*;
use crate::lanes::Lane;

fn large(path: &str) -> Message {
    let mut request = request(path);
    let http = request.attributes.as_mut().unwrap().request.as_mut().unwrap().http.as_mut().unwrap();
    *http = HttpRequest { raw_body: vec![b'x'; 100_000], ..http.clone() };
    let message = Message::of(request.encode_to_vec().into());
    assert!(matches!(message, Message::Large(_)));
    message
}

/// A service whose answers do not depend on how busy this machine is.
fn patient(judge: Fake) -> Bench {
    let mut bench = Bench::new(judge);
    bench.authz.settings.deadline = Duration::from_secs(60);
    bench
}

async fn ask(bench: &Bench, check: Message, lane: &Lane, timeout: Option<&str>) -> CheckResponse {
    let mut metadata = MetadataMap::new();
    if let Some(timeout) = timeout {
        metadata.insert("grpc-timeout", timeout.parse().unwrap());
    }
    let client = Client { lane: Some(lane.clone()), ..Client::default() };
    let reply = bench.authz.reply_since(Instant::now(), Ok(check), client, &metadata).await;
    reply.unwrap().into_response().unwrap()
}

#[tokio::test]
async fn a_large_check_waits_for_its_connections_lane_and_a_small_one_for_nothing() {
    let (bench, lane) = (patient(Fake::Allows), Lane::new());
    let closed = lane.closed().await;
    let mut waits = Box::pin(ask(&bench, large("/"), &lane, None));
    assert!(futures_util::poll!(&mut waits).is_pending());
    let small = Message::of(request("/").encode_to_vec().into());
    let quick = ask(&bench, small, &lane, None).now_or_never().unwrap();
    assert_eq!(quick.status.unwrap().code, 0);
    assert!(futures_util::poll!(&mut waits).is_pending());
    // Another connection's goes on meanwhile.
    assert_eq!(ask(&bench, large("/"), &Lane::new(), None).await.status.unwrap().code, 0);
    assert!(futures_util::poll!(&mut waits).is_pending());
    drop(closed);
    assert_eq!(waits.await.status.unwrap().code, 0);
    assert!(bench.seen().iter().all(|line| line.starts_with("edge policy_permit 200") && line.contains("r-1")));
}

#[tokio::test]
async fn a_large_check_that_is_not_decoded_in_time_is_denied_at_its_deadline() {
    let (bench, lane) = (Bench::new(Fake::Allows), Lane::new());
    let _closed = lane.closed().await;
    let counted = Arc::new(());
    let Message::Large(mut check) = large("/") else { unreachable!("it is large") };
    check.counted = Box::new(Arc::clone(&counted));
    assert_eq!(denied(ask(&bench, Message::Large(check), &lane, Some("20m")).await), 503);
    assert!(bench.seen()[0].starts_with("edge deadline 503"), "{:?}", bench.seen());
    assert_eq!(Arc::strong_count(&counted), 1, "what was given up is still counted");
}

#[tokio::test]
async fn a_large_check_is_refused_with_the_codes_of_all_checks() {
    let lane = Lane::new();
    for (path, line) in [("/", "edge overload 503"), ("/../x", "edge path_refused 400")] {
        let bench = patient(Fake::Panics);
        let permit = (path == "/").then(|| bench.authz.in_flight.try_acquire().unwrap());
        denied(ask(&bench, large(path), &lane, None).await);
        drop(permit);
        let seen = bench.seen();
        assert!(seen[0].starts_with(line) && seen[0].contains("r-1") && seen[0].contains("00-a-b-01"), "{seen:?}");
    }
    let bench = patient(Fake::Panics);
    denied(ask(&bench, Message::of(vec![0xff; 100_000].into()), &lane, None).await);
    assert!(bench.seen()[0].starts_with("edge malformed_request 400"), "{:?}", bench.seen());
}

#[tokio::test]
async fn a_panic_while_a_large_check_is_decoded_is_a_denial() {
    let bench = patient(Fake::Allows);
    let Message::Large(mut check) = large("/") else { unreachable!("it is large") };
    check.join = Box::new(|| panic!("a literal"));
    assert_eq!(denied(ask(&bench, Message::Large(check), &Lane::new(), None).await), 503);
    assert_eq!(bench.authz.stats.panics(), 1);
}
