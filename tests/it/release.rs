//! Release records: what a check evaluated arrives at the response of its call, and nowhere else.

mod bench;
mod ends;
mod lists;
mod requests;
mod shadow;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::service::auth::v3::authorization_server::Authorization as _;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use picket::call::UnixMillis;
use picket::check::release_record::ReleaseSealer;
use picket::check::response::{Begun, Outcome, ResponseChecker, ResponseHead};
use picket::decision::allowance::Pace;
use picket::release::ReleaseKey;
use picket::response::ruling::{End, Ruling, Summary};

use crate::harness::{orders, said};
use crate::support::NOW;
use bench::{Bench, head, masked, mcp, metadata, outcome, record, resumed, seen};

const PERMITS: &str = r#"@id("all") permit (principal, action in Action::"any", resource);
@id("release") permit (principal, action == Action::"release", resource);"#;
const MASK: &str = r#"@id("mask") @remedy("mask") @mask("card")
forbid (principal, action == Action::"release", resource in Service::"shop/orders")
when { context.found.contains("card") }
unless { principal in Group::"storefront" && context.status == 201 };"#;
const REFUSE: &str = r#"@id("refuse") forbid (principal, action == Action::"release", resource in Service::"shop/orders")
when { context.found.contains("aws_key") };"#;
const OF_A_TOOL: &str = r#"@id("tool") forbid (principal, action == Action::"release", resource in Tool::"agents/tickets/read")
when { context.found.contains("card") };"#;

#[tokio::test]
async fn a_response_is_evaluated_for_the_caller_and_the_resource_of_its_check() {
    let bench = Bench::new(&[PERMITS, MASK, REFUSE]).await;
    let answer = bench.direct.ask(orders().0).await;
    let mut response = bench.read(&record(&answer).unwrap());
    assert_eq!(response.rule(&seen(&[], true)), masked(&[]));
    assert_eq!(response.rule(&seen(&["iban"], true)), masked(&[]));
    assert_eq!(response.rule(&seen(&["iban", "card"], true)), masked(&["card"]));
    assert_eq!(response.rule(&seen(&["card", "aws_key"], true)), Ruling::Refuse);
    assert_eq!(response.rule(&seen(&[], true)), Ruling::Refuse, "a refusal stays");
    assert_eq!(response.refusal().unwrap().determining, ["mesh/mask", "mesh/refuse"]);
    response.finish(End::Refused, Summary::default(), Duration::ZERO);
    let reported = bench.last();
    assert_eq!(reported.outcome, Outcome::Refused);
    assert_eq!(reported.determining, ["mesh/mask", "mesh/refuse"], "a permit did not refuse it");
    assert_eq!(reported.decision_id.unwrap().to_string(), metadata(&answer)["decision_id"].as_str().unwrap());

    // The same policies, and a status for which the caller's group is excepted.
    let record = record(&answer).unwrap();
    let created = ResponseHead { status: 201, ..head(Some(&record)) };
    let Begun::Read(mut response) = bench.responses.begin(&created, Pace::Quick) else { panic!("not read") };
    assert_eq!(response.rule(&seen(&["card"], true)), masked(&[]));
    let other = bench.record(orders().by("spiffe://cluster.local/ns/web/sa/other")).await;
    let created = ResponseHead { status: 201, ..head(Some(&other)) };
    let Begun::Read(mut response) = bench.responses.begin(&created, Pace::Quick) else { panic!("not read") };
    assert_eq!(response.rule(&seen(&["card"], true)), masked(&["card"]));
    let mut summary = Summary::default();
    summary.findings.insert("card".into(), 2);
    response.finish(End::Complete, summary, Duration::ZERO);
    assert_eq!(bench.last().outcome, Outcome::Masked);
}

