//! The check of a body's content type.
//!
//! Knows: `content-type`. Must not know: what the body holds.

use crate::call::Call;
use crate::failure::{Code, Failure};

/// Rejects a call with a content type other than one of `types` in UTF-8: its server may parse it as something else.
///
/// # Errors
/// `message_refused` where the header is missing, repeated or says something else.
pub fn require(call: &Call, types: &[&str]) -> Result<(), Failure> {
    let mismatch = || Failure::new(Code::MessageRefused, format!("the content type must be {}", types.join(" or ")));
    let sent = call.headers.single("content-type").map_err(|_| mismatch())?.ok_or_else(mismatch)?;
    let mut parts = sent.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let is_utf8 = |part: &str| {
        part.split_once('=').is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("charset") && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    };
    if types.iter().any(|name| name.eq_ignore_ascii_case(essence)) && parts.all(is_utf8) {
        Ok(())
    } else {
        Err(mismatch())
    }
}
