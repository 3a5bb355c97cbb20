//! Refusals to MCP clients in every form: status, headers and body, byte by byte. Update as in `goldens`.

mod others;

use expect_test::{Expect, expect};

use super::*;
use picket_core::catalog::a2a::Version;
use picket_core::catalog::mcp::{DenialStyle, Elicitation, ProtocolVersion};
use picket_core::denial_format::{DenialFormat, IdEcho, McpFormat, McpTarget};

const FORMS: [DenialStyle; 5] = [
    DenialStyle::HttpProblem,
    DenialStyle::HttpJsonrpc,
    DenialStyle::RpcError200,
    DenialStyle::ToolError200,
    DenialStyle::Hidden,
];

fn mcp(form: DenialStyle, version: Option<ProtocolVersion>) -> McpFormat {
    McpFormat {
        form,
        version,
        id: IdEcho::Id("7".to_owned()),
        asked: McpTarget::Tool("deploy.production".to_owned()),
        requested: None,
        elicitation: None,
        note: None,
    }
}

fn answered(result: Result<Effect, Code>, reply: DenialFormat) -> Answer {
    answer(Judgement { reply, ..judgement(result) }, None, Caller::Http)
}

fn deny() -> Result<Effect, Code> {
    Ok(Effect::Deny(denial(None, Some("outside_task"))))
}

fn challenge(challenge: Challenge) -> Result<Effect, Code> {
    Ok(Effect::Challenge(challenge, denial(None, Some("needs_more"))))
}

fn add_scope() -> Result<Effect, Code> {
    challenge(Challenge::AddScope { scopes: names(["b", "a"]) })
}

fn approve() -> Result<Effect, Code> {
    challenge(Challenge::Approve { kind: Some("change".to_owned()) })
}

/// Status, the code for Envoy, headers and body.
fn written(answer: Answer) -> String {
    let code = answer.response().unwrap().status.unwrap().code;
    let Some(HttpResponse::DeniedResponse(denied)) = answer.response().unwrap().http_response else {
        panic!("no denial")
    };
    let sent = denied.status.unwrap().code;
    assert_eq!(sent, i32::from(answer.status));
    let headers = denied.headers.into_iter().filter_map(|option| option.header);
    let headers: String = headers.map(|header| format!("  {}: {}\n", header.key, header.value)).collect();
    let body = if denied.body.is_empty() { "no body".to_owned() } else { denied.body.replace('\n', "\\n") };
    format!("{sent} rpc {code}\n{headers}  {body}\n")
}

