//! The words of an early end, and the parts that endings of several APIs share.
//!
//! Knows: one decision's id. Must not know: why policies refused, any one API's events.

use serde_json::{Value, json};
use smol_str::SmolStr;

use crate::body::json::Node;
use crate::response::ruling::End;

/// Longest id of the upstream that an ending repeats, in bytes.
const ID_BYTES_MAX: usize = 256;

/// Whose fault an early end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The policies, or the limits within which they can be held.
    Policy,
    /// The upstream, whose answer is not complete.
    Upstream,
}

impl Cause {
    pub fn of(end: End) -> Self {
        match end {
            End::Refused
            | End::NotMaskable
            | End::ChannelHold
            | End::StreamHold
            | End::TooLong
            | End::TooManyChannels
            | End::TooManyStandIns
            | End::HeldTooLong
            | End::Overload => Self::Policy,
            End::Cut | End::Complete | End::Undecodable | End::Abandoned => Self::Upstream,
        }
    }
}

/// What an ending tells the client: an id by which its operator finds the decision. Never names of detectors or policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    decision: SmolStr,
    reason: Option<SmolStr>,
}

impl Words {
    /// Words that name a decision, which must be an id: letters, digits and hyphens.
    #[must_use]
    pub fn new(decision: impl Into<SmolStr>) -> Self {
        let mut decision = decision.into();
        if !decision.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            decision = SmolStr::default();
        }
        Self { decision, reason: None }
    }

    /// The same, with the reason that a policy states to clients; it replaces the machine's own in ends by policy.
    #[must_use]
    pub fn with_reason(self, reason: Option<&str>) -> Self {
        Self { reason: reason.map(SmolStr::new), ..self }
    }

    fn reason(&self, end: End) -> &str {
        match (Cause::of(end), &self.reason) {
            (Cause::Policy, Some(reason)) => reason,
            (Cause::Policy, None) | (Cause::Upstream, _) => end.as_str(),
        }
    }

    /// One sentence for a person.
    pub(super) fn sentence(&self, end: End) -> String {
        let what = match Cause::of(end) {
            Cause::Policy => "was withheld by policy",
            Cause::Upstream => "is not complete",
        };
        format!("The response {what} ({}, decision {}).", self.reason(end), self.decision)
    }

    /// An id for an object that the upstream did not name.
    pub(super) fn id(&self, prefix: &str) -> String {
        format!("{prefix}-{}", self.decision)
    }

    /// An error object of OpenAI's APIs.
    pub(super) fn openai_error(&self, end: End) -> Value {
        let kind = match Cause::of(end) {
            Cause::Policy => "permission_error",
            Cause::Upstream => "server_error",
        };
        let (message, code) = (self.sentence(end), self.reason(end));
        let decision = self.decision.as_str();
        json!({"error": {"message": message, "type": kind, "param": null, "code": code, "decision_id": decision}})
    }

    /// An error of Anthropic's API.
    pub(super) fn anthropic_error(&self, end: End) -> Value {
        let kind = match Cause::of(end) {
            Cause::Policy => "permission_error",
            Cause::Upstream => "api_error",
        };
        let (message, decision) = (self.sentence(end), self.decision.as_str());
        json!({"type": "error", "error": {"type": kind, "message": message, "decision_id": decision}})
    }

    /// The details of an error that has a place for them.
    pub(super) fn details(&self, end: End) -> Value {
        json!({"reason": self.reason(end), "decision_id": self.decision.as_str()})
    }
}

/// A member of a message that may be repeated in an ending: it has the shape of an id.
pub(super) fn id(message: Node<'_>, key: &str) -> Option<String> {
    let text = message.get(key)?.as_text()?;
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
    (text.len() <= ID_BYTES_MAX && text.bytes().all(is_part)).then(|| text.to_owned())
}

/// One event with JSON.
pub(super) fn event(name: Option<&str>, data: &Value) -> Vec<u8> {
    let name = name.map(|name| format!("event: {name}\n")).unwrap_or_default();
    format!("{name}data: {data}\n\n").into_bytes()
}

/// One document.
pub(super) fn bytes(document: &Value) -> Vec<u8> {
    document.to_string().into_bytes()
}
