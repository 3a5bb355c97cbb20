//! Tables, one per pitfall: checks, each with the expected result of decoding.

mod bodies;
mod outline;

use envoy_types::pb::envoy::config::core::v3::{
    Address, EnvoyInternalAddress, HeaderMap, HeaderValue, Pipe, SocketAddress, address,
};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{self, HttpRequest, Request};
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use proptest::prelude::*;
use prost::Message as _;
use serde_json::json;

use super::*;
use picket_core::call::Body;

/// A check in raw mode, as Envoy sends it for `METHOD path`.
fn check(method: &str, path: &str, headers: &[(&str, &str)]) -> CheckRequest {
    let pseudo = [(":authority", "orders.shop"), (":method", method), (":path", path), (":scheme", "https")];
    let all = pseudo.into_iter().filter(|(_, value)| !value.is_empty()).chain(headers.iter().copied());
    let headers = all.map(|(name, value)| HeaderValue {
        key: name.to_owned(),
        raw_value: value.as_bytes().to_vec(),
        ..HeaderValue::default()
    });
    wrap(HttpRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        host: "orders.shop".to_owned(),
        scheme: "https".to_owned(),
        header_map: Some(HeaderMap { headers: headers.collect() }),
        ..HttpRequest::default()
    })
}

fn joined(headers: &[(&str, &str)]) -> CheckRequest {
    let mut request = check("GET", "/", &[]);
    let http = http(&mut request);
    http.header_map = None;
    http.headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    request
}

fn wrap(http: HttpRequest) -> CheckRequest {
    let request = Some(Request { time: None, http: Some(http) });
    CheckRequest { attributes: Some(AttributeContext { request, ..AttributeContext::default() }) }
}

fn http(request: &mut CheckRequest) -> &mut HttpRequest {
    request.attributes.as_mut().unwrap().request.as_mut().unwrap().http.as_mut().unwrap()
}

/// As it is read from the message, and from its bytes.
fn read(request: &CheckRequest, limits: Limits) -> Result<Call, Failure> {
    let bytes = request.encode_to_vec().into();
    let read = call(&CheckView::of(request), limits, UnixMillis(1));
    let from_bytes = CheckView::read(&bytes).and_then(|sent| call(&sent, limits, UnixMillis(1)));
    assert_eq!(format!("{from_bytes:?}"), format!("{read:?}"), "the bytes say something else");
    read
}

fn decode(request: CheckRequest) -> Result<Call, Failure> {
    read(&request, Limits::default())
}

fn code(request: CheckRequest) -> Option<Code> {
    decode(request).err().map(|failure| failure.code)
}

#[test]
fn an_ordinary_check_becomes_a_call() {
    let call = decode(check("GET", "/v1/orders/42/?a=b?c", &[("x-a", "1"), ("x-a", "2")])).unwrap();
    let Target::Path { path, query } = &call.target else { panic!("{:?}", call.target) };
    assert_eq!((path.as_str(), query.as_deref()), ("/v1/orders/42", Some("a=b?c")));
    assert_eq!((call.method.as_str(), call.scheme.as_str(), call.host.name()), ("GET", "https", "orders.shop"));
    assert_eq!(call.path_sent, "/v1/orders/42/?a=b?c");
    assert_eq!(call.headers.all("x-a").count(), 2);
    assert!(call.headers.iter().all(|(name, _)| !name.starts_with(':')));
    assert_eq!((call.body, call.upgrade, call.received_at), (Body::NotSent, None, UnixMillis(1)));
}

#[test]
fn a_check_without_http_is_rejected() {
    assert_eq!(code(CheckRequest::default()), Some(Code::MalformedRequest));
    let tcp = CheckRequest { attributes: Some(AttributeContext::default()) };
    assert_eq!(code(tcp), Some(Code::TcpUnsupported));
    assert_eq!(code(wrap(HttpRequest::default())), Some(Code::MalformedRequest));
}

