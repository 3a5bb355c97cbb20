//! Denials for MCP clients, in each protocol version.
//!
//! Knows: MCP's error codes and results. Must not know: HTTP status codes, why the call was denied.
//!
//! Version 2026-07-28 keeps -32020 to -32099 for itself and asks new servers to stay clear of -32000 to -32019, so
//! a denial there has the positive code 403. The session versions have no such rule and -32001 is what their
//! clients have seen for it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::json_rpc::{self, Codes, Error, INVALID_PARAMS, METHOD_NOT_FOUND};
use super::{Details, Notice, Versions};
use crate::catalog::mcp::{Elicitation, ProtocolVersion};
use crate::denial_format::{McpFormat, McpTarget};
use crate::failure::Code;

/// A denial in the session versions.
const DENIED_SESSIONS: i64 = -32001;
/// A denial since version 2026-07-28, and where the version is not known: outside of every reserved band.
const DENIED: i64 = 403;
/// Version 2026-07-28: a mirrored header differs from the body.
const HEADER_MISMATCH: i64 = -32020;
/// Version 2026-07-28: the version is not supported.
const VERSION_UNSUPPORTED: i64 = -32022;
/// The session versions: there is no such resource.
const RESOURCE_NOT_FOUND_SESSIONS: i64 = -32002;

/// Whether versions are kept apart by sessions.
fn has_sessions(version: Option<ProtocolVersion>) -> bool {
    match version {
        Some(ProtocolVersion::March2025 | ProtocolVersion::June2025 | ProtocolVersion::November2025) => true,
        Some(ProtocolVersion::July2026) | None => false,
    }
}

fn codes(version: Option<ProtocolVersion>) -> Codes {
    if has_sessions(version) {
        let header_mismatch = json_rpc::INVALID_REQUEST;
        return Codes { denied: DENIED_SESSIONS, header_mismatch, version: VERSION_UNSUPPORTED };
    }
    Codes { denied: DENIED, header_mismatch: HEADER_MISMATCH, version: VERSION_UNSUPPORTED }
}

/// A JSON-RPC error; what the headers say is in it too, because clients often see nothing but the message.
#[must_use]
pub fn error(reply: &McpFormat, notice: &Notice<'_>, failure: Option<Code>, versions: Versions<'_>) -> String {
    let message = notice.message();
    let mut details = notice.whole();
    if failure == Some(Code::VersionRefused) {
        details = Details { supported: versions.supported, requested: versions.requested(), ..details };
    }
    json_rpc::error(&reply.id, &json_rpc::denial(codes(reply.version).of(failure), &message, details))
}

/// A piece of a tool's answer.
#[derive(Serialize)]
struct Text<'a> {
    r#type: &'static str,
    text: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolError<'a> {
    #[serde(rename = "_meta")]
    meta: Meta<'a>,
    content: [Text<'a>; 1],
    is_error: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_type: Option<&'static str>,
}

/// Our own member of `_meta`.
#[derive(Serialize)]
struct Meta<'a> {
    #[serde(rename = "picket/denial")]
    denial: Details<'a>,
}

/// A tool's result that is an error: the model reads reason and decision id, the client finds the rest in `_meta`.
#[must_use]
pub fn tool_error(reply: &McpFormat, notice: &Notice<'_>) -> String {
    let id = notice.decision_id;
    let what = match (notice.reason(), notice.retry_after_seconds) {
        (Some(reason), None) => format!("This call was denied: {reason}. Decision {id}."),
        (Some(reason), Some(_)) => format!("This call was not made, try again later: {reason}. Decision {id}."),
        (None, _) => format!("This call was denied. Decision {id}."),
    };
    let result = ToolError {
        meta: Meta { denial: notice.whole() },
        content: [Text { r#type: "text", text: &what }],
        is_error: true,
        result_type: (!has_sessions(reply.version)).then_some("complete"),
    };
    json_rpc::result(&reply.id, &result)
}

/// The response of a server without such a tool, resource or prompt: no id, reason or remedy.
#[must_use]
pub fn hidden(reply: &McpFormat) -> String {
    #[derive(Serialize)]
    struct Uri<'a> {
        uri: &'a str,
    }
    let (code, message, data) = match &reply.asked {
        McpTarget::Tool(name) => (INVALID_PARAMS, format!("Unknown tool: {name}"), None),
        McpTarget::Prompt(name) => (INVALID_PARAMS, format!("Unknown prompt: {name}"), None),
        McpTarget::Resource(uri) => {
            let code = if has_sessions(reply.version) { RESOURCE_NOT_FOUND_SESSIONS } else { INVALID_PARAMS };
            (code, "Resource not found".to_owned(), Some(Uri { uri }))
        }
        McpTarget::Server => (METHOD_NOT_FOUND, "Method not found".to_owned(), None),
    };
    json_rpc::error(&reply.id, &Error { code, message: &message, data })
}

/// Sends the client's user to a page and lets the client return (version 2026-07-28, multi round-trip requests).
///
/// `note` is the key by which the client answers. That the user went there is not the approval: the retry is judged like any call, and the approval is looked up.
#[must_use]
pub fn input_required(reply: &McpFormat, elicitation: &Elicitation, note: &str, notice: &Notice<'_>) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Params<'a> {
        mode: &'static str,
        message: &'a str,
        url: &'a str,
        elicitation_id: String,
    }
    #[derive(Serialize)]
    struct Request<'a> {
        method: &'static str,
        params: Params<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct InputRequired<'a> {
        result_type: &'static str,
        input_requests: BTreeMap<&'a str, Request<'a>>,
    }
    let id = notice.decision_id.to_string();
    let url = elicitation.url.replace("{decision_id}", &id);
    let params = Params { mode: "url", message: &elicitation.message, url: &url, elicitation_id: id };
    let result = InputRequired {
        result_type: "input_required",
        input_requests: BTreeMap::from([(note, Request { method: "elicitation/create", params })]),
    };
    json_rpc::result(&reply.id, &result)
}
