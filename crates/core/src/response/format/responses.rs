//! OpenAI Responses.
//!
//! Knows: events and documents of that API. Must not know: detectors, frames.
//!
//! An event with the suffix `.delta` continues the text of its family (`output_text`, `function_call_arguments` …) in its item;
//! `.done` ends it and repeats it. So an event that is not known has channels too. The texts of adjacent parts of one item are one
//! channel, and so are their repetitions: a value over two parts is masked the same way in every copy.

mod ending;

use std::collections::BTreeSet;

use smol_str::{SmolStr, format_smolstr};

use super::endings::{self, Words};
use super::roles::{RECORDS_MAX, blob, index, items, text, tokens};
use super::{Data, Ends, Format, LogProbabilities, Message, Reading, Role, Usage};
use crate::body::json::Node;
use crate::response::ruling::End;

/// Members of an event, of the response in it and of its items and parts that are exempt where they have the shape of an id.
pub const EXEMPT: &[&str] = &[
    "type",
    "id",
    "item_id",
    "call_id",
    "response_id",
    "previous_response_id",
    "object",
    "model",
    "role",
    "status",
    "service_tier",
    "obfuscation",
    "approval_request_id",
];
/// The same where they have the shape of Base64.
pub const EXEMPT_SEALED: &[&str] = &["encrypted_content"];
/// Families with arguments of calls, which are held until they are complete.
const ARGUMENTS: &[&str] = &["function_call_arguments", "mcp_call_arguments", "custom_tool_call_input"];
/// Members of an item that are arguments.
const ARGUMENT_MEMBERS: &[&str] = &["arguments", "input"];

/// The format of one response.
#[derive(Debug)]
pub struct Responses {
    words: Words,
    log_probabilities: LogProbabilities,
    /// Complete copies of items so far: each has texts of its own.
    copies: usize,
    /// Whether the response itself was in an earlier event.
    is_echoed: bool,
    /// Items with text that has been read.
    seen: BTreeSet<SmolStr>,
    /// Scopes that are open, by their item.
    open: BTreeSet<(SmolStr, SmolStr)>,
    client: Client,
}

/// What the client has got.
#[derive(Debug, Default)]
struct Client {
    id: Option<String>,
    model: Option<String>,
    created: Option<i64>,
    sequence: Option<i64>,
    is_created: bool,
}

/// What an event does to its text.
enum Step<'a> {
    Delta(&'a str),
    Done(&'a str),
    Other,
}

fn step(kind: &str) -> Step<'_> {
    let family =
        |suffix| Some(kind.strip_prefix("response.").unwrap_or(kind)).and_then(|name| name.strip_suffix(suffix));
    match (family(".delta"), family(".done")) {
        (Some(family), _) => Step::Delta(family),
        (None, Some(family)) => Step::Done(family),
        (None, None) => Step::Other,
    }
}

/// The family of a part's text, by the type of the part.
fn family_of(part: Node<'_>) -> &str {
    match text(part, "type") {
        Some("summary_text") => "reasoning_summary_text",
        Some(other) => other,
        None => "output_text",
    }
}

impl Responses {
    /// A response of which nothing was read.
    #[must_use]
    pub fn new(words: Words, log_probabilities: LogProbabilities) -> Self {
        let (seen, open, client) = (BTreeSet::new(), BTreeSet::new(), Client::default());
        Self { words, log_probabilities, copies: 0, is_echoed: false, seen, open, client }
    }

    /// A scope of an item, which is open from here on.
    fn scope(&mut self, item: &SmolStr, family: &str) -> SmolStr {
        let scope = format_smolstr!("item:{item}/{family}");
        if self.open.len() < RECORDS_MAX {
            self.open.insert((item.clone(), scope.clone()));
        }
        scope
    }

    /// Ends every scope of an item.
    fn end_item(&mut self, item: &SmolStr, reading: &mut Reading) {
        let (ended, open) = std::mem::take(&mut self.open).into_iter().partition(|(of, _)| of == item);
        self.open = open;
        end(reading, BTreeSet::into_iter(ended).map(|(_, scope)| scope));
    }

