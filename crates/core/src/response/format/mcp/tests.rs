//! Messages of MCP in each version, as servers send them.

use expect_test::{Expect, expect};

use super::*;
use crate::response::format::fixtures::{document, event, left, spliced, whole};
use crate::response::format::lists::Choice;

fn mcp(version: ProtocolVersion, calls: &[(&str, Option<ListKind>)]) -> Mcp {
    let calls = calls.iter().map(|(id, list)| ((*id).to_owned(), *list)).collect();
    let keep = Box::new(|_: ListKind, name: &str| if name.contains("secret") { Choice::Drop } else { Choice::Keep });
    Mcp::new(Words::new("7f3c"), Some(version), Awaited::Calls(calls), keep)
}

fn newest(calls: &[(&str, Option<ListKind>)]) -> Mcp {
    mcp(ProtocolVersion::July2026, calls)
}

fn check(actual: &str, expected: &Expect) {
    expected.assert_eq(actual);
}

fn bytes(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn pr6_every_part_of_a_tools_result_is_read() {
    let shown = whole(
        &mut newest(&[("7", None)]),
        r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","content":[{"type":"text","text":"4111 1111"},{"type":"text","text":" 1111 1111"},{"type":"text","text":"{\"salary\":\"9\"}"},{"type":"image","data":"iVBORw0KGgo=","mimeType":"image/png"},{"type":"audio","data":"not base64!","mimeType":"audio/wav"},{"type":"resource","resource":{"uri":"file:///a b","mimeType":"text/plain","text":"to bob"}},{"type":"resource","resource":{"uri":"file:///b","mimeType":"application/json","blob":"eyJhIjoxfQ=="}},{"type":"resource","resource":{"uri":"file:///c","mimeType":"application/pdf","blob":"JVBERi0="}},{"type":"resource_link","uri":"file:///d","name":"d","description":"of bob"}],"structuredContent":{"salary":"9 k","photo":"data:image/png;base64,iVBORw0KGgo=","note":"data:text/plain;base64,Ym9i"},"isError":false}}"#,
    );
    check(
        &shown,
        &expect![[r#"
            /result/content/0/text "4111 1111": text of message:1/content/text:0
            /result/content/1/text " 1111 1111": text of message:1/content/text:0
            /result/content/2/text "{\"salary\":\"9\"}": arguments
            /result/content/3/data "iVBORw0KGgo=": media image/png
            /result/content/4/data "not base64!": complete
            /result/content/5/resource/uri "file:///a b": complete
            /result/content/5/resource/text "to bob": complete
            /result/content/6/resource/uri "file:///b": complete
            /result/content/6/resource/blob "eyJhIjoxfQ==": base64 from 0
            /result/content/7/resource/uri "file:///c": complete
            /result/content/7/resource/blob "JVBERi0=": media application/pdf
            /result/content/8/uri "file:///d": complete
            /result/content/8/name "d": complete
            /result/content/8/description "of bob": complete
            /result/structuredContent/salary "9 k": complete
            /result/structuredContent/photo "data:image/png;base64,iVBORw0KGgo=": media image/png
            /result/structuredContent/note "data:text/plain;base64,Ym9i": base64 from 23
            ends message:1/content/text:0
            roots /result/structuredContent
        "#]],
    );
}

#[test]
fn pr6_errors_are_read_with_their_data() {
    let shown = whole(
        &mut newest(&[("7", None)]),
        r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"no bob","data":{"who":"bob smith"}}}"#,
    );
    check(
        &shown,
        &expect![[r#"
        /error/message "no bob": complete
        /error/data/who "bob smith": complete
        roots /error/data
    "#]],
    );
}

#[test]
fn resources_and_prompts_are_read() {
    let shown = whole(
        &mut newest(&[("1", None)]),
        r#"{"jsonrpc":"2.0","id":1,"result":{"contents":[{"uri":"file:///a","mimeType":"text/markdown","text":"to bob"},{"uri":"file:///b","blob":"AAEC"},{"uri":"file:///c","mimeType":"text/csv","blob":"Ym9i"}]}}"#,
    );
    check(
        &shown,
        &expect![[r#"
        /result/contents/0/uri "file:///a": complete
        /result/contents/0/text "to bob": complete
        /result/contents/1/uri "file:///b": complete
        /result/contents/1/blob "AAEC": media application/octet-stream
        /result/contents/2/uri "file:///c": complete
        /result/contents/2/blob "Ym9i": base64 from 0
        roots /result
    "#]],
    );
    let shown = whole(
        &mut newest(&[("\"p\"", None)]),
        r#"{"jsonrpc":"2.0","id":"p","result":{"description":"of bob","messages":[{"role":"user","content":{"type":"text","text":"Hi bob"}},{"role":"assistant","content":[{"type":"text","text":"a "},{"type":"text","text":"b"}]}]}}"#,
    );
    check(
        &shown,
        &expect![[r#"
            /result/description "of bob": complete
            /result/messages/0/content/text "Hi bob": text of message:1/0/text:0
            /result/messages/1/content/0/text "a ": text of message:1/1/text:0
            /result/messages/1/content/1/text "b": text of message:1/1/text:0
            ends message:1/0/text:0, message:1/1/text:0
            roots /result
        "#]],
    );
}

#[test]
fn pr9_notifications_and_requests_of_the_server_are_read_on_the_same_stream() {
    let mut format = mcp(ProtocolVersion::November2025, &[("7", None)]);
    let shown = event(
        &mut format,
        r#"message|{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t1","progress":1,"message":"at bob"}}"#,
    );
    check(
        &shown,
        &expect![[r#"
        /params/message "at bob": complete
        roots /params
    "#]],
    );
    let shown = event(
        &mut format,
        r#"message|{"jsonrpc":"2.0","id":"s1","method":"sampling/createMessage","params":{"messages":[{"role":"user","content":{"type":"image","data":"iVBORw0KGgo=","mimeType":"image/png"}}],"systemPrompt":"Be bob","maxTokens":9}}"#,
    );
    check(
        &shown,
        &expect![[r#"
            /params/messages/0/content/data "iVBORw0KGgo=": media image/png
            /params/systemPrompt "Be bob": complete
            roots /params
        "#]],
    );
}

#[test]
fn a_batch_of_the_first_version_is_read_message_by_message() {
    let text = r#"[{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"secret"},{"name":"b"}]}},{"jsonrpc":"2.0","id":9,"result":{"content":[{"type":"text","text":"of another"}]}},{"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"to bob"}]}}]"#;
    let mut format = mcp(ProtocolVersion::March2025, &[("1", Some(ListKind::Tools)), ("2", None)]);
    check(
        &whole(&mut format, text),
        &expect![[r#"
            /0/result/tools/1/name "b": complete
            /2/result/content/0/text "to bob": text of message:2/content/text:0
            removes /0/result/tools/0
            removes /1
            ends message:2/content/text:0
            roots /0/result, /2/result
        "#]],
    );
}

#[test]
fn messages_of_one_stream_have_texts_of_their_own() {
    let mut format = newest(&[("1", None), ("2", None)]);
    let scope = |id: u8, format: &mut Mcp| {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"a b"}}]}}}}"#);
        event(format, &text).lines().find(|line| line.starts_with("ends")).unwrap().to_owned()
    };
    assert_ne!(scope(1, &mut format), scope(2, &mut format));
}

#[test]
fn an_answer_that_was_not_awaited_is_withheld() {
    for text in [
        r#"{"jsonrpc":"2.0","id":8,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":"7","result":{}}"#,
        r#"{"result":{}}"#,
        r#"{"id":7,"Result":{}}"#,
        r#"{"id":7,"ID":8,"result":{}}"#,
        // A client may read an answer, another one a request.
        r#"{"jsonrpc":"2.0","id":7,"method":null,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"ping","error":{}}"#,
        // Only an error may lack its id.
        r#"{"jsonrpc":"2.0","id":null,"result":{}}"#,
        "7",
    ] {
        let shown = event(&mut newest(&[("7", None)]), text);
        assert!(shown.contains("withheld"), "{text}: {shown}");
    }
    for text in [
        r#"{"jsonrpc":"2.0","id":7,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x y"}}"#,
        r#"{"jsonrpc":"2.0","id":8,"method":"ping"}"#,
    ] {
        let shown = event(&mut newest(&[("7", None)]), text);
        assert!(!shown.contains("withheld"), "{text}: {shown}");
    }
    let mut any = Mcp::new(Words::new("7f3c"), None, Awaited::Any, Box::new(|_, _| Choice::Keep));
    let shown = event(&mut any, r#"{"jsonrpc":"2.0","id":8,"result":{}}"#);
    assert!(!shown.contains("withheld"), "{shown}");
}

#[test]
fn lists_are_filtered_by_the_request_that_they_answer() {
    let text = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"secret","description":"of bob"},{"name":"b"}]}}"#;
    let leaves = |list| {
        let json = document(text);
        let reading = newest(&[("1", list)]).event(Message { event: "message", json: json.node() });
        spliced(text, json.node(), &reading.edits)
    };
    check(&leaves(Some(ListKind::Tools)), &expect![[r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"b"}]}}"#]]);
    assert_eq!(leaves(Some(ListKind::Prompts)), text);
    assert_eq!(leaves(None), text);
}

