//! Every response that policies are about leaves exactly one record, however it ends.

use picket::check::response::{Outcome, ResponseRecord};
use picket::check::response_phase::{Begin, Content, ResponseBody, ResponsePhase as _, Stop};
use picket::response::ruling::End;
use tokio::time::{Duration, Instant};

use super::bench::{Bench, sent};
use super::{MASK, PERMITS, REFUSE};
use crate::harness::orders;

const KEY: &[u8] = b"AKIAIOSFODNN7EXAMPLE ";

/// What the edge does with a body before it drops it.
#[derive(Clone, Copy)]
enum Step {
    Push(&'static [u8]),
    Finish,
    Stop(Stop),
}

use Step::{Finish, Push};

fn act(mut body: Box<dyn ResponseBody>, steps: &[Step]) {
    let mut out = Vec::new();
    for step in steps {
        match step {
            Step::Push(bytes) => drop(body.push(bytes, &mut out)),
            Step::Finish => drop(body.finish(&mut out)),
            Step::Stop(stop) => drop(body.stop(*stop, &mut out)),
        }
    }
}

/// Begins a response, and takes these steps with its body.
async fn begun(bench: &Bench, record: &str, headers: &[(&str, &str)], steps: Option<&[Step]>) -> &'static str {
    let responses = super::bench::phase(bench.responses.clone());
    let content = if steps.is_some() { Content::Follows } else { Content::Absent };
    match responses.begin(sent(record, headers, content), Instant::now() + Duration::from_secs(60)).await {
        Begin::Pass => "pass",
        Begin::Release => "release",
        Begin::Watch(..) => "watch",
        Begin::Refuse(denial) => denial.reason,
        Begin::Read(reading) => {
            act(reading.body, steps.unwrap_or_default());
            "read"
        }
    }
}

