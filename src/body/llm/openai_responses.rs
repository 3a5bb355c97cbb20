//! OpenAI's Responses: `POST /v1/responses`.
//!
//! Knows: the request's parameters. Must not know: who calls, what is allowed.

use super::super::json::{Node, Value};
use super::super::members::Members;
use super::{Request, any_elsewhere};
use crate::failure::Failure;

const KNOWN: [&str; 31] = [
    "background",
    "context_management",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// Reads the request's body.
///
/// # Errors
/// `message_refused` for what is no such request.
pub fn read(body: Members<'_>) -> Result<Request, Failure> {
    let mut request = Request::new("openai.responses", body, &KNOWN)?;
    request.max_output_tokens = body.count("max_output_tokens")?;
    request.tools(body)?;
    // The provider keeps the exchange unless it is told not to.
    request.stored = body.flag("store")?.unwrap_or(true);
    // A stored prompt is a text we do not see, as much as a stored conversation.
    let elsewhere = ["previous_response_id", "conversation", "prompt"];
    let items = match body.get("input").map(Node::value) {
        None | Some(Value::Text(_)) => None,
        Some(Value::List(items)) => Some(items),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            return Err(body.wrong("input", "a text or a list"));
        }
    };
    request.hidden_history = elsewhere.iter().any(|name| body.get(name).is_some()) || any_elsewhere(items);
    Ok(request)
}