#[test]
fn an_answer_to_an_unknown_request_is_filtered_by_what_it_looks_like() {
    let leaves = |awaited, text: &str| {
        let keep = Box::new(|_: ListKind, name: &str| if name == "a" { Choice::Drop } else { Choice::Keep });
        let json = document(text);
        let reading = Mcp::new(Words::new("7f3c"), None, awaited, keep).event(Message { event: "", json: json.node() });
        (spliced(text, json.node(), &reading.edits), reading.lists)
    };
    let text = r#"{"jsonrpc":"2.0","id":41,"result":{"prompts":[{"name":"a"},{"name":"b"}]}}"#;
    assert_eq!(leaves(Awaited::Any, text).0, text);
    let (left, lists) = leaves(Awaited::AnyFiltered, text);
    assert_eq!(left, r#"{"jsonrpc":"2.0","id":41,"result":{"prompts":[{"name":"b"}]}}"#);
    assert_eq!((lists.entries, lists.dropped, lists.refused), (2, 1, 0));
    let both = r#"{"jsonrpc":"2.0","id":41,"result":{"prompts":[{"name":"b"}],"tools":[]}}"#;
    let (left, lists) = leaves(Awaited::AnyFiltered, both);
    assert!(left.contains("error") && !left.contains("prompts"), "{left}");
    assert_eq!(lists.refused, 1);
    let other = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"tools":[{"name":"a"}]}}"#;
    assert_eq!(leaves(Awaited::AnyFiltered, other).0, other);
}

