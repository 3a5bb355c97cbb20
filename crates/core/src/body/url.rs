//! URLs that a message gives to others to call: canonicalized or rejected.
//!
//! Knows: RFC 3986. Must not know: who calls the URL, what is allowed.
//!
//! A policy compares these texts, and a program that is not ours fetches the URL. So what two URL parsers read
//! differently is refused: user information, backslashes, dot segments, numbers that are meant as addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::call::{CanonicalPath, Host};

/// Longest URL in bytes.
const BYTES_MAX: usize = 8192;

/// An absolute URL with a host, without query: a query does not identify the target, and may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    scheme: String,
    host: Host,
    path: CanonicalPath,
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong, as a fragment without the URL, which may hold a secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > BYTES_MAX {
            return Err(format!("the URL is longer than {BYTES_MAX} bytes"));
        }
        if !text.bytes().all(|b| b.is_ascii_graphic())
            || text.contains(['\\', '#', '"', '<', '>', '^', '`', '{', '|', '}'])
        {
            return Err("the URL has a character that is not allowed in a URL, or a fragment".to_owned());
        }
        let (scheme, rest) = text.split_once("://").ok_or("the URL is not `scheme://host/path`")?;
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.bytes().all(legal) {
            return Err("the URL's scheme is invalid".to_owned());
        }
        let scheme = scheme.to_ascii_lowercase();
        let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let host = Host::parse(authority).map_err(|problem| format!("the URL cannot be read: {problem}"))?;
        numbers_are_addresses(host.name())?;
        let path = CanonicalPath::parse(path).map_err(|problem| format!("the URL cannot be read: {problem}"))?;
        let url = Self { scheme, host, path };
        // Escapes are longer than what they stand for.
        if url.canonical().len() > BYTES_MAX {
            return Err(format!("the URL is longer than {BYTES_MAX} bytes"));
        }
        Ok(url)
    }

    /// The host's canonical name, without port.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host.name()
    }

    /// `scheme://host`, and `:port` where it is not the scheme's own.
    #[must_use]
    pub fn origin(&self) -> String {
        let own = match self.scheme.as_str() {
            "http" | "ws" => Some(80),
            "https" | "wss" => Some(443),
            _ => None,
        };
        match self.host.port() {
            Some(port) if Some(port) != own => format!("{}://{}:{port}", self.scheme, self.host.name()),
            Some(_) | None => format!("{}://{}", self.scheme, self.host.name()),
        }
    }

    /// The origin and the path; no query.
    #[must_use]
    pub fn canonical(&self) -> String {
        format!("{}{}", self.origin(), self.path.ascii())
    }
}

/// A host whose last label is a number is an IPv4 address to most clients, in ever so many spellings (`127.1`,
/// `0x7f000001`, `[::ffff:127.0.0.1]`); only the usual one is taken.
fn numbers_are_addresses(host: &str) -> Result<(), String> {
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if let Some(Ok(address)) = inside.map(str::parse::<Ipv6Addr>)
        && address.to_ipv4_mapped().is_some()
    {
        return Err("the URL's host is an IPv4 address written as IPv6".to_owned());
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_hex = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    let is_number = !last.is_empty() && (last.bytes().all(|b| b.is_ascii_digit()) || is_hex);
    let plain = host.parse::<Ipv4Addr>().is_ok_and(|address| address.to_string() == host);
    if is_number && !plain {
        return Err("the URL's host is a number in an unusual spelling".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_url_is_one_url() {
        let rows = [
            ("https://Mcp.Example/sse", "https://mcp.example/sse"),
            ("HTTPS://mcp.example:443/sse/", "https://mcp.example/sse"),
            ("https://mcp.example./%73se?token=secret", "https://mcp.example/sse"),
            ("https://mcp.example", "https://mcp.example/"),
            ("https://mcp.example?x", "https://mcp.example/"),
            ("http://mcp.example:80", "http://mcp.example/"),
            ("http://mcp.example:443/", "http://mcp.example:443/"),
            ("http://10.0.0.1/a", "http://10.0.0.1/a"),
            ("https://[0:0::1]:8443/", "https://[::1]:8443/"),
            ("wss://mcp.example:443/x", "wss://mcp.example/x"),
            ("https://mcp.example/%c3%a9", "https://mcp.example/%C3%A9"),
        ];
        for (sent, expected) in rows {
            assert_eq!(Url::parse(sent).map(|url| url.canonical()).as_deref(), Ok(expected), "{sent}");
        }
    }

    #[test]
    fn a_url_that_two_parsers_read_differently_is_refused() {
        let rows = [
            "",
            "mcp.example/sse",
            "//mcp.example/sse",
            "https:/mcp.example",
            "https:mcp.example",
            "https:///sse",
            "1https://mcp.example",
            "https://trusted@evil.example/",
            "https://trusted:x@evil.example/",
            "https://evil.example\\@trusted/",
            "https://trusted\\.evil.example",
            "https://evil.example#@trusted/",
            "https://mcp.example/a/../b",
            "https://mcp.example/a%2fb",
            "https://mcp.example//a",
            "https://mcp.example:/",
            "https://mcp.example:0443/",
            "https://mcp.example/ä",
            "https://mcp.example/a b",
            " https://mcp.example/",
            "https://mcp.example/\n",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://127.0.0.0x1/",
            "http://mcp.example.1/",
            "http://[::ffff:127.0.0.1]/",
            "https://mcp.example/%25%32%65%25%32%65/a",
            "https://mcp.example/%c0%ae%c0%ae/a",
            "https://mcp.example/%ef%bc%8e%ef%bc%8e/a",
        ];
        for sent in rows {
            assert!(Url::parse(sent).is_err(), "{sent:?} must be refused");
        }
        assert!(Url::parse(&format!("https://a/{}", "x".repeat(BYTES_MAX))).is_err());
    }
}
