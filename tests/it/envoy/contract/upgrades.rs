//! Tunnels and upgrades: whether they are checked, as what, and how often.

use std::time::Duration;

use expect_test::expect_file;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{denied, list, ok, row, table};
use crate::envoy::bench::{Bench, listener};
use crate::envoy::scripted::{Reply, http, values};

/// After this long without a byte a connection counts as silent.
const SILENCE: Duration = Duration::from_secs(3);

const WEBSOCKET: &str = "GET /chat HTTP/1.1\r\nhost: orders.shop\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn cases() -> Vec<(&'static str, String)> {
    let upgrade = |to: &str, more: &str| {
        format!("GET /chat HTTP/1.1\r\nhost: orders.shop\r\nconnection: upgrade{more}\r\nupgrade: {to}\r\n\r\n")
    };
    vec![
        ("WebSocket", WEBSOCKET.to_owned()),
        (
            "WebSocket with a body",
            WEBSOCKET.replace("GET", "POST").replace("\r\n\r\n", "\r\ncontent-length: 4\r\n\r\nbody"),
        ),
        ("upgrade to h2c", upgrade("h2c", ", http2-settings\r\nhttp2-settings: AAMAAABkAAQAAP__")),
        ("upgrade to something else", upgrade("other/1", "")),
        ("CONNECT host:port", "CONNECT orders.shop:443 HTTP/1.1\r\nhost: orders.shop:443\r\n\r\n".to_owned()),
        ("CONNECT path", "CONNECT /chat HTTP/1.1\r\nhost: orders.shop\r\n\r\n".to_owned()),
        ("method of its own", "BREW /pot HTTP/1.1\r\nhost: orders.shop\r\nconnection: close\r\n\r\n".to_owned()),
        (
            "TE: trailers",
            "GET /t HTTP/1.1\r\nhost: orders.shop\r\nconnection: close, te\r\nte: trailers\r\n\r\n".to_owned(),
        ),
        ("HTTP/1.0 without host", "GET /old HTTP/1.0\r\n\r\n".to_owned()),
        (
            "both length and chunks",
            "POST / HTTP/1.1\r\nhost: orders.shop\r\nconnection: close\r\ncontent-length: 3\r\n\
            transfer-encoding: chunked\r\n\r\n0\r\n\r\n"
                .to_owned(),
        ),
        (
            "two lengths",
            "POST / HTTP/1.1\r\nhost: orders.shop\r\nconnection: close\r\ncontent-length: 3\r\n\
            content-length: 4\r\n\r\nabcd"
                .to_owned(),
        ),
    ]
}

/// Result of a connection: status, whether a ping through it comes back, and the check.
async fn show(bench: &Bench, listener: &str, reply: Reply, request: &str) -> String {
    bench.script.reply(reply);
    let mut stream = bench.connect(listener).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut got = Vec::new();
    while !got.windows(4).any(|window| window == b"\r\n\r\n") {
        let mut buffer = [0; 4096];
        match tokio::time::timeout(SILENCE, stream.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) => break,
            Ok(Ok(length)) => got.extend_from_slice(&buffer[..length]),
            Err(_) => {
                got = b"- silence \r\n\r\n".to_vec();
                break;
            }
        }
    }
    let status = String::from_utf8_lossy(&got).split(' ').nth(1).unwrap_or("cut").to_owned();
    let is_tunnel = status == "101" || request.starts_with("CONNECT") && status == "200";
    let tunnel = if is_tunnel && pings(&mut stream).await { ", tunnel open" } else { "" };
    let checks: Vec<String> = bench
        .script
        .seen()
        .iter()
        .map(|check| {
            let http = http(check);
            let body = if http.raw_body.is_empty() && http.body.is_empty() { "" } else { " with body" };
            let upgrade = list(&values(check, "upgrade"));
            format!("{} `{}` {} upgrade {upgrade}{body}", http.method, http.path, http.protocol)
        })
        .collect();
    format!("{status}{tunnel}; asked: {}", list(&checks))
}

async fn pings(stream: &mut tokio::net::TcpStream) -> bool {
    let mut back = [0; 4];
    let exchange = async {
        stream.write_all(b"ping").await?;
        stream.read_exact(&mut back).await
    };
    tokio::time::timeout(SILENCE, exchange).await.is_ok_and(|done| done.is_ok()) && &back == b"ping"
}

#[tokio::test]
async fn p16_an_upgrade_is_checked_once_at_its_start_and_never_with_its_body() {
    let raw = json!({
        "encode_raw_headers": true,
        "with_request_body": {"max_request_bytes": 64, "allow_partial_message": true, "pack_as_bytes": true},
    });
    let upgrades = json!({"upgrade_configs": [{"upgrade_type": "websocket"}, {"upgrade_type": "CONNECT"}]});
    let plain = json!({"encode_raw_headers": true});
    let listeners = vec![
        listener("off").authz(raw.clone()),
        listener("on").manager(upgrades.clone()).authz(raw),
        listener("no body").manager(upgrades).authz(plain),
    ];
    let bench = Bench::start(listeners, &[]).await;
    let mut rows =
        vec![row(["request", "upgrades off", "upgrades on", "upgrades on, bodies not asked for", "the same, denied"])];
    for (name, request) in cases() {
        let mut cells = vec![name.to_owned()];
        for (listener, reply) in [
            ("off", ok(Default::default())),
            ("on", ok(Default::default())),
            ("no body", ok(Default::default())),
            ("no body", denied(403, vec![])),
        ] {
            cells.push(show(&bench, listener, reply.into(), &request).await);
        }
        rows.push(cells);
    }
    expect_file!["../golden/upgrades.txt"].assert_eq(&table(&rows));
}
