//! The body of a denial: no more than an operator needs to find it in the log.
//!
//! Knows: RFC 9457, and the shapes that clients of each protocol read. Must not know: policies, why exactly the
//! call was denied, HTTP status codes of forms that have their own.
//!
//! Two denials of one status differ by their decision id, by the reason code a policy published and by how they
//! can be lifted, and by nothing else: a caller must not learn from the text which rule stopped it.

pub mod a2a;
pub mod json_rpc;
pub mod llm;
pub mod mcp;

use serde::Serialize;
use uuid::Uuid;

use super::challenge::{self, Challenge};

/// Longest reason code that is passed on, in bytes.
const REASON_BYTES_MAX: usize = 64;

/// The parts of a denial that the caller may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice<'a> {
    /// Id of the decision.
    pub decision_id: Uuid,
    /// Title of the status (`Forbidden`).
    pub title: &'a str,
    /// Reason code that a policy publishes, or a failure's code.
    pub reason: Option<&'a str>,
    /// How to get a yes, where there is a way.
    pub remedy: Option<&'a Challenge>,
    /// The value of `www-authenticate`, where there is one.
    pub authenticate: Option<&'a str>,
    /// After how many seconds another try may succeed.
    pub retry_after_seconds: Option<u32>,
}

/// A remedy in JSON. Members stand in the order of the alphabet.
#[derive(Debug, Serialize)]
struct Remedy<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    acr_values: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<&'a str>,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

impl<'a> Remedy<'a> {
    fn of(challenge: &'a Challenge) -> Self {
        let bare = Self { acr_values: None, approval: None, kind: challenge.kind(), max_age: None, scope: None };
        match challenge {
            Challenge::StepUp { acr, max_age_seconds } => Self {
                acr_values: acr.as_deref().filter(|acr| challenge::is_word(acr)),
                max_age: *max_age_seconds,
                ..bare
            },
            Challenge::Login { scopes }
            | Challenge::AddScope { scopes }
            | Challenge::NarrowToken { scopes, is_user: _ } => Self { scope: challenge::scope(scopes), ..bare },
            Challenge::Approve { kind } => Self { approval: kind.as_deref().filter(|kind| is_code(kind)), ..bare },
        }
    }
}

/// Everything a caller may read, as an object; what is absent is left out. Members stand in the order of the alphabet.
#[derive(Debug, Serialize)]
struct Details<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<&'a str>,
    decision_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<Remedy<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u32>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    supported: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
}

impl<'a> Notice<'a> {
    /// The body for HTTP callers: `application/problem+json`.
    #[must_use]
    pub fn problem_json(&self) -> String {
        json(&Details { title: Some(self.title), ..self.details() })
    }

    /// The text for people and for gRPC callers, who read it as `grpc-message`.
    #[must_use]
    pub fn message(&self) -> String {
        match self.reason() {
            Some(reason) => format!("denied: {reason} (decision {})", self.decision_id),
            None => format!("denied (decision {})", self.decision_id),
        }
    }

    /// What every JSON form carries.
    fn details(&self) -> Details<'a> {
        Details {
            challenge: None,
            decision_id: self.decision_id.to_string(),
            reason: self.reason(),
            remedy: self.remedy.map(Remedy::of),
            requested: None,
            retry_after_seconds: None,
            supported: &[],
            title: None,
        }
    }

    /// The same for a message that travels without its headers: what they would say is in it.
    fn whole(&self) -> Details<'a> {
        Details { challenge: self.authenticate, retry_after_seconds: self.retry_after_seconds, ..self.details() }
    }

    fn reason(&self) -> Option<&'a str> {
        self.reason.filter(|reason| is_code(reason))
    }
}

/// Supported versions, for a client with an unsupported one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Versions<'a> {
    /// Those that are accepted.
    pub supported: &'a [&'a str],
    /// The requested one, as sent.
    pub requested: Option<&'a str>,
}

impl<'a> Versions<'a> {
    /// The version as sent, if it is one: anything else is not echoed.
    fn requested(&self) -> Option<&'a str> {
        self.requested.filter(|text| is_code(text))
    }
}

/// Reason codes and versions are words; anything else stays in the log.
fn is_code(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !text.is_empty() && text.len() <= REASON_BYTES_MAX && text.bytes().all(word)
}

/// The JSON of a value whose every part has one.
fn json(value: &impl Serialize) -> String {
    // Texts, numbers and structures of them cannot fail to be written; whatever came out, it would be a denial.
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

#[cfg(test)]
mod tests;
