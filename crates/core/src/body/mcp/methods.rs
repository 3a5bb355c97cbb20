//! MCP's methods, and the protocol versions that define them.
//!
//! Knows: what clients send, by version. Must not know: parameters' values.

use crate::catalog::mcp::ProtocolVersion;

/// What a method's parameters hold that is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A tool and its arguments.
    CallTool,
    /// A resource to read.
    ReadResource,
    /// A resource to hear about.
    SubscribeResource,
    /// A prompt and its arguments.
    GetPrompt,
    /// A task.
    Task,
    /// A subscription, to resources among others.
    Listen,
    /// Nothing but the method itself.
    Server,
    /// A notification without an operation.
    Notification,
}

const ALL: &[ProtocolVersion] = &ProtocolVersion::ALL;
const SESSIONS: &[ProtocolVersion] =
    &[ProtocolVersion::March2025, ProtocolVersion::June2025, ProtocolVersion::November2025];
const TASKS: &[ProtocolVersion] = &[ProtocolVersion::November2025, ProtocolVersion::July2026];
const NOVEMBER: &[ProtocolVersion] = &[ProtocolVersion::November2025];
const STATELESS: &[ProtocolVersion] = &[ProtocolVersion::July2026];

/// Everything a client may send; case and spelling are exact.
const METHODS: &[(&str, Shape, &[ProtocolVersion])] = &[
    ("tools/call", Shape::CallTool, ALL),
    ("tools/list", Shape::Server, ALL),
    ("resources/read", Shape::ReadResource, ALL),
    ("resources/list", Shape::Server, ALL),
    ("resources/templates/list", Shape::Server, ALL),
    ("resources/subscribe", Shape::SubscribeResource, SESSIONS),
    ("resources/unsubscribe", Shape::SubscribeResource, SESSIONS),
    ("prompts/get", Shape::GetPrompt, ALL),
    ("prompts/list", Shape::Server, ALL),
    ("completion/complete", Shape::Server, ALL),
    ("initialize", Shape::Server, SESSIONS),
    ("ping", Shape::Server, SESSIONS),
    ("logging/setLevel", Shape::Server, SESSIONS),
    ("server/discover", Shape::Server, STATELESS),
    ("subscriptions/listen", Shape::Listen, STATELESS),
    ("tasks/get", Shape::Task, TASKS),
    ("tasks/cancel", Shape::Task, TASKS),
    ("tasks/list", Shape::Server, NOVEMBER),
    ("tasks/result", Shape::Task, NOVEMBER),
    ("tasks/update", Shape::Task, STATELESS),
    ("notifications/cancelled", Shape::Notification, ALL),
    ("notifications/initialized", Shape::Notification, SESSIONS),
    ("notifications/progress", Shape::Notification, SESSIONS),
    ("notifications/roots/list_changed", Shape::Notification, SESSIONS),
    ("notifications/tasks/status", Shape::Notification, NOVEMBER),
];

/// The method of that name, if the version has it.
pub(super) fn shape(name: &str, version: ProtocolVersion) -> Option<Shape> {
    METHODS
        .iter()
        .find(|(known, _, versions)| *known == name && versions.contains(&version))
        .map(|(_, shape, _)| *shape)
}
