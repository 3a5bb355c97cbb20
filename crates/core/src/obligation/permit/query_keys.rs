//! Query keys that policies set or remove, and the encoding of values.
//!
//! Knows: percent-encoding. Must not know: which annotation names the key.

/// Checks a key that a policy sets or removes. The proxy compares it byte by byte, so only keys with one spelling will do.
///
/// # Errors
/// A lower-case fragment that says what is wrong.
pub(super) fn check(name: &str) -> Result<(), String> {
    let is_legal = !name.is_empty() && encode(name) == name;
    if is_legal { Ok(()) } else { Err(format!("`{name}` is not a query key of letters, digits and -._~")) }
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
pub(super) fn encode(text: &str) -> String {
    const KEPT: percent_encoding::AsciiSet =
        percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(text, &KEPT).to_string()
}