#[tokio::test]
async fn a_response_without_a_record_of_its_own_call_is_refused() {
    let bench = Bench::new(&[PERMITS, MASK]).await;
    let good = bench.record(orders()).await;
    let denied = bench.record(orders().service("shop/none")).await;
    let mut forged = good.clone();
    forged.replace_range(20..21, if &good[20..21] == "A" { "B" } else { "A" });
    let foreign = ReleaseSealer::new(ReleaseKey::new(&[2; 32]).unwrap(), Duration::from_secs(60));
    let other_key = ResponseChecker { sealer: Arc::new(foreign), ..bench.responses.clone() };
    let late = UnixMillis(NOW.0 + 60_001);
    let version = good.replace("picket1.", "picket2.");
    let local = Some("ext_authz_denied");
    for (case, head, expected) in [
        ("its own", head(Some(&good)), "read"),
        ("none", head(None), "release_unbound"),
        ("empty", head(Some("")), "release_unbound"),
        ("forged", head(Some(&forged)), "release_unbound"),
        ("of an unknown version", head(Some(&version)), "release_unbound"),
        ("at another proxy", ResponseHead { proxy: "spiffe://td/ns/a/sa/b", ..head(Some(&good)) }, "release_unbound"),
        ("too late", ResponseHead { at: late, ..head(Some(&good)) }, "release_unbound"),
        ("of a denied call", head(Some(&denied)), "release_unbound"),
        (
            "of a denied call, from upstream",
            ResponseHead { code_details: Some("via_upstream"), ..head(Some(&denied)) },
            "release_unbound",
        ),
        (
            "of a denied call, from a cache",
            ResponseHead { code_details: Some("cache.response_from_cache_filter"), ..head(Some(&denied)) },
            "release_unbound",
        ),
        ("of a denied call, from the proxy", ResponseHead { code_details: local, ..head(Some(&denied)) }, "pass"),
        ("none, from the proxy", ResponseHead { code_details: local, ..head(None) }, "pass"),
        ("none, without details", ResponseHead { code_details: Some(""), ..head(None) }, "release_unbound"),
        ("forged, from the proxy", ResponseHead { code_details: local, ..head(Some(&forged)) }, "release_unbound"),
        ("its own, from the proxy", ResponseHead { code_details: local, ..head(Some(&good)) }, "read"),
    ] {
        assert_eq!(outcome(&bench.responses.begin(&head, Pace::Quick)), expected, "{case}");
    }
    assert_eq!(outcome(&other_key.begin(&head(Some(&good)), Pace::Quick)), "release_unbound");
}

