//! Addresses of machines.

use std::net::Ipv6Addr;

use super::{Form, form};
use crate::content::validator::{Candidate, Validator, is_word};

/// IPv4 in four decimal parts, IPv6 in groups. Longer dotted numbers fit too, so that a version is not cut into an address.
pub(super) static IP_ADDRESS: [Form; 2] = [
    form(r"[0-9]{1,3}(?:\.[0-9]{1,4}){3,8}", Validator::WithNext(v4)),
    form(r"(?:[0-9A-Fa-f]{0,4}:){2,8}(?:[0-9A-Fa-f]{1,4}(?:\.[0-9]{1,3}){0,3})?", Validator::WithNext(v6)),
];

fn v4(candidate: &Candidate<'_>) -> Option<usize> {
    let joins = |character: char| is_word(character) || matches!(character, '.' | '-');
    let is_alone = !candidate.before.is_some_and(joins) && !candidate.after.is_some_and(is_word);
    let is_address = candidate.text.parse::<std::net::Ipv4Addr>().is_ok();
    (is_alone && is_address).then_some(candidate.text.len())
}

fn v6(candidate: &Candidate<'_>) -> Option<usize> {
    let text = candidate.text.strip_suffix(':').filter(|text| !text.ends_with(':')).unwrap_or(candidate.text);
    let joins = |character: char| is_word(character) || character == ':';
    if candidate.before.is_some_and(joins) || candidate.behind(text.len()).is_some_and(is_word) {
        return None;
    }
    text.parse::<Ipv6Addr>().is_ok().then_some(())?;
    // `a::b` is a path in C++ or Rust, and an address.
    let groups: Vec<&str> = text.split(':').filter(|group| !group.is_empty()).collect();
    let is_plain = groups.len() > 2 || groups.first().is_some_and(|group| group.len() == 4 && groups.len() == 2);
    is_plain.then_some(text.len())
}

#[cfg(test)]
mod tests {
    use crate::content::builtin::tests::{check, masked};

    #[test]
    fn ip_addresses() {
        check(
            "ip_address",
            &[
                "10.0.0.1",
                "192.168.1.254",
                "http://10.0.0.1:8080/x",
                "10.0.0.0/8",
                "[2001:db8::1]:443",
                "2001:db8:0:0:8:800:200c:417a",
                "fe80::1",
                "2001:DB8::8:800:200C:417A",
                "0:0:0:0:0:ffff:10.0.0.1",
            ],
            &[
                "10.0.0.256",
                "10.0.0",
                "1.2.3.4.5",
                "v1.2.3.4",
                "1.2.3.4rc1",
                "010.0.0.1",
                "12:34:56",
                "2026-11-30T16:17:41",
                "std::vector",
                "a::b",
                "Foo::bad",
                "::",
                "00:1b:44:11:3a:b7",
                "1.3.6.1.4.1.9999",
            ],
        );
    }

    #[test]
    fn an_address_ends_before_the_colon_of_a_sentence() {
        masked("ip_address", "fe80::1: no route", "[ip_address]: no route");
        masked("ip_address", "ping 10.0.0.1.", "ping [ip_address].");
    }
}
