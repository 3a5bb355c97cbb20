//! Whole bodies, content types, compressed bodies; and the calls that the protocols' tests begin with.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::*;
use crate::call::{CanonicalPath, Headers, Host, Peer, Target, UnixMillis};

/// A call from nobody with a complete body.
pub(super) fn call(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Call {
    let headers = headers.iter().copied();
    Call {
        peer: Peer::default(),
        method: method.to_owned(),
        scheme: "https".to_owned(),
        host: Host::parse("tools.example").unwrap(),
        target: Target::Path { path: CanonicalPath::parse(path).unwrap(), query: None },
        path_sent: path.to_owned(),
        upgrade: None,
        headers: Headers::raw(headers),
        body: Body::Complete(body.to_owned().into()),
        extensions: Default::default(),
        verified_tokens: Default::default(),
        received_at: UnixMillis(0),
    }
}

fn encoded(bytes: &[u8], encoding: &str) -> Call {
    let body = Body::Encoded { bytes: bytes.to_owned().into(), encoding: encoding.to_owned() };
    Call { body, ..call("POST", "/", &[], b"") }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn inflating(max: usize) -> BodyRules {
    BodyRules { inflate_max_bytes: Some(max), ..BodyRules::default() }
}

fn code(result: Result<Cow<'_, [u8]>, Failure>) -> &'static str {
    result.map_or_else(|failure| failure.code.as_str(), |_| "read")
}

/// Text that packs well, but within what a text may pack.
fn text() -> Vec<u8> {
    (0..2000).flat_map(|n| format!("{{\"line\":{n}}}").into_bytes()).collect()
}

#[test]
fn only_a_body_that_is_proven_whole_is_read() {
    let of = |body| Call { body, ..call("POST", "/", &[], b"") };
    let rules = BodyRules::default();
    assert_eq!(bytes(&of(Body::Complete(b"x".to_vec().into())), &rules).unwrap().as_ref(), b"x");
    assert_eq!(code(bytes(&of(Body::NotSent), &rules)), "body_incomplete");
    assert_eq!(code(bytes(&of(Body::Unproven("why")), &rules)), "body_incomplete");
    assert_eq!(code(bytes(&encoded(&gzip(b"{}"), "gzip"), &rules)), "body_encoded");
}

#[test]
fn p41_a_compressed_body_is_one_whole_stream_within_bounds() {
    let text = text();
    let (gz, zl) = (gzip(&text), zlib(&text));
    let two = [gzip(b"{}"), gzip(b"{}")].concat();
    let mut broken_sum = gz.clone();
    let sum = broken_sum.len() - 8;
    broken_sum[sum] ^= 1;
    let mut broken_zlib_sum = zl.clone();
    *broken_zlib_sum.last_mut().unwrap() ^= 1;
    let cases: &[(&[u8], &str, usize, &str)] = &[
        (&gz, "gzip", text.len(), "read"),
        (&zl, "deflate", text.len(), "read"),
        (&gzip(b""), "gzip", 10, "read"),
        (&gz, "gzip", text.len() - 1, "body_refused"),
        (&zl, "deflate", text.len() - 1, "body_refused"),
        (&gz, "deflate", text.len(), "body_refused"),
        (&zl, "gzip", text.len(), "body_refused"),
        (&raw_deflate(&text), "deflate", text.len(), "body_refused"),
        (&two, "gzip", 100, "body_refused"),
        (&[gz.as_slice(), b"\0"].concat(), "gzip", text.len(), "body_refused"),
        (&[zl.as_slice(), b"{}"].concat(), "deflate", text.len(), "body_refused"),
        (&broken_sum, "gzip", text.len(), "body_refused"),
        (&broken_zlib_sum, "deflate", text.len(), "body_refused"),
        (b"{}", "gzip", 100, "body_refused"),
        (b"", "gzip", 100, "body_refused"),
        (b"", "deflate", 100, "body_refused"),
        (&gz, "gzip, gzip", text.len(), "body_encoded"),
        (&gz, "x-gzip", text.len(), "body_encoded"),
        (&gz, "br", text.len(), "body_encoded"),
        (&gz, "", text.len(), "body_encoded"),
        // A bomb: a thousand times its size, though below the size limit.
        (&gzip(&vec![b' '; 1 << 20]), "gzip", 1 << 21, "body_refused"),
        (&zlib(&vec![b' '; 1 << 20]), "deflate", 1 << 21, "body_refused"),
    ];
    for (number, (sent, encoding, max, expected)) in cases.iter().enumerate() {
        let call = encoded(sent, encoding);
        let result = bytes(&call, &inflating(*max));
        if let Ok(inflated) = &result {
            assert!(inflated.as_ref() == text.as_slice() || inflated.is_empty(), "case {number}");
        }
        assert_eq!(code(result), *expected, "case {number}: {encoding}");
    }
}

#[test]
fn a_stream_cut_anywhere_is_refused() {
    let text = text();
    for (whole, encoding) in [(gzip(&text), "gzip"), (zlib(&text), "deflate")] {
        for length in (0..whole.len()).step_by(7).chain(whole.len() - 9..whole.len()) {
            let cut = encoded(&whole[..length], encoding);
            assert_eq!(code(bytes(&cut, &inflating(1 << 20))), "body_refused", "{encoding} cut to {length}");
        }
    }
}

#[test]
fn json_is_the_exact_content_type_and_no_similar_one() {
    let cases: &[(&[&str], &str)] = &[
        (&["application/json"], "read"),
        (&["Application/JSON; Charset=UTF-8"], "read"),
        (&["application/json;charset=\"utf-8\""], "read"),
        (&[], "message_refused"),
        (&[""], "message_refused"),
        (&["text/json"], "message_refused"),
        (&["application/jsonx"], "message_refused"),
        (&["application/json-patch+json"], "message_refused"),
        (&["application/json, text/plain"], "message_refused"),
        (&["application/json; charset=utf-16"], "message_refused"),
        (&["application/json; charset=utf-8; x=y"], "message_refused"),
        (&["application/json; charset=utf-8; charset=utf-8"], "message_refused"),
        (&["application/json; charset=\"utf-8"], "message_refused"),
        (&["application/json;"], "message_refused"),
        (&["text/plain; x=application/json"], "message_refused"),
        (&["application/json", "application/json"], "header_duplicated"),
    ];
    for (values, expected) in cases {
        let headers: Vec<(&str, &str)> = values.iter().map(|value| ("content-type", *value)).collect();
        let result = content_type::require(&call("POST", "/", &headers, b"{}"), &["application/json"]);
        assert_eq!(result.map_or_else(|failure| failure.code.as_str(), |()| "read"), *expected, "{values:?}");
    }
}

#[test]
fn a_plain_service_with_json_reads_every_body_it_may_get() {
    let json = ("content-type", "application/json");
    let of = |method, headers: &[_], body| Call { body, ..call(method, "/v1", headers, b"") };
    let complete = |text: &str| Body::Complete(text.as_bytes().to_owned().into());
    let cases = [
        (of("POST", &[json], complete("{\"a\":1}")), "json"),
        (of("POST", &[], complete("")), "nothing"),
        (of("POST", &[json], complete("")), "nothing"),
        (of("DELETE", &[json], complete("")), "nothing"),
        (of("POST", &[json], complete("{\"a\":1,\"a\":2}")), "body_refused"),
        (of("POST", &[], complete("{}")), "message_refused"),
        (of("POST", &[("content-type", "multipart/form-data; boundary=x")], complete("{}")), "message_refused"),
        (of("POST", &[("content-type", "application/x-ndjson")], complete("{}\n{}")), "message_refused"),
        (of("POST", &[json], complete("{}\n{}")), "body_refused"),
        (of("POST", &[], Body::NotSent), "body_incomplete"),
        (of("POST", &[json], Body::NotSent), "body_incomplete"),
        (of("DELETE", &[], Body::NotSent), "body_incomplete"),
        (of("QUERY", &[json], Body::NotSent), "body_incomplete"),
        (of("POST", &[json], Body::Unproven("why")), "body_incomplete"),
    ];
    for (call, expected) in cases {
        let seen = match document(&call, &BodyRules::default(), json::Limits::default()) {
            Ok(None) => "nothing",
            Ok(Some(_)) => "json",
            Err(failure) => failure.code.as_str(),
        };
        assert_eq!(seen, expected, "{} {:?} {:?}", call.method, call.headers, call.body);
    }
}

#[test]
fn a_body_that_is_not_read_is_rejected_unless_it_is_empty() {
    let json: &[(&str, &str)] = &[("content-type", "application/json")];
    let complete = |text: &str| Body::Complete(text.to_owned().into());
    let encoded = || Body::Encoded { bytes: vec![1].into(), encoding: "gzip".to_owned() };
    type Row<'a> = (&'a [(&'a str, &'a str)], Body, &'a str);
    let cases: [Row<'_>; 13] = [
        (&[], Body::NotSent, "passes"),
        // Many clients say so on every call.
        (json, Body::NotSent, "passes"),
        (&[("content-length", "0")], Body::NotSent, "passes"),
        (&[], complete(""), "passes"),
        (json, complete(""), "passes"),
        (&[], complete("x"), "message_refused"),
        (&[], encoded(), "message_refused"),
        (&[], Body::Unproven("cut"), "body_incomplete"),
        (&[("content-length", "9")], Body::NotSent, "body_incomplete"),
        (&[("content-length", "+0")], Body::NotSent, "body_incomplete"),
        (&[("transfer-encoding", "Chunked")], Body::NotSent, "body_incomplete"),
        (&[("transfer-encoding", "")], Body::NotSent, "body_incomplete"),
        (&[("expect", "100-continue")], Body::NotSent, "body_incomplete"),
    ];
    for (headers, body, expected) in cases {
        let call = Call { body, ..call("GET", "/v1", headers, b"") };
        let seen = refuse(&call).map_or_else(|failure| failure.code.as_str(), |()| "passes");
        assert_eq!(seen, expected, "{headers:?} {:?}", call.body);
    }
}

#[test]
fn p19_a_document_with_members_that_differ_only_by_case_has_two_readings() {
    let of = |text: &str| {
        let headers = [("content-type", "application/json")];
        let call = Call { body: Body::Complete(text.to_owned().into()), ..call("POST", "/", &headers, b"") };
        document(&call, &BodyRules::default(), json::Limits::default()).map_err(|failure| failure.code)
    };
    assert!(of(r#"{"amount":20,"amounts":9000}"#).is_ok());
    for text in [r#"{"amount":20,"Amount":9000}"#, r#"{"a":[{"x":1,"X":2}]}"#] {
        assert_eq!(of(text), Err(Code::BodyRefused), "{text}");
    }
}
