//! Proofs that a body is complete, and that a call has none.

use bytes::Bytes;

use super::*;

/// The body of a check: bytes, headers beside it, and the proxy's limit.
fn body(bytes: &[u8], headers: &[(&str, &str)], max: Option<usize>) -> Body {
    let mut request = check("POST", "/", headers);
    http(&mut request).raw_body = bytes.to_vec();
    read(&request, Limits { body_bytes_max: max, ..Limits::default() }).unwrap().body
}

#[test]
fn p17_a_body_is_complete_only_if_nothing_contradicts_it() {
    let (flag, length) = (("x-envoy-auth-partial-body", "false"), ("content-length", "5"));
    let chunked = ("transfer-encoding", "chunked");
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<usize>, bool);
    let rows: [Row<'_>; 18] = [
        ("max-1", &[flag], Some(6), true),
        ("max", &[flag], Some(5), false),
        ("max and length", &[flag, length], Some(5), false),
        ("max+1", &[flag], Some(4), false),
        ("length, no max", &[flag, length], None, true),
        ("neither", &[flag], None, false),
        ("other length", &[flag, ("content-length", "6")], Some(9), false),
        ("odd length", &[flag, ("content-length", "+5")], Some(9), false),
        ("zeros", &[flag, ("content-length", "05")], None, true),
        ("cut", &[("x-envoy-auth-partial-body", "true"), length], Some(9), false),
        ("odd flag", &[("x-envoy-auth-partial-body", "False"), length], Some(9), false),
        ("no flag", &[length], Some(9), false),
        ("gzip", &[flag, length, ("content-encoding", "gzip")], Some(9), false),
        ("two encodings", &[flag, ("content-encoding", "identity"), ("content-encoding", "br")], Some(9), false),
        ("identity", &[flag, length, ("content-encoding", "Identity")], Some(9), true),
        ("chunked", &[flag, chunked], Some(9), true),
        ("chunked, no max", &[flag, length, chunked], None, false),
        ("odd encoding", &[flag, ("content-encoding", "")], Some(9), false),
    ];
    for (name, headers, max, complete) in rows {
        let body = body(b"hello", headers, max);
        assert_eq!(body == Body::Complete("hello".into()), complete, "{name}: {body:?}");
        assert_ne!(body, Body::NotSent, "{name}");
    }
    let twice = check("POST", "/", &[flag, flag]);
    assert_eq!(code(twice), Some(Code::HeaderDuplicated));
}

/// Headers, whether all bodies are attached, and whether it is proven that there is none.
#[test]
fn p17_an_absent_body_is_proven_or_not_assumed() {
    let (flag, none) = (("x-envoy-auth-partial-body", "false"), Body::Complete(Bytes::new()));
    let of = |headers: &[(&str, &str)], unattached| {
        let limits = Limits { body_bytes_max: Some(64), unattached };
        read(&check("GET", "/", headers), limits).unwrap().body
    };
    type Row<'a> = (&'a [(&'a str, &'a str)], bool, bool);
    let rows: [Row<'_>; 13] = [
        (&[], false, true),
        (&[("content-type", "application/json")], false, true),
        (&[("content-length", "0")], true, true),
        (&[flag], true, true),
        (&[flag, ("content-length", "0")], true, true),
        (&[flag, ("content-encoding", "gzip")], true, true),
        (&[("content-length", "5")], false, false),
        (&[("content-length", "+0")], false, false),
        (&[("content-length", "")], false, false),
        (&[("transfer-encoding", "chunked")], false, false),
        (&[("content-length", "0"), ("transfer-encoding", "identity")], false, false),
        (&[flag, ("content-length", "5")], false, false),
        (&[("content-length", "0"), ("upgrade", "websocket")], false, false),
    ];
    for (headers, by_itself, by_statement) in rows {
        assert_eq!(of(headers, Unattached::Unknown) == none, by_itself, "{headers:?}");
        assert_eq!(of(headers, Unattached::Absent) == none, by_statement, "{headers:?}");
    }
    let tunnel = [("upgrade", "websocket")];
    assert_eq!(of(&tunnel, Unattached::Absent), Body::NotSent);
    let connect = check("CONNECT", "", &[]);
    let limits = Limits { unattached: Unattached::Absent, ..Limits::default() };
    assert_eq!(read(&connect, limits).unwrap().body, Body::NotSent);
    // Without the filter's limit too.
    assert_eq!(body(b"", &[flag], None), none);
}

#[test]
fn p17_a_body_sent_as_text_is_never_complete() {
    let mut request = check("POST", "/", &[("x-envoy-auth-partial-body", "false"), ("content-length", "5")]);
    http(&mut request).body = "hello".to_owned();
    let call = decode(request).unwrap();
    assert!(matches!(call.body, Body::Unproven(_)), "{:?}", call.body);
    assert!(!call.headers.has("x-envoy-auth-partial-body"));
}