#[test]
fn every_answer_to_one_list_is_filtered() {
    let text = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"secret"},{"name":"b"}]}}"#;
    let mut format = newest(&[("1", Some(ListKind::Tools))]);
    for _ in 0..2 {
        let json = document(text);
        let message = Message { event: "message", json: json.node() };
        let reading = format.event(message);
        let left = spliced(text, json.node(), &reading.edits);
        assert!(!left.contains("secret") && left.contains("\"b\""), "{left}");
        format.left(message);
    }
}

#[test]
fn a_list_without_one_reading_is_answered_by_an_error() {
    let text = r#"{"jsonrpc":"2.0","id":1,"result":{"TOOLS":[{"name":"secret"}]}}"#;
    let json = document(text);
    let reading = newest(&[("1", Some(ListKind::Tools))]).event(Message { event: "message", json: json.node() });
    check(
        &spliced(text, json.node(), &reading.edits),
        &expect![[
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":403,"message":"The response was withheld by policy (refused, decision 7f3c).","data":{"reason":"refused","decision_id":"7f3c"}}}"#
        ]],
    );
}

#[test]
fn pr7_every_request_without_an_answer_gets_an_error() {
    let mut format = newest(&[("7", None), ("\"a\\\"b\"", None), ("9007199254740993", None)]);
    left(&mut format, r#"{"jsonrpc":"2.0","id":7,"result":{}}"#);
    left(&mut format, r#"{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}"#);
    assert_eq!(
        bytes(format.closing()).matches("-32603").count(),
        2,
        "a stream that ends without answers has errors too"
    );
    check(
        &bytes(format.ending(End::Refused)),
        &expect![[r#"
        event: message
        data: {"jsonrpc":"2.0","id":"a\"b","error":{"code":403,"message":"The response was withheld by policy (refused, decision 7f3c).","data":{"reason":"refused","decision_id":"7f3c"}}}

        event: message
        data: {"jsonrpc":"2.0","id":9007199254740993,"error":{"code":403,"message":"The response was withheld by policy (refused, decision 7f3c).","data":{"reason":"refused","decision_id":"7f3c"}}}

    "#]],
    );
}

#[test]
fn pr7_the_code_of_a_denial_follows_the_version() {
    let mut format = mcp(ProtocolVersion::March2025, &[("1", None), ("2", None)]);
    check(
        &bytes(format.refusal(End::Refused)),
        &expect![[
            r#"[{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"The response was withheld by policy (refused, decision 7f3c).","data":{"reason":"refused","decision_id":"7f3c"}}},{"jsonrpc":"2.0","id":2,"error":{"code":-32001,"message":"The response was withheld by policy (refused, decision 7f3c).","data":{"reason":"refused","decision_id":"7f3c"}}}]"#
        ]],
    );
    let mut format = mcp(ProtocolVersion::June2025, &[("1", None)]);
    check(
        &bytes(format.refusal(End::Cut)),
        &expect![[
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"The response is not complete (cut, decision 7f3c).","data":{"reason":"cut","decision_id":"7f3c"}}}"#
        ]],
    );
    check(
        &bytes(newest(&[]).refusal(End::Refused)),
        &expect![[
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":403,"message":"The response was withheld by policy (refused, decision 7f3c).","data":{"reason":"refused","decision_id":"7f3c"}}}"#
        ]],
    );
    assert_eq!(newest(&[]).ending(End::Refused), b"");
}

#[test]
fn a_hostile_stream_of_answers_takes_bounded_memory() {
    let mut format = newest(&[("7", None)]);
    for number in 0..100 {
        left(&mut format, &format!(r#"{{"jsonrpc":"2.0","id":{number},"result":{{}}}}"#));
    }
    assert_eq!(format.answered.len(), 1);
}
