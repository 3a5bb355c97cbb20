//! The grammars of names in the catalogue; pure predicates.

use crate::call::CanonicalPath;
use crate::call::host::is_dns_label;
use crate::catalog::MESH;

/// Longest name in bytes, as for a DNS name.
pub(super) const NAME_BYTES_MAX: usize = 253;
/// What [`is_name`] asks for.
pub(super) const NAME_HELP: &str = "1 to 253 characters, no blanks and no controls";

/// What [`is_tool`] asks for.
pub(super) const TOOL_HELP: &str = "1 to 128 of A-Z a-z 0-9 . _ -, as MCP names tools";

/// A tool's name, as MCP has it; `/` would make another resource of it.
pub(super) fn is_tool(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'))
}

/// A group, label or model: short, visible, without blanks.
pub(super) fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// A namespace that services and policies can lie in.
pub(super) fn is_namespace(text: &str) -> bool {
    is_dns_label(text) && text != MESH
}

/// The part of a service's id after the slash, or a route's name. `@` is kept for implicit services.
pub(super) fn is_service_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'.' | b'_' | b'-'))
}

/// A Kubernetes service account: a DNS subdomain.
pub(super) fn is_account(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX && text.split('.').all(is_dns_label)
}

/// An HTTP method in upper case (RFC 9110 token).
pub(super) fn is_method(text: &str) -> bool {
    let token = |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&c);
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(token)
}

/// `package.Service` or `package.Service/Method`.
pub(super) fn is_grpc_method(text: &str) -> bool {
    let word = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
    };
    let (service, method) = match text.split_once('/') {
        Some((service, method)) => (service, Some(method)),
        None => (text, None),
    };
    text.len() <= NAME_BYTES_MAX && service.split('.').all(word) && method.is_none_or(word)
}

/// A scope of RFC 6749: visible ASCII without `"` and `\`.
pub(super) fn is_scope(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_graphic() && c != b'"' && c != b'\\')
}

/// A realm: it stands between quotes in a header, so what could end them is refused.
pub(super) fn is_realm(text: &str) -> bool {
    let legal = |c: u8| (c.is_ascii_graphic() || c == b' ') && c != b'"' && c != b'\\';
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(legal)
}

/// An absolute `https` or `http` URL, fit to stand between quotes in a header.
pub(super) fn is_url(text: &str) -> bool {
    let schemed = text.starts_with("https://") || text.starts_with("http://");
    let legal = text.bytes().all(|c| c.is_ascii_graphic() && !matches!(c, b'"' | b'\\' | b'<' | b'>' | b'#'));
    let parsed = text.parse::<http::Uri>().is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    schemed && legal && parsed && text.len() <= 2048
}

/// The path in its canonical spelling, or what is wrong with it.
pub(super) fn canonical(text: &str) -> Result<CanonicalPath, String> {
    let path = CanonicalPath::parse(text).map_err(|problem| problem.to_string())?;
    if path.as_str() == text { Ok(path) } else { Err(format!("its canonical spelling is `{path}`")) }
}
