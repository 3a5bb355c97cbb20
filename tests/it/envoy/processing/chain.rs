//! Two ext_proc filters in one chain: both get the whole response, in either order.

use picket_demo::folder::Folder;
use serde_json::json;
use tokio::task::JoinSet;

use super::service;
use super::site::{Version, cluster, duplex, filter, open, start};

#[tokio::test]
async fn a_second_processor_before_or_after_changes_nothing_and_sees_no_word_that_was_replaced() {
    let mut tasks = JoinSet::new();
    let processor = service::replacing(&mut tasks, service::settings()).await;
    let other = service::unguarded(&mut tasks).await;
    let ours = || filter("processor", duplex(), json!({}));
    let theirs = || filter("other", duplex(), json!({}));
    let buffered = || filter("other", json!({"response_body_mode": "BUFFERED"}), json!({}));
    // A response passes the filters from the last one to the first one.
    let listeners = vec![
        open("ours-first").after(ours()).after(theirs()),
        open("ours-last").after(theirs()).after(ours()),
        open("ours-first-buffered").after(ours()).after(buffered()),
        open("ours-last-buffered").after(buffered()).after(ours()),
    ];
    let clusters = vec![cluster("processor", processor), cluster("other", other)];
    let site = start(tasks, Folder::new().unwrap(), listeners, clusters).await;
    let large = format!("xxxxxx{}", "a".repeat(300_000 - 6));
    for listener in ["ours-first", "ours-last", "ours-first-buffered", "ours-last-buffered"] {
        for (path, status, body) in [
            ("/json", 200, r#"{"a":"xxxxxx"}"#),
            ("/stream", 200, "data: one xxxxxx\n\ndata: two xxxxxx\n\n"),
            ("/trailers", 200, "data: one xxxxxx\n\ndata: two SEC"),
            ("/large/300000", 200, large.as_str()),
            ("/empty", 200, ""),
            ("/empty-chunked", 200, ""),
            ("/empty-trailers", 200, ""),
            ("/204", 204, ""),
        ] {
            for version in [Version::Http1, Version::Http2] {
                let received = site.send(listener, version, "GET", path, &[]).await;
                assert_eq!((received.status, received.end), (status, "end"), "{listener} {path} {version:?}");
                assert!(received.text() == body, "{listener} {path} {version:?}: {} bytes", received.body.len());
                assert!(!received.everything().contains("SECRET"), "{listener} {path} {version:?}");
            }
        }
    }
}
