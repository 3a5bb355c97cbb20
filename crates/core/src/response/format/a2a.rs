//! A2A in its versions 0.3 and 1.0: JSON-RPC and REST, as a document and as an event stream.
//!
//! Knows: tasks, messages, artifacts and their updates. Must not know: detectors, frames.
//!
//! An artifact arrives in appended pieces, so its text is a channel until its last piece, or until it is sent again from its start. A message
//! is complete; adjacent text parts of it are one text.

use std::collections::BTreeMap;

use serde_json::json;
use smol_str::{SmolStr, format_smolstr};

use super::endings::{Cause, Words};
use super::roles::{RECORDS_MAX, blob, index, items, text};
use super::{Data, Ends, Format, Message, Reading, Role};
use crate::body::json::Node;
use crate::response::ruling::End;

/// Members of messages, tasks, artifacts, parts and updates that are exempt where they have the shape of an id.
pub const EXEMPT: &[&str] = &[
    "jsonrpc",
    "id",
    "kind",
    "role",
    "state",
    "taskId",
    "contextId",
    "messageId",
    "artifactId",
    "mimeType",
    "mediaType",
    "timestamp",
    "nextPageToken",
];

/// How answers are carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carrier {
    /// As results of JSON-RPC, for the request with this id as JSON.
    JsonRpc(String),
    /// As themselves.
    Rest,
}

/// The format of one response.
#[derive(Debug)]
pub struct A2a {
    words: Words,
    carrier: Carrier,
    /// Artifacts that are open: how often each was sent from its start.
    artifacts: BTreeMap<SmolStr, usize>,
    /// Complete texts so far, each of which is a scope.
    texts: usize,
}

impl A2a {
    /// A response of which nothing was read.
    #[must_use]
    pub fn new(words: Words, carrier: Carrier) -> Self {
        Self { words, carrier, artifacts: BTreeMap::new(), texts: 0 }
    }

    /// Reads a task, message or update, under any of the names that the versions have for them.
    fn payload(&mut self, payload: Node<'_>, reading: &mut Reading) {
        exempt(payload, reading);
        let inner = ["task", "message", "msg", "statusUpdate", "artifactUpdate"].map(|key| payload.get(key));
        for body in inner.into_iter().flatten().chain([payload]) {
            exempt(body, reading);
            if let Some(artifact) = body.get("artifact") {
                self.artifact_update(body, artifact, reading);
            }
            for task in items(body, "tasks").chain([body]) {
                exempt(task, reading);
                items(task, "artifacts").chain(items(task, "history")).for_each(|whole| self.parts(whole, reading));
                if let Some(status) = task.get("status") {
                    exempt(status, reading);
                    status.get("message").into_iter().for_each(|message| self.parts(message, reading));
                }
            }
            self.parts(body, reading);
        }
    }

    /// Reads the parts of something that is complete.
    fn parts(&mut self, holder: Node<'_>, reading: &mut Reading) {
        exempt(holder, reading);
        if holder.get("parts").is_some() {
            self.texts += 1;
            let scope = format_smolstr!("text:{}", self.texts);
            parts_in(holder, &scope, reading);
            end(reading, scope);
        }
    }

    fn artifact_update(&mut self, update: Node<'_>, artifact: Node<'_>, reading: &mut Reading) {
        exempt(artifact, reading);
        let key = format_smolstr!("{}/{}", index(update, "taskId", 0), index(artifact, "artifactId", 0));
        let key =
            if self.artifacts.len() < RECORDS_MAX || self.artifacts.contains_key(&key) { key } else { "?".into() };
        let is_appended = update.get("append").and_then(Node::as_bool) == Some(true);
        let times = self.artifacts.entry(key.clone()).or_default();
        let scope = |times: usize| format_smolstr!("artifact:{key}#{times}");
        if !is_appended {
            // Its earlier text is complete: the client replaces it.
            end(reading, scope(*times));
            *times += 1;
        }
        let scope = scope(*times);
        parts_in(artifact, &scope, reading);
        if update.get("lastChunk").and_then(Node::as_bool) == Some(true) {
            end(reading, scope);
            *times += 1;
        }
    }

    /// The error that answers the request.
    fn error(&self, end: End) -> String {
        let (message, details) = (self.words.sentence(end), self.words.details(end));
        let (code, status) = match Cause::of(end) {
            Cause::Policy => (403, "PERMISSION_DENIED"),
            Cause::Upstream => (500, "INTERNAL"),
        };
        match (&self.carrier, Cause::of(end)) {
            (Carrier::JsonRpc(id), cause) => {
                let code = if cause == Cause::Policy { code } else { -32603 };
                let error = json!({"code": code, "message": message, "data": details});
                format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
            }
            (Carrier::Rest, _) => {
                json!({"error": {"code": code, "status": status, "message": message, "details": [details]}}).to_string()
            }
        }
    }
}

fn exempt(node: Node<'_>, reading: &mut Reading) {
    reading.exempt(node, EXEMPT);
}

fn end(reading: &mut Reading, scope: SmolStr) {
    if let Ends::Scopes(ended) = &mut reading.ends {
        ended.push(scope);
    }
}

/// Adjacent text parts are one text; a file is Base64 or a URL.
fn parts_in(holder: Node<'_>, scope: &SmolStr, reading: &mut Reading) {
    for part in items(holder, "parts") {
        exempt(part, reading);
        reading.role(part.get("text"), scope, |_| Role::Delta("text".into()));
        let file = part.get("file").unwrap_or(part);
        exempt(file, reading);
        let media_type = text(file, "mimeType").or_else(|| text(file, "mediaType"));
        for key in ["bytes", "fileWithBytes", "raw"] {
            reading.role(file.get(key), scope, |data| blob(data, media_type));
        }
    }
}

impl Format for A2a {
    fn data(&self) -> Data {
        Data::Json
    }

    fn is_sentinel(&self, _: &str) -> bool {
        false
    }

    fn event(&mut self, message: Message<'_>) -> Reading {
        let mut reading = Reading::complete();
        let payload = match &self.carrier {
            Carrier::JsonRpc(_) => {
                exempt(message.json, &mut reading);
                message.json.get("result")
            }
            Carrier::Rest => Some(message.json),
        };
        if let Some(payload) = payload {
            reading.roots = vec![payload.place()];
            self.payload(payload, &mut reading);
        }
        reading.complete_below(Some(message.json));
        reading
    }

    fn left(&mut self, _: Message<'_>) {}

    fn document(&mut self, message: Message<'_>) -> Reading {
        self.event(message)
    }

    fn ending(&mut self, end: End) -> Vec<u8> {
        format!("data: {}\n\n", self.error(end)).into_bytes()
    }

    fn refusal(&mut self, end: End) -> Vec<u8> {
        self.error(end).into_bytes()
    }

    fn refusal_status(&self) -> u16 {
        match self.carrier {
            // Clients read no error from an answer with another status.
            Carrier::JsonRpc(_) => 200,
            Carrier::Rest => 403,
        }
    }
}

#[cfg(test)]
mod tests;
