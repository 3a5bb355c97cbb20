//! Answers of an ext_proc server and their effect in Envoy, as a committed table.
//!
//! A table changes when Envoy does: read each line, then `UPDATE_EXPECT=1 cargo test --test it processing`, correct
//! `docs/ext-proc.md`, and name the changed lines in the commit.

use expect_test::expect_file;
use picket_demo::folder::Folder;
use picket_demo::process::EnvoyProcess;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::scripted;
use super::site::{Received, Version, cluster, duplex, filter, open, start};
use crate::envoy::bench::{binary, cluster_of, loopback};
use crate::envoy::contract::{row, table};

/// Listener, what the processor does, and the path that names the response.
const CASES: &[(&str, &str, &str)] = &[
    // Every shape of a response, answered piece by piece.
    ("duplex", "", "/json"),
    ("duplex", "", "/stream"),
    ("duplex", "", "/trailers"),
    ("duplex", "", "/empty"),
    ("duplex", "", "/empty-chunked"),
    ("duplex", "", "/empty-trailers"),
    ("duplex", "", "/204"),
    ("duplex", "", "/304"),
    ("duplex", "", "/head"),
    ("duplex", "", "/206"),
    ("duplex", "", "/hints"),
    ("duplex", "", "/cut"),
    ("duplex", "", "/until-close"),
    ("duplex", "", "/direct"),
    ("duplex", "", "/nowhere"),
    // The answer to the head may wait for the body.
    ("duplex", "wait", "/json"),
    ("duplex", "wait", "/stream"),
    ("duplex", "wait", "/trailers"),
    ("duplex", "wait", "/empty-chunked"),
    ("duplex", "wait", "/empty-trailers"),
    ("duplex", "wait", "/cut"),
    ("duplex", "wait deny", "/stream"),
    ("duplex", "wait deny at-once", "/stream"),
    ("duplex", "wait error", "/stream"),
    ("duplex", "wait ok", "/stream"),
    ("duplex", "wait ok at-once", "/stream"),
    // The head has left.
    ("duplex", "deny", "/stream"),
    ("duplex", "deny at-once", "/stream"),
    ("duplex", "error", "/stream"),
    ("duplex", "error at-once", "/stream"),
    ("duplex", "ok", "/stream"),
    ("duplex", "ok at-once", "/stream"),
    ("duplex", "early", "/stream"),
    // An override before the response begins: Envoy ignores it in this mode.
    ("duplex", "skip", "/json"),
    ("duplex", "skip", "/stream"),
    ("duplex", "skip", "/trailers"),
    ("duplex", "skip", "/204"),
    ("duplex", "skip", "/nowhere"),
    ("ignored-duplex", "skip", "/stream"),
    // The other base: whole bodies, and streams by an override.
    ("buffered", "whole", "/json"),
    ("buffered", "shorter", "/json"),
    ("buffered", "whole", "/stream"),
    ("buffered", "whole", "/trailers"),
    ("buffered", "whole", "/empty-chunked"),
    ("buffered", "whole", "/empty-trailers"),
    ("buffered", "whole deny", "/stream"),
    ("buffered", "whole error", "/stream"),
    ("buffered", "whole ok", "/stream"),
    ("buffered", "override", "/json"),
    ("buffered", "override", "/stream"),
    ("buffered", "override", "/trailers"),
    ("buffered", "override", "/empty-chunked"),
    ("buffered", "override", "/empty-trailers"),
    ("ignored", "override", "/stream"),
    ("none", "override", "/stream"),
    ("observed", "", "/json"),
    ("grpc", "", "/stream"),
    ("grpc", "", "/json"),
    ("grpc", "whole", "/json"),
];

fn show(received: &Received) -> String {
    let framing = ["content-length", "transfer-encoding"].iter().find_map(|name| {
        let value = received.value(name)?;
        Some(if *name == "content-length" { format!("length {value}") } else { value.to_owned() })
    });
    let body = received.text();
    let body = if body.starts_with("upstream connect error") {
        "by Envoy".to_owned()
    } else {
        body.escape_debug().to_string()
    };
    let trailers = if received.trailers.is_empty() { "" } else { ", trailers" };
    format!("{} {} `{body}`{trailers}, {}", received.status, framing.unwrap_or("-".to_owned()), received.end)
}

