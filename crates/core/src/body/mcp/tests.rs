//! MCP messages by protocol version, and the operation that each requests.

use std::collections::BTreeMap;

use super::*;
use crate::body::json::{Limits, Node, parse};
use crate::body::tests::call;
use crate::call::{Body, Call, CanonicalPath};
use crate::catalog::BodyRules;
use crate::catalog::mcp::{Batches, DenialStyle, Mcp, Tool};
use crate::failure::Failure;

pub(super) const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
pub(super) const TYPE: (&str, &str) = ("content-type", "application/json");

pub(super) fn rules(versions: &[ProtocolVersion]) -> Mcp {
    Mcp {
        endpoint: CanonicalPath::parse("/mcp").unwrap(),
        versions: versions.iter().copied().collect(),
        denial: DenialStyle::default(),
        denial_by_version: BTreeMap::new(),
        batches: Batches::Each,
        lists: Default::default(),
        elicitation: None,
    }
}

pub(super) fn tools() -> BTreeMap<String, Tool> {
    let headers = BTreeMap::from([("ticket_id".to_owned(), "Ticket".to_owned())]);
    BTreeMap::from([("tickets.get".to_owned(), Tool { headers, ..Tool::default() })])
}

pub(super) fn read_call(call: &Call) -> Result<Vec<Message>, Failure> {
    read(call, &rules(&ProtocolVersion::ALL), &tools(), &BodyRules::default(), Limits::default())
}

