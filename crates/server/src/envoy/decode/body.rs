//! The body of a check, and the proof that it is complete.
//!
//! Envoy cuts bodies, repairs text and, when its buffer is exactly full, still says "not partial". So a body is
//! [`Body::Complete`] only if nothing at all speaks against it.

use bytes::Bytes;

use super::headers::Read;
use super::{Limits, Unattached};
use picket_core::call::{Body, Headers};

/// What the caller may send once the call is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// The kind of the request, as far as bodies are concerned.
    Ends,
    /// Any: the call opens a tunnel or an upgrade, and the proxy attaches no part of it.
    GoesOn,
}

/// The body that came as bytes, and as text where the proxy repaired it.
pub(super) fn read(raw: Bytes, text: &str, read: &Read<'_>, limits: Limits, stream: Stream) -> Body {
    match read.partial_body {
        None if raw.is_empty() && text.is_empty() => return unattached(&read.headers, limits, stream),
        None => return Body::Unproven("the proxy does not report whether the body is complete"),
        Some(b"false") => {}
        Some(b"true") => return Body::Unproven("the proxy truncated the body"),
        Some(_) => return Body::Unproven("the proxy's report on the body is neither `true` nor `false`"),
    }
    if raw.is_empty() && !text.is_empty() {
        return Body::Unproven("the body arrived as repaired text, not as bytes");
    }
    if raw.is_empty() {
        // Proxies ask before the end only when their buffer is full, so nothing in it means that nothing came.
        return attached_empty(&read.headers);
    }
    match (objection(&read.headers, raw.len(), limits), encoding(&read.headers)) {
        (Some(objection), _) => Body::Unproven(objection),
        (None, Some(encoding)) => Body::Encoded { bytes: raw, encoding },
        (None, None) => Body::Complete(raw),
    }
}

/// A check without a body. A length of 0 is kept by the proxy, which ends a call that sends more. That there is no
/// length says nothing: see [`Call::announces_body`](picket_core::call::Call::announces_body).
fn unattached(headers: &Headers, limits: Limits, stream: Stream) -> Body {
    let is_none = match (stream, headers.single("content-length")) {
        (Stream::GoesOn, _) | (Stream::Ends, Err(_)) => false,
        (Stream::Ends, Ok(_)) if headers.has("transfer-encoding") => false,
        (Stream::Ends, Ok(Some(declared))) => is_length(declared, 0),
        (Stream::Ends, Ok(None)) => limits.unattached == Unattached::Absent,
    };
    if is_none { Body::Complete(Bytes::new()) } else { Body::NotSent }
}

/// A body that was attached and has no bytes.
fn attached_empty(headers: &Headers) -> Body {
    match headers.single("content-length") {
        Ok(None) => Body::Complete(Bytes::new()),
        Ok(Some(declared)) if is_length(declared, 0) => Body::Complete(Bytes::new()),
        Ok(Some(_)) => Body::Unproven("`content-length` and the body's length differ"),
        Err(_) => Body::Unproven("`content-length` is not readable"),
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
        return Some("the body fills the proxy's buffer, so it may be truncated");
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
