//! Header names that an obligation may change.

use crate::call::headers::folded;

/// Names that frame a message or address it; nobody may touch them.
const UNTOUCHABLE: [&str; 12] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "keep-alive",
    "proxy-connection",
    "http2-settings",
    "x-forwarded-client-cert",
    "expect",
];

/// Checks a name that a policy wants to set or remove; `allowed` are the names the manifest frees.
///
/// # Errors
/// A lower-case fragment that says why not.
pub fn check_name<'a>(name: &'a str, allowed: &[String]) -> Result<&'a str, String> {
    let token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("`{name}` is not a header name in lower case"));
    }
    let name_folded = folded(name);
    if UNTOUCHABLE.contains(&name_folded.as_str()) {
        return Err(format!("`{name}` frames or addresses the message and cannot be touched"));
    }
    let guarded = name_folded.starts_with("x-forwarded-")
        || name_folded.starts_with("x-envoy-")
        || matches!(name_folded.as_str(), "forwarded" | "authorization");
    if guarded && !allowed.iter().any(|free| folded(free) == name_folded) {
        return Err(format!("`{name}` is guarded; the platform can free it by `allow_headers` in manifest.yaml"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_and_forwarding_headers_cannot_be_set() {
        for name in
            ["host", ":path", "Content-Length", "te", "x-envoy-retry-on", "x_forwarded_for", "authorization", "", "a b"]
        {
            assert!(check_name(name, &[]).is_err(), "{name}");
        }
        assert_eq!(check_name("x-team", &[]), Ok("x-team"));
        assert_eq!(check_name("authorization", &["authorization".to_owned()]), Ok("authorization"));
        assert!(check_name("host", &["host".to_owned()]).is_err());
    }
}
