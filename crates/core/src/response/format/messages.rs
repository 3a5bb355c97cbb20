//! Anthropic Messages.
//!
//! Knows: events and documents of that API. Must not know: detectors, frames.
//!
//! The texts of adjacent text blocks are one channel: citations split a sentence into blocks. Thinking is signed, and a changed text would
//! make every next turn fail, so its blocks are withheld or pass unread, and the blocks behind a withheld one are renumbered.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use smol_str::{SmolStr, format_smolstr};

use super::endings::{self, Cause, Words, event};
use super::roles::{RECORDS_MAX, index, items, strings, text, tokens};
use super::{Data, Edit, Ends, Fate, Format, Message, Reading, Role, Usage};
use crate::body::json::Node;
use crate::response::ruling::End;

/// Members of events, messages, blocks and deltas that are exempt where they have the shape of an id.
pub const EXEMPT: &[&str] =
    &["type", "id", "role", "model", "stop_reason", "tool_use_id", "service_tier", "container_id", "file_id"];
/// The same where they have the shape of Base64.
pub const EXEMPT_SEALED: &[&str] = &["signature", "encrypted_content", "encrypted_index", "encrypted_stdout"];
/// The media type under which thinking passes unread.
pub const THINKING: &str = "thinking";

/// What happens to blocks of thinking, which are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedBlocks {
    /// They are withheld with their signatures.
    Withheld,
    /// They pass unread, as media of the type [`THINKING`].
    Passed,
}

/// The format of one response.
#[derive(Debug)]
pub struct Messages {
    words: Words,
    signed: SignedBlocks,
    /// Blocks that were withheld.
    withheld: BTreeSet<i64>,
    /// Scopes of the blocks that are open.
    scopes: BTreeMap<SmolStr, SmolStr>,
    /// Number of the current run of text blocks.
    run: usize,
    usage: Usage,
    client: Client,
}

/// What the client has got.
#[derive(Debug, Default)]
struct Client {
    is_started: bool,
    /// Blocks that are open, in the upstream's numbers.
    open: BTreeSet<i64>,
    has_stop_reason: bool,
}

impl Messages {
    /// A response of which nothing was read.
    #[must_use]
    pub fn new(words: Words, signed: SignedBlocks) -> Self {
        let (withheld, scopes) = (BTreeSet::new(), BTreeMap::new());
        Self { words, signed, withheld, scopes, run: 0, usage: Usage::default(), client: Client::default() }
    }

    fn run_scope(&self) -> SmolStr {
        format_smolstr!("text:{}", self.run)
    }

    /// The number that the client knows a block by.
    fn renumbered(&self, block: i64) -> i64 {
        let before = self.withheld.range(..block).count();
        block.saturating_sub(i64::try_from(before).unwrap_or(i64::MAX))
    }

    fn block_start(&mut self, json: Node<'_>, number: &SmolStr, reading: &mut Reading) {
        let Some(block) = json.get("content_block") else { return };
        exempt(block, reading);
        match (text(block, "type"), self.signed) {
            (Some("thinking"), SignedBlocks::Withheld) => {
                // One block more than can be renumbered would shift all others.
                if let Ok(number) = number.parse()
                    && self.withheld.len() < RECORDS_MAX
                {
                    self.withheld.insert(number);
                }
                reading.fate = Fate::Withheld;
                return;
            }
            (Some("text"), _) => {
                let scope = self.run_scope();
                reading.role(block.get("text"), &scope, |_| Role::Delta("text".into()));
                self.open(number, scope);
            }
            (Some(_) | None, _) => {
                end(reading, self.run_scope());
                self.run += 1;
                let scope = format_smolstr!("block:{number}");
                thinking(block, &scope, reading);
                if block.get("input").is_some() {
                    // The start waits with the input: a call leaves when all of it was read.
                    reading.role(block.get("name"), &scope, |_| Role::Held("name".into()));
                }
                self.open(number, scope);
            }
        }
        block_parts(block, reading);
    }

