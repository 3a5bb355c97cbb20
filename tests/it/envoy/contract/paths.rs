//! Spellings of a path, host or header: the one in the check, and the one that the upstream gets.

use expect_test::expect_file;
use serde_json::{Value, json};

use super::{list, ok, row, table};
use crate::envoy::bench::{Bench, Listener, Outcome, listener};
use crate::envoy::scripted::{http, values};

/// The options of the connection manager that Picket's sample configurations switch on.
fn shipped() -> Value {
    json!({
        "normalize_path": true,
        "merge_slashes": true,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "strip_any_host_port": true,
        "strip_trailing_host_dot": false,
        "common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"},
    })
}

const TARGETS: &[&[u8]] = &[
    b"/admin",
    b"/public/../admin",
    b"/public/%2e%2e/admin",
    b"/public/.%2E/admin",
    b"/./admin",
    b"/public/..\\admin",
    b"/public\\..\\admin",
    b"/public/..%5Cadmin",
    b"//admin",
    b"/public//admin",
    b"///",
    b"/public%2Fadmin",
    b"/public/..%2fadmin",
    b"/admin;a=b",
    b"/public/..;/admin",
    b"/admin%3Ba",
    b"/admin?x=/../y",
    b"/admin#x",
    b"/admin?x#y",
    b"/admin%23x",
    b"/admin%3Fx",
    b"/admin%00",
    b"/admin%0a",
    b"/admin\x00",
    b"/admin\x01",
    b"/admin\x7f",
    b"/adm in",
    b"/Admin",
    b"/%61dmin",
    b"/%41",
    b"/adm%e9n",
    b"/adm\xc3\xa9n",
    b"/adm\xe9n",
    b"/%252e%252e/admin",
    b"/%25",
    b"/%",
    b"/%zz",
    b"/admin/",
    b"/admin/.",
    b"/..",
    b"/../../admin",
    b"admin",
    b"*",
    b"http://other.example/admin",
    b"http://user@other.example/admin",
];

fn requested(target: &[u8]) -> Vec<u8> {
    [b"GET ", target, b" HTTP/1.1\r\nhost: orders.shop\r\nconnection: close\r\n\r\n"].concat()
}

fn listeners() -> Vec<Listener> {
    let raw = json!({"encode_raw_headers": true});
    vec![listener("plain").authz(raw.clone()), listener("shipped").manager(shipped()).authz(raw)]
}

/// The path in the check and, where another one arrives, that of the upstream.
fn show(outcome: &Outcome) -> String {
    let Some(check) = outcome.checks.first() else { return format!("no check, {}", outcome.status()) };
    let asked = format!("{}{}", host_unless_usual(&http(check).host), http(check).path.escape_debug());
    match outcome.upstream() {
        None => format!("{asked} -> {}", outcome.status()),
        Some(seen) if seen.target() == http(check).path => asked,
        Some(seen) => format!("{asked} -> {}", seen.target().escape_debug()),
    }
}

fn host_unless_usual(host: &str) -> String {
    if host == "orders.shop" { String::new() } else { format!("({host}) ") }
}

#[tokio::test]
async fn p1_to_p9_the_server_sees_what_the_upstream_gets_and_normalisation_is_not_the_default() {
    let bench = Bench::start(listeners(), &[]).await;
    let mut rows = vec![row(["sent", "as Envoy comes", "with the options of our samples"])];
    for target in TARGETS {
        let mut cells = vec![target.escape_ascii().to_string()];
        for listener in ["plain", "shipped"] {
            cells.push(show(&bench.send(listener, ok(Default::default()), &requested(target)).await));
        }
        rows.push(cells);
    }
    expect_file!["../golden/paths.txt"].assert_eq(&table(&rows));
}

#[tokio::test]
async fn p10_hosts_reach_the_server_as_they_were_sent() {
    let hosts = [
        "orders.shop",
        "ORDERS.shop",
        "orders.shop:80",
        "orders.shop:8080",
        "orders.shop.",
        "user@orders.shop",
        "orders.shop, other",
        "[::1]:80",
        "b\u{fc}cher.example",
        "",
        "orders.shop/x",
    ];
    let bench = Bench::start(listeners(), &[]).await;
    let mut rows = vec![row(["sent", "as Envoy comes", "with the options of our samples"])];
    let twice = "orders.shop\r\nhost: other";
    for host in hosts.into_iter().chain([twice]) {
        let mut cells = vec![host.escape_debug().to_string()];
        for listener in ["plain", "shipped"] {
            let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
            let outcome = bench.send(listener, ok(Default::default()), request.as_bytes()).await;
            cells.push(match outcome.checks.first() {
                None => format!("no check, {}", outcome.status()),
                Some(check) => {
                    let upstream = outcome.upstream().map_or(outcome.status(), |seen| list(&seen.values("host")));
                    format!("{} -> {upstream}", http(check).host)
                }
            });
        }
        rows.push(cells);
    }
    expect_file!["../golden/hosts.txt"].assert_eq(&table(&rows));
}

#[tokio::test]
async fn p8_p12_joined_headers_lose_what_raw_headers_keep() {
    let sent: [(&str, &[u8]); 7] = [
        ("twice", b"x-a: one\r\nx-a: two\r\n"),
        ("with a comma", b"x-a: one,two\r\n"),
        ("with blanks", b"x-a:   one  two  \r\n"),
        ("not UTF-8", b"x-a: a\xc3(\r\n"),
        ("with a tab", b"x-a: a\tb\r\n"),
        ("empty", b"x-a:\r\n"),
        ("name with _", b"x_a: one\r\n"),
    ];
    let raw = json!({"encode_raw_headers": true});
    let listeners =
        vec![listener("joined"), listener("raw").authz(raw.clone()), listener("shipped").manager(shipped()).authz(raw)];
    let bench = Bench::start(listeners, &[]).await;
    let mut rows = vec![row(["sent", "joined", "raw", "raw, with the options of our samples"])];
    for (name, lines) in sent {
        let request = [b"GET / HTTP/1.1\r\nhost: orders.shop\r\nconnection: close\r\n", lines, b"\r\n"].concat();
        let mut cells = vec![name.to_owned()];
        for listener in ["joined", "raw", "shipped"] {
            let outcome = bench.send(listener, ok(Default::default()), &request).await;
            cells.push(match outcome.checks.first() {
                None => format!("no check, {}", outcome.status()),
                Some(check) => list(&[values(check, "x-a"), values(check, "x_a")].concat()),
            });
        }
        rows.push(cells);
    }
    expect_file!["../golden/headers.txt"].assert_eq(&table(&rows));
}
