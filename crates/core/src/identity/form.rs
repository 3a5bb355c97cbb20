//! Finds `access_token` in form bodies (RFC 6750, section 2.2).
//!
//! Knows: how servers tell a form, and how it is written. Must not know: what a token says, protocols of services.
//!
//! The proxy may not have sent the body, or only a part of it. A form that was not seen whole may hold a token.

use super::places::ACCESS_TOKEN;
use super::settings::{FormTokens, Settings};
use crate::call::headers::fold;
use crate::call::query_string::{could_mean, sent_pairs, unescaped};
use crate::call::{Body, Call};
use crate::failure::{Code, Failure};

/// What servers take a body for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FormKind {
    /// Pairs, as of a query; also a body without a type, which some servers read so.
    Pairs,
    /// Parts with names.
    Multipart,
}

/// Whether the body could be a form with something in it.
pub(super) fn may_hold_one(call: &Call, settings: &Settings) -> bool {
    match settings.form_tokens {
        FormTokens::NotRead => false,
        FormTokens::Judged => kind(call).is_some(),
    }
}

/// Every `access_token` of a form.
///
/// # Errors
/// `body_incomplete` or `body_encoded` for a form that was not seen whole or not in the clear; `token_rejected` for
/// one whose fields cannot be told apart and that may hold the key.
pub(super) fn read(call: &Call, settings: &Settings) -> Result<Vec<String>, Failure> {
    let kind = match settings.form_tokens {
        FormTokens::NotRead => None,
        FormTokens::Judged => kind(call),
    };
    let Some(kind) = kind else { return Ok(Vec::new()) };
    let refuse = |code, why: &str| {
        let advice = "a form may hold `access_token`; if no service reads that, set `form_tokens: not_read`";
        Err(Failure::new(code, format!("{why}: {advice}")))
    };
    let bytes = match &call.body {
        Body::Complete(bytes) => bytes,
        Body::NotSent => return refuse(Code::BodyIncomplete, "the proxy did not send the form"),
        Body::Unproven(why) => return refuse(Code::BodyIncomplete, why),
        Body::Encoded { .. } => return refuse(Code::BodyEncoded, "the form is in a content encoding"),
    };
    let text = String::from_utf8_lossy(bytes);
    match kind {
        FormKind::Pairs if is_in_another_charset(call) => refuse(Code::TokenRejected, "the form is not in UTF-8"),
        FormKind::Pairs => Ok(access_tokens(&text)),
        FormKind::Multipart if names_it(&text) => refuse(Code::TokenRejected, "a part of the form may be the token"),
        FormKind::Multipart => Ok(Vec::new()),
    }
}

fn access_tokens(text: &str) -> Vec<String> {
    // A byte that is no UTF-8 became the replacement character: such a key has no one reading.
    let is_token = |key: &str| key.contains('\u{fffd}') || could_mean(key, ACCESS_TOKEN);
    let found = sent_pairs(text).filter(|pair| is_token(pair.key)).map(|pair| pair.value);
    found.map(|value| unescaped(value.trim()).unwrap_or_else(|_| value.to_owned())).collect()
}

/// Whether a part of this text may be named `access_token`. A name in another notation (`name*`) could be any.
fn names_it(text: &str) -> bool {
    let text = text.to_lowercase().replace(['-', '.', ' '], "_");
    text.contains(ACCESS_TOKEN) || text.contains("name*") || text.contains("charset=utf_16")
}

/// What servers may take the body for; `None` where that is no form, or where there provably is no body.
fn kind(call: &Call) -> Option<FormKind> {
    let declared = || call.headers.iter().filter(|(name, _)| fold(name) == "content-type").map(|(_, value)| value);
    let says = |what: &str| declared().any(|value| String::from_utf8_lossy(value).to_lowercase().contains(what));
    let is_unreadable = || declared().any(|value| std::str::from_utf8(value).is_err());
    let is_untyped = || call.headers.all("content-type").all(|value| value.trim_ascii().is_empty());
    if is_provably_empty(call) {
        None
    } else if says("urlencoded") || is_unreadable() {
        Some(FormKind::Pairs)
    } else if says("multipart/") {
        Some(FormKind::Multipart)
    } else {
        (is_untyped() && is_announced(call)).then_some(FormKind::Pairs)
    }
}

fn is_provably_empty(call: &Call) -> bool {
    let mut lengths = call.headers.all("content-length").peekable();
    let is_zero = lengths.peek().is_some() && lengths.all(|length| length == b"0");
    let is_framed = call.headers.has("transfer-encoding");
    match &call.body {
        Body::Complete(bytes) => bytes.is_empty(),
        Body::NotSent => is_zero && !is_framed,
        Body::Encoded { .. } | Body::Unproven(_) => false,
    }
}

/// Whether anything says that there is a body.
fn is_announced(call: &Call) -> bool {
    call.body != Body::NotSent || call.headers.has("content-length") || call.headers.has("transfer-encoding")
}

/// Whether the form says that it is written so that ASCII has other bytes.
fn is_in_another_charset(call: &Call) -> bool {
    let known = ["utf-8", "us-ascii", "ascii", "iso-8859-1", "latin1", "windows-1252"];
    let is_known = |charset: &str| {
        let end = charset.find([';', ',', ' ']).unwrap_or(charset.len());
        charset.get(..end).is_some_and(|charset| known.contains(&charset.trim_matches(['"', '\''])))
    };
    call.headers.iter().filter(|(name, _)| fold(name) == "content-type").any(|(_, value)| {
        let value = String::from_utf8_lossy(value).to_lowercase();
        let named = value.split("charset").skip(1);
        named.map(|rest| rest.trim_start_matches([' ', '\t', '='])).any(|charset| !is_known(charset))
    })
}

#[cfg(test)]
mod tests;