#[tokio::test]
async fn only_services_with_policies_about_responses_are_read() {
    let open = Bench::new(&[PERMITS]).await;
    open.recatalogue(&[PERMITS], "batches: each", "lists: unfiltered").await;
    let answer = open.direct.ask(orders().0).await;
    assert_eq!(record(&answer), None, "no policy can change any response");
    assert_eq!(outcome(&open.responses.begin(&head(None), Pace::Quick)), "pass");

    let bench = Bench::new(&[PERMITS, MASK]).await;
    let pages = bench.record(orders().service("shop/pages")).await;
    assert!(pages.len() < 160, "a short one: {pages}");
    assert_eq!(outcome(&bench.begin(&pages)), "pass");
    // A record of an open service says nothing about its caller.
    let all = MASK.replace("resource in Service::\"shop/orders\"", "resource");
    bench.reload(&[PERMITS, &all]).await;
    assert_eq!(outcome(&bench.begin(&pages)), "release_unbound");

    let by_status =
        r#"@id("s") forbid (principal, action == Action::"release", resource) when { context.status == 500 };"#;
    let bench = Bench::new(&[PERMITS, by_status]).await;
    let sent = bench.record(orders()).await;
    assert_eq!(outcome(&bench.begin(&sent)), "pass", "the headers suffice");
    assert_eq!(bench.last().outcome, Outcome::Released);
    let failed = ResponseHead { status: 500, ..head(Some(&sent)) };
    assert_eq!(outcome(&bench.responses.begin(&failed, Pace::Quick)), "policy_forbid");
    assert_eq!(bench.last().outcome, Outcome::Refused);

    let none = Bench::new(&[r#"@id("all") permit (principal, action in Action::"any", resource);"#]).await;
    let sent = none.record(orders()).await;
    assert_eq!(outcome(&none.begin(&sent)), "no_permit");
}

#[tokio::test]
async fn services_of_guarded_responses_are_requested_without_compression_and_ranges() {
    let bench = Bench::new(&[PERMITS, MASK]).await;
    for (service, expected) in [("shop/orders", true), ("shop/pages", false)] {
        let asked = orders().service(service).header("accept-encoding", "br").header("range", "bytes=1-");
        let answer = bench.direct.ask(asked.0).await;
        let Some(HttpResponse::OkResponse(ok)) = answer.http_response else { panic!("{answer:?}") };
        let set: Vec<_> = ok.headers.iter().filter_map(|one| one.header.as_ref()).collect();
        let identity = set.iter().any(|header| header.key == "accept-encoding" && header.value == "identity");
        let removes = |name: &str| ok.headers_to_remove.iter().any(|removed| removed == name);
        assert_eq!([identity, removes("range"), removes("if-range")], [expected; 3], "{service}");
        assert!(!removes("accept-encoding"), "Envoy would remove what was set");
    }
    // Envoy removes after it sets: a permit that removes the header must not undo this.
    let removing = r#"@id("plain") @remove_headers("accept-encoding")
        permit (principal, action in Action::"any", resource);"#;
    let bench = Bench::new(&[PERMITS, MASK, removing]).await;
    let answer = bench.direct.ask(orders().header("accept-encoding", "br").0).await;
    let Some(HttpResponse::OkResponse(ok)) = answer.http_response else { panic!("{answer:?}") };
    assert!(!ok.headers_to_remove.iter().any(|removed| removed == "accept-encoding"), "{ok:?}");
    assert!(ok.headers.iter().filter_map(|one| one.header.as_ref()).any(|header| header.value == "identity"));
    let sets = r#"@id("range") @set_headers("range=bytes=0-") permit (principal, action in Action::"any", resource);"#;
    let bench = Bench::new(&[PERMITS, MASK, sets]).await;
    assert_eq!(said(&bench.direct.ask(orders().0).await).reason, "obligation_unmet");
}

#[tokio::test]
async fn a_record_that_lacks_what_the_active_policies_read_is_refused() {
    let bench = Bench::new(&[PERMITS, MASK]).await;
    let record = bench.record(orders()).await;
    let by_other_group = MASK.replace("storefront", "others");
    let by_less = MASK.replace("principal in Group::\"storefront\" &&", "");
    for (policies, expected) in [(by_other_group, "release_unbound"), (by_less, "read"), (MASK.to_owned(), "read")] {
        bench.reload(&[PERMITS, &policies]).await;
        assert_eq!(outcome(&bench.begin(&record)), expected, "{policies}");
    }
}

#[tokio::test]
async fn policies_that_change_under_a_response_only_make_it_stricter() {
    let added = r#"@id("more") forbid (principal, action == Action::"release", resource) when { context.found.contains("iban") };"#;
    let unrelated = r#"@id("x") forbid (principal, action == Action::"GET", resource in Service::"shop/pages");"#;
    let only_requests = r#"@id("all") permit (principal, action in Action::"any", resource);"#;
    for (case, later, found, expected) in [
        ("nothing", &[PERMITS, MASK, REFUSE][..], &["card"][..], masked(&["card"])),
        ("an unrelated policy", &[PERMITS, MASK, REFUSE, unrelated], &["card"], masked(&["card"])),
        ("a forbid is gone: what was masked stays masked", &[PERMITS, MASK], &["card"], masked(&["card"])),
        ("the mask is gone: what was masked stays masked", &[PERMITS, REFUSE], &["card"], masked(&["card"])),
        ("everything is released: what was masked stays masked", &[PERMITS], &["card"], masked(&["card"])),
        ("a forbid that needs another search", &[PERMITS, MASK, REFUSE, added], &["card"], Ruling::Refuse),
        ("the permit is gone", &[only_requests, MASK, REFUSE], &["card"], Ruling::Refuse),
    ] {
        let bench = Bench::new(&[PERMITS, MASK, REFUSE]).await;
        let mut response = bench.read(&bench.record(orders()).await);
        assert_eq!(response.rule(&seen(&["card"], true)), masked(&["card"]), "{case}");
        assert!(!response.is_outdated(), "{case}");
        bench.reload(later).await;
        assert_eq!(response.is_outdated(), case != "nothing", "{case}");
        assert_eq!(response.rule(&seen(found, true)), expected, "{case}");
    }
}

#[tokio::test]
async fn an_unread_part_is_refused_unless_a_policy_tests_for_it() {
    let tests = r#"@id("unread") forbid (principal, action == Action::"release", resource)
        when { context.status == 418 && !context.inspected };"#;
    for (policies, expected) in [(&[PERMITS, MASK][..], Ruling::Refuse), (&[PERMITS, MASK, tests], masked(&[]))] {
        let bench = Bench::new(policies).await;
        let mut response = bench.read(&bench.record(orders()).await);
        assert_eq!(response.rule(&seen(&[], false)), expected, "{policies:?}");
        let reason = response.refusal().map(|refusal| refusal.reason.as_str());
        assert_eq!(reason, (expected == Ruling::Refuse).then_some("not_inspected"));
    }
}

#[tokio::test]
async fn a_result_of_another_call_is_not_released_where_policies_distinguish_resources() {
    let of_service = OF_A_TOOL.replace("Tool::\"agents/tickets/read\"", "Service::\"agents/tickets\"");
    let calls = || {
        [
            ("a task's result", mcp("tasks/result", r#"{"taskId":"t"}"#)),
            ("a resumed stream", resumed()),
            ("a tool", mcp("tools/call", r#"{"name":"read","arguments":{}}"#)),
        ]
    };
    for (policies, expected) in [
        (&[PERMITS, OF_A_TOOL][..], ["release_foreign", "release_foreign", "policy_permit"]),
        (&[PERMITS, &of_service], ["policy_permit"; 3]),
    ] {
        let bench = Bench::new(policies).await;
        for ((case, call), expected) in calls().into_iter().zip(expected) {
            assert_eq!(said(&bench.direct.ask(call.0).await).reason, expected, "{case}: {policies:?}");
        }
    }
    // Policies that arrive after the check.
    let bench = Bench::new(&[PERMITS, &of_service]).await;
    let records = [bench.record(calls()[0].1.clone()).await, bench.record(calls()[2].1.clone()).await];
    let later = OF_A_TOOL.replace("in Tool::\"agents/tickets/read\"", "in Service::\"agents/tickets\"");
    let later = later.replace("when {", "when { (resource in Tool::\"agents/tickets/read\" || true) &&");
    bench.reload(&[PERMITS, &later]).await;
    // The records do not say whether the resource lies in the tool.
    assert_eq!(records.each_ref().map(|record| outcome(&bench.begin(record))), ["release_unbound", "release_unbound"]);
}

#[tokio::test]
async fn answers_from_the_cache_have_records_of_their_own() {
    let bench = Bench::new(&[PERMITS, MASK]).await;
    let (memory, authz) = bench.cached();
    let mut records = BTreeSet::new();
    for _ in 0..4 {
        let answer = authz.check(tonic::Request::new(orders().0)).await.unwrap().into_inner();
        let text = record(&answer).unwrap();
        let mut response = bench.read(&text);
        assert_eq!(response.rule(&seen(&["card"], true)), masked(&["card"]));
        response.finish(End::Complete, Summary::default(), Duration::ZERO);
        let decision = metadata(&answer)["decision_id"].as_str().unwrap().to_owned();
        assert_eq!(bench.last().decision_id.unwrap().to_string(), decision);
        records.insert((text, decision));
    }
    assert_eq!(records.len(), 4);
    assert_eq!(memory.stats().hits.load(std::sync::atomic::Ordering::Relaxed), 3, "three answers are from the cache");
}

#[tokio::test]
async fn facts_that_only_policies_about_responses_read_are_in_the_record() {
    let by_address = r#"@id("a") forbid (principal, action == Action::"release", resource)
        when { context.env has sourceIp && context.env.sourceIp.isInRange(ip("10.0.0.0/8")) };"#;
    let bench = Bench::new(&[PERMITS, by_address]).await;
    let (_, authz) = bench.cached();
    for (address, expected) in
        [("10.0.0.1", "policy_forbid"), ("192.0.2.1", "pass"), ("10.0.0.1", "policy_forbid"), ("192.0.2.1", "pass")]
    {
        let sent = crate::memory::from(orders(), Some(address));
        let answer = authz.check(tonic::Request::new(sent.0)).await.unwrap().into_inner();
        assert_eq!(outcome(&bench.begin(&record(&answer).unwrap())), expected, "{address}");
    }
}