    fn delta(&mut self, json: Node<'_>, item: &SmolStr, family: &str, reading: &mut Reading) {
        let scope = self.scope(item, family);
        self.note(item);
        reading.role(json.get("delta"), &scope, |data| match family {
            family if ARGUMENTS.contains(&family) => Role::Held("arguments".into()),
            "audio" => blob(data, Some("audio/*")),
            _ => Role::Delta("text".into()),
        });
        reading.deltas_below(json, &scope, "event");
    }

    fn done(&mut self, json: Node<'_>, item: &SmolStr, family: &str, reading: &mut Reading) {
        let own = format_smolstr!("item:{item}/{family}");
        match family {
            "output_item" => {
                self.item(json.get("item"), item, reading);
                self.end_item(item, reading);
            }
            // Text in parts continues in the next part; the item ends it.
            "content_part" | "reasoning_summary_part" => {
                let scope = self.scope(item, "part.done");
                self.part(json.get("part"), &scope, reading);
            }
            family if ARGUMENTS.contains(&family) => {
                for key in ARGUMENT_MEMBERS {
                    reading.role(json.get(key), &own, |_| Role::Arguments);
                }
                self.open.remove(&(item.clone(), own.clone()));
                end(reading, [own]);
            }
            family => {
                let scope = self.scope(item, &format!("{family}.done"));
                reading.deltas_below(json, &scope, "event");
            }
        }
        self.repeat(json, item, reading);
    }

    /// Marks what an item's deltas had as repeated.
    fn repeat(&mut self, node: Node<'_>, item: &SmolStr, reading: &mut Reading) {
        if self.seen.contains(item) {
            reading.repeated_below(Some(node));
        }
        self.note(item);
    }

    /// Notes that text of an item was read.
    fn note(&mut self, item: &SmolStr) {
        if self.seen.len() < RECORDS_MAX {
            self.seen.insert(item.clone());
        }
    }

    /// Reads an item: adjacent parts are one text, arguments are complete.
    fn item(&mut self, item: Option<Node<'_>>, number: &SmolStr, reading: &mut Reading) {
        let Some(item) = item else { return };
        exempt(item, reading);
        self.copies += 1;
        for key in ["content", "summary"] {
            let scope = format_smolstr!("copy:{}/{key}", self.copies);
            let mut is_text = false;
            for part in items(item, key) {
                self.part(Some(part), &scope, reading);
                is_text = true;
            }
            if is_text {
                end(reading, [scope]);
            }
        }
        for key in ARGUMENT_MEMBERS {
            reading.role(item.get(key), number, |_| Role::Arguments);
        }
        if text(item, "type") == Some("image_generation_call") {
            reading.role(item.get("result"), number, |data| blob(data, Some("image/*")));
        }
        reading.complete_below(Some(item));
    }

    fn part(&self, part: Option<Node<'_>>, scope: &SmolStr, reading: &mut Reading) {
        let Some(part) = part else { return };
        exempt(part, reading);
        reading.log_probabilities(part, self.log_probabilities);
        for annotation in items(part, "annotations") {
            self.annotation(annotation, reading);
        }
        for key in ["text", "refusal"] {
            reading.role(part.get(key), scope, |_| Role::Delta("text".into()));
        }
        reading.complete_below(Some(part));
    }

    fn annotation(&self, annotation: Node<'_>, reading: &mut Reading) {
        reading.exempt(annotation, &["type", "file_id", "container_id"]);
        reading.drop_offsets(annotation, &["start_index", "end_index", "index"]);
        reading.complete_below(Some(annotation));
    }

    /// Reads a complete response.
    fn response(&mut self, response: Node<'_>, reading: &mut Reading) {
        exempt(response, reading);
        for (at, item) in items(response, "output").enumerate() {
            let number = format_smolstr!("{at}");
            self.item(Some(item), &number, reading);
            if self.seen.contains(&number) {
                reading.repeated_below(Some(item));
            }
        }
        reading.complete_below(Some(response));
        let others = response.as_object().into_iter().flat_map(|members| members.iter());
        for (_, member) in others.filter(|(key, _)| self.is_echoed && *key != "output") {
            reading.repeated_below(Some(member));
        }
        self.is_echoed = true;
        reading.usage = usage(response);
    }

