//! Ends a stream of Responses early.
//!
//! Knows: what the client has got. Must not know: what was read and did not leave.

use serde_json::{Value, json};

use super::Client;
use crate::response::format::endings::{Cause, Words, event};
use crate::response::ruling::End;

/// The last events: the response is incomplete by policy, or failed where the upstream truncated it.
pub(super) fn events(client: &Client, words: &Words, end: End) -> Vec<u8> {
    let kind = match Cause::of(end) {
        Cause::Policy => "response.incomplete",
        Cause::Upstream => "response.failed",
    };
    let mut sequence = client.sequence.map_or(0, |sequence| sequence.saturating_add(1));
    let mut bytes = Vec::new();
    if !client.is_created {
        // The helper of the official SDK accepts no other first event.
        let (kind, response) = ("response.created", object(client, words, "in_progress", Value::Null, Value::Null));
        bytes.extend(event(Some(kind), &json!({"type": kind, "sequence_number": sequence, "response": response})));
        sequence = sequence.saturating_add(1);
    }
    let last = json!({"type": kind, "sequence_number": sequence, "response": response(client, words, end)});
    bytes.extend(event(Some(kind), &last));
    bytes
}

/// The response that ended early: with the ids that the client has, without any text.
fn response(client: &Client, words: &Words, end: End) -> Value {
    match Cause::of(end) {
        Cause::Policy => object(client, words, "incomplete", Value::Null, json!({"reason": "content_filter"})),
        Cause::Upstream => {
            let error = json!({"code": "server_error", "message": words.sentence(end)});
            object(client, words, "failed", error, Value::Null)
        }
    }
}

fn object(client: &Client, words: &Words, status: &str, error: Value, details: Value) -> Value {
    json!({
        "id": client.id.clone().unwrap_or_else(|| words.id("resp")),
        "object": "response",
        "created_at": client.created.unwrap_or(0),
        "status": status,
        "error": error,
        "incomplete_details": details,
        "instructions": null,
        "metadata": {},
        "model": client.model.clone().unwrap_or_default(),
        "output": [],
        "parallel_tool_calls": true,
        "temperature": null,
        "tool_choice": "auto",
        "tools": [],
        "top_p": null,
        "usage": null,
    })
}