#[test]
fn p1_to_p9_a_path_with_two_readings_is_refused() {
    let refused = [
        "/a/../b",
        "/%2e%2e/b",
        "/a\\b",
        "//admin",
        "/x//../admin",
        "/public%2f..%2fadmin",
        "/a%5cb",
        "/admin;x",
        "/public/..;/admin",
        "/admin#x",
        "/admin?x#y",
        "/%00",
        "/a%0d",
        "/a\u{1}",
        "/%252e%252e",
        "/a b",
        "/a?x y",
        "/a?x\r\ny",
        "/a?\u{7f}",
        "http://other/admin",
        "*",
        "admin",
        "?x",
        "/%zz",
    ];
    for path in refused {
        assert_eq!(code(check("GET", path, &[])), Some(Code::PathRefused), "{path:?}");
        assert_eq!(code(check("OPTIONS", path, &[])), Some(Code::PathRefused), "OPTIONS {path:?}");
    }
    assert_eq!(code(check("GET", &format!("/{}", "a".repeat(9000)), &[])), Some(Code::TooLarge));
    let mut request = check("GET", "/a", &[]);
    http(&mut request).fragment = "x".to_owned();
    assert_eq!(code(request), Some(Code::PathRefused));
}

#[test]
fn p6_no_control_character_passes_in_a_path_or_a_header() {
    for byte in (0..=31_u8).chain([127]) {
        let text = format!("/a{}b", char::from(byte));
        assert_eq!(code(check("GET", &text, &[])), Some(Code::PathRefused), "{byte:#x}");
        let expected = (byte != b'\t').then_some(Code::HeaderRefused);
        assert_eq!(code(check("GET", "/", &[("x-a", &text)])), expected, "{byte:#x}");
        assert_eq!(code(joined(&[("x-a", &text)])), expected, "{byte:#x}");
    }
}

#[test]
fn p8_bytes_that_are_no_utf8_do_not_vanish() {
    let mut request = check("GET", "/", &[("x-h", "a")]);
    http(&mut request).header_map.as_mut().unwrap().headers[4].raw_value = b"a\xc3(".to_vec();
    let call = decode(request).unwrap();
    assert_eq!(call.headers.all("x-h").next(), Some(&b"a\xc3("[..]));
    assert!(call.headers.single("x-h").is_err());
    let mut request = check("GET", "/a", &[]);
    http(&mut request).header_map.as_mut().unwrap().headers[2].raw_value = b"/\xff".to_vec();
    assert_eq!(code(request), Some(Code::PathRefused));
}

#[test]
fn p10_p11_an_authority_with_two_readings_is_refused() {
    for host in ["", "a,b", "user@a", "a b", "a..b"] {
        let mut request = joined(&[]);
        http(&mut request).host = host.to_owned();
        assert_eq!(code(request), Some(Code::HostRefused), "{host:?}");
    }
    assert_eq!(code(check("GET", "/", &[("host", "other.shop")])), Some(Code::MalformedRequest));
    assert_eq!(code(check("GET", "/", &[("host", "orders.shop:81")])), Some(Code::MalformedRequest));
    assert_eq!(code(check("GET", "/", &[("host", "Orders.Shop.")])), None);
}

#[test]
fn fields_and_pseudo_headers_must_agree() {
    type Change = fn(&mut HttpRequest);
    let changes: [Change; 6] = [
        |http| http.method = "POST".to_owned(),
        |http| http.path = "/b".to_owned(),
        |http| http.host = "other.shop".to_owned(),
        |http| http.scheme = "http".to_owned(),
        |http| http.query = "x=1".to_owned(),
        |http| http.header_map.as_mut().unwrap().headers[0].value = "other.shop".to_owned(),
    ];
    for (row, change) in changes.into_iter().enumerate() {
        let mut request = check("GET", "/a?x=2", &[]);
        change(http(&mut request));
        assert_eq!(code(request), Some(Code::MalformedRequest), "row {row}");
    }
    for (name, value) in [(":path", "/a"), (":status", "200"), (":x", ""), (":protocol", "")] {
        assert_eq!(code(check("GET", "/a", &[(name, value)])), Some(Code::MalformedRequest), "{name}");
    }
}

#[test]
fn methods_and_schemes_are_words() {
    for method in ["", "GE T", "GET\r\n", "G\u{e9}T", "a/b", &"A".repeat(33)] {
        assert_eq!(code(check(method, "/", &[])), Some(Code::MalformedRequest), "{method:?}");
    }
    assert_eq!(code(check("PROPFIND", "/", &[])), None);
    let mut request = joined(&[]);
    http(&mut request).scheme = "ftp".to_owned();
    assert_eq!(code(request), Some(Code::MalformedRequest));
}

