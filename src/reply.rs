//! In whose language a refusal is put: what the caller expects to read.
//!
//! A noun: known as soon as the called service and its message are. Must not know: why it is refused.

use crate::catalog::mcp::{DenialForm, Elicitation, Era};

/// The form of a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Reply {
    /// Problem+json for HTTP, `grpc-message` for gRPC: as the call itself looks.
    #[default]
    Plain,
    /// MCP.
    Mcp(McpReply),
    /// A2A over JSON-RPC.
    A2a {
        /// The request's id, JSON as sent; `None` where it was not read.
        id: Option<String>,
    },
}

/// What a refusal to an MCP client depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpReply {
    /// The form the service wants.
    pub form: DenialForm,
    /// The message's revision; `None` where it was not read.
    pub era: Option<Era>,
    /// The request's id, JSON as sent (`7`, `"a"`); `None` for notifications and where it was not read.
    pub id: Option<String>,
    /// Whether a tool is called.
    pub is_tool_call: bool,
    /// Where the client can be sent for an approval: the service opted in, and the client can.
    pub elicitation: Option<Elicitation>,
}
