//! The facts of the call: environment, HTTP, and the maps of headers and query.

use std::collections::BTreeSet;

use smol_str::{SmolStr, ToSmolStr};

use crate::call::Call;
use crate::call::headers::{HeaderProblem, fold_byte, is_readable};
use crate::failure::{Code, Failure};
use crate::query::{Keys, Node, Reads, Record, Uid, Value, action, record};

use super::action::{Asked, What};
use super::{a2a, grpc, http, llm, mcp, parameters};
use crate::identity::Identity;

/// A context under construction, with the bags it names.
#[derive(Debug, Default)]
pub(super) struct ContextParts {
    /// The context's record.
    pub record: Record,
    /// Entities that hold dynamic maps.
    pub bags: Vec<Node>,
}

impl ContextParts {
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
    let mut parts = ContextParts::default();
    let headers = bag("Bag", "headers", headers(call, reads)?);
    let query = bag("Bag", "query", parameters::read(call, reads)?);
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
    add_protocol(asked, reads, &mut parts)?;
    if action::has_content(asked.action()) {
        // Until the message is inspected.
        parts.set("found", Value::Set(BTreeSet::new()));
        parts.set("inspected", Value::Bool(false));
    }
    if let Some(task) = &identity.task {
        let params = task.params.iter().map(|(name, text)| (name.into(), text.as_str().into()));
        parts.set_bag("Bag", "taskParams", params);
    }
    Ok((parts.record, parts.bags))
}

/// Adds what the protocol puts into the context beside environment and HTTP.
fn add_protocol(asked: &Asked, reads: &Reads, parts: &mut ContextParts) -> Result<(), Failure> {
    match &asked.what {
        What::Http { document: None, .. } | What::Grpc { message: None, .. } => Ok(()),
        What::Http { document: Some(document), .. } => http::context(document, reads, parts),
        What::Grpc { message: Some(message), .. } => grpc::context(message, reads, parts),
        What::Mcp(ask) => mcp::context(ask, reads, parts),
        What::A2a(message) => {
            a2a::context(message, parts);
            Ok(())
        }
        What::Llm(request) => {
            llm::context(request, parts);
            Ok(())
        }
    }
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

/// Whether [`context`] reads a header of this name: a policy can read it, or servers that turn names into variables
/// read it as one that a policy can read.
#[must_use]
pub fn looks_at(sent: &str, reads: &Keys) -> bool {
    match reads {
        Keys::All => true,
        Keys::Some(names) => names.iter().any(|name| is_same(sent, name)),
    }
}

/// Whether two names are one to servers that turn them into variables.
fn is_same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().map(fold_byte).eq(other.bytes().map(fold_byte))
}

/// A header of the call that servers which turn names into variables take for `name`, though it is spelt otherwise.
fn other_spelling<'a>(call: &'a Call, name: &str) -> Option<&'a str> {
    call.headers.iter().map(|(sent, _)| sent).find(|sent| *sent != name && is_same(sent, name))
}
