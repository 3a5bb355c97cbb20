//! OpenAI Chat Completions, and the legacy completions with `choices[].text`.
//!
//! Knows: chunks and documents of that API. Must not know: detectors, frames.
//!
//! A text channel is a choice with a field of its `delta`, so also a field that a vendor added. Arguments of a tool call are
//! held until the choice has a finish reason: another call may be interleaved before.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use smol_str::{SmolStr, format_smolstr};

use super::endings::{self, Cause, Words, event};
use super::roles::{RECORDS_MAX, blob, index, items, text, tokens};
use super::{Data, Ends, Format, LogProbabilities, Message, Reading, Role, Usage};
use crate::body::json::Node;
use crate::response::ruling::End;

/// Members of a chunk or document that are exempt where they have the shape of an id.
pub const EXEMPT: &[&str] = &["id", "object", "model", "service_tier", "system_fingerprint", "obfuscation"];
/// The same of a choice, its message or delta, and its tool calls.
pub const EXEMPT_IN_CHOICE: &[&str] = &["id", "type", "role", "finish_reason", "native_finish_reason"];

/// The finish reason of a choice that the policies ended.
const REFUSED: &str = "content_filter";

/// The format of one response.
#[derive(Debug)]
pub struct Chat {
    words: Words,
    log_probabilities: LogProbabilities,
    /// The scopes of each choice that is open as read.
    open: BTreeMap<SmolStr, BTreeSet<SmolStr>>,
    client: Client,
}

/// What the client has got.
#[derive(Debug, Default)]
struct Client {
    id: Option<String>,
    model: Option<String>,
    created: Option<i64>,
    is_text: bool,
    /// Choices by their number: whether they are finished.
    finished: BTreeMap<i64, bool>,
}

impl Chat {
    /// A response of which nothing was read.
    #[must_use]
    pub fn new(words: Words, log_probabilities: LogProbabilities) -> Self {
        Self { words, log_probabilities, open: BTreeMap::new(), client: Client::default() }
    }

    fn choice(&mut self, choice: Node<'_>, at: usize, reading: &mut Reading) {
        let number = index(choice, "index", at);
        let scope = format_smolstr!("choice:{number}");
        let mut scopes = BTreeSet::from([scope.clone()]);
        reading.exempt(choice, EXEMPT_IN_CHOICE);
        reading.log_probabilities(choice, self.log_probabilities);
        let results = choice.get("content_filter_results").and_then(Node::as_object);
        results.into_iter().flat_map(|results| results.iter()).for_each(|(_, one)| reading.exempt(one, &["severity"]));
        if let Some(delta) = choice.get("delta") {
            for (at, call) in items(delta, "tool_calls").enumerate() {
                let scope = format_smolstr!("{scope}/call:{}", index(call, "index", at));
                reading.exempt(call, EXEMPT_IN_CHOICE);
                held_call(call.get("function"), &scope, reading);
                held_call(call.get("custom"), &scope, reading);
                scopes.insert(scope);
            }
            let legacy = format_smolstr!("{scope}/function_call");
            held_call(delta.get("function_call"), &legacy, reading);
            scopes.insert(legacy);
            common(delta, &scope, reading);
        }
        reading.deltas_below(choice, &scope, "choice");
        if self.open.len() >= RECORDS_MAX && !self.open.contains_key(&number) {
            return;
        }
        let open = self.open.entry(number).or_default();
        open.extend(scopes.into_iter().take(RECORDS_MAX.saturating_sub(open.len())));
        if choice.get("finish_reason").is_some_and(|reason| !reason.is_null())
            && let Ends::Scopes(ended) = &mut reading.ends
        {
            ended.extend(std::mem::take(open));
        }
    }
}

/// Holds the name and the arguments of a call that arrives in pieces.
fn held_call(call: Option<Node<'_>>, scope: &SmolStr, reading: &mut Reading) {
    let Some(call) = call else { return };
    for key in ["name", "arguments", "input"] {
        reading.role(call.get(key), scope, |_| Role::Held(key.into()));
    }
}

/// The parts of a message and of a delta that have the same shape.
fn common(message: Node<'_>, scope: &SmolStr, reading: &mut Reading) {
    reading.exempt(message, EXEMPT_IN_CHOICE);
    if let Some(audio) = message.get("audio") {
        reading.exempt(audio, &["id"]);
        reading.role(audio.get("data"), scope, |data| blob(data, Some("audio/*")));
    }
    for annotation in items(message, "annotations") {
        reading.exempt(annotation, &["type"]);
        if let Some(citation) = annotation.get("url_citation") {
            reading.drop_offsets(citation, &["start_index", "end_index"]);
        }
        reading.complete_below(Some(annotation));
    }
}

