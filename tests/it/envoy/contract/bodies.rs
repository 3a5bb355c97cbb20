//! How much of a body Envoy sends along, and what it says about the rest.

use std::time::Duration;

use expect_test::expect_file;
use picket_demo::client;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::{list, row, table};
use crate::envoy::bench::{Bench, Outcome, listener};
use crate::envoy::contract::ok;
use crate::envoy::scripted::{http, values};

/// `max_request_bytes` of every listener here.
const MAX: usize = 64;
/// How long to wait for a check before the rest of a body is sent, if Envoy is known to send the check at that point.
/// It sends it at once; the rest is for busy machines.
const SURELY: Duration = Duration::from_secs(10);
/// The same where it is known to wait for the rest. The table does not depend on it unless Envoy changes.
const SURELY_NOT: Duration = Duration::from_millis(100);

fn body(partial: bool, bytes: bool) -> Value {
    let body = json!({"max_request_bytes": MAX, "allow_partial_message": partial, "pack_as_bytes": bytes});
    json!({"with_request_body": body, "encode_raw_headers": true})
}

fn head(lines: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nhost: orders.shop\r\nconnection: close\r\n{lines}\r\n").into_bytes()
}

fn chunk(length: usize) -> String {
    format!("{length:x}\r\n{}\r\n", "x".repeat(length))
}

/// Name, what is sent at first, and what follows once the check came or is not coming.
fn cases() -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let mut cases = Vec::new();
    let mut case = |name: String, first: Vec<u8>, rest: &str| cases.push((name, first, rest.as_bytes().to_vec()));
    case("no body, content-length absent".into(), head(""), "");
    case("content-length 0".into(), head("content-length: 0\r\n"), "");
    for length in [MAX - 1, MAX, MAX + 1] {
        let sized = [head(&format!("content-length: {length}\r\n")), "x".repeat(length).into_bytes()].concat();
        case(format!("content-length {length}, at once"), sized, "");
        let chunked =
            [head("transfer-encoding: chunked\r\n"), chunk(length).into_bytes(), b"0\r\n\r\n".into()].concat();
        case(format!("chunked {length}, at once"), chunked, "");
    }
    let chunked = head("transfer-encoding: chunked\r\n");
    for (first, rest) in [(MAX - 1, 1), (MAX, 0), (MAX, 1), (MAX, 40)] {
        let flushed = [chunked.clone(), chunk(first).into_bytes()].concat();
        let rest_text = if rest == 0 { "0\r\n\r\n".to_owned() } else { format!("{}0\r\n\r\n", chunk(rest)) };
        case(format!("chunked {first}, then {rest} and the end"), flushed, &rest_text);
    }
    for (first, rest) in [(MAX - 1, 1), (MAX, 1)] {
        let length = first + rest;
        let flushed = [head(&format!("content-length: {length}\r\n")), "x".repeat(first).into_bytes()].concat();
        case(format!("content-length {length}: {first}, then {rest}"), flushed, &"x".repeat(rest));
    }
    let trailers = [chunked, chunk(10).into_bytes(), b"0\r\nx-trailer: t\r\n\r\n".into()].concat();
    case("chunked 10 with a trailer".into(), trailers, "");
    let forged = [head("content-length: 3\r\nx-envoy-auth-partial-body: false\r\n"), b"abc".into()].concat();
    case("content-length 3, caller sends the flag".into(), forged, "");
    let bytes = [head("content-length: 3\r\n"), vec![b'a', 0xff, b'"']].concat();
    case("content-length 3, not UTF-8".into(), bytes, "");
    cases
}

async fn send(bench: &Bench, listener: &str, first: &[u8], rest: &[u8]) -> Outcome {
    let is_full = first.ends_with("x".repeat(MAX).as_bytes()) || first.ends_with(chunk(MAX).as_bytes());
    let pause = if is_full && listener != "whole" { SURELY } else { SURELY_NOT };
    bench.script.reply(ok(Default::default()));
    let mut stream = bench.connect(listener).await;
    stream.write_all(first).await.unwrap();
    if !rest.is_empty() {
        bench.script.asked_within(pause).await;
    }
    // An early answer may have closed the connection; then the rest has nowhere to go, and the answer is what counts.
    let answer = client::exchange(stream, rest).await;
    Outcome { answer, checks: bench.script.seen() }
}

