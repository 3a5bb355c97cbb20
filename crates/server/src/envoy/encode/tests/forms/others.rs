//! The same for every other client; and what holds for all forms.

use super::*;
use picket_core::denial_format::{A2aFormat, ResponseMode};
use picket_core::obligation::metadata::Document;

pub(super) fn a2a(version: Version) -> A2aFormat {
    A2aFormat {
        version: Some(version),
        id: IdEcho::Id(r#""r1""#.to_owned()),
        awaits: ResponseMode::Task,
        requested: None,
        context_id: None,
        task_id: None,
    }
}

#[test]
fn an_a2a_client_reads_an_error_or_a_task_that_waits() {
    let old = || a2a(Version::V03);
    let new = || a2a(Version::V10);
    let going_on =
        A2aFormat { context_id: Some("c\"1".to_owned()), task_id: Some("t1".to_owned()), ..a2a(Version::V10) };
    let rows = [
        ("denied", answered(deny(), DenialFormat::A2a(new()))),
        ("denied, nothing awaited", answered(deny(), DenialFormat::A2a(A2aFormat { id: IdEcho::Nothing, ..new() }))),
        ("add_scope", answered(add_scope(), DenialFormat::A2a(old()))),
        ("approve 0.3", answered(approve(), DenialFormat::A2a(old()))),
        ("approve 1.0", answered(approve(), DenialFormat::A2a(going_on))),
        (
            "approve, stream",
            answered(approve(), DenialFormat::A2a(A2aFormat { awaits: ResponseMode::TaskStream, ..new() })),
        ),
        (
            "approve, no task",
            answered(approve(), DenialFormat::A2a(A2aFormat { awaits: ResponseMode::Other, ..new() })),
        ),
    ];
    golden(
        rows,
        expect![[r#"
            denied: 403 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              {"jsonrpc":"2.0","id":"r1","error":{"code":403,"message":"denied: outside_task (decision 00000000-0000-0000-0000-000000007f3c)","data":{"decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"outside_task"}}}
            denied, nothing awaited: 403 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              no body
            add_scope: 403 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              www-authenticate: Bearer error="insufficient_scope", error_description="the token lacks a scope that the call needs", scope="a b"
              {"jsonrpc":"2.0","id":"r1","error":{"code":403,"message":"denied: needs_more (decision 00000000-0000-0000-0000-000000007f3c)","data":{"challenge":"Bearer error=\"insufficient_scope\", error_description=\"the token lacks a scope that the call needs\", scope=\"a b\"","decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"needs_more","remedy":{"kind":"add_scope","scope":"a b"}}}}
            approve 0.3: 200 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              {"jsonrpc":"2.0","id":"r1","result":{"id":"00000000-0000-0000-0000-000000007f3c","contextId":"00000000-0000-0000-0000-000000007f3c","kind":"task","status":{"state":"auth-required","message":{"messageId":"00000000-0000-0000-0000-000000007f3c","role":"agent","kind":"message","parts":[{"kind":"text","text":"denied: needs_more (decision 00000000-0000-0000-0000-000000007f3c)"}]}},"metadata":{"picket/denial":{"decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"needs_more","remedy":{"approval":"change","kind":"approve"}}}}}
            approve 1.0: 200 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              {"jsonrpc":"2.0","id":"r1","result":{"task":{"id":"t1","contextId":"c\"1","status":{"state":"TASK_STATE_AUTH_REQUIRED","message":{"messageId":"00000000-0000-0000-0000-000000007f3c","role":"ROLE_AGENT","parts":[{"text":"denied: needs_more (decision 00000000-0000-0000-0000-000000007f3c)"}]}},"metadata":{"picket/denial":{"decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"needs_more","remedy":{"approval":"change","kind":"approve"}}}}}}
            approve, stream: 200 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: text/event-stream
              data: {"jsonrpc":"2.0","id":"r1","result":{"task":{"id":"00000000-0000-0000-0000-000000007f3c","contextId":"00000000-0000-0000-0000-000000007f3c","status":{"state":"TASK_STATE_AUTH_REQUIRED","message":{"messageId":"00000000-0000-0000-0000-000000007f3c","role":"ROLE_AGENT","parts":[{"text":"denied: needs_more (decision 00000000-0000-0000-0000-000000007f3c)"}]}},"metadata":{"picket/denial":{"decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"needs_more","remedy":{"approval":"change","kind":"approve"}}}}}}\n\n
            approve, no task: 403 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              {"jsonrpc":"2.0","id":"r1","error":{"code":403,"message":"denied: needs_more (decision 00000000-0000-0000-0000-000000007f3c)","data":{"decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"needs_more","remedy":{"approval":"change","kind":"approve"}}}}
        "#]],
    );
}

#[test]
fn clients_of_models_read_their_providers_errors() {
    let rows = [DenialFormat::Openai, DenialFormat::Anthropic].into_iter().flat_map(|reply| {
        [
            ("denied", answered(deny(), reply.clone())),
            ("add_scope", answered(add_scope(), reply.clone())),
            ("token", answered(Err(Code::TokenExpired), reply.clone())),
            ("trouble", answered(Err(Code::Deadline), reply)),
        ]
    });
    golden(
        rows,
        expect![[r#"
            denied: 403 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              {"error":{"message":"denied: outside_task (decision 00000000-0000-0000-0000-000000007f3c)","type":"permission_error","param":null,"code":"outside_task","decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"outside_task"}}
            add_scope: 403 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              www-authenticate: Bearer error="insufficient_scope", error_description="the token lacks a scope that the call needs", scope="a b"
              {"error":{"message":"denied: needs_more (decision 00000000-0000-0000-0000-000000007f3c)","type":"permission_error","param":null,"code":"needs_more","decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"needs_more","remedy":{"kind":"add_scope","scope":"a b"}}}
            token: 401 rpc 16
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              www-authenticate: Bearer error="invalid_token", error_description="the token is not within its time"
              {"error":{"message":"denied (decision 00000000-0000-0000-0000-000000007f3c)","type":"authentication_error","param":null,"code":"denied","decision_id":"00000000-0000-0000-0000-000000007f3c"}}
            trouble: 503 rpc 14
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              retry-after: 1
              {"error":{"message":"denied: deadline (decision 00000000-0000-0000-0000-000000007f3c)","type":"server_error","param":null,"code":"deadline","decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"deadline"}}
            denied: 403 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              {"type":"error","error":{"type":"permission_error","message":"denied: outside_task (decision 00000000-0000-0000-0000-000000007f3c)","decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"outside_task"}}
            add_scope: 403 rpc 7
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              www-authenticate: Bearer error="insufficient_scope", error_description="the token lacks a scope that the call needs", scope="a b"
              {"type":"error","error":{"type":"permission_error","message":"denied: needs_more (decision 00000000-0000-0000-0000-000000007f3c)","decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"needs_more","remedy":{"kind":"add_scope","scope":"a b"}}}
            token: 401 rpc 16
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              www-authenticate: Bearer error="invalid_token", error_description="the token is not within its time"
              {"type":"error","error":{"type":"authentication_error","message":"denied (decision 00000000-0000-0000-0000-000000007f3c)","decision_id":"00000000-0000-0000-0000-000000007f3c"}}
            trouble: 503 rpc 14
              cache-control: no-store
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              retry-after: 1
              {"type":"error","error":{"type":"api_error","message":"denied: deadline (decision 00000000-0000-0000-0000-000000007f3c)","decision_id":"00000000-0000-0000-0000-000000007f3c","reason":"deadline"}}
        "#]],
    );
}

#[test]
fn a_grpc_caller_gets_a_grpc_answer_from_every_service() {
    for reply in [
        DenialFormat::Mcp(mcp(DenialStyle::RpcError200, None)),
        DenialFormat::A2a(a2a(Version::V10)),
        DenialFormat::Openai,
    ] {
        let grpc = |reply| written(answer(Judgement { reply, ..judgement(deny()) }, None, Caller::Grpc));
        assert_eq!(grpc(reply), grpc(DenialFormat::Plain));
    }
}

fn metadata(result: Result<Verdict, Failure>) -> Judgement {
    let document = Some(Document { json: r#"{"resource":"https://a"}"#.to_owned() });
    Judgement { document, result, ..judgement(deny()) }
}

#[test]
fn a_document_is_served_as_a_denied_response_and_only_with_its_verdict() {
    let answer_to = |judgement, caller| answer(judgement, None, caller);
    let served = answer_to(metadata(Ok(Verdict::answered())), Caller::Http);
    golden(
        [("served", served)],
        expect![[r#"
            served: 200 rpc 7
              cache-control: public, max-age=300
              x-picket-decision-id: 00000000-0000-0000-0000-000000007f3c
              content-type: application/json
              access-control-allow-origin: *
              {"resource":"https://a"}
        "#]],
    );
    let others = [
        answer_to(metadata(Ok(Verdict::answered())), Caller::Grpc),
        answer_to(metadata(judgement(deny()).result), Caller::Http),
        answer_to(metadata(judgement(add_scope()).result), Caller::Http),
        answer_to(metadata(Err(Failure::new(Code::Internal, ""))), Caller::Http),
        answer_to(Judgement { document: None, ..metadata(Ok(Verdict::answered())) }, Caller::Http),
    ];
    for answer in others {
        assert!(answer.status >= 400, "{}", answer.status);
        assert!(!written(answer).contains("https://a"));
    }
}

fn any_reply() -> impl Strategy<Value = DenialFormat> {
    let text = || ".{0,12}";
    let id = prop_oneof![
        text().prop_map(IdEcho::Id),
        Just(IdEcho::Id("7".to_owned())),
        Just(IdEcho::Unread),
        Just(IdEcho::Nothing)
    ];
    let asked = prop_oneof![
        text().prop_map(McpTarget::Tool),
        text().prop_map(McpTarget::Resource),
        text().prop_map(McpTarget::Prompt),
        Just(McpTarget::Server),
    ];
    let elicitation = (text(), text()).prop_map(|(url, message)| Elicitation { url, message });
    let mcp = (
        proptest::sample::select(FORMS.to_vec()),
        proptest::option::of(proptest::sample::select(ProtocolVersion::ALL.to_vec())),
        id.clone(),
        asked,
        (proptest::option::of(text()), proptest::option::of(elicitation), proptest::option::of(text())),
    );
    let mcp = mcp.prop_map(|(form, version, id, asked, (requested, elicitation, note))| {
        DenialFormat::Mcp(McpFormat { form, version, id, asked, requested, elicitation, note })
    });
    let version = prop_oneof![Just(None), Just(Some(Version::V03)), Just(Some(Version::V10))];
    let awaits = prop_oneof![Just(ResponseMode::Task), Just(ResponseMode::TaskStream), Just(ResponseMode::Other)];
    let a2a = (version, id, awaits, proptest::option::of(text()), proptest::option::of(text()));
    let a2a = a2a.prop_map(|(version, id, awaits, context_id, task_id)| {
        DenialFormat::A2a(A2aFormat { version, id, awaits, requested: task_id.clone(), context_id, task_id })
    });
    prop_oneof![Just(DenialFormat::Plain), mcp, a2a, Just(DenialFormat::Openai), Just(DenialFormat::Anthropic)]
}

proptest! {
    #[test]
    fn no_form_ever_makes_a_refusal_go_on(
        result in prop_oneof![any_effect().prop_map(Ok), proptest::sample::select(Code::ALL.to_vec()).prop_map(Err)],
        reply in any_reply(),
        document in any::<bool>(),
        grpc in any::<bool>(),
    ) {
        // An allow without its call is a refusal too.
        let document = document.then(|| Document { json: "{}".to_owned() });
        let caller = if grpc { Caller::Grpc } else { Caller::Http };
        let answer = answer(Judgement { reply, document, ..judgement(result) }, None, caller);
        prop_assert!(answer.response().unwrap().status.unwrap().code != OK);
        let Some(HttpResponse::DeniedResponse(denied)) = answer.response().unwrap().http_response else {
            return Err(TestCaseError::fail("not a denied response"));
        };
        let status = denied.status.unwrap().code;
        prop_assert!(status == 200 && !grpc || (400..600).contains(&status), "{status}");
        prop_assert!(!denied.body.contains("secret"));
        let header = |name: &str| denied.headers.iter().filter_map(|o| o.header.as_ref()).find(|h| h.key == name);
        let media = header("content-type").map_or("", |header| header.value.as_str());
        prop_assert!(grpc || media.is_empty() == denied.body.is_empty());
        if media.ends_with("json") {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&denied.body).is_ok(), "{}", denied.body);
        }
        for option in &denied.headers {
            let value = &option.header.as_ref().unwrap().value;
            prop_assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{value:?}");
        }
    }
}