#[tokio::test]
async fn what_envoy_does_with_the_answers_of_a_processor() {
    let mut tasks = JoinSet::new();
    let (seen, processor) = scripted::serve(&mut tasks).await;
    let buffered = json!({"response_body_mode": "BUFFERED"});
    let grpc = json!({"response_body_mode": "GRPC", "response_trailer_mode": "SEND"});
    let may_override = json!({"allow_mode_override": true});
    let listeners = vec![
        open("duplex").after(filter("processor", duplex(), may_override.clone())),
        open("buffered").after(filter("processor", buffered.clone(), may_override.clone())),
        open("ignored").after(filter("processor", buffered, json!({}))),
        open("ignored-duplex").after(filter("processor", duplex(), json!({}))),
        open("none").after(filter("processor", json!({}), may_override)),
        open("grpc").after(filter("processor", grpc, json!({}))),
        open("observed").after(filter("processor", duplex(), json!({"observability_mode": true}))),
    ];
    let site = start(tasks, Folder::new().unwrap(), listeners, vec![cluster("processor", processor)]).await;
    let mut rows = vec![row(["mode", "processor", "response", "client", "messages"])];
    for (listener, wish, path) in CASES {
        let method = if *path == "/head" { "HEAD" } else { "GET" };
        let received = site.send(listener, Version::Http1, method, path, &[("x-do", *wish)]).await;
        // The processor may note a message after the client has its end.
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        let messages = seen.take().join(" | ");
        let wish = if wish.is_empty() { "piece by piece" } else { wish };
        rows.push(row([listener, wish, path, &show(&received), &messages]));
    }
    expect_file!["../golden/processing.txt"].assert_eq(&table(&rows));
}

/// With the check's `max_request_bytes` on the route, bodies over it: in the mode `BUFFERED` the limit counts for the
/// response of a request with a body too.
#[tokio::test]
async fn the_limit_of_a_checked_body_is_no_limit_of_a_streamed_response() {
    let mut tasks = JoinSet::new();
    let (_, processor) = scripted::serve(&mut tasks).await;
    let checked = json!({"with_request_body": {"max_request_bytes": 65536}});
    let listeners = vec![
        open("duplex").authz(checked.clone()).after(filter("processor", duplex(), json!({}))),
        open("buffered").authz(checked).after(filter(
            "processor",
            json!({"response_body_mode": "BUFFERED"}),
            json!({}),
        )),
    ];
    let site = start(tasks, Folder::new().unwrap(), listeners, vec![cluster("processor", processor)]).await;
    for (listener, wish, method, status, bytes) in [
        ("duplex", "wait", "POST", 200, 100_000),
        ("duplex", "", "POST", 200, 100_000),
        ("buffered", "whole", "GET", 200, 100_000),
        ("buffered", "whole", "POST", 500, 21),
    ] {
        let received = site.send(listener, Version::Http1, method, "/large/100000", &[("x-do", wish)]).await;
        assert_eq!((received.status, received.body.len()), (status, bytes), "{listener} {method}");
    }
}

#[tokio::test]
async fn envoy_does_not_start_with_full_duplex_and_skipped_trailers() {
    let folder = Folder::new().unwrap();
    let mode = json!({"response_body_mode": "FULL_DUPLEX_STREAMED"});
    let listener = open("skipped").after(filter("processor", mode, json!({}))).build();
    let clusters = ["upstream", "nowhere", "health", "authz", "processor"].map(|name| cluster_of(name, &[loopback(1)]));
    let config = json!({
        "admin": {"address": loopback(0)},
        "static_resources": {"listeners": [listener], "clusters": clusters},
    });
    let binary = tokio::task::spawn_blocking(binary).await.unwrap();
    let started = EnvoyProcess::start(binary, folder.path(), &config.to_string()).await;
    let error = started.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("trailer"), "{error}");
}

/// Envoy takes the end of what a client of HTTP/1.1 sends for the client's own end, also without the filter.
#[tokio::test]
async fn a_client_that_closes_its_sending_half_gets_nothing_with_or_without_the_filter() {
    let mut tasks = JoinSet::new();
    let (_, processor) = scripted::serve(&mut tasks).await;
    let listeners = vec![open("duplex").after(filter("processor", duplex(), json!({}))), open("plain")];
    let site = start(tasks, Folder::new().unwrap(), listeners, vec![cluster("processor", processor)]).await;
    for listener in ["duplex", "plain"] {
        let mut stream = TcpStream::connect(site.envoy.listener(listener).unwrap()).await.unwrap();
        stream.write_all(b"GET /stream HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut got = Vec::new();
        // A reset is an end as well.
        drop(stream.read_to_end(&mut got).await);
        assert!(got.is_empty(), "{listener}: {}", String::from_utf8_lossy(&got));
    }
}
