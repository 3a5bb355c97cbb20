//! Requests to models: what OpenAI's and Anthropic's APIs have in common for a policy.
//!
//! Knows: the facts a policy reads. Must not know: who calls, what is allowed. Prompts are looked through, never kept.
//!
//! What a provider may do on its own (run a tool, call a server, keep the exchange) must never be overlooked: a tool
//! of an unknown type counts as hosted, and so does a parameter that this build does not know, as
//! `parameter:<name>`. Both are names a policy can list as harmless.

mod anthropic;
mod openai_chat;
mod openai_responses;
mod tools;

use std::collections::BTreeSet;

use super::content_type;
use super::json::{Json, List, Node, Value};
use super::members::{Members, refused};
use super::shown;
use super::url::Url;
use crate::call::{Call, Target};
use crate::catalog::Protocol;
use crate::failure::{Code, Failure};

/// Anthropic's path; OpenAI's API has none like it.
pub const MESSAGES_PATH: &str = "/v1/messages";
/// Longest name of a model, in bytes.
const MODEL_BYTES_MAX: usize = 256;
/// Most parameters of one request that are not known: each is a fact of its own, and a caller chooses how many.
const UNKNOWN_MAX: usize = 64;

/// One request to a model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// `openai.chat`, `openai.responses` or `anthropic.messages`.
    pub api: &'static str,
    /// The model's name, as sent.
    pub model: String,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// The bound on the answer's tokens, where one is set.
    pub max_output_tokens: Option<i64>,
    /// Names of the client's own tools that the model may call.
    pub tool_names: BTreeSet<String>,
    /// What the provider runs: families of tools (`web_search`, `code_interpreter`, `mcp`), types that are not
    /// known as sent, and `parameter:<name>` for parameters that are not known.
    pub hosted_tools: BTreeSet<String>,
    /// URLs of servers that the provider calls, canonical, without query; `connector:<id>` for those it knows itself.
    pub hosted_servers: BTreeSet<String>,
    /// The same as `scheme://host[:port]`; `connector:<id>` stands here too.
    pub hosted_origins: BTreeSet<String>,
    /// Whether the provider keeps the exchange.
    pub stored: bool,
    /// Whether part of the conversation is held by the provider and cannot be seen here.
    pub hidden_history: bool,
}

/// Reads a request to a model; `json` is the call's whole body, `None` where it provably has none.
///
/// # Errors
/// `protocol_mismatch` for a path that is no request to a model (list others under `http_paths`) or another content
/// type, `method_not_allowed` for anything but POST, `message_refused` for parameters of a wrong type.
pub fn read(call: &Call, json: Option<&Json>, protocol: Protocol) -> Result<Request, Failure> {
    let Target::Path { path, .. } = &call.target else {
        return Err(Failure::new(Code::ProtocolMismatch, "a request to a model has a path"));
    };
    type Reader = fn(Members<'_>) -> Result<Request, Failure>;
    let reader: Reader = match (protocol, path.as_str()) {
        (Protocol::Openai, "/v1/chat/completions") => openai_chat::read,
        (Protocol::Openai, "/v1/responses") => openai_responses::read,
        (Protocol::Anthropic, MESSAGES_PATH) => anthropic::read,
        (
            Protocol::Openai | Protocol::Anthropic | Protocol::Http | Protocol::Grpc | Protocol::Mcp | Protocol::A2a,
            _,
        ) => {
            let detail = "the path is no request to a model; plain paths belong under `http_paths`";
            return Err(Failure::new(Code::ProtocolMismatch, detail));
        }
    };
    if call.method != "POST" {
        return Err(Failure::new(Code::MethodNotAllowed, "a request to a model is a POST"));
    }
    content_type::require(call, &["application/json"])?;
    reader(Members::of(json.ok_or_else(|| refused("the call has no body"))?.node(), "the request")?)
}

impl Request {
    /// A request with what all APIs have: the model, and whether the answer is streamed. `known` are the API's
    /// parameters.
    fn new(api: &'static str, body: Members<'_>, known: &[&str]) -> Result<Self, Failure> {
        body.spelled(known)?;
        let model = body.required_text("model")?;
        if model.len() > MODEL_BYTES_MAX || model.chars().any(char::is_control) {
            return Err(body.wrong("model", &format!("at most {MODEL_BYTES_MAX} bytes without controls")));
        }
        let mut request = Self { api, model: model.to_owned(), ..Self::default() };
        request.stream = body.flag("stream")?.unwrap_or_default();
        let unknown = || body.present().map(|(name, _)| name).filter(|name| !known.contains(name));
        if unknown().nth(UNKNOWN_MAX).is_some() {
            return Err(refused(format!("the request has more than {UNKNOWN_MAX} parameters that are not known")));
        }
        request.hosted_tools.extend(unknown().map(|name| format!("parameter:{}", shown(name))));
        Ok(request)
    }

    /// Takes a server that the provider will call.
    fn serves(&mut self, url: &str) -> Result<(), Failure> {
        let url = Url::parse(url).map_err(refused)?;
        self.hosted_servers.insert(url.canonical());
        self.hosted_origins.insert(url.origin());
        Ok(())
    }

    /// Takes a server that the provider knows by a name of its own.
    fn connects(&mut self, connector: &str) {
        let name = format!("connector:{connector}");
        self.hosted_servers.insert(name.clone());
        self.hosted_origins.insert(name);
    }
}

/// Whether a message or an item of one points at something that the provider holds.
///
/// Looks where the APIs have such pointers, and into lists of parts below them; not into texts and arguments.
fn points_elsewhere(item: Node<'_>) -> bool {
    let Some(members) = item.as_object() else { return false };
    let has = |value: Node<'_>, name: &str| value.get(name).is_some_and(|value| !value.is_null());
    // Once over the members: some of them are long.
    members.iter().any(|(name, value)| match name {
        // A compaction stands for a conversation that only the provider can open.
        "type" => matches!(value.as_text(), Some("item_reference" | "compaction" | "container_upload")),
        "file_id" => !value.is_null(),
        "file" | "source" => has(value, "file_id"),
        "audio" => has(value, "id"),
        "content" | "output" => match value.value() {
            Value::List(parts) => parts.iter().any(points_elsewhere),
            Value::Object(_) => points_elsewhere(value),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => false,
        },
        _ => false,
    })
}

/// Whether any of the messages or items does.
fn any_elsewhere(items: Option<List<'_>>) -> bool {
    items.is_some_and(|items| items.iter().any(points_elsewhere))
}

#[cfg(test)]
mod tests;
