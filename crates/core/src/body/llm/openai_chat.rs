//! OpenAI's Chat Completions: `POST /v1/chat/completions`.
//!
//! Knows: the request's parameters. Must not know: who calls, what is allowed.

use super::super::members::{Members, refused};
use super::Request;
use super::shapes::CHAT;
use crate::failure::Failure;

/// Reads the request's body.
///
/// # Errors
/// `message_refused` for what is no such request.
pub fn read(body: Members<'_>) -> Result<Request, Failure> {
    let mut request = Request::new("openai.chat", body, &CHAT)?;
    request.max_output_tokens = match (body.count("max_completion_tokens")?, body.count("max_tokens")?) {
        (Some(new), Some(old)) if new != old => {
            return Err(refused("`max_completion_tokens` and `max_tokens` differ"));
        }
        (new, old) => new.or(old),
    };
    if body.object("web_search_options", "`web_search_options`")?.is_some() {
        request.hosts("web_search");
    }
    request.stored = body.flag("store")?.unwrap_or_default();
    body.required_objects("messages", "a message")?;
    Ok(request)
}
