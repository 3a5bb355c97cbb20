//! The facts of the call: environment, HTTP, and the maps of headers and query.

use std::collections::BTreeMap;

use smol_str::{SmolStr, ToSmolStr};

use crate::call::headers::{HeaderProblem, is_readable};
use crate::call::{Call, Target};
use crate::failure::{Code, Failure};
use crate::query::{Keys, Node, Reads, Record, Uid, Value, record};

use super::action::Asked;
use super::inside;
use crate::identity::Identity;

/// A context under construction, with the bags it names.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// The context's record.
    pub record: Record,
    /// Entities that hold dynamic maps.
    pub bags: Vec<Node>,
}

impl Parts {
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.record.insert(SmolStr::new_static(name), value.into());
    }

    /// Adds a map under `name`; the bag's id is its name, and it exists for this call only.
    pub(super) fn set_bag(
        &mut self,
        kind: &'static str,
        name: &'static str,
        tags: impl IntoIterator<Item = (SmolStr, Value)>,
    ) {
        let node = bag(kind, name, tags.into_iter().collect());
        self.set(name, Value::Entity(node.uid.clone()));
        self.bags.push(node);
    }
}

/// The context, and the bags it names. `body_bytes` is there where a policy can read it.
///
/// # Errors
/// `header_duplicated`, `header_refused` or `query_refused` where a key that can be read has no single value;
/// `number_refused` and `body_refused` where an argument that can be read has none.
pub fn context(
    call: &Call,
    identity: &Identity,
    asked: &Asked,
    reads: &Reads,
    body_bytes: Option<usize>,
    listener: &str,
) -> Result<(Record, Vec<Node>), Failure> {
    let mut parts = Parts::default();
    let headers = bag("Bag", "headers", headers(call, reads)?);
    let query = bag("Bag", "query", query(call, &reads.query)?);
    let mut http = record([
        ("headers", Value::Entity(headers.uid.clone())),
        ("host", call.host.name().into()),
        ("method", Value::from(call.method.as_str())),
        ("path", asked.path.as_str().into()),
        ("query", Value::Entity(query.uid.clone())),
    ]);
    if let Some(Ok(length)) = body_bytes.map(i64::try_from) {
        http.insert(SmolStr::new_static("bodyBytes"), Value::Long(length));
    }
    parts.set("env", Value::Record(env(call, listener)));
    parts.set("http", Value::Record(http));
    parts.bags.extend([headers, query]);
    inside::add(asked, reads, &mut parts)?;
    if let Some(task) = &identity.task {
        let params = task.params.iter().map(|(name, text)| (name.into(), text.as_str().into()));
        parts.set_bag("Bag", "taskParams", params);
    }
    Ok((parts.record, parts.bags))
}

fn env(call: &Call, listener: &str) -> Record {
    let mut env = record([("listener", listener.into()), ("now", Value::Time(call.received_at.0))]);
    if let Some(address) = call.peer.address {
        env.insert(SmolStr::new_static("sourceIp"), Value::Ip(address.to_canonical().to_smolstr()));
    }
    env
}

/// A map as an entity. The name says what it is; it exists for this call only.
fn bag(kind: &'static str, name: &'static str, tags: Record) -> Node {
    Node { tags, ..Node::new(Uid::new(kind, SmolStr::new_static(name))) }
}

/// The headers that a policy judging this call can read; credentials and what only the proxy could prove never.
fn headers(call: &Call, reads: &Reads) -> Result<Record, Failure> {
    let mut entries = Vec::new();
    let names: Vec<&str> = match &reads.headers {
        Keys::All => call.headers.iter().map(|(name, _)| name).collect(),
        Keys::Some(names) => names.iter().map(String::as_str).collect(),
    };
    for name in names.into_iter().filter(|name| is_readable(name)) {
        if let Some(spelt) = other_spelling(call, name) {
            let detail = format!("header `{spelt}` may be another `{name}`");
            return Err(Failure::new(Code::HeaderDuplicated, detail));
        }
        let value = call.headers.single(name).map_err(|problem| {
            let code = match problem {
                HeaderProblem::Repeated(_) => Code::HeaderDuplicated,
                HeaderProblem::NotText(_) => Code::HeaderRefused,
            };
            Failure::new(code, problem.to_string())
        })?;
        let Some(value) = value else { continue };
        // Joined by the proxy, two headers look like one with a comma, so a comparison could be fooled. Envoy joins
        // some names (`origin`, `authorization` …) even where it sends raw headers: tests/it/envoy/golden/doubled.txt.
        if value.contains(',') && reads.headers_compared.contains(name) {
            let detail = format!("header `{name}` may be two headers that the proxy joined");
            return Err(Failure::new(Code::HeaderDuplicated, detail));
        }
        entries.push((name.into(), value.into()));
    }
    Ok(entries.into_iter().collect())
}

/// Whether [`context`] looks at a header of this name: a policy can read it, or servers that read `_` as `-` take it
/// for one that a policy can read.
#[must_use]
pub fn looks_at(sent: &str, reads: &Keys) -> bool {
    match reads {
        Keys::All => true,
        Keys::Some(names) => names.iter().any(|name| is_same(sent, name)),
    }
}

/// Whether two names in lower case are one to servers that read `_` as `-`.
fn is_same(one: &str, other: &str) -> bool {
    let fold = |byte: u8| if byte == b'_' { b'-' } else { byte };
    one.len() == other.len() && one.bytes().map(fold).eq(other.bytes().map(fold))
}

/// A header of the call that servers which read `_` as `-` take for `name`, though it is spelt otherwise.
fn other_spelling<'a>(call: &'a Call, name: &str) -> Option<&'a str> {
    call.headers.iter().map(|(sent, _)| sent).find(|sent| *sent != name && is_same(sent, name))
}

/// The query's keys that a policy judging this call can read.
fn query(call: &Call, reads: &Keys) -> Result<Record, Failure> {
    let nothing_read = matches!(reads, Keys::Some(keys) if keys.is_empty());
    let raw = match &call.target {
        Target::Path { query: Some(raw), .. } if !nothing_read => raw,
        Target::Path { .. } | Target::Authority => return Ok(Record::new()),
    };
    // A caller chooses how many there are and in which order.
    let mut entries: BTreeMap<SmolStr, Value> = BTreeMap::new();
    for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (decoded(key)?, decoded(value)?);
        if !reads.contains(&key) {
            continue;
        }
        if entries.insert(key.clone(), value.into()).is_some() {
            return Err(Failure::new(Code::QueryRefused, format!("query key `{}` occurs twice", key.escape_debug())));
        }
    }
    Ok(entries.into_iter().collect())
}

/// One reading of a query's text, or refusal: servers differ about `;`, broken escapes and other encodings.
fn decoded(text: &str) -> Result<SmolStr, Failure> {
    let refuse = |detail: &str| Err(Failure::new(Code::QueryRefused, detail));
    if text.contains([';', '#']) {
        return refuse("the query holds a separator that servers read differently");
    }
    let mut escapes = text.split('%').skip(1);
    if !escapes.all(|rest| rest.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))) {
        return refuse("the query has a broken escape");
    }
    let plain = text.replace('+', " ");
    match percent_encoding::percent_decode_str(&plain).decode_utf8() {
        Ok(text) if !text.chars().any(char::is_control) => Ok(text.into()),
        Ok(_) => refuse("the query holds a control character"),
        Err(_) => refuse("the query is not UTF-8"),
    }
}
