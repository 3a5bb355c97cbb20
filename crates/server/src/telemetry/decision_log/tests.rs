//! Properties of the decision log from end to end.

use std::io::Read;
use std::time::Duration;

use super::*;
use crate::telemetry::tests::{Scene, fifo};
use picket_core::obligation::Mutations;

fn numbers(text: &str, key: &str) -> Vec<u64> {
    text.lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter_map(|record| record.get(key)?.as_u64())
        .collect()
}

#[tokio::test]
async fn lost_records_are_reported_by_gap_records_in_the_log_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = fifo(folder.path());
    let settings = Settings { sink: Sink::File(path.clone()), queue_events_max: 4, ..Settings::default() };
    let log = DecisionLog::start(&settings).unwrap();
    for _ in 0..100 {
        log.offer(&Scene::denied().seen());
    }
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        std::fs::File::open(path).unwrap().read_to_string(&mut text).unwrap();
        text
    });
    log.shutdown(Instant::now() + Duration::from_secs(10)).await;
    let text = reader.join().unwrap();
    let gaps = numbers(&text, "gap");
    let records = numbers(&text, "status").len();
    assert!(!gaps.is_empty());
    assert_eq!(gaps.iter().sum::<u64>() + u64::try_from(records).unwrap(), 100);
    assert!(text.contains(&format!("{{\"v\":1,\"gap\":{}}}\n", gaps[0])));
}

#[tokio::test]
async fn sampling_leaves_out_allows_and_never_anything_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let settings = Settings { sink: Sink::File(path.clone()), sample_allows: 0.0, ..Settings::default() };
    let log = DecisionLog::start(&settings).unwrap();
    for scene in [
        Scene::allowed(Mutations::default()),
        Scene::denied(),
        Scene::failed(picket_core::failure::Code::Internal),
        Scene::allowed(Mutations::default()),
    ] {
        log.offer(&scene.seen());
    }
    log.shutdown(Instant::now() + Duration::from_secs(10)).await;
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(!text.contains("\"allow\""));
    assert_eq!(log.dropped().iter().map(|sample| sample.value).sum::<f64>(), 0.0, "left out is not lost");
}

#[test]
fn a_share_of_allows_is_a_share() {
    let settings = Settings { sink: Sink::None, sample_allows: 0.25, ..Settings::default() };
    let log = DecisionLog::start(&settings).unwrap();
    let mut scene = Scene::allowed(Mutations::default());
    let mut sampled = 0;
    for _ in 0..10_000 {
        scene.decision_id = uuid::Uuid::now_v7();
        sampled += u32::from(log.is_sampled(scene.seen().decision_id));
    }
    assert!((2_000..3_000).contains(&sampled), "{sampled} of 10,000");
}