fn golden(rows: impl IntoIterator<Item = (&'static str, Answer)>, expected: Expect) {
    let text: String = rows.into_iter().map(|(name, answer)| format!("{name}: {}", written(answer))).collect();
    expected.assert_eq(&text);
}

#[test]
fn a_denied_tool_call_reads_as_its_form_and_era_say() {
    let rows = FORMS.into_iter().flat_map(|form| {
        [("sessions", ProtocolVersion::November2025), ("2026", ProtocolVersion::July2026)]
            .map(|(name, version)| (name, answered(deny(), DenialFormat::Mcp(mcp(form, Some(version))))))
    });
    golden(
        rows,
        expect![[r#"
            sessions: 403 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/problem+json
              {"decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"outside_task","title":"Forbidden"}
            2026: 403 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/problem+json
              {"decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"outside_task","title":"Forbidden"}
            sessions: 403 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              {"jsonrpc":"2.0","id":7,"error":{"code":-32001,"message":"denied: outside_task (decision 00000000-0000-0000-0000-000000007f3c)","data":{"decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"outside_task"}}}
            2026: 403 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              {"jsonrpc":"2.0","id":7,"error":{"code":403,"message":"denied: outside_task (decision 00000000-0000-0000-0000-000000007f3c)","data":{"decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"outside_task"}}}
            sessions: 200 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              {"jsonrpc":"2.0","id":7,"error":{"code":-32001,"message":"denied: outside_task (decision 00000000-0000-0000-0000-000000007f3c)","data":{"decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"outside_task"}}}
            2026: 200 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              {"jsonrpc":"2.0","id":7,"error":{"code":403,"message":"denied: outside_task (decision 00000000-0000-0000-0000-000000007f3c)","data":{"decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"outside_task"}}}
            sessions: 200 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              {"jsonrpc":"2.0","id":7,"result":{"_meta":{"picket/denial":{"decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"outside_task"}},"content":[{"type":"text","text":"This call was denied: outside_task. Decision 00000000-0000-0000-0000-000000007f3c."}],"isError":true}}
            2026: 200 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              {"jsonrpc":"2.0","id":7,"result":{"_meta":{"picket/denial":{"decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"outside_task"}},"content":[{"type":"text","text":"This call was denied: outside_task. Decision 00000000-0000-0000-0000-000000007f3c."}],"isError":true,"resultType":"complete"}}
            sessions: 200 rpc 7
              content-type: application/json
              {"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"Unknown tool: deploy.production"}}
            2026: 200 rpc 7
              content-type: application/json
              {"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"Unknown tool: deploy.production"}}
        "#]],
    );
}

#[test]
fn a_challenge_keeps_its_status_and_header_but_where_the_form_has_status_200() {
    let reply = |form| DenialFormat::Mcp(mcp(form, Some(ProtocolVersion::July2026)));
    golden(
        FORMS.map(|form| ("add_scope", answered(add_scope(), reply(form)))),
        expect![[r#"
            add_scope: 403 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/problem+json
              www-authenticate: Bearer error="insufficient_scope", error_description="the token lacks a scope that the call needs", scope="a b"
              {"decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"needs_more","remedy":{"kind":"add_scope","scope":"a b"},"title":"Forbidden"}
            add_scope: 403 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              www-authenticate: Bearer error="insufficient_scope", error_description="the token lacks a scope that the call needs", scope="a b"
              {"jsonrpc":"2.0","id":7,"error":{"code":403,"message":"denied: needs_more (decision 00000000-0000-0000-0000-000000007f3c)","data":{"challenge":"Bearer error=\"insufficient_scope\", error_description=\"the token lacks a scope that the call needs\", scope=\"a b\"","decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"needs_more","remedy":{"kind":"add_scope","scope":"a b"}}}}
            add_scope: 200 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              www-authenticate: Bearer error="insufficient_scope", error_description="the token lacks a scope that the call needs", scope="a b"
              {"jsonrpc":"2.0","id":7,"error":{"code":403,"message":"denied: needs_more (decision 00000000-0000-0000-0000-000000007f3c)","data":{"challenge":"Bearer error=\"insufficient_scope\", error_description=\"the token lacks a scope that the call needs\", scope=\"a b\"","decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"needs_more","remedy":{"kind":"add_scope","scope":"a b"}}}}
            add_scope: 200 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              www-authenticate: Bearer error="insufficient_scope", error_description="the token lacks a scope that the call needs", scope="a b"
              {"jsonrpc":"2.0","id":7,"result":{"_meta":{"picket/denial":{"challenge":"Bearer error=\"insufficient_scope\", error_description=\"the token lacks a scope that the call needs\", scope=\"a b\"","decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"needs_more","remedy":{"kind":"add_scope","scope":"a b"}}},"content":[{"type":"text","text":"This call was denied: needs_more. Decision 00000000-0000-0000-0000-000000007f3c."}],"isError":true,"resultType":"complete"}}
            add_scope: 200 rpc 7
              content-type: application/json
              {"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"Unknown tool: deploy.production"}}
        "#]],
    );
    let login = || challenge(Challenge::Login { scopes: names(["a"]) });
    let login = written(answered(login(), reply(DenialStyle::Hidden)));
    assert!(login.starts_with("401 rpc 16") && login.contains("www-authenticate: Bearer scope=\"a\""), "{login}");
}

#[test]
fn every_code_has_its_json_rpc_code_in_every_version() {
    let code_of = |answer: Answer| {
        let text = written(answer);
        let code = text.split("\"code\":").nth(1).unwrap().split(',').next().unwrap();
        format!("{} {code}", text.split(' ').next().unwrap())
    };
    let row = |code: &Code| {
        let [old, new, unread] = [Some(ProtocolVersion::June2025), Some(ProtocolVersion::July2026), None]
            .map(|version| code_of(answered(Err(*code), DenialFormat::Mcp(mcp(DenialStyle::HttpJsonrpc, version)))));
        let a2a = code_of(answered(Err(*code), DenialFormat::A2a(others::a2a(Version::V10))));
        format!("{}: sessions {old}, 2026 {new}, unread {unread}, a2a {a2a}\n", code.as_str())
    };
    expect![[r#"
        malformed_request: sessions 400 -32600, 2026 400 -32600, unread 400 -32600, a2a 400 -32600
        tcp_unsupported: sessions 403 -32001, 2026 403 403, unread 403 403, a2a 403 403
        path_refused: sessions 400 -32600, 2026 400 -32600, unread 400 -32600, a2a 400 -32600
        host_refused: sessions 400 -32600, 2026 400 -32600, unread 400 -32600, a2a 400 -32600
        query_refused: sessions 400 -32600, 2026 400 -32600, unread 400 -32600, a2a 400 -32600
        header_duplicated: sessions 400 -32600, 2026 400 -32600, unread 400 -32600, a2a 400 -32600
        header_refused: sessions 400 -32600, 2026 400 -32600, unread 400 -32600, a2a 400 -32600
        too_large: sessions 431 -32600, 2026 431 -32600, unread 431 -32600, a2a 431 -32600
        method_override: sessions 400 -32600, 2026 400 -32600, unread 400 -32600, a2a 400 -32600
        body_incomplete: sessions 413 -32600, 2026 413 -32600, unread 413 -32600, a2a 413 -32600
        body_encoded: sessions 415 -32600, 2026 415 -32600, unread 415 -32600, a2a 415 -32600
        body_refused: sessions 400 -32700, 2026 400 -32700, unread 400 -32700, a2a 400 -32700
        message_refused: sessions 400 -32600, 2026 400 -32600, unread 400 -32600, a2a 400 -32600
        header_mismatch: sessions 400 -32600, 2026 400 -32020, unread 400 -32020, a2a 400 -32600
        version_refused: sessions 400 -32022, 2026 400 -32022, unread 400 -32022, a2a 400 -32009
        rpc_method_unknown: sessions 400 -32601, 2026 404 -32601, unread 404 -32601, a2a 404 -32601
        stream_refused: sessions 403 -32001, 2026 403 403, unread 403 403, a2a 403 403
        method_not_allowed: sessions 405 -32600, 2026 405 -32600, unread 405 -32600, a2a 405 -32600
        number_refused: sessions 400 -32602, 2026 400 -32602, unread 400 -32602, a2a 400 -32602
        connect_refused: sessions 403 -32001, 2026 403 403, unread 403 403, a2a 403 403
        upgrade_refused: sessions 403 -32001, 2026 403 403, unread 403 403, a2a 403 403
        peer_rejected: sessions 403 -32001, 2026 403 403, unread 403 403, a2a 403 403
        xfcc_rejected: sessions 403 -32001, 2026 403 403, unread 403 403, a2a 403 403
        trust_domain_refused: sessions 403 -32001, 2026 403 403, unread 403 403, a2a 403 403
        token_rejected: sessions 401 -32001, 2026 401 403, unread 401 403, a2a 401 403
        token_expired: sessions 401 -32001, 2026 401 403, unread 401 403, a2a 401 403
        token_not_bound: sessions 403 -32001, 2026 403 403, unread 403 403, a2a 403 403
        token_repeated: sessions 400 -32600, 2026 400 -32600, unread 400 -32600, a2a 400 -32600
        task_rejected: sessions 403 -32001, 2026 403 403, unread 403 403, a2a 403 403
        task_expired: sessions 403 -32001, 2026 403 403, unread 403 403, a2a 403 403
        task_not_bound: sessions 403 -32001, 2026 403 403, unread 403 403, a2a 403 403
        unmapped: sessions 403 -32001, 2026 403 403, unread 403 403, a2a 403 403
        protocol_mismatch: sessions 400 -32600, 2026 400 -32600, unread 400 -32600, a2a 400 -32600
        release_too_large: sessions 403 -32001, 2026 403 403, unread 403 403, a2a 403 403
        release_foreign: sessions 403 -32001, 2026 403 403, unread 403 403, a2a 403 403
        approval_used: sessions 403 -32001, 2026 403 403, unread 403 403, a2a 403 403
        query_invalid: sessions 400 -32602, 2026 400 -32602, unread 400 -32602, a2a 400 -32602
        bundle_invalid: sessions 503 -32603, 2026 503 -32603, unread 503 -32603, a2a 503 -32603
        entities_unavailable: sessions 503 -32603, 2026 503 -32603, unread 503 -32603, a2a 503 -32603
        keys_unavailable: sessions 503 -32603, 2026 503 -32603, unread 503 -32603, a2a 503 -32603
        deadline: sessions 503 -32603, 2026 503 -32603, unread 503 -32603, a2a 503 -32603
        overload: sessions 503 -32603, 2026 503 -32603, unread 503 -32603, a2a 503 -32603
        not_ready: sessions 503 -32603, 2026 503 -32603, unread 503 -32603, a2a 503 -32603
        internal: sessions 503 -32603, 2026 503 -32603, unread 503 -32603, a2a 503 -32603
    "#]]
    .assert_eq(&Code::ALL.iter().map(row).collect::<String>());
}

#[test]
fn a_hidden_denial_is_the_same_for_every_reason_and_shows_nothing_of_ours() {
    for version in ProtocolVersion::ALL {
        let reply = || DenialFormat::Mcp(mcp(DenialStyle::Hidden, Some(version)));
        let plain = written(answered(Ok(Effect::Deny(denial(None, None))), reply()));
        let not_found = Ok(Effect::Deny(denial(Some(404), Some("gone"))));
        for other in [deny(), not_found, add_scope(), approve(), Err(Code::ApprovalUsed)] {
            assert_eq!(written(answered(other, reply())), plain, "{version:?}");
        }
        assert!(!plain.contains("picket") && !plain.contains("7f3c") && !plain.contains("no-store"), "{plain}");
    }
    let asked =
        |asked: McpTarget, version| DenialFormat::Mcp(McpFormat { asked, ..mcp(DenialStyle::Hidden, Some(version)) });
    let rows = [ProtocolVersion::March2025, ProtocolVersion::July2026].into_iter().flat_map(|version| {
        [
            ("resource", McpTarget::Resource("crm://a\"b".to_owned())),
            ("prompt", McpTarget::Prompt("p".to_owned())),
            ("server", McpTarget::Server),
        ]
        .map(|(name, what)| (name, answered(deny(), asked(what, version))))
    });
    golden(
        rows,
        expect![[r#"
            resource: 200 rpc 7
              content-type: application/json
              {"jsonrpc":"2.0","id":7,"error":{"code":-32002,"message":"Resource not found","data":{"uri":"crm://a\"b"}}}
            prompt: 200 rpc 7
              content-type: application/json
              {"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"Unknown prompt: p"}}
            server: 200 rpc 7
              content-type: application/json
              {"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"Method not found"}}
            resource: 200 rpc 7
              content-type: application/json
              {"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"Resource not found","data":{"uri":"crm://a\"b"}}}
            prompt: 200 rpc 7
              content-type: application/json
              {"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"Unknown prompt: p"}}
            server: 404 rpc 7
              content-type: application/json
              {"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"Method not found"}}
        "#]],
    );
}

#[test]
fn a_client_that_waits_for_no_answer_gets_a_problem_document() {
    for form in FORMS {
        for version in ProtocolVersion::ALL {
            let reply = McpFormat { id: IdEcho::Nothing, ..mcp(form, Some(version)) };
            let text = written(answered(deny(), DenialFormat::Mcp(reply)));
            assert!(
                text.starts_with("403 rpc 7\n") && text.contains("content-type: application/problem+json"),
                "{text}"
            );
            assert!(!text.contains("jsonrpc"), "{text}");
        }
    }
}

#[test]
fn a_refused_version_names_those_that_are_accepted() {
    let tree = Tree {
        files: [(
            "catalog.yaml".to_owned(),
            "services: [{id: shop/orders, protocol: mcp, mcp: {versions: [2025-06-18, 2026-07-28]}}]".into(),
        )]
        .into(),
        ..Tree::default()
    };
    let snapshot = Snapshot::load(&tree, None).snapshot;
    let reply = McpFormat { requested: Some("2024-11-05".to_owned()), ..mcp(DenialStyle::HttpJsonrpc, None) };
    let reply = DenialFormat::Mcp(McpFormat { id: IdEcho::Unread, ..reply });
    let judgement = Judgement { reply, snapshot, ..judgement(Err(Code::VersionRefused)) };
    golden(
        [("refused", answer(judgement, None, Caller::Http))],
        expect![[r#"
            refused: 400 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              {"jsonrpc":"2.0","id":null,"error":{"code":-32022,"message":"denied: version_refused (decision 00000000-0000-0000-0000-000000007f3c)","data":{"decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"version_refused","requested":"2024-11-05","supported":["2025-06-18","2026-07-28"]}}}
        "#]],
    );
}

/// A reply to a client that can be sent to a page.
fn asking(version: ProtocolVersion) -> McpFormat {
    let url = "https://approve.example/r/{decision_id}".to_owned();
    let elicitation = Some(Elicitation { url, message: "A person must approve \"this\".".to_owned() });
    McpFormat { elicitation, note: Some("picket1.AAAA".to_owned()), ..mcp(DenialStyle::HttpJsonrpc, Some(version)) }
}

#[test]
fn an_approval_is_requested_in_the_protocol_if_client_and_service_support_it() {
    let asks = |reply: McpFormat| answered(approve(), DenialFormat::Mcp(reply));
    golden(
        [("asks", asks(asking(ProtocolVersion::July2026)))],
        expect![[r#"
            asks: 200 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              {"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required","inputRequests":{"picket1.AAAA":{"method":"elicitation/create","params":{"mode":"url","message":"A person must approve \"this\".","url":"https://approve.example/r/00000000-0000-0000-0000-000000007f3c","elicitationId":"00000000-0000-0000-0000-000000007f3c"}}}}}
        "#]],
    );
    let cannot = [
        asking(ProtocolVersion::November2025),
        McpFormat { asked: McpTarget::Server, ..asking(ProtocolVersion::July2026) },
        McpFormat { form: DenialStyle::Hidden, ..asking(ProtocolVersion::July2026) },
        McpFormat { elicitation: None, ..asking(ProtocolVersion::July2026) },
        McpFormat { note: None, ..asking(ProtocolVersion::July2026) },
        McpFormat { id: IdEcho::Unread, ..asking(ProtocolVersion::July2026) },
        McpFormat { id: IdEcho::Nothing, ..asking(ProtocolVersion::July2026) },
    ];
    for reply in cannot {
        let shown = format!("{reply:?}");
        assert!(!written(asks(reply)).contains("input_required"), "{shown}");
    }
    for other in [deny(), add_scope(), Err(Code::ApprovalUsed), Err(Code::Internal)] {
        let text = written(answered(other, DenialFormat::Mcp(asking(ProtocolVersion::July2026))));
        assert!(!text.contains("input_required") && !text.contains("picket1."), "{text}");
    }
}
