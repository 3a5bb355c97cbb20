//! Meaning of the numbers.

use super::*;
use crate::telemetry::tests::{Scene, would_be};
use picket_core::decision::verdict::Reason;
use picket_core::failure::Code;
use picket_core::obligation::Mutations;

fn metrics(units: &[(&str, &[&str])]) -> Metrics {
    let metrics = Metrics::new("1.2.3");
    load(&metrics, units);
    metrics
}

fn load(metrics: &Metrics, units: &[(&str, &[&str])]) {
    let policies =
        units.iter().map(|(unit, ids)| ((*unit).to_owned(), ids.iter().map(|id| (*id).to_owned()).collect()));
    let digests = units.iter().map(|(unit, ids)| ((*unit).to_owned(), format!("digest{}", ids.len())));
    metrics.loaded(&policies.collect(), &digests.collect());
}

fn check(metrics: &Metrics, expected: &[&str]) {
    let text = metrics.render();
    for line in expected {
        assert!(text.lines().any(|found| found == *line), "no `{line}` in\n{text}");
    }
}

fn check_absent(metrics: &Metrics, part: &str) {
    let text = metrics.render();
    assert!(!text.contains(part), "`{part}` in\n{text}");
}

#[test]
fn the_generated_page_is_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, describe()).unwrap();
    }
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        page == describe(),
        "docs/metrics.md is out of date; if intended: UPDATE=1 cargo test --lib telemetry::metrics"
    );
}

#[test]
fn names_follow_the_conventions() {
    for spec in table::all() {
        assert_eq!(spec.name.ends_with("_total"), spec.kind == MetricKind::Counter, "{}", spec.name);
        assert!(spec.name.starts_with("picket_") || spec.name.starts_with("process_"), "{}", spec.name);
        assert!(!spec.help.ends_with('.') && !spec.help.contains(['\n', '|', '\\']), "{}", spec.name);
    }
}

#[test]
fn a_call_is_counted_under_its_namespace_only_if_that_is_loaded() {
    let metrics = metrics(&[("shop", &["shop/read"])]);
    let mut scene = Scene::denied();
    metrics.observe(&scene.seen());
    scene.query().namespace = "elsewhere".into();
    metrics.observe(&scene.seen());
    let mut failed = Scene::failed(Code::TokenExpired);
    metrics.observe(&failed.seen());
    failed.judgement.service = None;
    failed.judgement.protocol = None;
    metrics.observe(&failed.seen());
    let row = |protocol, decision, reason, namespace| {
        format!(
            "picket_decisions_total{{protocol=\"{protocol}\",mode=\"enforce\",decision=\"{decision}\",\
             reason=\"{reason}\",policy_namespace=\"{namespace}\"}} 1.0"
        )
    };
    check(
        &metrics,
        &[
            &row("http", "deny", "no_permit", "shop"),
            &row("http", "deny", "no_permit", "_other"),
            &row("http", "error", "token_expired", "shop"),
            &row("unknown", "error", "token_expired", "_none"),
            "picket_decision_duration_seconds_count 4",
            "picket_decision_duration_seconds_bucket{le=\"0.0001\"} 4",
            "picket_decision_duration_seconds_bucket{le=\"0.00005\"} 0",
        ],
    );
}

#[test]
fn determining_policies_are_counted_and_silent_ones_show_as_zero() {
    let metrics = metrics(&[("mesh", &["mesh/guard"]), ("shop", &["shop/read", "shop/a\"b"])]);
    metrics.observe(&Scene::allowed(Mutations::default()).seen());
    check(
        &metrics,
        &[
            "picket_determining_policy_total{policy_namespace=\"shop\",policy_id=\"shop/read\"} 1.0",
            "picket_determining_policy_total{policy_namespace=\"mesh\",policy_id=\"mesh/guard\"} 0.0",
            "picket_determining_policy_total{policy_namespace=\"shop\",policy_id=\"shop/a\\\"b\"} 0.0",
            "picket_policies{policy_namespace=\"shop\"} 2.0",
            "picket_policy_snapshot_info{policy_namespace=\"mesh\",digest=\"digest1\"} 1.0",
        ],
    );
}

