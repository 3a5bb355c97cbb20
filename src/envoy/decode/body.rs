//! The body of a check, as far as it is proven to be the whole one.
//!
//! Envoy cuts bodies, repairs text and, when its buffer is exactly full, still says "not partial". So a body is
//! [`Body::Complete`] only if nothing at all speaks against it.

use super::Limits;
use super::headers::Read;
use crate::call::{Body, Headers};

/// The body that came as bytes, and as text where the proxy repaired it.
pub(super) fn read(raw: &[u8], text: &str, read: &Read<'_>, limits: Limits) -> Body {
    match read.partial_body {
        None if raw.is_empty() && text.is_empty() => return Body::NotSent,
        None => return Body::Unproven("the proxy does not say whether the body is whole"),
        Some(b"false") => {}
        Some(b"true") => return Body::Unproven("the proxy cut the body"),
        Some(_) => return Body::Unproven("the proxy's word on the body is neither `true` nor `false`"),
    }
    if raw.is_empty() && !text.is_empty() {
        return Body::Unproven("the body came as repaired text, not as bytes");
    }
    match (objection(&read.headers, raw.len(), limits), encoding(&read.headers)) {
        (Some(objection), _) => Body::Unproven(objection),
        (None, Some(encoding)) => Body::Encoded { bytes: raw.to_vec(), encoding },
        (None, None) => Body::Complete(raw.to_vec()),
    }
}

/// The content encodings, joined as HTTP joins them; `None` for plain bytes.
fn encoding(headers: &Headers) -> Option<String> {
    let named: Vec<String> = headers
        .all("content-encoding")
        .map(|value| String::from_utf8_lossy(value.trim_ascii()).to_lowercase())
        .collect();
    let plain = named.iter().all(|name| name == "identity");
    (!plain).then(|| named.join(", "))
}

/// What speaks against `length` bytes being the whole body.
fn objection(headers: &Headers, length: usize, limits: Limits) -> Option<&'static str> {
    if limits.body_bytes_max.is_some_and(|max| length >= max) {
        return Some("the body fills the proxy's buffer, so it may be cut");
    }
    let declared = match headers.single("content-length") {
        Ok(declared) => declared,
        Err(_) => return Some("`content-length` is not readable"),
    };
    match declared {
        Some(declared) if !is_length(declared, length) => Some("`content-length` and the body's length differ"),
        // With a transfer encoding, `content-length` frames nothing.
        Some(_) if limits.body_bytes_max.is_none() && headers.has("transfer-encoding") => {
            Some("nothing proves the body's length")
        }
        None if limits.body_bytes_max.is_none() => Some("nothing proves the body's length"),
        Some(_) | None => None,
    }
}

/// Whether `declared` is `length` in plain digits; `+5` and `5,5` are not.
fn is_length(declared: &str, length: usize) -> bool {
    !declared.is_empty() && declared.bytes().all(|byte| byte.is_ascii_digit()) && declared.parse() == Ok(length)
}
