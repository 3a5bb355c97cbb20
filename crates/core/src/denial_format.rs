//! The response format of a denial: problem+json, gRPC, JSON-RPC (MCP, A2A), OpenAI or Anthropic error.
//!
//! A noun: known as soon as the called service and its message are. Must not know: why it is refused.

use crate::catalog::a2a::Version;
use crate::catalog::mcp::{DenialStyle, Elicitation, ProtocolVersion};

/// The form of a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DenialFormat {
    /// Problem+json for HTTP, `grpc-message` for gRPC: as the call itself looks. A2A over REST too.
    #[default]
    Plain,
    /// MCP.
    Mcp(McpFormat),
    /// A2A over JSON-RPC.
    A2a(A2aFormat),
    /// An error as OpenAI's clients read it.
    Openai,
    /// An error as Anthropic's clients read it.
    Anthropic,
}

/// The message that the response answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdEcho {
    /// The request with this id, JSON as sent (`7`, `"a"`).
    Id(String),
    /// A message with an unread id, or a batch: the response's id is null.
    Unread,
    /// A message without a response: a notification, a response, GET or DELETE. No body.
    Nothing,
}

/// The inputs of a denial to an MCP client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpFormat {
    /// The form the service wants.
    pub form: DenialStyle,
    /// The message's version; `None` where it was not read.
    pub version: Option<ProtocolVersion>,
    /// The message that the response answers.
    pub id: IdEcho,
    /// The requested target.
    pub asked: McpTarget,
    /// The version that the client requested, as sent; reported back if it is rejected.
    pub requested: Option<String>,
    /// Where the client can be sent for an approval: the service opted in, and the client can.
    pub elicitation: Option<Elicitation>,
    /// The sealed state for the client (`obligation::elicit`); `None`: the client is not sent to a page.
    pub note: Option<String>,
}

impl McpFormat {
    /// Whether its client may get an elicitation: only in response to these requests, and only in that version. Where
    /// denials hide what exists, an elicitation would reveal it.
    #[must_use]
    pub fn can_ask(&self) -> bool {
        let is_askable = match self.asked {
            McpTarget::Tool(_) | McpTarget::Resource(_) | McpTarget::Prompt(_) => true,
            McpTarget::Server => false,
        };
        is_askable
            && self.elicitation.is_some()
            && self.version == Some(ProtocolVersion::July2026)
            && self.form != DenialStyle::Hidden
            && matches!(self.id, IdEcho::Id(_))
    }
}

/// The target of an MCP message, by the name that the client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum McpTarget {
    /// A tool.
    Tool(String),
    /// A resource, by URI.
    Resource(String),
    /// A prompt.
    Prompt(String),
    /// The server as a whole, or something that was not read.
    Server,
}

/// The inputs of a denial to an A2A client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct A2aFormat {
    /// The message's version; `None` where it was not read.
    pub version: Option<Version>,
    /// The message that the response answers.
    pub id: IdEcho,
    /// How the answer is awaited.
    pub awaits: ResponseMode,
    /// The version that the client requested, as sent; reported back if it is rejected.
    pub requested: Option<String>,
    /// `contextId`, as sent.
    pub context_id: Option<String>,
    /// `taskId`, as sent.
    pub task_id: Option<String>,
}

/// The response that an A2A client awaits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseMode {
    /// A task or a message: it sent one.
    Task,
    /// The same as a stream of events.
    TaskStream,
    /// Anything else.
    Other,
}