#[test]
fn method_overrides_are_refused_in_every_spelling() {
    for name in ["x-http-method-override", "x-http-method", "x-method-override", "x_http-method_override"] {
        assert_eq!(code(check("POST", "/", &[(name, "DELETE")])), Some(Code::MethodOverride), "{name}");
        assert_eq!(code(joined(&[(name, "")])), Some(Code::MethodOverride), "{name}");
    }
}

#[test]
fn header_names_are_lower_case_tokens() {
    for name in ["", "X-A", "x a", "x\0", "x:y", "x\u{e9}", "x,y"] {
        assert_eq!(code(check("GET", "/", &[(name, "1")])), Some(Code::HeaderRefused), "{name:?}");
    }
}

#[test]
fn p12_a_header_that_must_be_single_is_never_chosen_from() {
    for name in ["authorization", "host", "x-forwarded-client-cert", "content-length", "content-type"] {
        let twice = [(name, "orders.shop"), (name, "orders.shop")];
        assert_eq!(code(check("GET", "/", &twice)), Some(Code::HeaderDuplicated), "{name}");
    }
    let commas = [
        ("authorization", "Bearer a,Bearer b", true),
        ("content-length", "5,5", true),
        ("content-type", "application/json,text/plain", true),
        ("content-type", r#"multipart/mixed; boundary="a,b""#, false),
        ("content-type", r#"a/b; c="\",text/plain"#, true),
        ("x-forwarded-client-cert", "URI=a,URI=b", false),
        ("x-role", "a,b", false),
    ];
    for (name, value, refused) in commas {
        let expected = refused.then_some(Code::HeaderDuplicated);
        assert_eq!(code(joined(&[(name, value)])), expected, "{name}: {value}");
    }
    // With raw headers a comma is a character like any other, but Envoy joins two content types all the same.
    assert_eq!(code(check("GET", "/", &[("authorization", "Digest a=1,b=2")])), None);
    let twice = [("content-type", "application/grpc+proto,text/plain")];
    assert_eq!(code(check("POST", "/a.B/C", &twice)), Some(Code::HeaderDuplicated));
}

#[test]
fn p13_nothing_the_client_steers_becomes_the_peer() {
    let mut request = check("GET", "/", &[("x-envoy-original-path", "/b"), ("x-forwarded-for", "10.0.0.9")]);
    let source = attribute_context::Peer { service: "admin".to_owned(), ..Default::default() };
    request.attributes.as_mut().unwrap().source = Some(source);
    let call = decode(request).unwrap();
    assert_eq!((call.peer.principal, call.peer.address), (None, None));
    assert!(matches!(&call.target, Target::Path { path, .. } if path.as_str() == "/"));
}

#[test]
fn only_a_socket_has_an_address() {
    let socket = |text: &str| {
        address::Address::SocketAddress(SocketAddress { address: text.to_owned(), ..SocketAddress::default() })
    };
    let rows = [
        (socket("10.0.0.1"), Some("10.0.0.1")),
        (socket("::ffff:10.0.0.1"), Some("10.0.0.1")),
        (socket("fe80::1"), Some("fe80::1")),
        (socket("example"), None),
        (address::Address::Pipe(Pipe { path: "10.0.0.1".to_owned(), mode: 0 }), None),
        (address::Address::EnvoyInternalAddress(EnvoyInternalAddress::default()), None),
    ];
    for (address, expected) in rows {
        let shown = format!("{address:?}");
        let mut request = check("GET", "/", &[]);
        request.attributes.as_mut().unwrap().source =
            Some(attribute_context::Peer { address: Some(Address { address: Some(address) }), ..Default::default() });
        let address = decode(request).unwrap().peer.address.map(|address| address.to_string());
        assert_eq!(address.as_deref(), expected, "{shown}");
    }
}

#[test]
fn p16_connects_and_upgrades_are_seen() {
    let target = |request| decode(request).map(|call| (call.upgrade, matches!(call.target, Target::Authority)));
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(target(check("CONNECT", "", &[])).unwrap(), (None, true));
    assert_eq!(target(check("CONNECT", "orders.shop", &[])).unwrap(), (None, true));
    assert_eq!(code(check("CONNECT", "/a", &[])), Some(Code::PathRefused));
    assert_eq!(code(check("GET", "", &[])), Some(Code::PathRefused));
    assert_eq!(target(check("CONNECT", "/a", &[(":protocol", "websocket")])).unwrap(), (name("websocket"), false));
    assert_eq!(target(check("GET", "/a", &[("upgrade", "WebSocket")])).unwrap(), (name("websocket"), false));
    assert_eq!(target(check("GET", "/a", &[("upgrade", "h2c")])).unwrap(), (name("h2c"), false));
    assert_eq!(target(check("GET", "/a", &[("upgrade", "")])).unwrap(), (name(""), false));
    let both = [(":protocol", "connect-udp"), ("upgrade", "websocket")];
    assert_eq!(code(check("CONNECT", "/a", &both)), Some(Code::MalformedRequest));
    let twice = [("upgrade", "websocket"), ("upgrade", "h2c")];
    assert_eq!(code(check("GET", "/a", &twice)), Some(Code::HeaderDuplicated));
}

#[test]
fn p21_only_jwt_authns_metadata_holds_tokens() {
    let with = |namespace: &str, value: serde_json::Value| {
        let mut request = check("GET", "/", &[]);
        let fields = protobuf_struct::from_json(value.as_object().unwrap());
        let filter_metadata = [(namespace.to_owned(), fields)].into();
        let metadata = Metadata { filter_metadata, ..Metadata::default() };
        request.attributes.as_mut().unwrap().metadata_context = Some(metadata);
        decode(request)
    };
    let claims = json!({"payload": {"iss": "https://i", "exp": 1_700_000_000, "n": 1.5, "roles": ["a"]}});
    let tokens = with(JWT_AUTHN, claims.clone()).unwrap().verified_tokens;
    assert_eq!(tokens.get("payload"), claims.get("payload"));
    assert!(with("envoy.filters.http.lua", claims).unwrap().verified_tokens.is_empty());
    assert!(decode(check("GET", "/", &[])).unwrap().verified_tokens.is_empty());
}

#[test]
fn too_many_or_too_large_headers_are_refused() {
    let many: Vec<(String, String)> = (0..HEADERS_MAX - 4).map(|n| (format!("x-{n}"), String::new())).collect();
    let mut many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(code(check("GET", "/", &many)), None);
    many.push(("x", ""));
    assert_eq!(code(check("GET", "/", &many)), Some(Code::TooLarge));
    let big = "a".repeat(HEADER_BYTES_MAX);
    assert_eq!(code(check("GET", "/", &[("x-a", &big)])), Some(Code::TooLarge));
    let mut request = joined(&[]);
    http(&mut request).path = format!("/?{big}");
    assert_eq!(code(request), Some(Code::TooLarge));
}

#[test]
fn p33_a_failures_detail_holds_no_raw_input() {
    let name = format!("x\n\u{1b}[31m{}", "a".repeat(9000));
    let failure = decode(check("GET", "/", &[(&name, "1")])).unwrap_err();
    assert!(failure.detail.len() < 200 && !failure.detail.contains(['\n', '\u{1b}']), "{failure}");
    let failure = decode(check("GET", "/", &[("authorization", "s3cret\0")])).unwrap_err();
    assert!(!failure.detail.contains("s3cret"), "{failure}");
}

proptest! {
    #[test]
    fn any_check_is_decoded_or_refused(
        method in ".{0,8}", path in ".{0,40}", host in ".{0,20}", name in ".{0,8}", value in any::<Vec<u8>>(),
    ) {
        let mut request = check(&method, &path, &[]);
        let http = http(&mut request);
        http.host = host.clone();
        let headers = &mut http.header_map.as_mut().unwrap().headers;
        headers[0].raw_value = host.into_bytes();
        headers.push(HeaderValue { key: name, raw_value: value, ..HeaderValue::default() });
        if let Ok(call) = decode(request) {
            prop_assert!(call.headers.iter().all(|(name, _)| !name.contains(char::is_uppercase)));
        }
    }
}
