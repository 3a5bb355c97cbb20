//! Bodies that cannot be read, or not completely, under a forbid that reads findings.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::{CALLER, SECRET, document, server, show};
use crate::envoy::content::answers::Answer;
use crate::envoy::content::site::{GUARDED, Request, Setup, Site, sample};

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn coded(content_type: &str, coding: &str, body: &[u8]) -> Answer {
    Answer::new(content_type, body).header("content-encoding", coding)
}

/// Whether a part of the secret is in a body as it is.
fn holds_a_part(body: &[u8]) -> bool {
    body.windows(8).any(|window| SECRET.as_bytes().windows(8).any(|part| part == window))
}

#[tokio::test]
async fn a_body_that_cannot_be_read_does_not_pass_as_one_without_findings() {
    let server = server(&[]).await;
    let site = Site::start(Setup::new(&server.port("ext_authz"), sample())).await;
    let text = format!("{{\"a\":\"see {SECRET}\"}}");
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let json = "application/json";
    for (case, answer) in [
        ("binary", Answer::new("application/octet-stream", text.as_bytes())),
        ("an image", Answer::new("image/png", text.as_bytes())),
        ("without a type", Answer { headers: Vec::new(), ..document() }),
        ("with two types", document().header("content-type", "text/plain")),
        ("in UTF-16", Answer::new("application/json; charset=utf-16", &utf16)),
        ("in UTF-16 without a word about it", Answer::new(json, &utf16)),
        ("of invalid UTF-8", Answer::new(json, &[b"{\"a\":\"\xff ", SECRET.as_bytes(), b"\"}"].concat())),
        ("that ends early", Answer::new(json, &text.as_bytes()[..text.len() - 2])),
        ("with a doubled key", Answer::new(json, format!("{{\"a\":\"{SECRET}\",\"a\":\"b\"}}").as_bytes())),
        ("a part of a document", document().status(206).header("content-range", "bytes 0-23/24")),
        ("in an unknown coding", coded(json, "lzma", text.as_bytes())),
        ("in two codings", coded(json, "gzip, gzip", &gzip(&gzip(text.as_bytes())))),
        ("not in the coding that it names", coded(json, "gzip", text.as_bytes())),
        ("compressed, and ends early", coded(json, "gzip", &gzip(text.as_bytes())[..30])),
        ("with text behind the compressed end", coded(json, "gzip", &[gzip(b"{}"), text.into_bytes()].concat())),
    ] {
        let received = site.send(CALLER, &Request::get("shop.local", "/"), answer).await.unwrap();
        assert_eq!(received.status, 403, "{case}: {}", show(&received));
        assert!(!holds_a_part(&received.body), "{case}: {}", received.text());
        assert_eq!(received.values("content-encoding").next(), None, "{case}");
    }
}

#[tokio::test]
async fn what_can_be_read_is_masked_in_every_coding_and_type() {
    let server = server(&[]).await;
    let site = Site::start(Setup::new(&server.port("ext_authz"), sample())).await;
    let text = format!("{{\"a\":\"see {SECRET}\"}}");
    for (case, answer) in [
        ("plain", document()),
        ("gzip", coded("application/json", "gzip", &gzip(text.as_bytes()))),
        ("gzip in pieces", coded("application/json", "gzip", &gzip(text.as_bytes())).cut(&[1, 9, 20], Duration::ZERO)),
        ("text", Answer::new("text/plain", text.as_bytes())),
        ("problem details", Answer::new("application/problem+json; charset=\"UTF-8\"", text.as_bytes()).status(500)),
        ("events", Answer::new("text/event-stream", format!("data: see {SECRET}\n\n").as_bytes())),
        ("compressed events", coded("text/event-stream", "gzip", &gzip(format!("data: see {SECRET}\n\n").as_bytes()))),
        ("escapes", Answer::new("application/json", br#"{"a":"see I\u004eC-2026-00412"}"#)),
    ] {
        let status = answer.status;
        let received = site.send(CALLER, &Request::get("shop.local", "/"), answer).await.unwrap();
        assert_eq!(show(&received), format!("{status} masked"), "{case}: {}", received.text());
        assert_eq!(received.values("content-encoding").next(), None, "{case}");
    }
}

#[tokio::test]
async fn a_body_behind_a_head_that_the_filter_skips_never_leaves() {
    let server = server(&[]).await;
    let mode = json!({"response_header_mode": "SKIP", "response_body_mode": "FULL_DUPLEX_STREAMED",
        "response_trailer_mode": "SEND"});
    let site = Site::start(Setup::new(&server.port("ext_authz"), vec![(GUARDED, mode)])).await;
    for answer in [document(), document().cut(&[5], Duration::from_millis(20))] {
        // A reset, or an answer of Envoy's own.
        if let Ok(received) = site.send(CALLER, &Request::get("shop.local", "/"), answer).await {
            assert!(received.status >= 500 && !holds_a_part(&received.body), "{}", show(&received));
        }
    }
}

#[tokio::test]
async fn an_oversized_document_and_a_bomb_are_refused() {
    let server = server(&[]).await;
    let site = Site::start(Setup::new(&server.port("ext_authz"), sample())).await;
    let filler = |bytes: usize| format!("{{\"a\":\"{SECRET}\",\"b\":\"{}\"}}", "x".repeat(bytes));
    for (case, answer) in [
        ("oversized", Answer::new("application/json", filler(17 << 20).as_bytes())),
        ("oversized when inflated", coded("application/json", "gzip", &gzip(filler(17 << 20).as_bytes()))),
        (
            "deep",
            Answer::new("application/json", format!("{}\"{SECRET}\"{}", "[".repeat(100), "]".repeat(100)).as_bytes()),
        ),
    ] {
        let received = site.send(CALLER, &Request::get("shop.local", "/"), answer).await.unwrap();
        assert_eq!(received.status, 403, "{case}: {} bytes", received.body.len());
        assert!(!holds_a_part(&received.body), "{case}");
    }
    // A stream has left in part already: nothing follows, and its ending is the API's.
    let event = format!("data: {}{SECRET}\n\n", "x".repeat(2 << 20));
    let answer = Answer::new("text/event-stream", format!("data: one\n\n{event}").as_bytes());
    let received = site.send(CALLER, &Request::get("shop.local", "/"), answer).await.unwrap();
    let ending = "event: error\ndata: {\"error\":{\"type\":\"too_long\"}}\n\n";
    assert_eq!((received.status, received.text()), (200, format!("data: one\n\n{ending}")));
}
