//! The check of a body's content type.
//!
//! Knows: `content-type`. Must not know: what the body holds.

use crate::call::Call;
use crate::failure::{Code, Failure};

/// Rejects a call with a content type other than one of `types` in UTF-8: its server may parse it as something else.
///
/// # Errors
/// `message_refused` where the header is missing or says something else, `header_duplicated` where it is repeated,
/// `header_refused` where it is not UTF-8.
pub fn require(call: &Call, types: &[&str]) -> Result<(), Failure> {
    let mismatch = || Failure::new(Code::MessageRefused, format!("the content type must be {}", types.join(" or ")));
    let sent = super::header(call, "content-type")?.ok_or_else(mismatch)?;
    let mut parts = sent.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let parameters: Vec<&str> = parts.collect();
    let is_utf8 = match parameters.as_slice() {
        [] => true,
        [one] => ["charset=utf-8", "charset=\"utf-8\""].iter().any(|charset| one.eq_ignore_ascii_case(charset)),
        [_, _, ..] => false,
    };
    if types.iter().any(|name| name.eq_ignore_ascii_case(essence)) && is_utf8 { Ok(()) } else { Err(mismatch()) }
}
