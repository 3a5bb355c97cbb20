//! Anthropic's Messages: `POST /v1/messages`.
//!
//! Knows: the request's parameters. Must not know: who calls, what is allowed.

use super::super::json::{Node, Value};
use super::super::members::Members;
use super::{Request, any_elsewhere};
use crate::failure::Failure;

const KNOWN: [&str; 22] = [
    "cache_control",
    "container",
    "context_management",
    "inference_geo",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "output_config",
    "output_format",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
];

/// Reads the request's body.
///
/// # Errors
/// `message_refused` for what is no such request.
pub fn read(body: Members<'_>) -> Result<Request, Failure> {
    let mut request = Request::new("anthropic.messages", body, &KNOWN)?;
    request.max_output_tokens = body.count("max_tokens")?;
    if request.max_output_tokens.is_none() {
        return Err(body.wrong("max_tokens", "a whole number from 0"));
    }
    request.tools(body)?;
    for server in body.items("mcp_servers")? {
        let server = Members::of(server, "a server")?;
        server.spelled(&["url"])?;
        request.serves(server.required_text("url")?)?;
        request.hosted_tools.insert("mcp".to_owned());
    }
    body.required_objects("messages", "a message")?;
    let container = body.get("container");
    if let Some(Value::Object(_)) = container.map(Node::value)
        && body.object("container", "`container`")?.is_some_and(|object| object.get("skills").is_some())
    {
        request.hosted_tools.insert("skills".to_owned());
    }
    request.hidden_history = container.is_some() || any_elsewhere(body.list("messages")?);
    Ok(request)
}
