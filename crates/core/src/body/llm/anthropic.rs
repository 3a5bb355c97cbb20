//! Anthropic's Messages: `POST /v1/messages`.
//!
//! Knows: the request's parameters. Must not know: who calls, what is allowed.

use super::super::members::Members;
use super::Request;
use super::shapes::MESSAGES;
use crate::failure::Failure;

/// Reads the request's body.
///
/// # Errors
/// `message_refused` for what is no such request.
pub fn read(body: Members<'_>) -> Result<Request, Failure> {
    let mut request = Request::new("anthropic.messages", body, &MESSAGES)?;
    request.max_output_tokens = body.count("max_tokens")?;
    if request.max_output_tokens.is_none() {
        return Err(body.wrong("max_tokens", "a whole number from 0"));
    }
    for server in body.items("mcp_servers")? {
        Members::of(server, "a server")?.required_text("url")?;
        request.hosts("mcp");
    }
    body.required_objects("messages", "a message")?;
    if body.get("container").is_some_and(|container| container.get("skills").is_some()) {
        request.hosts("skills");
    }
    // What is done in a container is nowhere in the request, and a thread stays with the provider.
    request.hidden_history |= body.get("container").is_some();
    request.stored = body.get("thread").is_some();
    Ok(request)
}
