//! The content demo's upstream: a provider of models and a server of tools, with fixed answers.
//!
//! Knows: OpenAI's Chat Completions API, lists of MCP. Must not know: what leaves of its answers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Time between two frames of a stream.
const FRAME_PAUSE: Duration = Duration::from_millis(40);

/// The model with an answer that has nothing internal, in a stream.
const PARCEL_MODEL: &str = "support-parcel";
/// The model with a picture as its answer, in one JSON document.
const PICTURE_MODEL: &str = "support-picture";

/// The answer of every other model. An incident, an address and a card number are in several frames each.
const TICKET: &[&str] = &[
    "Your ticket ",
    "is part of IN",
    "C-2026-",
    "00417, ",
    "which we are ",
    "working on. Write to dana.ito@",
    "corp.exam",
    "ple. The refund goes to ",
    "card 4111 1111",
    " 1111 ",
    "1111.",
];
const PARCEL: &[&str] = &["Your parcel ", "left Lyon ", "this morning ", "and arrives ", "on Friday."];
/// The first bytes of a PNG file, in base64.
const PICTURE: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// An answer that the provider began to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentAnswer {
    /// All bytes of the body.
    pub body: String,
}

/// Serves on a free loopback port until `stop`; gives the address, and every answer that is sent.
///
/// # Errors
/// If no port can be bound.
pub async fn serve(
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> std::io::Result<(SocketAddr, UnboundedReceiver<SentAnswer>)> {
    let (sender, sent) = unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let service = axum::serve(listener, Router::new().fallback(answer).with_state(sender));
    tasks.spawn(async move { service.with_graceful_shutdown(stop.cancelled_owned()).await });
    Ok((address, sent))
}

async fn answer(State(sent): State<UnboundedSender<SentAnswer>>, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    if request.get("method").and_then(Value::as_str) == Some("tools/list") {
        let body = tools(request.get("id")).to_string();
        report(&sent, body.clone());
        return ([(CONTENT_TYPE, "application/json")], body).into_response();
    }
    let model = request.get("model").and_then(Value::as_str).unwrap_or_default();
    let frames = match model {
        PICTURE_MODEL => {
            let body = picture().to_string();
            report(&sent, body.clone());
            return ([(CONTENT_TYPE, "application/json")], body).into_response();
        }
        PARCEL_MODEL => frames(PARCEL),
        _ => frames(TICKET),
    };
    report(&sent, frames.concat());
    let paced = stream::iter(frames).then(|frame| async move {
        tokio::time::sleep(FRAME_PAUSE).await;
        Ok::<_, Infallible>(frame)
    });
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(paced)).into_response()
}

/// A receiver that is gone means that the demonstration is over.
fn report(sent: &UnboundedSender<SentAnswer>, body: String) {
    drop(sent.send(SentAnswer { body }));
}

/// The events of a stream with these texts.
fn frames(texts: &[&str]) -> Vec<String> {
    let chunk = |delta: Value, finish: Option<&str>| {
        let chunk = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": "support",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        });
        format!("data: {chunk}\n\n")
    };
    let texts = texts.iter().map(|text| chunk(json!({"content": text}), None));
    texts.chain([chunk(json!({}), Some("stop")), "data: [DONE]\n\n".to_owned()]).collect()
}

/// All tools of the desk, as its server lists them to every caller.
fn tools(id: Option<&Value>) -> Value {
    let tool = |name: &str| json!({"name": name, "inputSchema": {"type": "object"}});
    let tools = ["tickets.get", "refunds.pay", "customers.export"].map(tool);
    json!({"jsonrpc": "2.0", "id": id, "result": {"tools": tools}})
}

fn picture() -> Value {
    json!({
        "id": "chatcmpl-2", "object": "chat.completion", "created": 1_790_000_000, "model": "support",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {
            "role": "assistant", "content": "Here is the scan.", "images": [{"type": "image_url", "image_url": {"url": PICTURE}}],
        }}],
    })
}
