//! OpenAI's Chat Completions: `POST /v1/chat/completions`.
//!
//! Knows: the request's parameters. Must not know: who calls, what is allowed.

use super::super::members::{Members, refused};
use super::{Request, any_elsewhere};
use crate::failure::Failure;

const KNOWN: [&str; 38] = [
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

/// Reads the request's body.
///
/// # Errors
/// `message_refused` for what is no such request.
pub fn read(body: Members<'_>) -> Result<Request, Failure> {
    let mut request = Request::new("openai.chat", body, &KNOWN)?;
    request.max_output_tokens = match (body.count("max_completion_tokens")?, body.count("max_tokens")?) {
        (Some(new), Some(old)) if new != old => {
            return Err(refused("`max_completion_tokens` and `max_tokens` differ"));
        }
        (new, old) => new.or(old),
    };
    request.tools(body)?;
    for function in body.items("functions")? {
        request.tool_names.insert(Members::of(function, "a function")?.required_text("name")?.to_owned());
    }
    if body.object("web_search_options", "`web_search_options`")?.is_some() {
        request.hosted_tools.insert("web_search".to_owned());
    }
    request.stored = body.flag("store")?.unwrap_or_default();
    body.required_objects("messages", "a message")?;
    request.hidden_history = any_elsewhere(body.list("messages")?);
    Ok(request)
}