    /// An event that neither continues nor ends a text of its own.
    fn other(&mut self, kind: &str, json: Node<'_>, item: &SmolStr, reading: &mut Reading) {
        match kind {
            "response.content_part.added" | "response.reasoning_summary_part.added" => {
                if let Some(part) = json.get("part") {
                    let scope = self.scope(item, family_of(part));
                    self.part(Some(part), &scope, reading);
                }
            }
            "response.output_item.added" => {
                if let Some(item_node) = json.get("item") {
                    self.added(item_node, item, reading);
                }
            }
            "response.output_text.annotation.added" => {
                if let Some(annotation) = json.get("annotation") {
                    self.annotation(annotation, reading);
                }
            }
            "error" => reading.complete_below(Some(json)),
            _ => {}
        }
        if let Some(image) = json.get("partial_image_b64") {
            reading.role(Some(image), item, |data| blob(data, Some("image/*")));
        }
        let scope = self.scope(item, kind);
        reading.deltas_below(json, &scope, "event");
    }

    /// A new item. The name and the first arguments of a call wait until its arguments are complete.
    fn added(&mut self, node: Node<'_>, item: &SmolStr, reading: &mut Reading) {
        let family = match text(node, "type") {
            Some("function_call") => Some("function_call_arguments"),
            Some("mcp_call") => Some("mcp_call_arguments"),
            Some("custom_tool_call") => Some("custom_tool_call_input"),
            Some(_) | None => None,
        };
        if let Some(family) = family {
            let scope = self.scope(item, family);
            for key in ARGUMENT_MEMBERS {
                reading.role(node.get(key), &scope, |_| Role::Held("arguments".into()));
            }
            reading.role(node.get("name"), &scope, |_| Role::Held("name".into()));
        }
        exempt(node, reading);
        reading.complete_below(Some(node));
    }
}

fn exempt(node: Node<'_>, reading: &mut Reading) {
    reading.exempt(node, EXEMPT);
    reading.exempt_sealed(node, EXEMPT_SEALED);
}

fn end(reading: &mut Reading, scopes: impl IntoIterator<Item = SmolStr>) {
    if let Ends::Scopes(ended) = &mut reading.ends {
        ended.extend(scopes);
    }
}

fn usage(response: Node<'_>) -> Option<Usage> {
    let usage = response.get("usage").filter(|usage| usage.as_object().is_some())?;
    Some(Usage { input_tokens: tokens(usage, &["input_tokens"]), output_tokens: tokens(usage, &["output_tokens"]) })
}

impl Format for Responses {
    fn data(&self) -> Data {
        Data::Json
    }

    fn is_sentinel(&self, data: &str) -> bool {
        data == "[DONE]"
    }

    fn event(&mut self, message: Message<'_>) -> Reading {
        let json = message.json;
        let kind = text(json, "type").unwrap_or(message.event);
        let item = index(json, "output_index", 0);
        let mut reading = Reading::deltas("event".into());
        exempt(json, &mut reading);
        reading.log_probabilities(json, self.log_probabilities);
        match (json.get("response"), step(kind)) {
            (Some(response), _) => self.response(response, &mut reading),
            (None, Step::Delta(family)) => self.delta(json, &item, family, &mut reading),
            (None, Step::Done(family)) => self.done(json, &item, family, &mut reading),
            (None, Step::Other) => self.other(kind, json, &item, &mut reading),
        }
        if matches!(
            kind,
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" | "error"
        ) {
            reading.ends = Ends::All;
        }
        reading
    }

    fn left(&mut self, message: Message<'_>) {
        let (json, client) = (message.json, &mut self.client);
        let number = |node: Node<'_>, key| node.get(key).and_then(|at| at.as_number()?.to_i64());
        client.sequence = number(json, "sequence_number").or(client.sequence);
        if let Some(response) = json.get("response") {
            client.is_created = true;
            client.id = endings::id(response, "id").or(client.id.take());
            client.model = endings::id(response, "model").or(client.model.take());
            client.created = number(response, "created_at").or(client.created);
        }
    }

    fn document(&mut self, message: Message<'_>) -> Reading {
        let mut reading = Reading::complete();
        self.response(message.json, &mut reading);
        reading
    }

    fn ending(&mut self, end: End) -> Vec<u8> {
        ending::events(&self.client, &self.words, end)
    }

    fn refusal(&mut self, end: End) -> Vec<u8> {
        endings::bytes(&self.words.openai_error(end))
    }
}

#[cfg(test)]
mod tests;
