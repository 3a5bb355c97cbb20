//! Denials for A2A clients over JSON-RPC, in both versions.
//!
//! Knows: A2A's error codes and tasks. Must not know: HTTP status codes, why the call was denied.

use serde::Serialize;

use super::json_rpc::{self, Codes};
use super::{Details, Notice, Versions};
use crate::catalog::a2a::Version;
use crate::denial_format::{A2aFormat, ResponseMode};
use crate::failure::Code;

/// A denial. A2A has taken -32001 and the codes below it for itself (-32001: no such task).
const CODES: Codes = Codes { denied: 403, header_mismatch: json_rpc::INVALID_REQUEST, version: -32009 };

/// A JSON-RPC error; what the headers say is in it too.
#[must_use]
pub fn error(reply: &A2aFormat, notice: &Notice<'_>, failure: Option<Code>, versions: Versions<'_>) -> String {
    let message = notice.message();
    let mut details = notice.whole();
    if failure == Some(Code::VersionRefused) {
        details = Details { supported: versions.supported, requested: versions.requested(), ..details };
    }
    json_rpc::error(&reply.id, &json_rpc::denial(CODES.of(failure), &message, details))
}

/// A task that waits for an authorization: how A2A says that an approval is missing. `None` where no task is awaited.
///
/// The task has the decision's id, unless the message continues one: the agent itself never saw the message.
#[must_use]
pub fn auth_required(reply: &A2aFormat, notice: &Notice<'_>) -> Option<String> {
    #[derive(Serialize)]
    struct Wrapped<T> {
        task: T,
    }
    let words = match reply.version {
        Some(Version::V10) => Words::V10,
        Some(Version::V03) | None => Words::V03,
    };
    let (id, text) = (notice.decision_id.to_string(), notice.message());
    let task = Task::of(reply, notice, words, &id, &text);
    let result = match reply.version {
        Some(Version::V10) => json_rpc::result(&reply.id, &Wrapped { task }),
        Some(Version::V03) | None => json_rpc::result(&reply.id, &task),
    };
    match reply.awaits {
        ResponseMode::Task => Some(result),
        ResponseMode::TaskStream => Some(format!("data: {result}\n\n")),
        ResponseMode::Other => None,
    }
}

/// The words in which the versions differ; version 1.0 has no `kind`.
struct Words {
    state: &'static str,
    role: &'static str,
    task: Option<&'static str>,
    message: Option<&'static str>,
    text: Option<&'static str>,
}

impl Words {
    const V03: Self = Self {
        state: "auth-required",
        role: "agent",
        task: Some("task"),
        message: Some("message"),
        text: Some("text"),
    };
    const V10: Self =
        Self { state: "TASK_STATE_AUTH_REQUIRED", role: "ROLE_AGENT", task: None, message: None, text: None };
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Task<'a> {
    id: &'a str,
    context_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    status: Status<'a>,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Status<'a> {
    state: &'static str,
    message: Message<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    message_id: &'a str,
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    parts: [MessagePart<'a>; 1],
}

#[derive(Serialize)]
struct MessagePart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    text: &'a str,
}

/// Our own member of the task's metadata.
#[derive(Serialize)]
struct Metadata<'a> {
    #[serde(rename = "picket/denial")]
    denial: Details<'a>,
}

impl<'a> Task<'a> {
    fn of(reply: &'a A2aFormat, notice: &Notice<'a>, words: Words, id: &'a str, text: &'a str) -> Self {
        let parts = [MessagePart { kind: words.text, text }];
        let message = Message { message_id: id, role: words.role, kind: words.message, parts };
        Self {
            id: reply.task_id.as_deref().unwrap_or(id),
            context_id: reply.context_id.as_deref().unwrap_or(id),
            kind: words.task,
            status: Status { state: words.state, message },
            metadata: Metadata { denial: notice.whole() },
        }
    }
}
