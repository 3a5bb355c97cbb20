//! The Model Context Protocol over streamable HTTP, in four protocol versions.
//!
//! Knows: JSON-RPC, MCP's methods, mirrored headers. Must not know: who calls, what is allowed.
//!
//! One call may hold several messages: a batch, or a subscription to several resources. Each of them is judged.

mod ask;
pub mod input;
mod list;
mod methods;
mod mirrored;
mod read;
pub mod uri;

use super::json::Json;
use crate::catalog::mcp::ProtocolVersion;

pub use super::json_rpc::RpcId;
pub use list::ListKind;
pub use read::{presumed, read};

/// One JSON-RPC message of MCP.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The protocol version that it was parsed by.
    pub version: ProtocolVersion,
    /// The request's id; `None` for a notification, a response, and GET or DELETE on the endpoint.
    pub id: Option<RpcId>,
    /// The requested operation.
    pub ask: Ask,
    /// Whether the client can be sent to a page and come back (`elicitation.url`).
    pub can_elicit_url: bool,
    /// The keys of `params.inputResponses`: the elicitations that the client answers.
    pub answers: Vec<String>,
    /// All of `params`; an empty object where none were sent.
    pub params: Json,
}

/// The operation that a message requests.
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
        /// The resource's URI, canonical (see [`uri::canonical`]).
        uri: String,
    },
    /// `resources/subscribe`, `resources/unsubscribe`, and each resource of `subscriptions/listen`.
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
    /// Any other operation of the server as a whole: initialize, discover, lists, ping, notifications,
    /// responses to the server's requests, GET and DELETE.
    UseServer {
        /// The JSON-RPC method; `GET` or `DELETE` without one; `response` for a response.
        method: String,
    },
}

#[cfg(test)]
mod tests;