#[test]
fn series_of_unloaded_policies_end_and_others_continue() {
    let metrics = metrics(&[("shop", &["shop/read", "shop/old"]), ("web", &["web/x"])]);
    let scene = Scene::allowed(Mutations::default());
    metrics.observe(&scene.seen());
    load(&metrics, &[("shop", &["shop/read"])]);
    metrics.observe(&scene.seen());
    check(
        &metrics,
        &[
            "picket_determining_policy_total{policy_namespace=\"shop\",policy_id=\"shop/read\"} 2.0",
            "picket_policy_snapshot_info{policy_namespace=\"shop\",digest=\"digest1\"} 1.0",
        ],
    );
    check_absent(&metrics, "shop/old");
    check_absent(&metrics, "web");
    check_absent(&metrics, "digest2");
}

#[test]
fn shadow_verdicts_and_their_divergence_are_counted_apart() {
    let metrics = metrics(&[("shop", &[])]);
    let mut scene = Scene::allowed(Mutations::default());
    scene.verdict().would_be = Some(would_be(Decision::Deny, Reason::PolicyForbid));
    metrics.observe(&scene.seen());
    scene.verdict().would_be = Some(would_be(Decision::Allow, Reason::PolicyPermit));
    metrics.observe(&scene.seen());
    check(
        &metrics,
        &[
            "picket_shadow_divergence_total{from=\"allow\",to=\"deny\"} 1.0",
            "picket_decisions_total{protocol=\"http\",mode=\"shadow\",decision=\"deny\",reason=\"policy_forbid\",policy_namespace=\"shop\"} 1.0",
        ],
    );
    check_absent(&metrics, "from=\"allow\",to=\"allow\"");
}

#[test]
fn findings_are_counted_by_service_and_detector() {
    let metrics = metrics(&[("shop", &[])]);
    check_absent(&metrics, "picket_content_findings_total{");
    metrics.observe(&Scene::found(&["card", "jwt"]).seen());
    metrics.observe(&Scene::found(&["card"]).seen());
    metrics.observe(&Scene::found(&[]).seen());
    check(
        &metrics,
        &[
            "picket_content_findings_total{service=\"shop/orders\",detector=\"card\"} 2.0",
            "picket_content_findings_total{service=\"shop/orders\",detector=\"jwt\"} 1.0",
        ],
    );
}

#[test]
fn a_source_is_read_at_each_scrape_and_misfits_are_left_out() {
    let metrics = Metrics::new("1");
    metrics.add_source(&table::SHED, || vec![Sample::new([], 1.0)]);
    metrics.add_source(&table::SHED, || vec![Sample::new([], 2.0)]);
    metrics
        .add_source(&table::POLICY_REJECTED, || vec![Sample::new(["shop"], 1.0), Sample::new(["one", "surplus"], 1.0)]);
    check(&metrics, &["picket_shed_total 2.0", "picket_policy_rejected{policy_namespace=\"shop\"} 1.0"]);
    check_absent(&metrics, "surplus");
}

#[test]
fn a_distribution_is_written_with_cumulative_buckets() {
    let metrics = Metrics::new("1");
    let read = || Some(Distribution { sum: 9.0, buckets: vec![(0.0, 1), (4.0, 2), (f64::INFINITY, 1)] });
    metrics.add_distribution(&table::CANDIDATES, read);
    check(
        &metrics,
        &[
            "picket_candidate_policies_sum 9.0",
            "picket_candidate_policies_count 4",
            "picket_candidate_policies_bucket{le=\"0.0\"} 1",
            "picket_candidate_policies_bucket{le=\"4.0\"} 3",
            "picket_candidate_policies_bucket{le=\"+Inf\"} 4",
        ],
    );
}

#[test]
fn the_process_describes_itself() {
    let text = metrics(&[]).render();
    for name in ["process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total"] {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        assert!(value.is_some_and(|value| value >= 0.0), "{name}: {value:?}");
    }
}
