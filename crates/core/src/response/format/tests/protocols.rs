//! Streams of MCP servers and of A2A agents.

use expect_test::{Expect, expect};

use super::{a2a, data, mcp, stream};
use crate::response::format::lists::ListKind;

fn check(actual: &str, expected: &Expect) {
    expected.assert_eq(actual);
}

#[test]
fn pr9_notifications_and_the_answer_leave_in_order_and_masked() {
    let sent = concat!(
        "id: 1\ndata: \n\n",
        "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":\"for bob@corp.example\"}}\n\n",
        ": still here\n\n",
        "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"4111 1111\"},",
        "{\"type\":\"text\",\"text\":\" 1111 1111\"},{\"type\":\"text\",\"text\":\"{\\\"to\\\":\\\"b\\\\u006fb@corp.example\\\"}\"}],\"isError\":false}}\n\n",
    );
    check(
        &stream(|| mcp(&[("7", None)]), sent),
        &expect![[r#"
        id: 1
        data: 

        event: message
        data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"for [email]"}}

        : still here

        event: message
        data: {"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"[card]"},{"type":"text","text":""},{"type":"text","text":"{\"to\":\"[email]\"}"}],"isError":false}}

        == complete, {"card": 1, "email": 2}"#]],
    );
}

#[test]
fn pr8_a_list_loses_what_may_never_be_called_on_a_stream_too() {
    let sent = data(&[
        r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"secret.read","description":"of amy@corp.example"},{"name":"b","description":"of bob@corp.example"}],"nextCursor":"c2","cacheScope":"public"}}"#,
    ]);
    check(
        &stream(|| mcp(&[("7", Some(ListKind::Tools))]), &sent),
        &expect![[r#"
        data: {"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"b","description":"of [email]"}],"nextCursor":"c2","cacheScope":"private"}}

        == complete, {"email": 1}"#]],
    );
}

#[test]
fn pr7_a_stream_without_an_answer_has_an_error_with_the_requests_id() {
    let sent = data(&[r#"{"jsonrpc":"2.0","id":9,"result":{"content":[{"type":"text","text":"of another"}]}}"#]);
    check(
        &stream(|| mcp(&[("\"a b\"", None)]), &sent),
        &expect![[r#"
        event: message
        data: {"jsonrpc":"2.0","id":"a b","error":{"code":-32603,"message":"The response is not complete (cut, decision 7f3c).","data":{"reason":"cut","decision_id":"7f3c"}}}

    "#]],
    );
    let sent = data(&[r#"{"jsonrpc":"2.0","id":7,"result":{"key":"AKIAQ3EGRIYX5T2VWJHB"}}"#]);
    check(
        &stream(|| mcp(&[("7", None)]), &sent),
        &expect![[r#"
        event: message
        data: {"jsonrpc":"2.0","id":7,"error":{"code":403,"message":"The response was withheld by policy (refused, decision 7f3c).","data":{"reason":"refused","decision_id":"7f3c"}}}

        == refused, {"aws_key": 1}"#]],
    );
}

#[test]
fn pr6_media_and_text_in_base64() {
    let sent = data(&[
        r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"resource","resource":{"uri":"file:///a","mimeType":"text/plain","blob":"dG8gYm9iQGNvcnAuZXhhbXBsZQ=="}}]}}"#,
    ]);
    check(
        &stream(|| mcp(&[("7", None)]), &sent),
        &expect![[r#"
        data: {"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"resource","resource":{"uri":"file:///a","mimeType":"text/plain","blob":"dG8gW2VtYWlsXQ=="}}]}}

        == complete, {"email": 1}"#]],
    );
}

#[test]
fn a_value_over_two_pieces_of_an_artifact_is_masked() {
    let sent = data(&[
        r#"{"jsonrpc":"2.0","id":"r1","result":{"kind":"artifact-update","taskId":"t1","artifact":{"artifactId":"a1","parts":[{"kind":"text","text":"to bob@co"}]},"append":false}}"#,
        r#"{"jsonrpc":"2.0","id":"r1","result":{"kind":"artifact-update","taskId":"t1","artifact":{"artifactId":"a1","parts":[{"kind":"text","text":"rp.example"}]},"append":true,"lastChunk":true}}"#,
        r#"{"jsonrpc":"2.0","id":"r1","result":{"kind":"status-update","taskId":"t1","status":{"state":"working","message":{"role":"agent","messageId":"m1","parts":[{"kind":"text","text":"first amy@corp.example"}]}}}}"#,
        r#"{"jsonrpc":"2.0","id":"r1","result":{"kind":"status-update","taskId":"t1","status":{"state":"completed","message":{"role":"agent","messageId":"m2","parts":[{"kind":"text","text":"then amy@corp.example"}]}},"final":true}}"#,
    ]);
    check(
        &stream(a2a, &sent),
        &expect![[r#"
        data: {"jsonrpc":"2.0","id":"r1","result":{"kind":"artifact-update","taskId":"t1","artifact":{"artifactId":"a1","parts":[{"kind":"text","text":"to [email]"}]},"append":false}}

        data: {"jsonrpc":"2.0","id":"r1","result":{"kind":"artifact-update","taskId":"t1","artifact":{"artifactId":"a1","parts":[{"kind":"text","text":""}]},"append":true,"lastChunk":true}}

        data: {"jsonrpc":"2.0","id":"r1","result":{"kind":"status-update","taskId":"t1","status":{"state":"working","message":{"role":"agent","messageId":"m1","parts":[{"kind":"text","text":"first [email]"}]}}}}

        data: {"jsonrpc":"2.0","id":"r1","result":{"kind":"status-update","taskId":"t1","status":{"state":"completed","message":{"role":"agent","messageId":"m2","parts":[{"kind":"text","text":"then [email]"}]}},"final":true}}

        == complete, {"email": 3}"#]],
    );
}
