//! Records and counts of responses.

use std::time::Duration;

use expect_test::expect;
use tokio::time::Instant;

use crate::check::response::{Outcome, ResponseRecord, WouldBe};
use crate::telemetry::{Settings, Telemetry};
use picket_core::call::UnixMillis;
use picket_core::response::format::{ListCounts, Usage};
use picket_core::response::ruling::{End, Summary};

fn masked() -> ResponseRecord {
    ResponseRecord {
        at: UnixMillis(1_796_000_000_000),
        decision_id: Some(uuid::Uuid::from_u128(7)),
        service: Some("models/gateway".into()),
        status: 200,
        is_stream: true,
        outcome: Outcome::Masked,
        refusal: None,
        determining: vec!["mesh/mask".to_owned()],
        end: Some(End::Complete),
        summary: Summary {
            channels: 2,
            frames: 40,
            frames_unread: 1,
            frames_withheld: 3,
            findings: [("card".into(), 2), ("email".into(), 1)].into(),
            held_bytes_most: 512,
            usage: Some(Usage { input_tokens: 10, output_tokens: 20 }),
            lists: ListCounts { entries: 5, dropped: 2, refused: 0 },
        },
        held: Duration::from_micros(2_500),
        elapsed: Duration::from_millis(3),
        would_be: Some(WouldBe {
            outcome: None,
            reason: Some("overload"),
            determining: vec!["mesh/shadow".to_owned()],
            findings: [("iban".into(), 4)].into(),
            is_different: true,
        }),
        rulings: Vec::new(),
    }
}

#[tokio::test]
async fn a_response_is_logged_and_counted_without_its_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let settings = serde_json::json!({"decision_log": {"sink": {"file": path}}});
    let settings: Settings = serde_json::from_value(settings).unwrap();
    let telemetry = Telemetry::start(&settings, "test").unwrap();
    telemetry.finish_response(&masked());
    telemetry.finish_response(&ResponseRecord {
        service: None,
        outcome: Outcome::Released,
        end: None,
        would_be: None,
        ..masked()
    });
    let rendered = telemetry.metrics().render();
    let counted: Vec<&str> = rendered.lines().filter(|line| line.starts_with("picket_response")).collect();
    expect![[r#"
        picket_responses_total{outcome="masked",reason="complete"} 1.0
        picket_responses_total{outcome="released",reason="none"} 1.0
        picket_response_shadow_divergence_total{from="masked",to="unknown"} 1.0
        picket_response_findings_total{service="models/gateway",detector="card"} 2.0
        picket_response_findings_total{service="models/gateway",detector="email"} 1.0
        picket_response_frames_total{result="unread"} 2.0
        picket_response_frames_total{result="withheld"} 6.0
        picket_response_list_entries_total{result="kept"} 6.0
        picket_response_list_entries_total{result="dropped"} 4.0
        picket_response_held_bytes_most 512.0
        picket_response_held_seconds_most 0.0025"#]]
    .assert_eq(&counted.join("\n"));
    telemetry.shutdown(Instant::now() + Duration::from_secs(10)).await;
    let written = std::fs::read_to_string(&path).unwrap();
    expect![[r#"{"v":1,"phase":"response","decision_id":"00000000-0000-0000-0000-000000000007","time":"2026-11-30T00:53:20.000Z","service":"models/gateway","status":200,"stream":true,"outcome":"masked","determining":["mesh/mask"],"end":"complete","findings":{"card":2,"email":1},"channels":2,"frames":40,"frames_unread":1,"frames_withheld":3,"list_entries":5,"list_entries_dropped":2,"held_bytes":512,"held_micros":2500,"input_tokens":10,"output_tokens":20,"micros":3000,"would_be":{"outcome":"unknown","reason":"overload","determining":["mesh/shadow"],"findings":{"iban":4}}}"#]]
    .assert_eq(written.lines().next().unwrap());
}