/// The message of a choice that arrives at once.
fn complete_message(message: Node<'_>, scope: &SmolStr, reading: &mut Reading) {
    common(message, scope, reading);
    // Adjacent parts of one message are one text.
    for part in items(message, "content") {
        reading.exempt(part, &["type"]);
        reading.role(part.get("text"), scope, |_| Role::Delta("content".into()));
    }
    let calls = items(message, "tool_calls").inspect(|call| reading.exempt(*call, EXEMPT_IN_CHOICE));
    let bodies: Vec<_> = calls.flat_map(|call| [call.get("function"), call.get("custom")]).collect();
    for call in bodies.into_iter().chain([message.get("function_call")]).flatten() {
        for key in ["arguments", "input"] {
            reading.role(call.get(key), scope, |_| Role::Arguments);
        }
    }
}

/// The tokens that a document or the last chunk reports.
fn usage(message: Node<'_>) -> Option<Usage> {
    let usage = message.get("usage").filter(|usage| usage.as_object().is_some())?;
    Some(Usage {
        input_tokens: tokens(usage, &["prompt_tokens"]),
        output_tokens: tokens(usage, &["completion_tokens"]),
    })
}

impl Format for Chat {
    fn data(&self) -> Data {
        Data::Json
    }

    fn is_sentinel(&self, data: &str) -> bool {
        data == "[DONE]"
    }

    fn event(&mut self, message: Message<'_>) -> Reading {
        let mut reading = Reading::deltas("event".into());
        reading.exempt(message.json, EXEMPT);
        for (at, choice) in items(message.json, "choices").enumerate() {
            self.choice(choice, at, &mut reading);
        }
        reading.complete_below(message.json.get("error"));
        reading.usage = usage(message.json);
        reading
    }

    fn left(&mut self, message: Message<'_>) {
        let (json, client) = (message.json, &mut self.client);
        client.id = endings::id(json, "id").or(client.id.take());
        client.model = endings::id(json, "model").or(client.model.take());
        client.created = json.get("created").and_then(|at| at.as_number()?.to_i64()).or(client.created);
        client.is_text |= text(json, "object") == Some("text_completion");
        for choice in items(json, "choices") {
            let number = choice.get("index").and_then(|number| number.as_number()?.to_i64()).unwrap_or(0);
            let is_finished = choice.get("finish_reason").is_some_and(|reason| !reason.is_null());
            if client.finished.len() < RECORDS_MAX || client.finished.contains_key(&number) {
                *client.finished.entry(number).or_default() |= is_finished;
            }
        }
    }

    fn document(&mut self, message: Message<'_>) -> Reading {
        let mut reading = Reading::complete();
        reading.exempt(message.json, EXEMPT);
        for (at, choice) in items(message.json, "choices").enumerate() {
            reading.exempt(choice, EXEMPT_IN_CHOICE);
            reading.log_probabilities(choice, self.log_probabilities);
            if let Some(message) = choice.get("message") {
                complete_message(message, &format_smolstr!("choice:{at}"), &mut reading);
            }
        }
        reading.complete_below(Some(message.json));
        reading.usage = usage(message.json);
        reading
    }

    fn ending(&mut self, end: End) -> Vec<u8> {
        let mut bytes = Vec::new();
        match Cause::of(end) {
            Cause::Policy => {
                // A client that got nothing yet needs a choice that ends.
                let unfinished =
                    self.client.finished.iter().filter(|(_, finished)| !**finished).map(|(number, _)| *number);
                let mut unfinished: Vec<i64> = unfinished.collect();
                if self.client.finished.is_empty() {
                    unfinished.push(0);
                }
                for number in unfinished {
                    bytes.extend(event(None, &self.last_chunk(number)));
                }
            }
            Cause::Upstream => bytes.extend(event(None, &self.words.openai_error(end))),
        }
        bytes.extend_from_slice(b"data: [DONE]\n\n");
        bytes
    }

    fn refusal(&mut self, end: End) -> Vec<u8> {
        endings::bytes(&self.words.openai_error(end))
    }
}

impl Chat {
    /// The chunk that finishes a choice.
    fn last_chunk(&self, number: i64) -> serde_json::Value {
        let client = &self.client;
        let is_first = !client.finished.contains_key(&number);
        let object = if client.is_text { "text_completion" } else { "chat.completion.chunk" };
        let choice = match (client.is_text, is_first) {
            (true, _) => json!({"index": number, "text": "", "logprobs": null, "finish_reason": REFUSED}),
            (false, true) => {
                let delta = json!({"role": "assistant", "content": ""});
                json!({"index": number, "delta": delta, "logprobs": null, "finish_reason": REFUSED})
            }
            (false, false) => {
                json!({"index": number, "delta": {}, "logprobs": null, "finish_reason": REFUSED})
            }
        };
        json!({
            "id": client.id.clone().unwrap_or_else(|| self.words.id("chatcmpl")),
            "object": object,
            "created": client.created.unwrap_or(0),
            "model": client.model.clone().unwrap_or_default(),
            "choices": [choice],
        })
    }
}

#[cfg(test)]
mod tests;
