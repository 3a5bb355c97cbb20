//! Reads heads of responses, and changes them to fit what leaves.
//!
//! Knows: header names that depend on the exact body (RFC 9110, RFC 9111, RFC 9421, RFC 9530). Must not know: which
//! response is read.

use envoy_types::pb::envoy::config::core::v3::{
    HeaderValue, HeaderValueOption, header_value_option::HeaderAppendAction,
};
use envoy_types::pb::envoy::service::ext_proc::v3::{HeaderMutation, HttpHeaders, HttpTrailers};

use crate::check::response_phase::Coding;

/// Headers about the exact bytes of a body, or about parts of it. A body that may change leaves without them.
const OF_THE_BYTES: [&str; 14] = [
    "accept-ranges",
    "content-digest",
    "content-length",
    "content-md5",
    "content-range",
    "digest",
    "etag",
    "last-modified",
    "repr-digest",
    "signature",
    "signature-input",
    "trailer",
    "want-content-digest",
    "want-repr-digest",
];
/// Directives of `cache-control` that invite shared caches (RFC 9111, section 5.2.2).
const SHARED: [&str; 4] = ["public", "s-maxage", "proxy-revalidate", "must-understand"];
/// The trailer that a gRPC client cannot do without.
const GRPC_STATUS: &str = "grpc-status";

/// Names in lower case and values.
pub(super) type Headers = Vec<(String, Vec<u8>)>;

/// The status of a head and its headers without pseudo headers; `None` if it has no status.
pub(super) fn head(head: HttpHeaders) -> Option<(u16, Headers)> {
    let all = all(head);
    let status = all.iter().find(|(name, _)| name == ":status");
    let status = status.and_then(|(_, value)| str::from_utf8(value).ok()?.parse().ok())?;
    Some((status, all.into_iter().filter(|(name, _)| !name.starts_with(':')).collect()))
}

/// All headers of a head.
pub(super) fn all(head: HttpHeaders) -> Headers {
    head.headers.map(|map| map.headers).unwrap_or_default().into_iter().map(pair).collect()
}

fn pair(header: HeaderValue) -> (String, Vec<u8>) {
    let value = if header.raw_value.is_empty() { header.value.into_bytes() } else { header.raw_value };
    (header.key.to_ascii_lowercase(), value)
}

/// The changes to a head with a body that may change.
pub(super) fn of_read(headers: &Headers, coding: Coding) -> HeaderMutation {
    let is_gone = |name: &str| match coding {
        Coding::Removed if name == "content-encoding" => true,
        Coding::Removed | Coding::Kept => OF_THE_BYTES.contains(&name),
    };
    let mut removed: Vec<String> = headers.iter().map(|(name, _)| name.clone()).filter(|name| is_gone(name)).collect();
    removed.sort_unstable();
    removed.dedup();
    HeaderMutation { remove_headers: removed, ..of_released(headers) }
}

/// The changes to a head that was evaluated for one caller: shared caches may not keep the response.
pub(super) fn of_released(headers: &Headers) -> HeaderMutation {
    HeaderMutation { set_headers: vec![set("cache-control", private(headers))], remove_headers: Vec::new() }
}

/// The `cache-control` of a response that is one caller's.
fn private(headers: &Headers) -> String {
    let given = headers.iter().filter(|(name, _)| name == "cache-control");
    let given = given.filter_map(|(_, value)| str::from_utf8(value).ok());
    let directives = given.flat_map(|value| value.split(',')).map(str::trim);
    let name = |directive: &str| directive.split('=').next().unwrap_or_default().trim().to_ascii_lowercase();
    let kept = directives.filter(|directive| {
        let name = name(directive);
        !name.is_empty() && name != "private" && !SHARED.contains(&name.as_str())
    });
    std::iter::once("private").chain(kept).collect::<Vec<_>>().join(", ")
}

/// A header that replaces all values of its name. This filter reads `raw_value` only.
pub(super) fn set(name: &str, value: String) -> HeaderValueOption {
    let header = HeaderValue { key: name.to_owned(), value: String::new(), raw_value: value.into_bytes() };
    HeaderValueOption {
        header: Some(header),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }
}

/// The changes to the trailers of a body that was read: no detector reads trailers, so only the number of a gRPC status
/// leaves.
pub(super) fn of_read_trailers(trailers: HttpTrailers) -> HeaderMutation {
    let all = trailers.trailers.map(|map| map.headers).unwrap_or_default().into_iter().map(pair);
    let is_status = |value: &[u8]| value.len() <= 3 && value.iter().all(u8::is_ascii_digit);
    let gone = all.filter(|(name, value)| name != GRPC_STATUS || !is_status(value)).map(|(name, _)| name);
    HeaderMutation { set_headers: Vec::new(), remove_headers: gone.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&str, &str)]) -> Headers {
        list.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn a_shared_cache_never_keeps_an_evaluated_response() {
        for (given, expected) in [
            (&[][..], "private"),
            (&["public, max-age=60"], "private, max-age=60"),
            (&["no-store"], "private, no-store"),
            (&["private=\"set-cookie\", max-age=1"], "private, max-age=1"),
            (&["S-MaxAge=9 , Public", "no-cache"], "private, no-cache"),
            (&["must-understand, no-store"], "private, no-store"),
            (&[" ,, "], "private"),
        ] {
            let given: Vec<(&str, &str)> = given.iter().map(|value| ("cache-control", *value)).collect();
            assert_eq!(private(&headers(&given)), expected, "{given:?}");
        }
    }

    #[test]
    fn headers_about_the_exact_body_do_not_leave_with_a_body_that_may_change() {
        let given = headers(&[
            ("content-length", "5"),
            ("content-type", "text/plain"),
            ("etag", "\"a\""),
            ("content-encoding", "gzip"),
            ("etag", "\"b\""),
            ("repr-digest", "x"),
        ]);
        assert_eq!(of_read(&given, Coding::Kept).remove_headers, ["content-length", "etag", "repr-digest"]);
        let inflated = of_read(&given, Coding::Removed).remove_headers;
        assert_eq!(inflated, ["content-encoding", "content-length", "etag", "repr-digest"]);
        assert!(of_released(&given).remove_headers.is_empty());
    }

    #[test]
    fn only_a_number_leaves_in_the_trailers_of_a_body_that_was_read() {
        use envoy_types::pb::envoy::config::core::v3::HeaderMap;
        let gone = |list: &[(&str, &str)]| {
            let one = |(key, value): &(&str, &str)| HeaderValue {
                key: (*key).to_owned(),
                raw_value: value.as_bytes().to_vec(),
                ..HeaderValue::default()
            };
            let trailers = Some(HeaderMap { headers: list.iter().map(one).collect() });
            of_read_trailers(HttpTrailers { trailers }).remove_headers
        };
        assert_eq!(gone(&[("grpc-status", "13"), ("grpc-message", "secret"), ("x-t", "1")]), ["grpc-message", "x-t"]);
        assert_eq!(gone(&[("grpc-status", "4111")]), ["grpc-status"]);
        assert_eq!(gone(&[("grpc-status", "secret")]), ["grpc-status"]);
    }
}
