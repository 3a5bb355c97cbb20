//! JSON-RPC 2.0 responses: errors and results with a protocol's own details.
//!
//! Knows: JSON-RPC's frame and its codes. Must not know: which protocol speaks it.

use serde::Serialize;

use super::{Details, json};
use crate::denial_format::IdEcho;
use crate::failure::Code;

/// The body is not JSON.
pub const PARSE_ERROR: i64 = -32700;
/// The body is not a message of the protocol.
pub const INVALID_REQUEST: i64 = -32600;
/// There is no such method.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// The parameters do not fit.
pub const INVALID_PARAMS: i64 = -32602;
/// Our own or a source's trouble.
pub const INTERNAL_ERROR: i64 = -32603;

/// The codes in which protocols differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Codes {
    /// The policies, or who the caller is, say no.
    pub denied: i64,
    /// A header says something else than the body.
    pub header_mismatch: i64,
    /// The version is not accepted.
    pub version: i64,
}

impl Codes {
    /// The code of a denial (`None`) or of a failure.
    pub fn of(self, failure: Option<Code>) -> i64 {
        let Some(failure) = failure else { return self.denied };
        match failure {
            Code::BodyRefused => PARSE_ERROR,
            Code::MalformedRequest
            | Code::PathRefused
            | Code::HostRefused
            | Code::QueryRefused
            | Code::HeaderDuplicated
            | Code::HeaderRefused
            | Code::MethodOverride
            | Code::ProtocolMismatch
            | Code::MethodNotAllowed
            | Code::MessageRefused
            | Code::BodyEncoded
            | Code::BodyIncomplete
            | Code::TokenRepeated
            | Code::TooLarge => INVALID_REQUEST,
            Code::NumberRefused | Code::QueryInvalid => INVALID_PARAMS,
            Code::RpcMethodUnknown => METHOD_NOT_FOUND,
            Code::HeaderMismatch => self.header_mismatch,
            Code::VersionRefused => self.version,
            Code::ConnectRefused
            | Code::UpgradeRefused
            | Code::StreamRefused
            | Code::TcpUnsupported
            | Code::PeerRejected
            | Code::XfccRejected
            | Code::TrustDomainRefused
            | Code::TokenRejected
            | Code::TokenExpired
            | Code::TokenNotBound
            | Code::TaskRejected
            | Code::TaskExpired
            | Code::TaskNotBound
            | Code::ReleaseTooLarge
            | Code::ReleaseForeign
            | Code::ApprovalUsed
            | Code::Unmapped => self.denied,
            Code::Deadline
            | Code::Overload
            | Code::Internal
            | Code::NotReady
            | Code::EntitiesUnavailable
            | Code::KeysUnavailable
            | Code::BundleInvalid => INTERNAL_ERROR,
        }
    }
}

/// An error object. Members stand in the order of the specification.
#[derive(Debug, Serialize)]
pub(super) struct Error<'a, D> {
    pub code: i64,
    pub message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<D>,
}

/// The answer that holds an error; nothing where nobody waits for one.
pub(super) fn error<D: Serialize>(id: &IdEcho, error: &Error<'_, D>) -> String {
    framed(id, "error", error)
}

/// The answer that holds a result; nothing where nobody waits for one.
pub(super) fn result(id: &IdEcho, result: &impl Serialize) -> String {
    framed(id, "result", result)
}

/// A denial's error.
pub(super) fn denial<'a>(code: i64, message: &'a str, details: Details<'a>) -> Error<'a, Details<'a>> {
    Error { code, message, data: Some(details) }
}

fn framed(id: &IdEcho, member: &str, value: &impl Serialize) -> String {
    let id = match id {
        IdEcho::Id(id) if is_id(id) => id.as_str(),
        IdEcho::Id(_) | IdEcho::Unread => "null",
        IdEcho::Nothing => return String::new(),
    };
    // The id is put in as sent: read as a number and written again it could become another one.
    format!(r#"{{"jsonrpc":"2.0","id":{id},"{member}":{}}}"#, json(value))
}

/// Whether a text is what may stand as an id: one JSON string or number, and nothing around it.
fn is_id(text: &str) -> bool {
    let tight =
        text.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) && !text.ends_with(char::is_whitespace);
    tight && serde_json::from_str::<serde_json::Value>(text).is_ok_and(|value| value.is_string() || value.is_number())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_echoed_as_sent_or_not_at_all() {
        let written = |id: IdEcho| result(&id, &0);
        for id in ["7", "-0", "1e3", "9007199254740993", "123456789012345678901234567890", r#""a\"b""#, r#""""#] {
            assert_eq!(written(IdEcho::Id(id.to_owned())), format!(r#"{{"jsonrpc":"2.0","id":{id},"result":0}}"#));
        }
        for bad in ["", "null", "true", "{}", "[1]", "7 ", " 7", "7,\"x\":1", "\"a\",\"b\"", "\"a", "a", "01", "1e999"]
        {
            let body = written(IdEcho::Id(bad.to_owned()));
            assert_eq!(body, r#"{"jsonrpc":"2.0","id":null,"result":0}"#, "{bad:?}");
        }
        assert_eq!(written(IdEcho::Unread), r#"{"jsonrpc":"2.0","id":null,"result":0}"#);
        assert_eq!(written(IdEcho::Nothing), "");
    }
}
