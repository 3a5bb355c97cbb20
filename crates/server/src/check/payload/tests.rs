//! The message that a denial answers, its protocol version and its format.

use super::*;
use picket_core::call::{Body, Headers, Host, Peer, Target, UnixMillis};
use picket_core::catalog::mcp::{Batches, DenialStyle};

/// A service of every protocol version; only the oldest has a denial format of its own.
fn service() -> Service {
    let mcp = Mcp {
        endpoint: CanonicalPath::parse("/mcp").unwrap(),
        versions: ProtocolVersion::ALL.into(),
        denial: DenialStyle::HttpJsonrpc,
        denial_by_version: [(ProtocolVersion::March2025, DenialStyle::RpcError200)].into(),
        batches: Batches::Each,
        lists: picket_core::catalog::mcp::Lists::default(),
        elicitation: None,
    };
    Service { id: "agents/tools".to_owned(), protocol: Protocol::Mcp, mcp: Some(mcp), ..Service::default() }
}

fn call(method: &str, version: Option<&str>, body: &str) -> Call {
    let length = body.len().to_string();
    let own = [("content-type", "application/json"), ("content-length", length.as_str())];
    let headers = own.into_iter().chain(version.map(|version| ("mcp-protocol-version", version)));
    Call {
        peer: Peer::default(),
        method: method.to_owned(),
        scheme: "https".to_owned(),
        host: Host::parse("tools.example").unwrap(),
        target: Target::Path { path: CanonicalPath::parse("/mcp").unwrap(), query: None },
        path_sent: "/mcp".to_owned(),
        upgrade: None,
        headers: Headers::raw(headers),
        body: if body.is_empty() { Body::NotSent } else { Body::Complete(body.as_bytes().to_owned().into()) },
        extensions: Default::default(),
        verified_tokens: Default::default(),
        received_at: UnixMillis(0),
    }
}

/// The outcome of the call: how many messages or which code, and the reply's version, format and echo.
fn seen(call: &Call) -> (String, Option<ProtocolVersion>, DenialStyle, IdEcho) {
    let service = service();
    let mut reply = reply_of(&service);
    let read = match messages(call, &service, &mut reply) {
        Ok(messages) => format!("{} read", messages.len()),
        Err(failure) => failure.code.as_str().to_owned(),
    };
    let DenialFormat::Mcp(reply) = reply else { panic!("{reply:?}") };
    (read, reply.version, reply.form, reply.id)
}

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