fn show(outcome: &Outcome) -> String {
    let Some(check) = outcome.checks.first() else { return format!("no check, {}", outcome.status()) };
    let http = http(check);
    let (text, raw) = (http.body.as_str(), http.raw_body.as_slice());
    let kind = if !text.is_empty() { "text " } else { "" };
    let content =
        if text.len().max(raw.len()) > 8 { String::new() } else { format!(" `{text}{}`", raw.escape_ascii()) };
    let flag = list(&values(check, "x-envoy-auth-partial-body"));
    let length = text.len().max(raw.len());
    let upstream = outcome.upstream().map_or(outcome.status(), |seen| {
        let flag = seen.values("x-envoy-auth-partial-body").concat();
        let flag = if flag.is_empty() { flag } else { format!(" with flag {flag}") };
        let body = seen.rest.chars().filter(|c| *c == 'x').count();
        format!("upstream {body}{}", if seen.rest.contains("x-trailer") { " with trailer" } else { "" }) + &flag
    });
    format!("{kind}{length} of size {}{content}, flag {flag}, {upstream}", http.size)
}

#[tokio::test]
async fn p17_the_flag_of_a_partial_body_is_false_at_exactly_the_limit() {
    let listeners = vec![
        listener("whole").authz(body(false, true)),
        listener("partial").authz(body(true, true)),
        listener("text").authz(body(true, false)),
    ];
    let bench = Bench::start(listeners, &[]).await;
    let mut rows = vec![row(["body", "whole bodies only", "partial allowed", "partial allowed, as text"])];
    for (name, first, rest) in cases() {
        let mut cells = vec![name];
        for listener in ["whole", "partial", "text"] {
            cells.push(show(&send(&bench, listener, &first, &rest).await));
        }
        rows.push(cells);
    }
    expect_file!["../golden/bodies.txt"].assert_eq(&table(&rows));
}

/// The body as a check reports it: the headers that frame it, Envoy's flag, and the attached bytes.
fn told(outcome: &Outcome) -> String {
    let Some(check) = outcome.checks.first() else { return format!("no check, {}", outcome.status()) };
    let of = |name| list(&values(check, name));
    let (length, coding, flag) = (of("content-length"), of("transfer-encoding"), of("x-envoy-auth-partial-body"));
    let upstream = outcome
        .upstream()
        .map_or(outcome.status(), |seen| format!("upstream {}", seen.rest.chars().filter(|c| *c == 'x').count()));
    let attached = http(check).raw_body.len();
    format!("{attached} bytes, content-length {length}, transfer-encoding {coding}, flag {flag}, {upstream}")
}

#[tokio::test]
async fn p17_a_check_without_a_body_does_not_tell_whether_there_is_one() {
    let listeners = vec![
        listener("attached").authz(body(false, true)),
        listener("none").authz(json!({"encode_raw_headers": true})),
    ];
    let bench = Bench::start(listeners, &[]).await;
    let chunks = |length: usize| {
        let chunk = if length == 0 { String::new() } else { chunk(length) };
        format!("{chunk}0\r\n\r\n").into_bytes()
    };
    let cases: [(&str, Vec<u8>); 6] = [
        ("no body", head("")),
        ("content-length 0", head("content-length: 0\r\n")),
        ("content-length 9", [head("content-length: 9\r\n"), vec![b'x'; 9]].concat()),
        ("chunked 0", [head("transfer-encoding: chunked\r\n"), chunks(0)].concat()),
        ("chunked 9", [head("transfer-encoding: chunked\r\n"), chunks(9)].concat()),
        (
            "content-length 0 and chunked 9",
            [head("content-length: 0\r\ntransfer-encoding: chunked\r\n"), chunks(9)].concat(),
        ),
    ];
    let mut rows = vec![row(["body", "bodies attached", "no bodies attached"])];
    for (name, request) in cases {
        let mut cells = vec![name.to_owned()];
        for listener in ["attached", "none"] {
            cells.push(told(&bench.send(listener, ok(Default::default()), &request).await));
        }
        rows.push(cells);
    }
    expect_file!["../golden/bodiless.txt"].assert_eq(&table(&rows));
}
