//! Responses of an A2A agent in both versions: each case as a document and as an event stream.

use serde_json::{Value, json};

use super::{Case, Texts};
use crate::envoy::content::answers::{Answer, RPC_ID};

/// Every answer of an agent to this case: its version and form, and what the upstream sends.
pub fn all(case: &Case) -> Vec<(&'static str, Answer)> {
    let Texts::Pieces(pieces) = &case.texts else { return Vec::new() };
    let mut all = vec![
        ("0.3 stream", case.events(old_events(pieces).iter().map(event).collect())),
        ("1.0 stream", case.events(new_events(pieces).iter().map(event).collect())),
    ];
    if !case.is_truncated {
        let text = pieces.concat();
        let old =
            json!({"kind": "message", "messageId": "n", "role": "agent", "parts": [{"kind": "text", "text": text}]});
        let new = json!({"message": {"messageId": "n", "role": "ROLE_AGENT", "parts": [{"text": text}]}});
        let document = |result: Value| Answer::new("application/json", answer(&result).to_string().as_bytes());
        all.extend([("0.3", document(old)), ("1.0", document(new))]);
    }
    all.into_iter().map(|(name, answer)| (name, answer.status(case.status))).collect()
}

fn answer(result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": RPC_ID, "result": result})
}

fn event(result: &Value) -> String {
    format!("data: {}\n\n", answer(result))
}

fn old_events(pieces: &[&str]) -> Vec<Value> {
    let mut events = vec![json!({"kind": "task", "id": "t", "contextId": "c", "status": {"state": "working"}})];
    events.extend(pieces.iter().enumerate().map(|(at, piece)| {
        let artifact = json!({"artifactId": "a", "parts": [{"kind": "text", "text": piece}]});
        json!({"kind": "artifact-update", "taskId": "t", "contextId": "c", "artifact": artifact, "append": at > 0,
            "lastChunk": at + 1 == pieces.len()})
    }));
    let status = json!({"state": "completed"});
    events.push(json!({"kind": "status-update", "taskId": "t", "contextId": "c", "status": status, "final": true}));
    events
}

fn new_events(pieces: &[&str]) -> Vec<Value> {
    let status = |state: &str| json!({"state": state});
    let mut events = vec![json!({"task": {"id": "t", "contextId": "c", "status": status("TASK_STATE_WORKING")}})];
    events.extend(pieces.iter().enumerate().map(|(at, piece)| {
        let artifact = json!({"artifactId": "a", "parts": [{"text": piece}]});
        json!({"artifactUpdate": {"taskId": "t", "contextId": "c", "artifact": artifact, "append": at > 0,
            "lastChunk": at + 1 == pieces.len()}})
    }));
    let last = status("TASK_STATE_COMPLETED");
    events.push(json!({"statusUpdate": {"taskId": "t", "contextId": "c", "status": last}}));
    events
}
