//! The host names by which the ports for operators may be addressed.
//!
//! Knows: hosts of requests. Must not know: what is requested.
//!
//! A browser lets a page send requests to the page's own name, and that name may suddenly resolve to this machine (DNS
//! rebinding). Then the page could read data for operators. The request still names the page's host, so only addresses
//! and names that no other site can own get an answer.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use http::Request;
use http::header::HOST;

/// A name that resolves to this machine everywhere (RFC 6761, section 6.3).
const OURS: &str = "localhost";
/// The answer to a request for any other host.
pub const REFUSED: &str = "this port answers to its address, to `localhost`, and to the names in `admin.hosts`\n";

/// The names of one port.
#[derive(Debug, Clone)]
pub enum Hosts {
    /// Any name, for every process that can open the socket file; no browser can.
    Any,
    /// Addresses, `localhost`, and these names.
    Named(Arc<[String]>),
}

impl Hosts {
    /// Returns whether the request names a host, and every host that it names is allowed.
    #[must_use]
    pub fn allow<B>(&self, request: &Request<B>) -> bool {
        let Self::Named(names) = self else { return true };
        let headers = request.headers().get_all(HOST).into_iter().map(|host| host.to_str().ok().and_then(host_of));
        let target = request.uri().authority().map(|authority| host_of(authority.as_str()));
        let mut hosts = headers.chain(target).peekable();
        hosts.peek().is_some() && hosts.all(|host| host.is_some_and(|host| is_allowed(&host, names)))
    }
}

/// The host in lower case, without its port; `None` if it is not a plain host.
fn host_of(text: &str) -> Option<String> {
    let end = match text.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, port) = text.split_at_checked(end)?;
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then(|| host.to_ascii_lowercase())
}

fn is_allowed(host: &str, names: &[String]) -> bool {
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_address = match v6 {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<Ipv4Addr>().is_ok(),
    };
    is_address || host == OURS || names.iter().any(|name| name.eq_ignore_ascii_case(host))
}

/// Returns what is wrong with a name in the settings.
pub(super) fn problem(name: &str) -> Option<String> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let is_name = !name.is_empty() && name.bytes().all(letter);
    (!is_name)
        .then(|| format!("`{name}` is not a host name; give one such as `picket.picket-system.svc`, without a port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(uri: &str, hosts: &[&str]) -> bool {
        let mut request = Request::get(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        Hosts::Named([String::from("Picket.system.svc")].into()).allow(&request.body(()).unwrap())
    }

    #[test]
    fn only_addresses_and_names_that_no_other_site_can_own_are_answered() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9192",
            "10.1.2.3:9192",
            "[::1]",
            "[::1]:9192",
            "[2001:db8::1]",
            "localhost",
            "localhost:9192",
            "LOCALHOST:1",
            "picket.system.svc",
            "PICKET.system.svc:9192",
        ] {
            assert!(asks("/metrics", &[host]), "`{host}` is refused");
            assert!(asks(&format!("http://{host}/metrics"), &[]), "`{host}` in the target is refused");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:9192",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.localhost.",
            "localhost@evil.example",
            "evil@localhost",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "127.0.0.1.",
            "localhost.",
            "[::1",
            "::1",
            "[evil.example]",
            "picket",
            "svc",
            "system.svc",
            "picket.system.svc.evil",
            "xpicket.system.svc",
            "localhost,evil",
            "localhost evil",
            "l\u{f6}calhost",
            "[::1%25lo]",
            "[::ffff:1.2.3.4].evil",
        ] {
            assert!(!asks("/metrics", &[host]), "`{host}` is answered");
            assert!(!asks("/metrics", &["localhost", host]), "`{host}` is answered as the second");
            assert!(!asks("/metrics", &[host, "localhost"]), "`{host}` is answered as the first");
            assert!(!asks("http://localhost/metrics", &[host]), "`{host}` is answered next to the target");
        }
        assert!(!asks("/metrics", &[]), "a request without a host is answered");
        assert!(!asks("http://evil.example/metrics", &["localhost"]), "the target is ignored");
    }
}
