//! A composed server: each metric of another module has a reader.

use crate::app::compose;
use crate::config::{Sources, load};
use crate::telemetry::metrics::table;

#[tokio::test]
async fn every_metric_of_another_module_is_read_at_a_scrape() {
    let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies");
    let file = format!("policies: {{dir: '{policies}'}}\ntelemetry: {{decision_log: {{sink: none}}}}\n");
    let sources = Sources { file: Some(("picket.yaml".to_owned(), file)), ..Sources::default() };
    let config = load(&sources).unwrap().config;
    let text = compose(config, None).await.unwrap().backend.metrics();
    let is_read = |name: &str| text.lines().any(|line| line.starts_with(name));
    // A metric with labels may have no series yet.
    let missing: Vec<_> = table::SOURCES
        .iter()
        .filter(|spec| spec.labels.is_empty() && !is_read(spec.name))
        .map(|spec| spec.name)
        .collect();
    assert!(missing.is_empty(), "no reader for {missing:?} in:\n{text}");
}
