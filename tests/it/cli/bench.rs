//! `picket bench`.

use super::{picket, picket_in, tree};

#[test]
fn figures_of_the_shipped_policies_are_sane() {
    let run = picket(&["bench", "--policies", "policies", "--seconds", "0.2", "-o", "json"]).ends_with(0);
    let json = run.json();
    let number = |pointer: &str| json.pointer(pointer).and_then(serde_json::Value::as_f64).unwrap_or(f64::NAN);
    for round in ["", "/repeated"] {
        let [p50, p99] = ["p50", "p99"].map(|name| number(&format!("{round}/latency_us/{name}")));
        assert!(p50 > 0.0 && p50 <= p99 && p99 < 1e6, "{json}");
        let rate = number(&format!("{round}/decisions_per_second"));
        // Half of the decisions take no longer than the median, so they bound the rate from above.
        assert!(rate > 0.0 && rate <= 2.1e6 / p50, "{json}");
    }
    assert!(number("/candidates/p50") >= 1.0 && number("/candidates/p50") <= number("/candidates/p99"), "{json}");
    assert!(number("/candidates/p99") <= number("/policies"), "{json}");
    assert_eq!(json["policies"], 22, "{json}");
    assert_eq!((&json["calls"], &json["calls_refused"]), (&json["calls_possible"], &0.into()), "{json}");
    assert!(number("/rss_bytes") > 1e6, "{json}");
    assert!(json["note"].as_str().unwrap().contains("this machine only"), "{json}");
}

#[test]
fn calls_come_from_a_file_where_one_is_named() {
    let calls = "- {request: {service: shop/orders, path: /v1/orders/7}}\n\
                 - {grpc: {service: shop/inventory, method: p.S/M}}\n\
                 - {request: {service: shop/nothing}}\n";
    let own = tree(&[
        ("calls.yaml", calls),
        ("bad.yaml", "- {request: {metod: GET}}\n"),
        ("none.yaml", "- {request: {service: shop/nothing}}\n"),
        ("p/catalog.yaml", crate::support::CATALOG),
        ("p/namespaces/shop/a.cedar", "@id(\"a\") permit (principal, action == Action::\"GET\", resource);"),
    ]);
    let bench = |calls| picket_in(own.path(), &["bench", "--policies", "p", "--seconds", "0.02", "--calls", calls], "");
    let run = bench("calls.yaml").ends_with(0);
    assert!(run.stdout.starts_with("1 policy, 2 calls; 1 rejected before any policy is evaluated\n"), "{}", run.stdout);
    assert!(run.stdout.contains("this machine only"), "{}", run.stdout);
    let run = bench("bad.yaml").ends_with(3);
    assert!(run.stderr.contains("did you mean `method`?"), "{}", run.stderr);
    assert!(bench("none.yaml").ends_with(3).stderr.contains("no call reaches the policies"));
    assert!(bench("missing.yaml").ends_with(3).stderr.contains("could not read"));
}

#[test]
fn a_time_that_measures_nothing_is_refused() {
    for seconds in ["0", "-1", "NaN", "inf", "soon"] {
        picket(&["bench", &format!("--seconds={seconds}")]).ends_with(2);
    }
    picket(&["bench", "--policies", "no-such-directory"]).ends_with(3);
}
