//! A2A over JSON-RPC: POST to the endpoint.
//!
//! Knows: the envelope, both versions' method names. Must not know: paths.

use super::super::json::{Json, Node, Value};
use super::super::mcp::RpcId;
use super::super::members::{Members, refused};
use super::super::shown;
use super::message::{Mentions, Operation};
use super::{Message, not_allowed, require_json};
use crate::call::Call;
use crate::catalog::a2a::Version;
use crate::failure::{Code, Failure};

/// Reads a call of the endpoint.
///
/// # Errors
/// As [`super::read`].
pub fn read(call: &Call, json: Option<&Json>, version: Version) -> Result<Message, Failure> {
    if call.method != "POST" {
        return Err(not_allowed("the endpoint accepts POST only"));
    }
    require_json(call)?;
    let envelope = Members::of(json.ok_or_else(|| refused("the call has no body"))?.node(), "the envelope")?;
    envelope.only(&["jsonrpc", "id", "method", "params"])?;
    if envelope.text("jsonrpc")? != Some("2.0") {
        return Err(envelope.wrong("jsonrpc", "`2.0`"));
    }
    let id = id(envelope)?;
    let method = envelope.required_text("method")?;
    let operation = operation(method, version).ok_or_else(|| {
        Failure::new(Code::RpcMethodUnknown, format!("the version has no method `{}`", shown(method)))
    })?;
    let params = envelope.object("params", "`params`")?.unwrap_or_else(|| Members::none("`params`"));
    let mut found = Mentions::default();
    found.parameters(operation, version, params)?;
    let message = found.message(operation, version)?;
    Ok(Message { id: Some(id), ..message })
}

/// The id, which every request of A2A has: a text or a whole number as written.
fn id(envelope: Members<'_>) -> Result<RpcId, Failure> {
    let wrong = || envelope.wrong("id", "a text or a whole number");
    match envelope.get("id").map(Node::value) {
        Some(Value::Text(text)) => Ok(RpcId::Text(text.to_owned())),
        Some(Value::Number(number)) => {
            let written = number.as_str();
            let digits = written.strip_prefix('-').unwrap_or(written);
            let is_whole = digits.bytes().all(|b| b.is_ascii_digit());
            if is_whole { Ok(RpcId::Number(written.to_owned())) } else { Err(wrong()) }
        }
        Some(Value::Null | Value::Bool(_) | Value::List(_) | Value::Object(_)) | None => Err(wrong()),
    }
}

fn operation(method: &str, version: Version) -> Option<Operation> {
    match version {
        Version::V03 => Some(match method {
            "message/send" | "message/stream" => Operation::Send,
            "tasks/get" => Operation::GetTask,
            "tasks/cancel" => Operation::CancelTask,
            "tasks/resubscribe" => Operation::Subscribe,
            "tasks/pushNotificationConfig/set" => Operation::CreatePush,
            "tasks/pushNotificationConfig/get" => Operation::GetPush,
            "tasks/pushNotificationConfig/list" => Operation::ListPush,
            "tasks/pushNotificationConfig/delete" => Operation::DeletePush,
            "agent/getAuthenticatedExtendedCard" => Operation::ExtendedCard,
            _ => return None,
        }),
        Version::V10 => Some(match method {
            "SendMessage" | "SendStreamingMessage" => Operation::Send,
            "GetTask" => Operation::GetTask,
            "ListTasks" => Operation::ListTasks,
            "CancelTask" => Operation::CancelTask,
            "SubscribeToTask" => Operation::Subscribe,
            "CreateTaskPushNotificationConfig" => Operation::CreatePush,
            "GetTaskPushNotificationConfig" => Operation::GetPush,
            "ListTaskPushNotificationConfigs" => Operation::ListPush,
            "DeleteTaskPushNotificationConfig" => Operation::DeletePush,
            "GetExtendedAgentCard" => Operation::ExtendedCard,
            _ => return None,
        }),
    }
}
