//! Policies in shadow mode: they read a copy, and change nothing of a response.

use picket::check::response::Outcome;
use picket::check::response_phase::{Begin, Content, Ending, Passage, Progress, Reading, ResponsePhase as _};
use tokio::time::{Duration, Instant};

use super::bench::{Bench, head, mcp, outcome, record, sent};
use super::{MASK, OF_A_TOOL, PERMITS, REFUSE};
use crate::harness::{orders, said};

const SHADOW: &str = r#"@id("shadow") @remedy("mask") @mask("iban")
forbid (principal, action == Action::"release", resource in Service::"shop/orders")
when { context.found.contains("iban") };"#;
const CARD: &str = "4111 1111 1111 1111";
const IBAN: &str = "DE89 3704 0044 0532 0130 00";

/// What leaves of a body in pieces of so many bytes.
async fn left(bench: &Bench, content_type: &str, body: &str, size: usize) -> (String, &'static str) {
    let record = record(&bench.direct.ask(orders().0).await).unwrap_or_default();
    let responses = super::bench::phase(bench.responses.clone());
    let head = sent(&record, &[("content-type", content_type)], Content::Follows);
    let Reading { body: mut reader, .. } = match responses.begin(head, Instant::now() + Duration::from_secs(60)).await {
        Begin::Pass => return (body.to_owned(), "pass"),
        Begin::Release => return (body.to_owned(), "release"),
        Begin::Refuse(denial) => return (String::from_utf8(denial.body).unwrap(), "refuse"),
        Begin::Read(reading) => reading,
        Begin::Watch(mut copy, passage) => {
            body.as_bytes().chunks(size).for_each(|piece| copy.push(piece));
            copy.finish();
            let passes = match passage {
                Passage::Unchanged => "pass",
                Passage::Private => "release",
            };
            return (body.to_owned(), passes);
        }
    };
    let mut out = Vec::new();
    for piece in body.as_bytes().chunks(size) {
        if reader.push(piece, &mut out) != Progress::More {
            return (String::from_utf8(out).unwrap(), "ended");
        }
    }
    let ending = reader.finish(&mut out);
    (String::from_utf8(out).unwrap(), if ending == Ending::Complete { "complete" } else { "refused" })
}

#[tokio::test]
async fn policies_in_shadow_mode_change_no_byte_of_a_response() {
    let text = format!("pay {CARD} from {IBAN} with AKIAIOSFODNN7EXAMPLE now");
    let json = format!(r#"{{"a": "{CARD}", "b": ["{IBAN}", "AKIAIOSFODNN7EXAMPLE"]}}"#);
    let events = format!("data: {json}\n\ndata: {text}\n\ndata: [DONE]\n\n");
    let by_status =
        r#"@id("s") forbid (principal, action == Action::"release", resource) when { context.status == 500 };"#;
    for policies in [&[PERMITS][..], &[PERMITS, MASK], &[PERMITS, by_status], &[]] {
        let plain = Bench::new(policies).await;
        for shadow in [&[SHADOW][..], &[REFUSE], &[SHADOW, REFUSE]] {
            let bench = Bench::with_shadow(policies, shadow).await;
            for (content_type, body) in [
                ("text/plain", &text),
                ("application/json", &json),
                ("text/event-stream", &events),
                ("image/png", &text),
            ] {
                for size in [1, 7, 10_000] {
                    let [is, was] = [&bench, &plain].map(|bench| left(bench, content_type, body, size));
                    assert_eq!(is.await, was.await, "{policies:?} {shadow:?} {content_type} {size}");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_would_have_happened_is_reported_with_its_policies() {
    let released = "nothing here".to_owned();
    let iban = format!("from {IBAN} to it");
    let both = format!("{CARD} and {IBAN} are values");
    let key = "the key AKIAIOSFODNN7EXAMPLE is out".to_owned();
    let masks = MASK.replace("shop/orders", "shop/pages");
    for (policies, shadow, text, is, would_be, is_different, determining) in [
        (&[PERMITS][..], &[SHADOW][..], &iban, "released", "masked", true, "mesh/shadow"),
        (&[PERMITS], &[SHADOW], &released, "released", "released", false, "mesh/release"),
        (&[PERMITS, MASK], &[SHADOW], &both, "masked", "masked", true, "mesh/shadow"),
        (&[PERMITS, MASK], &[REFUSE], &key, "released", "refused", true, "mesh/refuse"),
        (&[PERMITS, &masks], &[REFUSE], &key, "released", "refused", true, "mesh/refuse"),
    ] {
        let bench = Bench::with_shadow(policies, shadow).await;
        for content_type in ["text/plain", "text/event-stream"] {
            let body = format!("data: {text}\n\n");
            drop(left(&bench, content_type, &body, 5).await);
            let reported = bench.all();
            assert_eq!(reported.len(), 1, "{reported:?}");
            let shadowed = reported[0].would_be.as_ref().unwrap();
            assert_eq!((reported[0].outcome.as_str(), shadowed.outcome_as_str()), (is, would_be), "{text}");
            assert_eq!(shadowed.is_different, is_different, "{text}");
            assert!(shadowed.determining.iter().any(|id| id == determining), "{shadowed:?}");
            // Detectors that only policies in shadow mode read do not count as findings of the response.
            assert!(!reported[0].summary.findings.contains_key("iban"), "{reported:?}");
        }
    }
    let none = Bench::new(&[PERMITS, MASK]).await;
    drop(left(&none, "text/plain", &iban, 5).await);
    assert_eq!(none.last().would_be, None);
}

#[tokio::test]
async fn a_body_that_is_not_read_would_be_refused_by_policies_in_shadow_mode() {
    for policies in [&[PERMITS][..], &[PERMITS, MASK]] {
        let bench = Bench::with_shadow(policies, &[SHADOW]).await;
        drop(left(&bench, "application/octet-stream", "x", 5).await);
        let would_be = bench.last().would_be.unwrap();
        assert_eq!((would_be.outcome, would_be.reason), (Some(Outcome::Refused), Some("not_inspected")));
    }
}

#[tokio::test]
async fn a_permit_in_shadow_mode_shows_that_it_would_release() {
    let requests = r#"@id("all") permit (principal, action in Action::"any", resource);"#;
    let permit = r#"@id("release") permit (principal, action == Action::"release", resource);"#;
    let bench = Bench::with_shadow(&[requests], &[permit]).await;
    let record = bench.record(orders()).await;
    assert_eq!(outcome(&bench.begin(&record)), "no_permit");
    assert_eq!(bench.last().would_be.unwrap().outcome, Some(Outcome::Released));
}

#[tokio::test]
async fn policies_in_shadow_mode_refuse_no_call_and_require_no_record() {
    let bench = Bench::with_shadow(&[PERMITS], &[SHADOW, OF_A_TOOL]).await;
    assert_eq!(outcome(&bench.responses.begin(&head(None), picket::decision::allowance::Pace::Quick)), "pass");
    let task = mcp("tasks/result", r#"{"taskId":"t"}"#);
    assert_eq!(said(&bench.direct.ask(task.0).await).reason, "policy_permit");
    let tunnel = orders().header("upgrade", "websocket").header("connection", "upgrade");
    assert_eq!(said(&bench.direct.ask(tunnel.0).await).reason, "policy_permit");
    assert!(bench.all().is_empty());
}
