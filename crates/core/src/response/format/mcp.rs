//! MCP in its versions from 2025-03-26 to 2026-07-28, as a document and as an event stream.
//!
//! Knows: JSON-RPC messages, results of MCP's methods, batches. Must not know: detectors, frames, who may see what.
//!
//! Each message is complete: responses, and the notifications and requests that a server sends on the same stream. Version 2024-11-05
//! has the same messages; its stream carries the answers of other requests, which are withheld as any answer that was not awaited.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::json;
use smol_str::{SmolStr, format_smolstr};

use super::endings::{Cause, Words};
use super::lists::{self, Keep, ListKind, Unreadable};
use super::roles::{blob, items, strings, text};
use super::{Data, Edit, Ends, Fate, Format, Message, Reading, Role};
use crate::body::json::{Limits, Node, Object, parse};
use crate::catalog::mcp::ProtocolVersion;
use crate::response::ruling::End;

/// Members of a message and of its result that are exempt where they have the shape of an id.
pub const EXEMPT: &[&str] = &[
    "jsonrpc",
    "id",
    "method",
    "resultType",
    "nextCursor",
    "requestState",
    "protocolVersion",
    "taskId",
    "progressToken",
];
/// The same of a content block.
pub const EXEMPT_IN_BLOCK: &[&str] = &["type", "mimeType", "role"];

/// Requests that wait for an answer on this response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Awaited {
    /// These, by their ids as JSON. Any other answer is withheld: it is not of a request that was evaluated.
    Calls(BTreeMap<String, Option<ListKind>>),
    /// Any: the stream carries answers of requests that are not known here.
    Any,
    /// The same, and a result that looks like a list is filtered as one.
    AnyFiltered,
}

/// The format of one response.
pub struct Mcp {
    words: Words,
    version: Option<ProtocolVersion>,
    awaited: Awaited,
    keep: Box<Keep<'static>>,
    answered: BTreeSet<String>,
    /// Messages so far: each has texts of its own.
    messages: usize,
}

impl fmt::Debug for Mcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { words, version, awaited, keep: _, answered, messages: _ } = self;
        let mut debug = f.debug_struct("Mcp");
        debug.field("words", words).field("version", version).field("awaited", awaited).field("answered", answered);
        debug.finish()
    }
}

impl Mcp {
    /// A response of which nothing was read. `keep` says which entries of lists stay.
    #[must_use]
    pub fn new(words: Words, version: Option<ProtocolVersion>, awaited: Awaited, keep: Box<Keep<'static>>) -> Self {
        Self { words, version, awaited, keep, answered: BTreeSet::new(), messages: 0 }
    }

    /// Reads a message or a batch.
    fn messages(&mut self, root: Node<'_>, reading: &mut Reading) {
        reading.roots.clear();
        match root.as_list() {
            None => {
                if let Kept::No = self.message(root, reading) {
                    reading.fate = Fate::Withheld;
                }
            }
            Some(batch) => {
                for message in batch.iter() {
                    if let Kept::No = self.message(message, reading) {
                        reading.edits.push(Edit::Remove(message.place()));
                        exempt_all(message, reading);
                    }
                }
            }
        }
        reading.complete_below(Some(root));
    }

    fn message(&mut self, message: Node<'_>, reading: &mut Reading) -> Kept {
        if !message.as_object().is_some_and(has_one_reading) {
            return Kept::No;
        }
        let list = match self.list_of(message) {
            Ok(list) => list,
            Err(Unawaited) => return Kept::No,
        };
        reading.exempt(message, EXEMPT);
        let roots = reading.roots.len();
        self.messages += 1;
        let scope = format_smolstr!("message:{}", self.messages);
        for body in [message.get("result"), message.get("params")].into_iter().flatten() {
            reading.exempt(body, EXEMPT);
            let root = body.get("structuredContent").unwrap_or(body);
            reading.roots.push(root.place());
            contents(body, &scope, reading);
        }
        reading.roots.extend(message.get("error").and_then(|error| error.get("data")).map(Node::place));
        let filtered = match (list, message.get("result")) {
            (Ok(Some(kind)), Some(result)) => lists::filter(result, kind, &mut *self.keep, reading),
            (Ok(_), _) => Ok(()),
            (Err(unreadable), _) => Err(unreadable),
        };
        if filtered.is_err() {
            reading.lists.refused += 1;
            reading.roots.truncate(roots);
            let id = message.get("id").map_or_else(|| "null".to_owned(), Node::canonical);
            let error = self.error(&id, END_OF_UNREADABLE_LIST);
            reading.edits.push(Edit::Replace(message.place(), error));
            exempt_all(message, reading);
        }
        Kept::Yes
    }

