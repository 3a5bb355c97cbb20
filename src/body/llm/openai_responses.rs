//! OpenAI's Responses: `POST /v1/responses`.
//!
//! Knows: the request's parameters. Must not know: who calls, what is allowed.

use super::super::json::Json;
use super::super::members::Members;
use super::{Request, points_elsewhere};
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
    let items: &[Json] = match body.get("input") {
        None | Some(Json::Text(_)) => &[],
        Some(Json::List(items)) => items,
        Some(Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_)) => {
            return Err(body.wrong("input", "a text or a list"));
        }
    };
    request.hidden_history =
        elsewhere.iter().any(|name| body.get(name).is_some()) || items.iter().any(points_elsewhere);
    Ok(request)
}
