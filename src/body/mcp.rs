//! The Model Context Protocol over streamable HTTP, in its four eras.
//!
//! Knows: JSON-RPC, MCP's methods, mirrored headers. Must not know: who calls, what is allowed.

use super::json::Json;
use crate::catalog::mcp::Era;

/// One JSON-RPC message of MCP.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Which revision's rules it was read by.
    pub era: Era,
    /// The request's id; `None` for a notification, a response, and GET or DELETE on the endpoint.
    pub id: Option<RpcId>,
    /// What it asks for.
    pub ask: Ask,
    /// Whether the client can be sent to a page and come back (`elicitation.url`).
    pub can_elicit_url: bool,
    /// `params.requestState`, which a client sends back after an elicitation.
    pub request_state: Option<String>,
    /// `params._meta.progressToken` and the like stay outside; this is the whole `params`, for digests.
    pub params: Json,
}

/// A JSON-RPC id: echoed in denials, exactly as sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RpcId {
    /// A text.
    Text(String),
    /// A whole number, as written.
    Number(String),
}

impl RpcId {
    /// The id as JSON, to be echoed.
    #[must_use]
    pub fn to_json(&self) -> String {
        match self {
            Self::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
            Self::Number(written) => written.clone(),
        }
    }
}

/// What a message asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// `tools/call`.
    CallTool {
        /// The tool's name.
        name: String,
        /// Its arguments, always an object.
        arguments: Json,
    },
    /// `resources/read`.
    ReadResource {
        /// The resource's URI, canonical: no dot segments, no empty segments, no escapes of separators.
        uri: String,
    },
    /// `resources/subscribe`, `resources/unsubscribe`.
    SubscribeResource {
        /// As in [`Ask::ReadResource`].
        uri: String,
    },
    /// `prompts/get`.
    GetPrompt {
        /// The prompt's name.
        name: String,
        /// Its arguments, always an object.
        arguments: Json,
    },
    /// Everything else that speaks to the server as a whole: initialize, discover, lists, ping, notifications,
    /// responses to the server's requests, GET and DELETE.
    UseServer {
        /// The JSON-RPC method; `GET` or `DELETE` without one; `response` for a response.
        method: String,
    },
}
