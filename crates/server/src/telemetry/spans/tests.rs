//! Properties of spans.

use std::sync::Mutex;

use super::*;
use crate::telemetry::tests::Scene;
use picket_core::failure::Code;

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

fn spans(sample_roots: f64, scenes: &[Scene]) -> Vec<SpanData> {
    let kept = Kept::default();
    let spans = Spans::with_exporter(kept.clone(), sample_roots, "1");
    for scene in scenes {
        spans.emit(&scene.seen());
    }
    spans.provider.force_flush().unwrap();
    kept.0.lock().unwrap().clone()
}

fn with_parent(parent: &str) -> Scene {
    let mut scene = Scene::denied();
    scene.verdict().determining = vec!["shop/no".to_owned()];
    scene.trace_parent = Some(parent.to_owned());
    scene
}

fn attribute(span: &SpanData, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
    found.map(|attribute| attribute.value.to_string()).unwrap_or_default()
}

#[test]
fn a_sampled_parent_gets_one_child_with_the_verdict_and_its_times() {
    let spans = spans(0.0, &[with_parent(SAMPLED)]);
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(span.span_context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(span.parent_span_id.to_string(), "b7ad6b7169203331");
    assert_eq!(attribute(span, "picket.decision"), "deny");
    assert_eq!(attribute(span, "picket.reason"), "no_permit");
    assert_eq!(attribute(span, "picket.policy.ids"), "[\"shop/no\"]");
    assert_eq!(attribute(span, "picket.decision_id"), uuid::Uuid::from_u128(7).to_string());
    assert_eq!(span.status, Status::Unset, "a deny is an answer");
    assert_eq!(span.start_time, SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123));
    assert_eq!(span.end_time, span.start_time + Duration::from_micros(80));
}

#[test]
fn the_mesh_decides_what_is_sampled() {
    assert_eq!(spans(1.0, &[with_parent(UNSAMPLED)]).len(), 0, "the parent's no counts");
    assert_eq!(spans(0.0, &[Scene::denied(), with_parent("garbage")]).len(), 0);
    assert_eq!(spans(1.0, &[Scene::denied(), with_parent("garbage")]).len(), 2);
}

#[test]
fn only_trouble_of_our_own_is_an_error() {
    let failed = |code| Scene { trace_parent: Some(SAMPLED.to_owned()), ..Scene::failed(code) };
    let spans = spans(0.0, &[failed(Code::Internal), failed(Code::TokenExpired)]);
    assert_eq!(spans[0].status, Status::error("internal"));
    assert_eq!(spans[1].status, Status::Unset);
    assert_eq!(attribute(&spans[1], "picket.reason"), "token_expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_costs_spans_and_not_the_deadline() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let settings = Settings { endpoint, sample_roots: 1.0, timeout: Duration::from_secs(1) };
    let spans = Spans::start(&settings, "1").unwrap();
    for _ in 0..100 {
        spans.emit(&Scene::denied().seen());
    }
    let began = Instant::now();
    spans.shutdown(began + Duration::from_secs(3)).await;
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert_eq!(spans.sent()[0].value, 0.0);
}

#[test]
fn without_a_runtime_the_start_is_refused_and_does_not_panic() {
    let settings =
        Settings { endpoint: "http://127.0.0.1:4317".to_owned(), sample_roots: 0.0, timeout: Duration::from_secs(1) };
    assert!(matches!(Spans::start(&settings, "1"), Err(SpansError::NoRuntime)));
}