    fn open(&mut self, number: &SmolStr, scope: SmolStr) {
        if self.scopes.len() < RECORDS_MAX {
            self.scopes.insert(number.clone(), scope);
        }
    }

    fn block_delta(&mut self, json: Node<'_>, number: &SmolStr, reading: &mut Reading) {
        let Some(delta) = json.get("delta") else { return };
        let scope = self.scopes.get(number).cloned().unwrap_or_else(|| format_smolstr!("block:{number}"));
        let kind = text(delta, "type");
        if self.signed == SignedBlocks::Withheld && matches!(kind, Some("thinking_delta" | "signature_delta")) {
            reading.fate = Fate::Withheld;
            return;
        }
        exempt(delta, reading);
        thinking(delta, &scope, reading);
        reading.role(delta.get("text"), &scope, |_| Role::Delta("text".into()));
        reading.role(delta.get("partial_json"), &scope, |_| Role::Held("input".into()));
        if let Some(citation) = delta.get("citation") {
            exempt(citation, reading);
            reading.complete_below(Some(citation));
        }
        reading.deltas_below(delta, &scope, "delta");
    }

    fn block_stop(&mut self, number: &SmolStr, reading: &mut Reading) {
        match self.scopes.remove(number) {
            // Text continues in the next text block.
            Some(scope) if scope == self.run_scope() => {}
            Some(scope) => end(reading, scope),
            None => {}
        }
    }

    /// Withholds an event of a withheld block, and renumbers all others.
    fn number(&self, json: Node<'_>, reading: &mut Reading) {
        let Some(node) = json.get("index") else { return };
        let Some(block) = node.as_number().and_then(|number| number.to_i64()) else { return };
        let number = self.renumbered(block);
        if self.withheld.contains(&block) {
            reading.fate = Fate::Withheld;
        } else if number != block {
            reading.edits.push(Edit::Replace(node.place(), number.to_string()));
        }
    }

    fn count(&mut self, holder: Option<Node<'_>>) -> Option<Usage> {
        let usage = holder?.get("usage").filter(|usage| usage.as_object().is_some())?;
        let input = tokens(usage, &["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"]);
        // Later events repeat a count or have it grown; an event without it changes nothing.
        self.usage.input_tokens = self.usage.input_tokens.max(input);
        self.usage.output_tokens = self.usage.output_tokens.max(tokens(usage, &["output_tokens"]));
        Some(self.usage)
    }
}

fn exempt(node: Node<'_>, reading: &mut Reading) {
    reading.exempt(node, EXEMPT);
    reading.exempt_sealed(node, EXEMPT_SEALED);
    if text(node, "type") == Some("redacted_thinking") {
        reading.exempt_sealed(node, &["data"]);
    }
}

/// Thinking that passes.
fn thinking(node: Node<'_>, scope: &SmolStr, reading: &mut Reading) {
    if matches!(text(node, "type"), Some("thinking" | "thinking_delta")) {
        reading.role(node.get("thinking"), scope, |_| Role::Media(THINKING.into()));
    }
}

/// The parts of a block other than its own text: citations, results of server tools, input.
fn block_parts(block: Node<'_>, reading: &mut Reading) {
    for part in items(block, "content").chain(items(block, "citations")) {
        exempt(part, reading);
    }
    if let Some(result) = block.get("content").filter(|content| content.as_object().is_some()) {
        exempt(result, reading);
        items(result, "content").for_each(|part| exempt(part, reading));
    }
    reading.complete_below(Some(block));
}

fn end(reading: &mut Reading, scope: SmolStr) {
    if let Ends::Scopes(ended) = &mut reading.ends {
        ended.push(scope);
    }
}

impl Format for Messages {
    fn data(&self) -> Data {
        Data::Json
    }

    fn is_sentinel(&self, _: &str) -> bool {
        false
    }

