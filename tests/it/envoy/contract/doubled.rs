//! Headers that Envoy joins when a caller sends them twice, although it is configured to send raw ones.

use expect_test::expect_file;
use serde_json::json;

use super::{list, ok, row, table};
use crate::envoy::bench::{Bench, get, listener};
use crate::envoy::scripted::values;

/// Headers that policies and services commonly read, and an unknown one.
const NAMES: [&str; 26] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "access-control-request-headers",
    "access-control-request-method",
    "authorization",
    "cache-control",
    "content-encoding",
    "content-type",
    "cookie",
    "forwarded",
    "grpc-timeout",
    "if-match",
    "if-none-match",
    "origin",
    "range",
    "referer",
    "sec-fetch-site",
    "te",
    "traceparent",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-request-id",
    "x-unknown",
];

#[tokio::test]
async fn p12_some_headers_sent_twice_arrive_as_one_even_with_raw_headers_configured() {
    let bench = Bench::start(vec![listener("raw").authz(json!({"encode_raw_headers": true}))], &[]).await;
    let mut rows = vec![row(["header", "sent `one` and `two`", "the upstream got"])];
    for name in NAMES {
        let (one, two) = (format!("{name}: one"), format!("{name}: two"));
        let outcome = bench.send("raw", ok(Default::default()), &get(&[&one, &two])).await;
        let got = outcome.checks.first().map_or(outcome.status(), |check| list(&values(check, name)));
        let upstream = outcome.upstream().map_or("-".to_owned(), |seen| list(&seen.values(name)));
        rows.push(row([name, &got, &upstream]));
    }
    expect_file!["../golden/doubled.txt"].assert_eq(&table(&rows));
}
