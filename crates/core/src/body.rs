//! Parses a call's body into bounded, typed facts of its service's protocol.
//!
//! Knows: JSON, the messages of each protocol. Must not know: who is calling, what is allowed, the catalogue's policies.
//! Pure. What cannot be read whole and exactly is refused; nothing is repaired.

pub mod a2a;
pub mod case_variants;
mod content_type;
pub mod grpc;
mod inflate;
pub mod json;
pub mod json_rpc;
pub mod llm;
pub mod mcp;
mod members;
pub mod url;

#[cfg(test)]
mod fixtures;

use std::borrow::Cow;

use crate::call::{Body, Call, query_string};
use crate::catalog::BodyRules;
use crate::failure::{Code, Failure};

/// The document of a plain HTTP call; none where the call provably has no body.
///
/// # Errors
/// `message_refused` for another content type; as [`bytes()`] and [`json::parse`]; `body_refused` where two members of an object differ only by case.
pub fn document(call: &Call, rules: &BodyRules, limits: json::Limits) -> Result<Option<json::Json>, Failure> {
    match &call.body {
        Body::Complete(bytes) if bytes.is_empty() => return Ok(None),
        // What was not sent has no content type worth looking at.
        Body::NotSent => {}
        Body::Complete(_) | Body::Encoded { .. } | Body::Unproven(_) => {
            content_type::require(call, &["application/json"])?;
        }
    }
    let document = json::parse(&bytes(call, rules)?, limits)?;
    match case_variants::doubled(document.node()) {
        Some(key) => {
            let detail = format!("`{}` and another member differ only by case", shown(key));
            Err(Failure::new(Code::BodyRefused, detail))
        }
        None => Ok(Some(document)),
    }
}

/// Rejects the body of a call that is not parsed, though bodies of its service are: no policy could read it. A call
/// without a visible body passes; a proof matters only where a policy reads its length.
///
/// # Errors
/// `message_refused` for a body that is there, `body_incomplete` for one that is announced or attached in part.
pub fn refuse(call: &Call) -> Result<(), Failure> {
    match &call.body {
        Body::Complete(bytes) if bytes.is_empty() => Ok(()),
        Body::Complete(_) | Body::Encoded { .. } => {
            let detail = format!("`{}` with a body: no policy sees what is in it", shown(&call.method));
            Err(Failure::new(Code::MessageRefused, detail))
        }
        Body::Unproven(why) => Err(Failure::new(Code::BodyIncomplete, *why)),
        Body::NotSent if call.announces_body() => {
            Err(Failure::new(Code::BodyIncomplete, "the call announces a body that the proxy did not send"))
        }
        Body::NotSent => Ok(()),
    }
}

/// The body's bytes, whole and in no encoding.
///
/// # Errors
/// `body_incomplete` where the body is not provably whole, `body_encoded` where it is in a content encoding that
/// `rules` do not allow, and `body_refused` where it does not inflate to one whole body within the bounds.
pub fn bytes<'a>(call: &'a Call, rules: &BodyRules) -> Result<Cow<'a, [u8]>, Failure> {
    match &call.body {
        Body::Complete(bytes) => Ok(Cow::Borrowed(bytes)),
        Body::NotSent => {
            Err(Failure::new(Code::BodyIncomplete, "the proxy sent no body, and nothing proves that the call has none"))
        }
        Body::Unproven(why) => Err(Failure::new(Code::BodyIncomplete, *why)),
        Body::Encoded { bytes, encoding } => match rules.inflate_max_bytes {
            Some(max) => inflate::inflate(bytes, encoding, max).map(Cow::Owned),
            None => Err(Failure::new(Code::BodyEncoded, "the service allows no content encoding")),
        },
    }
}

/// A name for a failure's detail: its first 40 characters, escaped. Never more of a body than that.
pub(crate) fn shown(name: &str) -> String {
    let mut characters = name.chars();
    let mut shown: String = characters.by_ref().take(40).flat_map(char::escape_debug).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// The query's keys and values, decoded; none where there is no query.
///
/// # Errors
/// `query_refused` where servers differ about them.
fn query_pairs(query: Option<&str>) -> Result<Vec<(String, String)>, Failure> {
    let refuse = |problem: query_string::QueryProblem| Failure::new(Code::QueryRefused, problem.to_string());
    query_string::pairs(query.unwrap_or_default()).map(|pair| pair.map_err(refuse)).collect()
}

/// The value of a header that may occur once.
///
/// # Errors
/// `header_duplicated`, or `header_refused` where it is not UTF-8.
pub(crate) fn header<'a>(call: &'a Call, name: &'a str) -> Result<Option<&'a str>, Failure> {
    use crate::call::headers::HeaderProblem;
    call.headers.single(name).map_err(|problem| {
        let code = match &problem {
            HeaderProblem::Repeated(_) => Code::HeaderDuplicated,
            HeaderProblem::NotText(_) => Code::HeaderRefused,
        };
        Failure::new(code, problem.to_string())
    })
}

#[cfg(test)]
mod tests;