#[test]
fn a_denial_answers_the_denied_message_as_far_as_it_was_read() {
    let june = Some("2025-06-18");
    let id = |id: &str| IdEcho::Id(id.to_owned());
    let request = |method: &str| format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}"}}"#);
    let initialize = r#"{"jsonrpc":"2.0","id":"a","method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#;
    let (march, own, others) = (Some(ProtocolVersion::March2025), DenialStyle::RpcError200, DenialStyle::HttpJsonrpc);
    let cases = [
        (None, request("ping"), ("1 read", march, own, id("7"))),
        (None, request("tasks/list"), ("rpc_method_unknown", march, own, id("7"))),
        (june, request("tasks/list"), ("rpc_method_unknown", Some(ProtocolVersion::June2025), others, id("7"))),
        (Some("2024-11-05"), request("ping"), ("version_refused", None, others, id("7"))),
        (None, initialize.to_owned(), ("1 read", Some(ProtocolVersion::June2025), others, id(r#""a""#))),
        (
            None,
            initialize.replace("}}", r#"},"x":1}"#),
            ("message_refused", Some(ProtocolVersion::June2025), others, id(r#""a""#)),
        ),
        (None, r#"{"jsonrpc":"2.0","method":"x"}"#.to_owned(), ("rpc_method_unknown", march, own, IdEcho::Nothing)),
        (None, r#"{"id":7,"result":{}}"#.to_owned(), ("message_refused", march, own, IdEcho::Nothing)),
        (None, r#"{"id":7.5,"method":"x"}"#.to_owned(), ("message_refused", march, own, IdEcho::Unread)),
        (None, r#"{"id":7}"#.to_owned(), ("message_refused", march, own, id("7"))),
        (None, "{}".to_owned(), ("message_refused", march, own, IdEcho::Unread)),
        (None, r#"{"id":7,"id":8}"#.to_owned(), ("body_refused", march, own, IdEcho::Unread)),
        (june, "[]".to_owned(), ("message_refused", Some(ProtocolVersion::June2025), others, IdEcho::Unread)),
    ];
    for (sent, body, (read, version, form, echo)) in cases {
        assert_eq!(seen(&call("POST", sent, &body)), (read.to_owned(), version, form, echo), "{sent:?} {body}");
    }
}

#[test]
fn the_answer_to_get_and_delete_has_no_body() {
    for method in ["GET", "DELETE"] {
        assert_eq!(seen(&call(method, Some("2025-06-18"), "")).3, IdEcho::Nothing, "{method}");
        assert_eq!(seen(&call(method, Some("2026-07-28"), "")).0, "method_not_allowed", "{method}");
        assert_eq!(seen(&call(method, Some("2026-07-28"), "")).3, IdEcho::Nothing, "{method}");
    }
    assert_eq!(seen(&call("PUT", None, "")).3, IdEcho::Unread);
}

#[test]
fn one_request_is_answered_by_its_id_and_a_batch_of_several_by_none() {
    let listen = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"subscriptions/listen","params":{{{META},"notifications":{{"resourceSubscriptions":["a://b"]}}}}}}"#
    );
    let mut call_2026 = call("POST", Some("2026-07-28"), &listen);
    let method = ("mcp-method", &b"subscriptions/listen"[..]);
    call_2026.headers = Headers::raw(call_2026.headers.iter().chain([method]));
    let expected =
        ("2 read".to_owned(), Some(ProtocolVersion::July2026), DenialStyle::HttpJsonrpc, IdEcho::Id("7".to_owned()));
    assert_eq!(seen(&call_2026), expected);
    let (march, own) = (Some(ProtocolVersion::March2025), DenialStyle::RpcError200);
    let ping = |id: u8| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
    let told = r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#;
    for (batch, read, echo) in [
        (format!("[{},{}]", ping(1), ping(2)), "2 read", IdEcho::Unread),
        (format!("[{},{told}]", ping(1)), "2 read", IdEcho::Unread),
        (format!("[{told},{told}]"), "2 read", IdEcho::Nothing),
        (format!("[{},{{}}]", ping(1)), "message_refused", IdEcho::Unread),
    ] {
        assert_eq!(seen(&call("POST", None, &batch)), (read.to_owned(), march, own, echo), "{batch}");
    }
}

#[test]
fn a_service_of_exact_paths_takes_no_other_spelling() {
    let get = |path: &str| {
        let sent = path.split('?').next().unwrap();
        let target = Target::Path { path: CanonicalPath::parse(sent).unwrap(), query: None };
        let call = Call { target, path_sent: path.to_owned(), ..call("GET", None, "") };
        let service = Service { id: "a/b".to_owned(), exact_paths: true, ..Service::default() };
        let plain = Service { exact_paths: false, ..service.clone() };
        let code = |service: &Service| {
            let read = read(&call, service, &mapping::Settings::default(), &Reads::default(), &mut DenialFormat::Plain);
            read.map_or_else(|failure| failure.code.as_str(), |_| "read")
        };
        assert_eq!(code(&plain), "read", "{path}");
        code(&service)
    };
    for path in ["/", "/v1/a.b", "/v1/a%20b", "/v1/a?b=%61", "/v1/100%25"] {
        assert_eq!(get(path), "read", "{path}");
    }
    for path in ["/v1/", "/v1/%61", "/v1/a%7e", "/v1/a%ff", "/v1/a%FF", "/v1/%C3%A9", "/v1/\u{e9}", "/v1/\u{ff41}/b"] {
        assert_eq!(get(path), "path_refused", "{path}");
    }
}

#[test]
fn a_service_without_rules_of_its_protocol_is_a_failure() {
    for protocol in [Protocol::Mcp, Protocol::A2a] {
        let service = Service { id: "a/b".to_owned(), protocol, ..Service::default() };
        let mut reply = reply_of(&service);
        let call = call("POST", None, "{}");
        let read = read(&call, &service, &mapping::Settings::default(), &Reads::default(), &mut reply);
        assert_eq!(read.map(|_| ()).map_err(|failure| failure.code), Err(Code::Unmapped), "{protocol:?}");
    }
}
