//! Requests to models: the facts that OpenAI's and Anthropic's APIs share.
//!
//! Knows: the facts a policy reads. Must not know: who calls, what is allowed. Prompts are looked through, never kept.
//!
//! What a provider is told to run, call, fetch, hold or use as model must never be overlooked. So a request is gone over
//! by tables of every member that an API has (`shapes`), and what they do not have counts as present: a tool of an
//! unknown type as hosted, a parameter as `parameter:<name>`, a member below one as `member:<name>`, an item or a part
//! of a content as `item:<type>`, a key of the query as `query:<key>`. All are names a policy can list as harmless.

mod anthropic;
mod aside;
mod openai_chat;
mod openai_responses;
mod reach;
mod shape;
mod shapes;
mod tools;
mod walk;

use std::collections::BTreeSet;

use super::content_type;
use super::json::Json;
use super::members::{Members, refused};
use crate::call::{Call, Target};
use crate::catalog::Protocol;
use crate::failure::{Code, Failure};
use reach::{MODEL_BYTES_MAX, is_model};
use shape::Shape;
use walk::PARAMETER;

/// Anthropic's path; OpenAI's API has none like it.
pub const MESSAGES_PATH: &str = "/v1/messages";

/// One request to a model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// `openai.chat`, `openai.responses` or `anthropic.messages`.
    pub api: &'static str,
    /// The model's name, as sent.
    pub model: String,
    /// Models that may answer in its place or for a part of it: each is evaluated like `model`.
    pub other_models: BTreeSet<String>,
    /// Models that read the exchange without answering, or have answered earlier.
    pub checkers: BTreeSet<String>,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// The bound on the answer's tokens, where one is set.
    pub max_output_tokens: Option<i64>,
    /// Names of the client's own tools that the model may call.
    pub tool_names: BTreeSet<String>,
    /// Tools that the provider runs: families (`web_search`, `code_interpreter`, `mcp`), `fetch` where it fetches
    /// URLs, types that are not known as sent, and what else is not known, each with its place (`parameter:<name>`).
    pub hosted_tools: BTreeSet<String>,
    /// URLs of servers that the provider calls or fetches from, without query; `connector:<id>` for those it knows
    /// itself, `tunnel:<id>`, and `domain:<name>` for domains that its containers may reach.
    pub hosted_servers: BTreeSet<String>,
    /// The same as `scheme://host[:port]`; servers without a URL are listed here too.
    pub hosted_origins: BTreeSet<String>,
    /// Domains that containers of the provider's may reach, and those that its searches are narrowed to.
    pub hosted_domains: BTreeSet<String>,
    /// Whether the provider keeps the exchange.
    pub stored: bool,
    /// Whether part of what the model is given is held by the provider and cannot be seen here.
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
            let detail = "the path is not a request to a model; list plain paths under `http_paths`";
            return Err(Failure::new(Code::ProtocolMismatch, detail));
        }
    };
    if call.method != "POST" {
        return Err(Failure::new(Code::MethodNotAllowed, "a request to a model is a POST"));
    }
    content_type::require(call, &["application/json"])?;
    let mut request = reader(Members::of(json.ok_or_else(|| refused("the call has no body"))?.node(), "the request")?)?;
    request.aside(call)?;
    Ok(request)
}

impl Request {
    /// A request with what all APIs have: the model, whether the answer is streamed, and whatever the API's `shape`
    /// says of its members.
    fn new(api: &'static str, body: Members<'_>, shape: &Shape) -> Result<Self, Failure> {
        body.spelled(&shape.names().collect::<Vec<_>>())?;
        let model = body.required_text("model")?;
        if !is_model(model) {
            return Err(body.wrong("model", &format!("at most {MODEL_BYTES_MAX} bytes without controls")));
        }
        let mut request = Self { api, model: model.to_owned(), ..Self::default() };
        request.stream = body.flag("stream")?.unwrap_or_default();
        if let Some(object) = body.as_object() {
            request.members_of(object, shape, PARAMETER)?;
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests;
