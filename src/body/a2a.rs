//! The Agent2Agent protocol, versions 0.3 and 1.0, JSON-RPC and REST.
//!
//! Knows: A2A's methods and messages. Must not know: who calls, what is allowed.

use super::mcp::RpcId;
use crate::catalog::a2a::Version;

/// One A2A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Which version's rules it was read by.
    pub version: Version,
    /// The JSON-RPC id; `None` over REST.
    pub id: Option<RpcId>,
    /// What it asks for.
    pub ask: Ask,
    /// `taskId`, or the id in the path.
    pub task_id: Option<String>,
    /// `contextId`.
    pub context_id: Option<String>,
    /// Host of a push-notification URL, canonical.
    pub push_host: Option<String>,
}

/// What an A2A call asks for; the schema's actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// A message to the agent, streamed or not; also the agent's card.
    Send,
    /// A task's state: get, list, subscribe.
    ReadTask,
    /// Cancelling a task.
    CancelTask,
    /// Anything about push notifications, and a message that configures them.
    ConfigurePush,
}

impl Ask {
    /// The id of the schema's action.
    #[must_use]
    pub fn action(self) -> &'static str {
        match self {
            Self::Send => "a2a.send",
            Self::ReadTask => "a2a.task.read",
            Self::CancelTask => "a2a.task.cancel",
            Self::ConfigurePush => "a2a.push.configure",
        }
    }
}
