//! The canonical authority: one spelling, or rejection.

use std::net::Ipv6Addr;

/// A host in its one canonical spelling, and the port where one was sent.
///
/// Names are ASCII, lower case, without the trailing dot; IPv6 literals keep their brackets and are
/// written as RFC 5952 says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host {
    name: String,
    port: Option<u16>,
}

/// Why an authority has no single canonical reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostProblem {
    /// Nothing there.
    #[error("the authority is empty")]
    Empty,
    /// Longer than 253 characters, or a label longer than 63.
    #[error("the authority is longer than a DNS name can be")]
    TooLong,
    /// `user@host`.
    #[error("the authority holds user information")]
    UserInfo,
    /// Several hosts, blanks, controls, non-ASCII or other characters.
    #[error("the authority holds the byte 0x{0:02x}")]
    Byte(u8),
    /// An empty label, or more than one trailing dot.
    #[error("the authority has an empty label")]
    EmptyLabel,
    /// The port is not a number from 1 to 65535.
    #[error("the authority's port is not a number from 1 to 65535")]
    Port,
    /// Brackets around something else than an IPv6 address.
    #[error("the authority's brackets do not hold an IPv6 address")]
    Ipv6,
}

impl Host {
    /// Reads `Host` or `:authority`.
    ///
    /// # Errors
    /// [`HostProblem`] for every spelling that two parsers could read differently.
    pub fn parse(authority: &str) -> Result<Self, HostProblem> {
        if authority.is_empty() {
            return Err(HostProblem::Empty);
        }
        if authority.bytes().any(|byte| byte == b'@') {
            return Err(HostProblem::UserInfo);
        }
        if let Some(rest) = authority.strip_prefix('[') {
            let (inside, after) = rest.split_once(']').ok_or(HostProblem::Ipv6)?;
            let address: Ipv6Addr = inside.parse().map_err(|_| HostProblem::Ipv6)?;
            let port = match after {
                "" => None,
                _ => Some(port(after.strip_prefix(':').ok_or(HostProblem::Ipv6)?)?),
            };
            return Ok(Self { name: format!("[{address}]"), port });
        }
        let colon = authority.bytes().position(|byte| byte == b':');
        let (name, port) = match colon.and_then(|at| authority.split_at_checked(at)) {
            Some((name, text)) => (name, Some(port(text.strip_prefix(':').unwrap_or_default())?)),
            None => (authority, None),
        };
        Ok(Self { name: name_of(name)?, port })
    }

    /// The canonical name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port, where one was sent.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

fn port(text: &str) -> Result<u16, HostProblem> {
    // `parse` alone would take `+80`, and `080` would be a second spelling of `80`.
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    if !plain {
        return Err(HostProblem::Port);
    }
    text.parse().map_err(|_| HostProblem::Port)
}

fn name_of(name: &str) -> Result<String, HostProblem> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        return Err(HostProblem::Empty);
    }
    if let Some(byte) = name.bytes().find(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))) {
        return Err(HostProblem::Byte(byte));
    }
    let (mut longest, mut shortest) = (0, usize::MAX);
    for label in name.as_bytes().split(|byte| *byte == b'.') {
        (longest, shortest) = (longest.max(label.len()), shortest.min(label.len()));
    }
    if name.len() > 253 || longest > 63 {
        return Err(HostProblem::TooLong);
    }
    if shortest == 0 {
        return Err(HostProblem::EmptyLabel);
    }
    Ok(name.to_ascii_lowercase())
}

/// Whether a text is a DNS label (RFC 1123): 1 to 63 of `a-z 0-9 -`, no hyphen at either end.
#[must_use]
pub fn is_dns_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p10_every_spelling_of_a_host_is_one_host() {
        for spelling in ["api.shop", "API.Shop", "api.shop.", "Api.SHOP:8080"] {
            assert_eq!(Host::parse(spelling).map(|h| h.name().to_owned()), Ok("api.shop".to_owned()), "{spelling}");
        }
        assert_eq!(Host::parse("[0:0::1]:80").map(|h| h.to_string()), Ok("[::1]:80".to_owned()));
    }

    #[test]
    fn p10_ambiguous_hosts_are_refused() {
        let cases = [
            ("", HostProblem::Empty),
            (".", HostProblem::Empty),
            ("a..b", HostProblem::EmptyLabel),
            ("a..", HostProblem::EmptyLabel),
            (".a", HostProblem::EmptyLabel),
            ("user@a", HostProblem::UserInfo),
            ("a b", HostProblem::Byte(b' ')),
            ("a,b", HostProblem::Byte(b',')),
            ("a\0", HostProblem::Byte(0)),
            ("bücher.example", HostProblem::Byte(0xc3)),
            ("a%2eb", HostProblem::Byte(b'%')),
            ("a:", HostProblem::Port),
            ("a:0", HostProblem::Port),
            ("a:080", HostProblem::Port),
            ("a:+80", HostProblem::Port),
            ("a:65536", HostProblem::Port),
            ("a:80:80", HostProblem::Port),
            ("[::1", HostProblem::Ipv6),
            ("[::1]x", HostProblem::Ipv6),
            ("[a]", HostProblem::Ipv6),
            ("::1", HostProblem::Port),
        ];
        for (spelling, problem) in cases {
            assert_eq!(Host::parse(spelling), Err(problem), "{spelling:?}");
        }
        assert_eq!(Host::parse(&"a".repeat(64)), Err(HostProblem::TooLong));
    }
}