    /// The list in an answer: that of its request, or by its members where the request is not known.
    fn list_of(&self, message: Node<'_>) -> Result<Result<Option<ListKind>, Unreadable>, Unawaited> {
        if message.get("method").is_some() {
            return Ok(Ok(None));
        }
        match (&self.awaited, message.get("id").map(Node::canonical)) {
            (Awaited::Calls(calls), Some(id)) => match calls.get(&id) {
                Some(list) => Ok(Ok(*list)),
                // An error without an id answers a request that could not be read.
                None if id == "null" && message.get("result").is_none() => Ok(Ok(None)),
                None => Err(Unawaited),
            },
            (Awaited::Calls(_), None) => Err(Unawaited),
            (Awaited::Any, _) => Ok(Ok(None)),
            (Awaited::AnyFiltered, _) => Ok(message.get("result").map_or(Ok(None), lists::kind_of)),
        }
    }

    /// The error that answers a request.
    fn error(&self, id: &str, end: End) -> String {
        let has_sessions = match self.version {
            Some(ProtocolVersion::March2025 | ProtocolVersion::June2025 | ProtocolVersion::November2025) => true,
            Some(ProtocolVersion::July2026) | None => false,
        };
        let code = match (Cause::of(end), has_sessions) {
            (Cause::Policy, true) => -32001,
            (Cause::Policy, false) => 403,
            (Cause::Upstream, _) => -32603,
        };
        let error = json!({"code": code, "message": self.words.sentence(end), "data": self.words.details(end)});
        // The id is written as it was sent: read as a number it could become another one.
        format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
    }

    /// Errors for every request that has no answer yet.
    fn errors(&self, end: End) -> Vec<String> {
        let Awaited::Calls(calls) = &self.awaited else { return Vec::new() };
        let unanswered = calls.keys().filter(|id| !self.answered.contains(*id));
        unanswered.map(|id| self.error(id, end)).collect()
    }
}

/// The members of JSON-RPC that decide what a message is.
const MEMBERS: &[&str] = &["id", "method", "params", "result", "error"];
/// The end that the error for a list without one reading names.
const END_OF_UNREADABLE_LIST: End = End::Refused;

/// An answer to a request that was not evaluated.
struct Unawaited;

/// Whether every client reads the same message: one that does not mind case, and one that goes by another member.
fn has_one_reading(message: Object<'_>) -> bool {
    let has = |name| message.iter().any(|(key, _)| key == name);
    let is_one_kind = !has("method") || !(has("result") || has("error"));
    is_one_kind && MEMBERS.iter().all(|key| lists::one(message, key).is_ok())
}

/// Whether a message stays.
enum Kept {
    Yes,
    No,
}

fn exempt_all(message: Node<'_>, reading: &mut Reading) {
    strings(message, &mut |node| reading.role(Some(node), &SmolStr::default(), |_| Role::Exempt));
}

/// Finds the content blocks of a result, or of the params of a server's request: results of tools, prompts, resources, sampling.
fn contents(body: Node<'_>, scope: &SmolStr, reading: &mut Reading) {
    blocks(body.get("content"), &format_smolstr!("{scope}/content"), reading);
    for (at, message) in items(body, "messages").enumerate() {
        reading.exempt(message, EXEMPT_IN_BLOCK);
        blocks(message.get("content"), &format_smolstr!("{scope}/{at}"), reading);
    }
    for resource in items(body, "contents") {
        embedded(resource, reading);
    }
}

