//! Responses through Envoy and Picket's ext_proc service: what changes, and what leaves.

use picket_demo::folder::Folder;
use serde_json::json;
use tokio::task::JoinSet;

use super::service::{self, ENDING};
use super::site::{Site, Version, cluster, duplex, filter, open, start};
use super::upstream::DOCUMENT;

/// Picket's service behind a filter in the mode of the samples, and in the mode `BUFFERED`.
async fn site() -> Site {
    let mut tasks = JoinSet::new();
    let processor = service::replacing(&mut tasks, service::settings()).await;
    let buffered = json!({"response_body_mode": "BUFFERED"});
    let listeners = vec![
        open("duplex").after(filter("processor", duplex(), json!({}))),
        open("buffered").after(filter("processor", buffered, json!({}))),
    ];
    start(tasks, Folder::new().unwrap(), listeners, vec![cluster("processor", processor)]).await
}

#[tokio::test]
async fn a_word_is_replaced_wherever_the_stream_is_cut() {
    let site = site().await;
    let expected = DOCUMENT.replace("SECRET", "xxxxxx");
    let paths = (0..=DOCUMENT.len()).map(|at| format!("/cut-at/{at}")).chain(["/bytes".to_owned()]);
    let site = &site;
    let sent = paths.map(|path| async move { (site.get("duplex", &path).await, path) });
    for (received, path) in futures_util::future::join_all(sent).await {
        assert_eq!((received.status, received.end, received.text()), (200, "end", expected.clone()), "{path}");
    }
}

#[tokio::test]
async fn every_shape_of_a_response_has_its_end_and_no_word_leaves() {
    let site = site().await;
    let large = format!("xxxxxx{}", "a".repeat(3_000_000 - 6));
    let by_envoy = "upstream connect error";
    for (method, path, status, body) in [
        ("GET", "/json", 200, r#"{"a":"xxxxxx"}"#),
        ("POST", "/json", 200, r#"{"a":"xxxxxx"}"#),
        ("GET", "/forbidden", 403, "denied"),
        ("GET", "/large/3000000", 200, &large),
        ("GET", "/stream", 200, "data: one xxxxxx\n\ndata: two xxxxxx\n\n"),
        ("GET", "/trailers", 200, "data: one xxxxxx\n\ndata: two SEC"),
        ("GET", "/empty", 200, ""),
        ("GET", "/empty-chunked", 200, ""),
        ("GET", "/empty-trailers", 200, ""),
        ("GET", "/204", 204, ""),
        ("GET", "/304", 304, ""),
        ("HEAD", "/head", 200, ""),
        ("GET", "/206", 206, r#"{"a":"xxxxxx"}"#),
        ("GET", "/hints", 200, r#"{"a":"xxxxxx"}"#),
        ("GET", "/until-close", 200, "xxxxxx until close"),
        ("GET", "/direct", 200, "direct xxxxxx"),
        ("GET", "/nowhere", 503, by_envoy),
    ] {
        for version in [Version::Http1, Version::Http2] {
            let received = site.send("duplex", version, method, path, &[]).await;
            let seen = (received.status, received.end);
            assert_eq!(seen, (status, "end"), "{method} {path} {version:?}: {}", received.text());
            let text = received.text();
            assert!(
                text == body || (body == by_envoy && text.starts_with(body)),
                "{method} {path} {version:?}: {text}"
            );
            assert!(!received.everything().contains("SECRET"), "{method} {path} {version:?}: {received:?}");
            for gone in ["etag", "x-note"] {
                assert_eq!(received.value(gone), None, "{method} {path} {version:?}");
            }
            let is_denied = received.value("x-denied").is_some();
            assert!(is_denied || received.value("cache-control") == Some("private"), "{method} {path}: {received:?}");
        }
    }
}

#[tokio::test]
async fn a_response_whose_body_ends_too_early_is_cut_for_the_client_too() {
    let site = site().await;
    let received = site.get("duplex", "/cut").await;
    assert_eq!(
        (received.status, received.end, received.text().contains("SECRET")),
        (502, "end", false),
        "{received:?}"
    );
}

#[tokio::test]
async fn a_stream_that_is_refused_has_the_ending_of_its_api_and_nothing_after_it() {
    let site = site().await;
    for version in [Version::Http1, Version::Http2] {
        let received = site.send("duplex", version, "GET", "/refused-stream", &[]).await;
        assert_eq!((received.status, received.end), (200, "end"), "{version:?}");
        assert_eq!(received.text(), format!("data: one\n\n{ENDING}"), "{version:?}");
    }
}

#[tokio::test]
async fn a_buffered_body_is_replaced_and_refused_as_a_streamed_one() {
    let site = site().await;
    for (path, status, body) in [
        ("/json", 200, r#"{"a":"xxxxxx"}"#),
        ("/forbidden", 403, "denied"),
        ("/stream", 200, "data: one xxxxxx\n\ndata: two xxxxxx\n\n"),
        ("/trailers", 200, "data: one xxxxxx\n\ndata: two SEC"),
        ("/refused-stream", 403, "denied"),
        ("/empty", 200, ""),
        ("/empty-chunked", 200, ""),
        ("/204", 204, ""),
        ("/direct", 200, "direct xxxxxx"),
    ] {
        let received = site.get("buffered", path).await;
        assert_eq!((received.status, received.end, received.text().as_str()), (status, "end", body), "{path}");
    }
}

#[tokio::test]
async fn a_guarded_call_is_refused_at_its_request_where_the_filter_does_not_hand_over_its_response() {
    let mut tasks = JoinSet::new();
    let processor = service::replacing(&mut tasks, service::settings()).await;
    let unguarded = service::unguarded(&mut tasks).await;
    let modes = ["NONE", "STREAMED", "BUFFERED_PARTIAL", "GRPC"];
    let names: [(&str, &str); 4] =
        [("none", "none-open"), ("streamed", "streamed-open"), ("partial", "partial-open"), ("grpc", "grpc-open")];
    let mut listeners = Vec::new();
    for ((guarded, other), mode) in names.into_iter().zip(modes) {
        let mode = json!({"response_body_mode": mode, "response_trailer_mode": "SEND"});
        listeners.push(open(guarded).after(filter("processor", mode.clone(), json!({}))));
        listeners.push(open(other).after(filter("unguarded", mode, json!({}))));
    }
    let clusters = vec![cluster("processor", processor), cluster("unguarded", unguarded)];
    let site = start(tasks, Folder::new().unwrap(), listeners, clusters).await;
    for (guarded, other) in names {
        for path in ["/json", "/stream", "/empty"] {
            let received = site.get(guarded, path).await;
            assert_eq!((received.status, received.text().as_str()), (500, "the response was withheld\n"), "{guarded}");
            let received = site.get(other, path).await;
            assert_eq!((received.status, received.end), (200, "end"), "{other} {path}");
        }
    }
}
