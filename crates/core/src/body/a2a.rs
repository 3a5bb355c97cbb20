//! The Agent2Agent protocol, versions 0.3 and 1.0, JSON-RPC and REST.
//!
//! Knows: A2A's methods, paths and messages. Must not know: who calls, what is allowed.
//!
//! The version decides which methods and members there are; a message is never read by the rules of another one.
//! The public agent card is no message: [`Reading::Card`] is judged as a plain GET of its path. The extended card
//! tells a caller what it could ask for, so it is judged as sending.

mod message;
mod rest;
mod rpc;

use super::members::same_but_for_spelling;
use super::{content_type, json::Json, mcp::RpcId, query_pairs};
use crate::call::{Call, CanonicalPath, Target, headers};
use crate::catalog::a2a::{A2a, Binding, Version};
use crate::failure::{Code, Failure};

/// Where agents publish their card: 1.0, and 0.3's older name.
const CARDS: [&str; 2] = ["/.well-known/agent-card.json", "/.well-known/agent.json"];
/// The header, and the key of the query, that name the version.
const VERSION: &str = "a2a-version";

/// The kind of a call to an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// A message of the protocol.
    Message(Message),
    /// GET or HEAD of the public agent card: evaluated as plain HTTP on its path.
    Card,
}

/// One A2A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The version that it was parsed by.
    pub version: Version,
    /// The JSON-RPC id; `None` over REST.
    pub id: Option<RpcId>,
    /// The requested operation.
    pub ask: Ask,
    /// The task it is about: `taskId`, `id`, or the id in the path.
    pub task_id: Option<String>,
    /// `contextId`.
    pub context_id: Option<String>,
    /// Host of a push-notification URL, canonical, without port.
    pub push_host: Option<String>,
}

/// An A2A operation; each has an action of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// A message to the agent, streamed or not, also one that configures push notifications; the extended card.
    Send,
    /// A task's state: get, list, subscribe.
    ReadTask,
    /// Cancelling a task.
    CancelTask,
    /// A call about the configuration of push notifications.
    ConfigurePush,
}

impl Ask {
    /// The id of the schema's action.
    #[must_use]
    pub fn action(self) -> &'static str {
        match self {
            Self::Send => "a2a.send",
            Self::ReadTask => "a2a.task.read",
            Self::CancelTask => "a2a.task.cancel",
            Self::ConfigurePush => "a2a.push.configure",
        }
    }
}

/// Whether the call reads the public agent card, which is evaluated as plain HTTP.
#[must_use]
pub fn is_card(path: &CanonicalPath, rules: &A2a) -> bool {
    let below = path.as_str().strip_prefix(rules.endpoint.as_str().trim_end_matches('/'));
    CARDS.iter().any(|card| path.as_str() == *card || below == Some(*card))
}

/// Reads a call to an agent; `json` is its whole body, `None` where it provably has none.
///
/// # Errors
/// `protocol_mismatch` for a path, binding or content type that the agent does not have, `method_not_allowed`,
/// `version_refused`, `header_mismatch` where header and query name different versions, `rpc_method_unknown`, and
/// `message_refused` for what is no message of the version.
pub fn read(call: &Call, json: Option<&Json>, rules: &A2a) -> Result<Reading, Failure> {
    let Target::Path { path, query } = &call.target else {
        return Err(Failure::new(Code::ProtocolMismatch, "an A2A call has a path"));
    };
    if is_card(path, rules) {
        return match call.method.as_str() {
            "GET" | "HEAD" => Ok(Reading::Card),
            _ => Err(not_allowed("the agent card must be read by GET")),
        };
    }
    let query = query_pairs(query.as_deref())?;
    let version = version(call, &query, rules)?;
    let message = if *path == rules.endpoint {
        bound(Binding::Jsonrpc, rules)?;
        rpc::read(call, json, version)?
    } else {
        let below = below(path, &rules.endpoint)
            .ok_or_else(|| Failure::new(Code::ProtocolMismatch, "the path is neither the endpoint nor below it"))?;
        bound(Binding::Rest, rules)?;
        if version == Version::V03 {
            return Err(Failure::new(Code::VersionRefused, "REST is supported in version 1.0 only"));
        }
        rest::read(call, &below, &query, json)?
    };
    Ok(Reading::Message(message))
}

/// Refuses a body that is not said to be JSON.
fn require_json(call: &Call) -> Result<(), Failure> {
    content_type::require(call, &["application/json", "application/a2a+json"])
}

fn not_allowed(detail: &str) -> Failure {
    Failure::new(Code::MethodNotAllowed, detail)
}

fn bound(binding: Binding, rules: &A2a) -> Result<(), Failure> {
    if rules.bindings.contains(&binding) {
        return Ok(());
    }
    let name = match binding {
        Binding::Jsonrpc => "jsonrpc",
        Binding::Rest => "rest",
    };
    Err(Failure::new(Code::ProtocolMismatch, format!("the agent's `bindings` do not name `{name}`")))
}

/// The segments of `path` after those of `endpoint`.
fn below<'a>(path: &'a CanonicalPath, endpoint: &CanonicalPath) -> Option<Vec<&'a str>> {
    let mut segments = path.segments();
    for expected in endpoint.segments() {
        if segments.next() != Some(expected) {
            return None;
        }
    }
    Some(segments.collect())
}

/// The version that header and query name; 0.3 where neither does, or with an empty value.
fn version(call: &Call, query: &[(String, String)], rules: &A2a) -> Result<Version, Failure> {
    let mut named = Vec::new();
    for (name, value) in call.headers.iter().filter(|(name, _)| headers::folded(name) == VERSION) {
        let value = std::str::from_utf8(value)
            .map_err(|_| Failure::new(Code::HeaderRefused, format!("header `{name}` is not UTF-8")))?;
        named.push(value.trim());
    }
    if named.len() > 1 {
        return Err(Failure::new(Code::HeaderDuplicated, format!("header `{VERSION}` occurs more than once")));
    }
    named.extend(query.iter().filter(|(key, _)| same_but_for_spelling(VERSION, key)).map(|(_, value)| value.as_str()));
    if named.windows(2).any(|pair| pair.first() != pair.last()) {
        return Err(Failure::new(Code::HeaderMismatch, "header and query name different versions"));
    }
    let version = match named.first() {
        None | Some(&("" | "0.3")) => Version::V03,
        Some(&"1.0") => Version::V10,
        Some(_) => return Err(Failure::new(Code::VersionRefused, "the version is neither 0.3 nor 1.0")),
    };
    if !rules.versions.contains(&version) {
        return Err(Failure::new(Code::VersionRefused, "the agent's `versions` do not name the call's"));
    }
    Ok(version)
}

#[cfg(test)]
mod tests;