/// A message as a version sends it: with its headers, and with `_meta` in the newest.
pub(super) fn sent(version: ProtocolVersion, method: &str, params: &str) -> Call {
    let (id, date) = (if method.starts_with("notifications/") { "" } else { r#""id":7,"# }, version.as_str());
    let params = match (version, params.is_empty()) {
        (ProtocolVersion::July2026, true) => META.to_owned(),
        (ProtocolVersion::July2026, false) => format!("{params},{META}"),
        _ => params.to_owned(),
    };
    let body = format!(r#"{{"jsonrpc":"2.0",{id}"method":"{method}","params":{{{params}}}}}"#);
    let json = parse(body.as_bytes(), Limits::default()).unwrap_or_else(|refused| panic!("{body}: {refused}"));
    let at = |pointer| json.node().pointer(pointer).and_then(Node::as_text).unwrap_or_default().to_owned();
    let (name, uri) = (at("/params/name"), at("/params/uri"));
    let mut headers = vec![TYPE];
    match version {
        ProtocolVersion::March2025 => {}
        ProtocolVersion::June2025 | ProtocolVersion::November2025 => headers.push(("mcp-protocol-version", date)),
        ProtocolVersion::July2026 => {
            headers.extend([("mcp-protocol-version", date), ("mcp-method", method)]);
            match method {
                "tools/call" | "prompts/get" => headers.push(("mcp-name", &name)),
                "resources/read" => headers.push(("mcp-name", &uri)),
                _ => {}
            }
        }
    }
    call("POST", "/mcp", &headers, body.as_bytes())
}

pub(super) fn outcome(result: &Result<Vec<Message>, Failure>) -> String {
    match result {
        Ok(messages) => format!("{} read", messages.len()),
        Err(failure) => failure.code.as_str().to_owned(),
    }
}

fn raw(headers: &[(&str, &str)], body: &str) -> Call {
    call("POST", "/mcp", &[&[TYPE], headers].concat(), body.as_bytes())
}

#[test]
fn the_same_call_is_the_same_request_in_every_version() {
    let object = |text: &str| parse(text.as_bytes(), Limits::default()).unwrap();
    let cases = [
        ("tools/call", r#""name":"deploy.plan","arguments":{"n":1e3}"#, {
            Ask::CallTool { name: "deploy.plan".to_owned(), arguments: object(r#"{"n":1e3}"#) }
        }),
        ("tools/call", r#""name":"x""#, Ask::CallTool { name: "x".to_owned(), arguments: object("{}") }),
        ("resources/read", r#""uri":"ticket://4711/""#, Ask::ReadResource { uri: "ticket://4711".to_owned() }),
        ("prompts/get", r#""name":"a b","arguments":{"k":"v"}"#, {
            Ask::GetPrompt { name: "a b".to_owned(), arguments: object(r#"{"k":"v"}"#) }
        }),
        ("tools/list", "", Ask::UseServer { method: "tools/list".to_owned() }),
        ("resources/list", r#""cursor":"x""#, Ask::UseServer { method: "resources/list".to_owned() }),
        ("notifications/cancelled", r#""requestId":1"#, {
            Ask::UseServer { method: "notifications/cancelled".to_owned() }
        }),
    ];
    for (method, params, expected) in cases {
        for version in ProtocolVersion::ALL {
            let messages =
                read_call(&sent(version, method, params)).unwrap_or_else(|f| panic!("{method} {version:?}: {f}"));
            let [message] = messages.as_slice() else { panic!("{messages:?}") };
            assert_eq!((&message.ask, message.version), (&expected, version), "{method}");
        }
    }
}

#[test]
fn a_method_exists_only_in_the_versions_that_have_it() {
    // March, June, November 2025, July 2026.
    let cases = [
        ("initialize", r#""protocolVersion":"x""#, [true, true, true, false]),
        ("ping", "", [true, true, true, false]),
        ("logging/setLevel", r#""level":"info""#, [true, true, true, false]),
        ("resources/subscribe", r#""uri":"a://b""#, [true, true, true, false]),
        ("resources/unsubscribe", r#""uri":"a://b""#, [true, true, true, false]),
        ("server/discover", "", [false, false, false, true]),
        ("subscriptions/listen", "", [false, false, false, true]),
        ("tasks/get", r#""taskId":"t""#, [false, false, true, true]),
        ("tasks/list", "", [false, false, true, false]),
        ("tasks/result", r#""taskId":"t""#, [false, false, true, false]),
        ("tasks/update", r#""taskId":"t""#, [false, false, false, true]),
        ("notifications/initialized", "", [true, true, true, false]),
        ("notifications/tasks/status", "", [false, false, true, false]),
        ("notifications/tools/list_changed", "", [false; 4]),
        ("sampling/createMessage", "", [false; 4]),
        ("Tools/Call ", r#""name":"x""#, [false; 4]),
        ("tools/call ", r#""name":"x""#, [false; 4]),
        ("TOOLS/CALL", r#""name":"x""#, [false; 4]),
        ("tools//call", r#""name":"x""#, [false; 4]),
        ("rpc.discover", "", [false; 4]),
        ("", "", [false; 4]),
    ];
    for (method, params, known) in cases {
        for (version, is_known) in ProtocolVersion::ALL.into_iter().zip(known) {
            let expected = if is_known { "1 read" } else { "rpc_method_unknown" };
            assert_eq!(outcome(&read_call(&sent(version, method, params))), expected, "{method} in {version:?}");
        }
    }
}

#[test]
fn only_exact_messages_are_messages() {
    let cases = [
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, "1 read"),
        (r#"{"jsonrpc":"2.0","id":"","method":"ping","params":{}}"#, "1 read"),
        (r#"{"jsonrpc":"2.0","id":-7,"method":"ping"}"#, "1 read"),
        (r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, "1 read"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "1 read"),
        (r#"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#, "1 read"),
        (r#"{"jsonrpc":"2.0","error":{"code":1}}"#, "1 read"),
        (r#"{"jsonrpc":"2.0","result":{}}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"method":"ping"}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"params":{}}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","id":1}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","id":1.0,"method":"ping"}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","id":1e0,"method":"ping"}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","method":"ping"}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"notifications/initialized"}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":null}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","extra":1}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, "message_refused"),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, "message_refused"),
        (r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, "message_refused"),
        (r#"{"id":1,"method":"ping"}"#, "message_refused"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"ping"}"#, "body_refused"),
        (r#""ping""#, "message_refused"),
        ("", "body_refused"),
    ];
    for (body, expected) in cases {
        assert_eq!(outcome(&read_call(&raw(&[], body))), expected, "{body}");
    }
    let long = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, "x".repeat(257));
    assert_eq!(outcome(&read_call(&raw(&[], &long))), "message_refused");
}

#[test]
fn evaluated_parameters_have_one_reading() {
    let cases = [
        ("tools/call", r#""arguments":{}"#),
        ("tools/call", r#""name":"""#),
        ("tools/call", r#""name":7"#),
        ("tools/call", r#""name":"a/b""#),
        ("tools/call", r#""name":"a b""#),
        ("tools/call", r#""name":"é""#),
        ("tools/call", r#""name":"x","arguments":[]"#),
        ("tools/call", r#""name":"x","arguments":null"#),
        ("tools/call", r#""name":"x","Name":"y""#),
        ("tools/call", r#""name":"x","Arguments":{"a":1}"#),
        ("tools/call", r#""name":"x","argument\u017f":{"a":1}"#),
        ("tools/call", r#""name":"x","arguments":{"amount":1,"Amount":9}"#),
        ("tools/call", r#""name":"x","arguments":{"a":[{"\u212aey":1,"key":2}]}"#),
        ("resources/read", r#""uri":"""#),
        ("resources/read", r#""URI":"a://b""#),
        ("resources/read", r#""uri":"ticket://4711/../4712""#),
        ("prompts/get", r#""name":"""#),
        ("prompts/get", r#""name":"a\u0000b""#),
        ("prompts/get", r#""name":"p","arguments":{"n":1}"#),
        ("tools/list", r#""_meta":7"#),
    ];
    for (method, params) in cases {
        for version in [ProtocolVersion::March2025, ProtocolVersion::June2025, ProtocolVersion::November2025] {
            assert_eq!(outcome(&read_call(&sent(version, method, params))), "message_refused", "{method} {params}");
        }
    }
    let long = format!(r#""name":"{}""#, "x".repeat(129));
    assert_eq!(outcome(&read_call(&sent(ProtocolVersion::June2025, "tools/call", &long))), "message_refused");
    assert_eq!(
        outcome(&read_call(&sent(ProtocolVersion::November2025, "tasks/get", r#""taskid":"t""#))),
        "message_refused"
    );
}

#[test]
fn the_version_is_the_headers_and_must_be_listed() {
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let initialize = |version: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"{version}"}}}}"#)
    };
    let other = r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"protocolVersion":"2025-11-25"}}"#;
    let june: &[(&str, &str)] = &[("mcp-protocol-version", "2025-06-18")];
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, Result<ProtocolVersion, &'a str>);
    let cases: &[Row<'_>] = &[
        (&[], ping, Ok(ProtocolVersion::March2025)),
        (june, ping, Ok(ProtocolVersion::June2025)),
        (&[], other, Ok(ProtocolVersion::March2025)),
        (&[], &initialize("2025-11-25"), Ok(ProtocolVersion::November2025)),
        (&[], &initialize("2024-11-05"), Ok(ProtocolVersion::March2025)),
        (june, &initialize("2025-11-25"), Ok(ProtocolVersion::June2025)),
        (&[], &initialize("2026-07-28"), Err("rpc_method_unknown")),
        (&[("mcp-protocol-version", "2024-11-05")], ping, Err("version_refused")),
        (&[("mcp-protocol-version", "2025-06-18 ")], ping, Err("version_refused")),
        (&[("mcp-protocol-version", "")], ping, Err("version_refused")),
        (&[("mcp-protocol-version", "2025-06-18,2025-06-18")], ping, Err("version_refused")),
        (&[june[0], june[0]], ping, Err("header_duplicated")),
    ];
    for (headers, body, expected) in cases {
        let seen = read_call(&raw(headers, body));
        let seen = seen.as_ref().map(|messages| messages[0].version).map_err(|failure| failure.code.as_str());
        assert_eq!(seen, *expected, "{headers:?} {body}");
    }
    for version in ProtocolVersion::ALL {
        let others: Vec<ProtocolVersion> = ProtocolVersion::ALL.into_iter().filter(|other| *other != version).collect();
        let refused =
            read(&sent(version, "tools/list", ""), &rules(&others), &tools(), &Default::default(), Limits::default());
        assert_eq!(outcome(&refused), "version_refused", "{version:?}");
    }
}

#[test]
fn the_endpoint_takes_post_and_in_older_versions_get_and_delete() {
    let june = [("mcp-protocol-version", "2025-06-18")];
    let july = [("mcp-protocol-version", "2026-07-28")];
    let cases = [
        (call("GET", "/mcp", &june, b""), "1 read"),
        (Call { body: Body::NotSent, ..call("DELETE", "/mcp", &[], b"") }, "1 read"),
        (Call { body: Body::NotSent, ..call("GET", "/mcp", &[june[0], TYPE], b"") }, "1 read"),
        (Call { body: Body::Unproven("why"), ..call("GET", "/mcp", &june, b"") }, "body_incomplete"),
        (Call { body: Body::NotSent, ..call("DELETE", "/mcp", &[("content-length", "2")], b"") }, "body_incomplete"),
        (call("GET", "/mcp", &june, b"{}"), "message_refused"),
        (call("GET", "/mcp", &[june[0], ("mcp-method", "ping")], b""), "header_mismatch"),
        (call("GET", "/mcp", &july, b""), "method_not_allowed"),
        (call("DELETE", "/mcp", &july, b""), "method_not_allowed"),
        (call("PUT", "/mcp", &june, b""), "method_not_allowed"),
        (call("HEAD", "/mcp", &june, b""), "method_not_allowed"),
        (call("post", "/mcp", &june, b""), "method_not_allowed"),
        (call("POST", "/mcp/x", &[TYPE], b"{}"), "protocol_mismatch"),
        (call("POST", "/MCP", &[TYPE], b"{}"), "protocol_mismatch"),
        (call("POST", "/mcp", &[("content-type", "text/plain")], b"{}"), "message_refused"),
        (Call { body: Body::NotSent, ..call("POST", "/mcp", &[TYPE], b"") }, "body_incomplete"),
        (Call { body: Body::Unproven("cut"), ..call("POST", "/mcp", &[TYPE], b"") }, "body_incomplete"),
        (Call { target: crate::call::Target::Authority, ..call("POST", "/mcp", &[TYPE], b"") }, "protocol_mismatch"),
    ];
    for (call, expected) in cases {
        assert_eq!(outcome(&read_call(&call)), expected, "{} {:?}", call.method, call.headers);
    }
    let messages = read_call(&call("GET", "/mcp", &june, b"")).unwrap();
    assert_eq!(messages[0].ask, Ask::UseServer { method: "GET".to_owned() });
}

#[test]
fn every_message_of_a_batch_is_evaluated_or_the_batch_is_denied() {
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let tool = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"x"}}"#;
    let answer = r#"{"jsonrpc":"2.0","id":2,"result":{}}"#;
    let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#;
    let batch = |items: &[&str]| format!("[{}]", items.join(","));
    let june = [("mcp-protocol-version", "2025-06-18")];
    let march = [("mcp-protocol-version", "2025-03-26")];
    let cases = [
        (&[][..], batch(&[ping, tool, answer]), "3 read"),
        (&march, batch(&[ping]), "1 read"),
        (&june, batch(&[ping]), "message_refused"),
        (&[], batch(&[]), "message_refused"),
        (&[], batch(&[ping; 32]), "32 read"),
        (&[], batch(&[ping; 33]), "message_refused"),
        (&[], batch(&[ping, "7"]), "message_refused"),
        (&[], batch(&[ping, &batch(&[ping])]), "message_refused"),
        (&[], batch(&[initialize]), "message_refused"),
        (&[], batch(&[ping, r#"{"jsonrpc":"2.0","id":1,"method":"nope"}"#]), "rpc_method_unknown"),
        (&[("mcp-method", "ping")], batch(&[ping, tool]), "header_mismatch"),
    ];
    for (headers, body, expected) in cases {
        assert_eq!(outcome(&read_call(&raw(headers, &body))), expected, "{headers:?} {body}");
    }
    let refusing = Mcp { batches: Batches::Refused, ..rules(&ProtocolVersion::ALL) };
    let refused = read(&raw(&[], &batch(&[ping])), &refusing, &tools(), &Default::default(), Limits::default());
    assert_eq!(outcome(&refused), "message_refused");
}