    fn event(&mut self, message: Message<'_>) -> Reading {
        let json = message.json;
        let mut reading = Reading::deltas("event".into());
        exempt(json, &mut reading);
        let number = index(json, "index", 0);
        match text(json, "type").unwrap_or(message.event) {
            "message_start" => {
                if let Some(message) = json.get("message") {
                    exempt(message, &mut reading);
                    reading.complete_below(Some(message));
                }
                reading.usage = self.count(json.get("message"));
            }
            "content_block_start" => self.block_start(json, &number, &mut reading),
            "content_block_delta" => self.block_delta(json, &number, &mut reading),
            "content_block_stop" => self.block_stop(&number, &mut reading),
            "message_delta" => {
                json.get("delta").into_iter().for_each(|delta| exempt(delta, &mut reading));
                reading.complete_below(json.get("delta"));
                reading.usage = self.count(Some(json));
                reading.ends = Ends::All;
            }
            "message_stop" | "error" => {
                reading.complete_below(json.get("error"));
                reading.ends = Ends::All;
            }
            _ => {}
        }
        self.number(json, &mut reading);
        reading
    }

    fn left(&mut self, message: Message<'_>) {
        let (json, client) = (message.json, &mut self.client);
        let block = json.get("index").and_then(|number| number.as_number()?.to_i64());
        match (text(json, "type").unwrap_or(message.event), block) {
            ("message_start", _) => client.is_started = true,
            ("content_block_start", Some(block)) if client.open.len() < RECORDS_MAX => drop(client.open.insert(block)),
            ("content_block_stop", Some(block)) => drop(client.open.remove(&block)),
            ("message_delta", _) => client.has_stop_reason = true,
            _ => {}
        }
    }

    fn document(&mut self, message: Message<'_>) -> Reading {
        let mut reading = Reading::complete();
        exempt(message.json, &mut reading);
        for block in items(message.json, "content") {
            exempt(block, &mut reading);
            match (text(block, "type"), self.signed) {
                (Some("thinking"), SignedBlocks::Withheld) => {
                    reading.edits.push(Edit::Remove(block.place()));
                    strings(block, &mut |node| reading.role(Some(node), &SmolStr::default(), |_| Role::Exempt));
                }
                (Some("text"), _) => {
                    reading.role(block.get("text"), &self.run_scope(), |_| Role::Delta("text".into()));
                }
                (Some(_) | None, _) => {
                    self.run += 1;
                    thinking(block, &self.run_scope(), &mut reading);
                }
            }
            block_parts(block, &mut reading);
        }
        reading.complete_below(Some(message.json));
        reading.usage = self.count(Some(message.json));
        reading
    }

    fn ending(&mut self, end: End) -> Vec<u8> {
        let Cause::Policy = Cause::of(end) else {
            return event(Some("error"), &self.words.anthropic_error(end));
        };
        let mut bytes = Vec::new();
        let mut send = |kind: &str, data: &Value| bytes.extend(event(Some(kind), data));
        if !self.client.is_started {
            send("message_start", &json!({"type": "message_start", "message": self.message()}));
        }
        for block in &self.client.open {
            let number = self.renumbered(*block);
            send("content_block_stop", &json!({"type": "content_block_stop", "index": number}));
        }
        if !self.client.has_stop_reason {
            let delta = json!({"stop_reason": "refusal", "stop_sequence": null});
            let usage = json!({"output_tokens": self.usage.output_tokens});
            send("message_delta", &json!({"type": "message_delta", "delta": delta, "usage": usage}));
        }
        send("message_stop", &json!({"type": "message_stop"}));
        bytes
    }

    fn refusal(&mut self, end: End) -> Vec<u8> {
        endings::bytes(&self.words.anthropic_error(end))
    }
}

impl Messages {
    /// A message without content, as it starts.
    fn message(&self) -> Value {
        json!({
            "id": self.words.id("msg"),
            "type": "message",
            "role": "assistant",
            "model": "",
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": {"input_tokens": self.usage.input_tokens, "output_tokens": self.usage.output_tokens},
        })
    }
}

#[cfg(test)]
mod tests;
