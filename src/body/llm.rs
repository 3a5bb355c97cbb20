//! Requests to models: what OpenAI's and Anthropic's APIs have in common for a policy.
//!
//! Knows: the facts a policy reads. Must not know: who calls, what is allowed.

use std::collections::BTreeSet;

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
    /// Types of tools that the provider runs (`web_search`, `code_interpreter`, `mcp`).
    pub hosted_tools: BTreeSet<String>,
    /// URLs of servers that the provider calls, canonical, without query and fragment.
    pub hosted_servers: BTreeSet<String>,
    /// Their origins (`https://host`).
    pub hosted_origins: BTreeSet<String>,
    /// Whether the provider keeps the exchange.
    pub stored: bool,
    /// Whether part of the conversation is held by the provider and cannot be seen here.
    pub hidden_history: bool,
}