/// Reads one content block, or a list of them. Adjacent text blocks are one text.
fn blocks(content: Option<Node<'_>>, scope: &SmolStr, reading: &mut Reading) {
    let Some(content) = content else { return };
    let all: Vec<Node<'_>> = content.as_list().map_or_else(|| vec![content], |list| list.iter().collect());
    let (mut run, mut scopes) = (0, Vec::new());
    for block in all {
        reading.exempt(block, EXEMPT_IN_BLOCK);
        match text(block, "text") {
            Some(own) if !is_json(own) => {
                let scope = format_smolstr!("{scope}/text:{run}");
                reading.role(block.get("text"), &scope, |_| Role::Delta("text".into()));
                if scopes.last() != Some(&scope) {
                    scopes.push(scope);
                }
            }
            Some(_) | None => {
                run += 1;
                reading.role(block.get("text"), scope, |_| Role::Arguments);
            }
        }
        let media_type = text(block, "mimeType").or_else(|| match text(block, "type") {
            Some("image") => Some("image/*"),
            Some("audio") => Some("audio/*"),
            Some(_) | None => None,
        });
        reading.role(block.get("data"), scope, |data| blob(data, media_type));
        block.get("resource").into_iter().for_each(|resource| embedded(resource, reading));
        // A tool's result inside a message of sampling.
        if block.get("content").is_some() {
            blocks(block.get("content"), &format_smolstr!("{scope}/{run}"), reading);
        }
    }
    if let Ends::Scopes(ended) = &mut reading.ends {
        ended.extend(scopes);
    }
}

/// Reads the text or blob of a resource.
fn embedded(resource: Node<'_>, reading: &mut Reading) {
    let none = SmolStr::default();
    let media_type = text(resource, "mimeType");
    reading.exempt(resource, EXEMPT_IN_BLOCK);
    reading.role(resource.get("blob"), &none, |data| blob(data, media_type));
    reading.role(resource.get("text"), &none, |own| if is_json(own) { Role::Arguments } else { Role::Complete });
}

/// Whether a text is a JSON object or list, so that its strings are read without their escapes.
fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && parse(text.as_bytes(), Limits::default()).is_ok()
}

impl Format for Mcp {
    fn data(&self) -> Data {
        Data::Json
    }

    fn is_sentinel(&self, data: &str) -> bool {
        // Version 2025-11-25: a first event with an id and empty data lets clients resume.
        data.is_empty()
    }

    fn event(&mut self, message: Message<'_>) -> Reading {
        let mut reading = Reading::complete();
        self.messages(message.json, &mut reading);
        reading
    }

    fn left(&mut self, message: Message<'_>) {
        let list = message.json.as_list();
        let all: Vec<Node<'_>> = list.map_or_else(|| vec![message.json], |list| list.iter().collect());
        let answers = all.into_iter().filter(|message| message.get("method").is_none());
        let ids = answers.filter_map(|answer| answer.get("id")).map(Node::canonical);
        let Awaited::Calls(calls) = &self.awaited else { return };
        self.answered.extend(ids.filter(|id| calls.contains_key(id)));
    }

    fn document(&mut self, message: Message<'_>) -> Reading {
        self.event(message)
    }

    fn ending(&mut self, end: End) -> Vec<u8> {
        let errors = self.errors(end);
        errors.iter().flat_map(|error| format!("event: message\ndata: {error}\n\n").into_bytes()).collect()
    }

    fn closing(&mut self) -> Vec<u8> {
        self.ending(End::Cut)
    }

    fn refusal(&mut self, end: End) -> Vec<u8> {
        match self.errors(end).as_slice() {
            [] => self.error("null", end).into_bytes(),
            [error] => error.clone().into_bytes(),
            errors => format!("[{}]", errors.join(",")).into_bytes(),
        }
    }

    fn refusal_status(&self) -> u16 {
        // The request was carried out. Any other status ends the sessions of some clients, and hides the error from others.
        200
    }
}

#[cfg(test)]
mod tests;
