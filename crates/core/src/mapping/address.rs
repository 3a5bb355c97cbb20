//! A URL or host that a task names: canonicalized or rejected.
//!
//! Knows: hosts and canonical paths. Must not know: tasks, services.

use std::borrow::Cow;

use crate::call::{CanonicalPath, Host};

/// An absolute `http` or `https` URL without query and fragment, or a bare host, which counts as `https`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    scheme: &'static str,
    host: Host,
    /// The path; `None` where none was written, not even `/`.
    pub path: Option<CanonicalPath>,
}

impl Address {
    /// Parses `https://host[:port][/path]` or `host[:port][/path]`. `None` for a text with a second reading:
    /// an invalid name names nothing, which only narrows a task.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        if text.contains(['?', '#', '\\']) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => ("https", rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => ("http", rest),
            Some(_) => return None,
            None => ("https", text),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let Ok(host) = Host::parse(authority) else { return None };
        let path = match (path, CanonicalPath::parse(path)) {
            ("", _) => None,
            (_, Ok(path)) => Some(path),
            (_, Err(_)) => return None,
        };
        Some(Self { scheme, host, path })
    }

    /// The host, port included.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// `https://host`, and `:port` where it is not the scheme's own.
    #[must_use]
    pub fn origin(&self) -> String {
        match (self.scheme, self.host.port()) {
            ("http", Some(80)) | ("https", Some(443)) | (_, None) => format!("{}://{}", self.scheme, self.host.name()),
            (_, Some(port)) => format!("{}://{}:{port}", self.scheme, self.host.name()),
        }
    }

    /// The origin and the path, at least `/`.
    #[must_use]
    pub fn url(&self) -> String {
        let path = self.path.as_ref().map_or(Cow::Borrowed("/"), CanonicalPath::ascii);
        format!("{}{path}", self.origin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_url_is_one_url_or_none() {
        for (text, expected) in [
            ("https://A.Example", Some(("https://a.example", "https://a.example/"))),
            ("https://a.example/", Some(("https://a.example", "https://a.example/"))),
            ("HTTPS://a.example.:443/mcp/", Some(("https://a.example", "https://a.example/mcp"))),
            ("http://a.example:80/%6dcp", Some(("http://a.example", "http://a.example/mcp"))),
            ("http://a.example:443", Some(("http://a.example:443", "http://a.example:443/"))),
            ("a.example:8443/x", Some(("https://a.example:8443", "https://a.example:8443/x"))),
            ("https://a.example/%c3%a9", Some(("https://a.example", "https://a.example/%C3%A9"))),
            ("https://[0:0::1]/x", Some(("https://[::1]", "https://[::1]/x"))),
            ("", None),
            ("/mcp", None),
            ("ftp://a.example", None),
            ("https://user@a.example", None),
            ("https://a.example\\@b.example", None),
            ("https://a.example?x", None),
            ("https://a.example/x#y", None),
            ("https://a.example/x/../y", None),
            ("https://a.example//x", None),
            ("https://a.example/x%2fy", None),
            ("https://ä.example", None),
            (" https://a.example", None),
        ] {
            let found = Address::read(text).map(|address| (address.origin(), address.url()));
            let found = found.as_ref().map(|(origin, url)| (origin.as_str(), url.as_str()));
            assert_eq!(found, expected, "{text}");
        }
    }
}
