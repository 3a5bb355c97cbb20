//! Version 2026-07-28: what headers repeat, what `_meta` must hold; and the same headers in older versions.

use crate::body::mcp::tests::{META, TYPE, outcome, read_call, sent};
use crate::body::mcp::{Ask, Message};
use crate::body::tests::call;
use crate::call::Call;
use crate::catalog::mcp::ProtocolVersion;
use crate::failure::Failure;

const VERSION: (&str, &str) = ("mcp-protocol-version", "2026-07-28");
const CALL: (&str, &str) = ("mcp-method", "tools/call");

/// Names and values of headers.
type Sent<'a> = &'a [(&'a str, &'a str)];

/// A message of the newest version with the given headers besides its version.
fn post(headers: &[(&str, &str)], method: &str, params: &str) -> Call {
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#);
    call("POST", "/mcp", &[&[TYPE, VERSION], headers].concat(), body.as_bytes())
}

fn read(headers: &[(&str, &str)], method: &str, params: &str) -> Result<Vec<Message>, Failure> {
    read_call(&post(headers, method, &format!("{params},{META}")))
}

#[test]
fn headers_repeat_the_body_or_the_call_is_denied() {
    let (plan, uri) = (r#""name":"deploy.plan""#, r#""uri":"ticket://4711/""#);
    let read_uri = ("mcp-method", "resources/read");
    let get = ("mcp-method", "prompts/get");
    let cases: &[(Sent<'_>, &str, &str, &str)] = &[
        (&[CALL, ("mcp-name", "deploy.plan")], "tools/call", plan, "1 read"),
        (&[CALL, ("mcp-name", "=?base64?ZGVwbG95LnBsYW4=?=")], "tools/call", plan, "1 read"),
        (&[CALL, ("mcp-name", "=?base64?ZGVwbG95LnBsYW4?=")], "tools/call", plan, "header_mismatch"),
        (&[CALL, ("mcp-name", "=?base64?!!!?=")], "tools/call", plan, "header_mismatch"),
        (&[CALL, ("mcp-name", "=?base64?/w==?=")], "tools/call", plan, "header_mismatch"),
        (&[CALL, ("mcp-name", "=?BASE64?ZGVwbG95LnBsYW4=?=")], "tools/call", plan, "header_mismatch"),
        (&[CALL, ("mcp-name", "deploy.production")], "tools/call", plan, "header_mismatch"),
        (&[CALL, ("mcp-name", "Deploy.plan")], "tools/call", plan, "header_mismatch"),
        (&[CALL, ("mcp-name", "deploy.plan ")], "tools/call", plan, "header_mismatch"),
        (&[CALL, ("mcp-name", "")], "tools/call", plan, "header_mismatch"),
        (&[CALL], "tools/call", plan, "header_mismatch"),
        (&[("mcp-name", "deploy.plan")], "tools/call", plan, "header_mismatch"),
        (&[("mcp-method", "tools/list"), ("mcp-name", "deploy.plan")], "tools/call", plan, "header_mismatch"),
        (&[CALL, CALL, ("mcp-name", "deploy.plan")], "tools/call", plan, "header_duplicated"),
        (&[CALL, ("mcp-name", "a"), ("mcp-name", "deploy.plan")], "tools/call", plan, "header_duplicated"),
        (&[read_uri, ("mcp-name", "ticket://4711/")], "resources/read", uri, "1 read"),
        (&[read_uri, ("mcp-name", "ticket://4711")], "resources/read", uri, "header_mismatch"),
        (&[read_uri], "resources/read", uri, "header_mismatch"),
        (&[get, ("mcp-name", "=?base64?w7xiZXI=?=")], "prompts/get", r#""name":"über""#, "1 read"),
        (&[get, ("mcp-name", "über")], "prompts/get", r#""name":"über""#, "header_mismatch"),
        (&[get, ("mcp-name", "=?base64?IGE=?=")], "prompts/get", r#""name":" a""#, "1 read"),
        (&[("mcp-method", "tools/list")], "tools/list", r#""cursor":"c""#, "1 read"),
        (&[("mcp-method", "tools/list"), ("mcp-name", "x")], "tools/list", r#""cursor":"c""#, "header_mismatch"),
        (&[("mcp-method", "tasks/get"), ("mcp-name", "t1")], "tasks/get", r#""taskId":"t1""#, "1 read"),
        (&[("mcp-method", "tasks/get"), ("mcp-name", "t2")], "tasks/get", r#""taskId":"t1""#, "header_mismatch"),
    ];
    for (headers, method, params, expected) in cases {
        assert_eq!(outcome(&read(headers, method, params)), *expected, "{headers:?} {params}");
    }
}

#[test]
fn arguments_in_headers_are_the_arguments_of_the_body() {
    let name = ("mcp-name", "tickets.get");
    let of = |argument: &str| format!(r#""name":"tickets.get","arguments":{{{argument}}}"#);
    let text = of(r#""ticket_id":"4711""#);
    let number = of(r#""ticket_id":1e3"#);
    let ticket = |value| ("mcp-param-ticket", value);
    let cases = [
        (&[CALL, name, ticket("4711")][..], text.clone(), "1 read"),
        (&[CALL, name, ticket("=?base64?NDcxMQ==?=")], text.clone(), "1 read"),
        (&[CALL, name], text.clone(), "header_mismatch"),
        (&[CALL, name, ticket("4712")], text.clone(), "header_mismatch"),
        (&[CALL, name, ticket("4711"), ticket("4711")], text.clone(), "header_duplicated"),
        (&[CALL, name, ticket("4711"), ("mcp-param-other", "x")], text, "header_mismatch"),
        (&[CALL, name, ticket("1000")], number.clone(), "1 read"),
        (&[CALL, name, ticket("1e3")], number.clone(), "1 read"),
        (&[CALL, name, ticket("1001")], number, "header_mismatch"),
        (&[CALL, name, ticket("true")], of(r#""ticket_id":true"#), "1 read"),
        (&[CALL, name], of(r#""ticket_id":null"#), "1 read"),
        (&[CALL, name, ticket("null")], of(r#""ticket_id":null"#), "header_mismatch"),
        (&[CALL, name], of(""), "1 read"),
        (&[CALL, name, ticket("")], of(""), "header_mismatch"),
        (&[CALL, name, ticket("[]")], of(r#""ticket_id":[]"#), "header_mismatch"),
    ];
    for (headers, params, expected) in cases {
        assert_eq!(outcome(&read(headers, "tools/call", &params)), expected, "{headers:?} {params}");
    }
    let elsewhere = [("mcp-method", "tools/list"), ticket("4711")];
    assert_eq!(outcome(&read(&elsewhere, "tools/list", r#""cursor":"c""#)), "header_mismatch");
    // The catalogue knows nothing of this tool, so there is nothing to compare.
    let unknown = [CALL, ("mcp-name", "x"), ticket("4711")];
    assert_eq!(outcome(&read(&unknown, "tools/call", r#""name":"x""#)), "1 read");
}

#[test]
fn older_versions_need_no_mirrored_header_but_hold_to_those_they_send() {
    let of = |extra: &[(&str, &str)], version: &[(&str, &str)]| {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"tickets.get","arguments":{"ticket_id":"1"}}}"#;
        read_call(&call("POST", "/mcp", &[&[TYPE], version, extra].concat(), body.as_bytes()))
    };
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[], "1 read"),
        (&[CALL, ("mcp-name", "tickets.get"), ("mcp-param-ticket", "1")], "1 read"),
        (&[("mcp-method", "tools/list")], "header_mismatch"),
        (&[("mcp-name", "deploy.plan")], "header_mismatch"),
        (&[("mcp-param-ticket", "2")], "header_mismatch"),
        (&[("mcp-param-other", "1")], "header_mismatch"),
    ];
    for version in [&[][..], &[("mcp-protocol-version", "2025-06-18")], &[("mcp-protocol-version", "2025-11-25")]] {
        for (headers, expected) in cases {
            assert_eq!(outcome(&of(headers, version)), *expected, "{headers:?} {version:?}");
        }
    }
}

#[test]
fn the_newest_version_is_in_every_request() {
    let version = r#""io.modelcontextprotocol/protocolVersion""#;
    let capabilities = r#""io.modelcontextprotocol/clientCapabilities""#;
    let cases = [
        (format!(r#""_meta":{{{version}:"2026-07-28",{capabilities}:{{}}}}"#), "1 read"),
        (String::new(), "message_refused"),
        (r#""_meta":{}"#.to_owned(), "message_refused"),
        (format!(r#""_meta":{{{version}:"2026-07-28"}}"#), "message_refused"),
        (format!(r#""_meta":{{{version}:"2026-07-28",{capabilities}:[]}}"#), "message_refused"),
        (format!(r#""_meta":{{{capabilities}:{{}}}}"#), "message_refused"),
        (format!(r#""_meta":{{{version}:"2025-11-25",{capabilities}:{{}}}}"#), "header_mismatch"),
        (format!(r#""_meta":{{{version}:7,{capabilities}:{{}}}}"#), "header_mismatch"),
        (r#""_meta":[]"#.to_owned(), "message_refused"),
        (
            format!(
                r#""_meta":{{{version}:"2026-07-28",{capabilities}:{{}},"io.modelcontextprotocol/ClientCapabilities":{{}}}}"#
            ),
            "message_refused",
        ),
    ];
    for (params, expected) in cases {
        let seen = read_call(&post(&[("mcp-method", "tools/list")], "tools/list", &params));
        assert_eq!(outcome(&seen), expected, "{params}");
    }
    // Without the header the newest version would be taken for the oldest, but a server may believe `_meta`.
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{META}}}}}"#);
    assert_eq!(outcome(&read_call(&call("POST", "/mcp", &[TYPE], body.as_bytes()))), "header_mismatch");
}

#[test]
fn a_page_is_offered_only_to_a_client_that_can_go_there() {
    let of = |capabilities: &str, rest: &str| {
        let meta = META.replace("{}}", &format!("{capabilities}}}"));
        read_call(&post(&[("mcp-method", "tools/list")], "tools/list", &format!("{meta}{rest}")))
    };
    let cases = [
        ("{}", false),
        (r#"{"elicitation":{}}"#, false),
        (r#"{"elicitation":{"form":{}}}"#, false),
        (r#"{"elicitation":{"url":{}}}"#, true),
        (r#"{"elicitation":{"url":true}}"#, false),
        (r#"{"elicitation":[{"url":{}}]}"#, false),
    ];
    for (capabilities, expected) in cases {
        assert_eq!(of(capabilities, "").unwrap()[0].can_elicit_url, expected, "{capabilities}");
    }
    let answers = |rest| of("{}", rest).map(|messages| messages[0].answers.clone());
    assert_eq!(answers("").unwrap(), Vec::<String>::new());
    assert_eq!(answers(r#","requestState":"s""#).unwrap(), Vec::<String>::new());
    assert_eq!(answers(r#","requestState":"s","inputResponses":{"a":{},"b":7}"#).unwrap(), ["a", "b"]);
    assert!(answers(r#","requestState":7"#).is_err());
    assert!(answers(r#","inputResponses":[]"#).is_err());
    let older = read_call(&sent(ProtocolVersion::November2025, "tools/list", r#""inputResponses":{"a":{}}"#)).unwrap();
    assert_eq!(older[0].answers, Vec::<String>::new());
}

#[test]
fn a_subscription_requests_each_of_its_resources() {
    let of = |params: &str| read(&[("mcp-method", "subscriptions/listen")], "subscriptions/listen", params);
    let asked = of(r#""notifications":{"toolsListChanged":true,"resourceSubscriptions":["a://b/","a://c"]}"#).unwrap();
    let asks: Vec<&Ask> = asked.iter().map(|message| &message.ask).collect();
    let resource = |uri: &str| Ask::SubscribeResource { uri: uri.to_owned() };
    let server = Ask::UseServer { method: "subscriptions/listen".to_owned() };
    assert_eq!(asks, [&server, &resource("a://b"), &resource("a://c")]);
    assert!(asked.iter().all(|message| message.id.is_some() && message.params.node().get("notifications").is_some()));
    for params in [
        r#""notifications":[]"#,
        r#""notifications":{"resourceSubscriptions":"a://b"}"#,
        r#""notifications":{"resourceSubscriptions":["a://b/../c"]}"#,
        r#""notifications":{"resourceSubscriptions":[7]}"#,
        r#""notifications":{"resourcesubscriptions":["a://b"]}"#,
        r#""Notifications":{"resourceSubscriptions":["a://b"]}"#,
    ] {
        assert_eq!(outcome(&of(params)), "message_refused", "{params}");
    }
    let many = vec!["\"a://b\""; 33].join(",");
    assert_eq!(outcome(&of(&format!(r#""notifications":{{"resourceSubscriptions":[{many}]}}"#))), "message_refused");
}