type Reported = (Outcome, Option<End>, Option<&'static str>);

fn show(reported: &[ResponseRecord]) -> Vec<Reported> {
    let reason = |record: &ResponseRecord| record.refusal.as_ref().map(|refusal| refusal.reason.as_str());
    reported.iter().map(|record| (record.outcome, record.end, reason(record))).collect()
}

const RELEASED: Reported = (Outcome::Released, Some(End::Complete), None);
const MASKED: Reported = (Outcome::Masked, Some(End::Complete), None);

const fn ended(end: End) -> Reported {
    (Outcome::Refused, Some(end), None)
}

const fn refused(reason: &'static str) -> Reported {
    (Outcome::Refused, Some(End::Refused), Some(reason))
}

#[tokio::test]
async fn a_response_leaves_one_record_however_it_ends() {
    let bench = Bench::new(&[PERMITS, MASK, REFUSE]).await;
    let record = bench.record(orders()).await;
    let (long, many) = (Step::Stop(Stop::HeldTooLong), Step::Stop(Stop::Overload));
    let cases: [(&str, &str, Option<&[Step]>, Reported); 17] = [
        ("no body", "text/plain", None, RELEASED),
        ("an empty body", "text/plain", Some(&[Finish]), RELEASED),
        ("a body that is not read", "image/png", Some(&[]), refused("not_inspected")),
        ("a masked text", "text/plain", Some(&[Push(b"4111 1111 1111 1111"), Finish]), MASKED),
        ("a refused text", "text/plain", Some(&[Push(b"AKIAIOSFODNN7EXAMPLE is a key")]), refused("policy_forbid")),
        ("more behind it", "text/plain", Some(&[Push(KEY), Push(b"a"), Finish, many]), refused("policy_forbid")),
        (
            "a refused document",
            "application/json",
            Some(&[Push(b"[\""), Push(KEY), Push(b"\"]"), Finish]),
            refused("policy_forbid"),
        ),
        (
            "a refused stream",
            "text/event-stream",
            Some(&[Push(b"data: "), Push(KEY), Push(b"\n\n")]),
            refused("policy_forbid"),
        ),
        (
            "a card in a name",
            "application/json",
            Some(&[Push(b"{\"4111111111111111\": 1}"), Finish]),
            ended(End::NotMaskable),
        ),
        ("half of a character", "text/plain", Some(&[Push(b"a\xc3"), Finish]), ended(End::Cut)),
        ("a coding that lies", "gzip", Some(&[Push(b"plain")]), ended(End::Undecodable)),
        ("a coding without its end", "gzip", Some(&[Finish]), ended(End::Undecodable)),
        ("bytes held for too long", "application/json", Some(&[Push(b"{"), long]), ended(End::HeldTooLong)),
        ("too many bytes held", "application/json", Some(&[Push(b"{"), many]), ended(End::Overload)),
        ("the end behind a stop", "text/plain", Some(&[many, Finish, long]), ended(End::Overload)),
        ("a proxy that gives up in the body", "text/plain", Some(&[Push(b"some")]), ended(End::Abandoned)),
        ("a proxy that gives up before it", "text/plain", Some(&[]), ended(End::Abandoned)),
    ];
    for (case, content_type, steps, expected) in cases {
        let gzip = [("content-type", "application/json"), ("content-encoding", "gzip")];
        let headers = if content_type == "gzip" { &gzip[..] } else { &[("content-type", content_type)] };
        begun(&bench, &record, headers, steps).await;
        let reported = bench.all();
        assert_eq!(show(&reported), [expected], "{case}");
        assert!(reported[0].decision_id.is_some() && reported[0].service.is_some(), "{case}");
    }
    begun(&bench, "none", &[], Some(&[])).await;
    assert_eq!(show(&bench.all()), [(Outcome::Refused, None, Some("release_unbound"))]);
    let pages = bench.record(orders().service("shop/pages")).await;
    assert_eq!(begun(&bench, &pages, &[], Some(&[Finish])).await, "pass");
    assert_eq!(show(&bench.all()), [], "no policy is about it");
}

/// Policies that take too long where other calls wait.
fn costly() -> String {
    let tests: Vec<String> = (0..50).map(|n| format!("context.status == {}", 1_000 + n)).collect();
    let one = |n: usize| {
        let condition = tests.join(" || ");
        format!("@id(\"c{n}\") forbid (principal, action == Action::\"release\", resource) when {{ {condition} }};\n")
    };
    (0..300).map(one).collect()
}

#[tokio::test]
async fn a_head_that_is_not_evaluated_in_time_leaves_a_record() {
    let bench = Bench::new(&[PERMITS, MASK, &costly()]).await;
    let record = bench.record(orders()).await;
    let responses = super::bench::phase(bench.responses.clone());
    let head = || sent(&record, &[("content-type", "text/plain")], Content::Follows);
    let abandoned = ended(End::Abandoned);
    // Another thread may be done before the deadline is looked at: then nothing is late.
    let mut attempts = 0;
    loop {
        let begun = responses.begin(head(), Instant::now()).await;
        let is_late = matches!(&begun, Begin::Refuse(denial) if denial.reason == "deadline");
        drop(begun);
        let late = (Outcome::Refused, None, Some("deadline"));
        assert_eq!(show(&reported(&bench).await), [if is_late { late } else { abandoned }]);
        attempts += 1;
        assert!(attempts < 1_000, "it was never late");
        if is_late {
            break;
        }
    }
    // The same head with enough time, and a proxy that goes away meanwhile.
    let read = responses.begin(head(), Instant::now() + Duration::from_secs(60)).await;
    assert!(matches!(read, Begin::Read(_)));
    drop(read);
    let mut waiting = responses.begin(head(), Instant::now() + Duration::from_secs(60));
    let _ = futures_util::poll!(&mut waiting);
    drop(waiting);
    assert_eq!(show(&reported(&bench).await), [abandoned]);
    assert_eq!(show(&reported(&bench).await), [abandoned]);
    assert_eq!(show(&bench.all()), []);
}

/// The next record; it may come from another thread.
async fn reported(bench: &Bench) -> Vec<ResponseRecord> {
    let wait = async {
        loop {
            if let Some(record) = bench.first() {
                return vec![record];
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("a record within 30 s")
}
