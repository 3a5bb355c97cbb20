//! Maps a call to an A2A agent: the resource is the agent.
//!
//! Knows: what a message requests. Must not know: JSON-RPC, REST, other protocols.

use super::context::ContextParts;
use crate::body::a2a::Message;
use crate::catalog::Service;
use crate::query::{Node, Uid};

/// The schema's action for a message.
pub(super) fn action(message: &Message) -> &'static str {
    message.ask.action()
}

/// Adds the task, the context and the host for push notifications that the message names.
pub(super) fn context(message: &Message, parts: &mut ContextParts) {
    let texts = [("taskId", &message.task_id), ("contextId", &message.context_id), ("pushHost", &message.push_host)];
    for (name, text) in texts {
        if let Some(text) = text {
            parts.set(name, text.as_str());
        }
    }
}

/// The agent.
pub(super) fn resource(service: &Service) -> Node {
    Node::new(Uid::new("Agent", service.id.as_str()))
}
