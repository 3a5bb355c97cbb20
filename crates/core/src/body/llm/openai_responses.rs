//! OpenAI's Responses: `POST /v1/responses`.
//!
//! Knows: the request's parameters. Must not know: who calls, what is allowed.

use super::super::json::{Node, Value};
use super::super::members::Members;
use super::Request;
use super::shapes::RESPONSES;
use crate::failure::Failure;

/// Reads the request's body.
///
/// # Errors
/// `message_refused` for what is no such request.
pub fn read(body: Members<'_>) -> Result<Request, Failure> {
    let mut request = Request::new("openai.responses", body, &RESPONSES)?;
    request.max_output_tokens = body.count("max_output_tokens")?;
    // The provider keeps the exchange unless it is told not to, and whatever it answers in the background.
    request.stored = body.flag("store")?.unwrap_or(true) | body.flag("background")?.unwrap_or_default();
    // A stored prompt is a text we do not see, as much as a stored conversation.
    request.hidden_history |= body.get("prompt").is_some() || body.get("conversation").is_some();
    match body.get("input").map(Node::value) {
        None | Some(Value::Text(_) | Value::List(_)) => Ok(request),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            Err(body.wrong("input", "a text or a list"))
        }
    }
}
