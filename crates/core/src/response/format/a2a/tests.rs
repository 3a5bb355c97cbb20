//! Answers of agents in both versions, as they send them.

use expect_test::{Expect, expect};

use super::*;
use crate::response::format::fixtures::{events, whole};

fn rpc() -> A2a {
    A2a::new(Words::new("7f3c"), Carrier::JsonRpc("\"r1\"".to_owned()))
}

fn rest() -> A2a {
    A2a::new(Words::new("7f3c"), Carrier::Rest)
}

fn check(actual: &str, expected: &Expect) {
    expected.assert_eq(actual);
}

fn bytes(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn an_artifact_of_version_0_3_is_a_channel_until_its_last_piece() {
    let shown = events(
        &mut rpc(),
        &[
            r#"{"jsonrpc":"2.0","id":"r1","result":{"kind":"task","id":"t1","contextId":"c1","status":{"state":"submitted","timestamp":"2026-11-30T10:00:00Z"},"history":[{"kind":"message","role":"user","messageId":"m1","parts":[{"kind":"text","text":"Hi"}]}]}}"#,
            r#"{"jsonrpc":"2.0","id":"r1","result":{"kind":"artifact-update","taskId":"t1","contextId":"c1","artifact":{"artifactId":"a1","name":"of bob","parts":[{"kind":"text","text":"4111 "}]},"append":false,"lastChunk":false}}"#,
            r#"{"jsonrpc":"2.0","id":"r1","result":{"kind":"artifact-update","taskId":"t1","contextId":"c1","artifact":{"artifactId":"a1","parts":[{"kind":"text","text":"1111"},{"kind":"text","text":" 1111"}]},"append":true,"lastChunk":true}}"#,
            r#"{"jsonrpc":"2.0","id":"r1","result":{"kind":"artifact-update","taskId":"t1","contextId":"c1","artifact":{"artifactId":"a1","parts":[{"kind":"text","text":"again"}]}}}"#,
            r#"{"jsonrpc":"2.0","id":"r1","result":{"kind":"status-update","taskId":"t1","contextId":"c1","status":{"state":"completed","message":{"kind":"message","role":"agent","messageId":"m2","parts":[{"kind":"text","text":"Done bob"}]}},"final":true}}"#,
        ],
    );
    check(
        &shown,
        &expect![[r#"
            -- /result/history/0/parts/0/text "Hi": text of text:1
               ends text:1
               roots /result
            -- /result/artifact/name "of bob": complete
               /result/artifact/parts/0/text "4111 ": text of artifact:t1/a1#1
               ends artifact:t1/a1#0
               roots /result
            -- /result/artifact/parts/0/text "1111": text of artifact:t1/a1#1
               /result/artifact/parts/1/text " 1111": text of artifact:t1/a1#1
               ends artifact:t1/a1#1
               roots /result
            -- /result/artifact/parts/0/text "again": text of artifact:t1/a1#3
               ends artifact:t1/a1#2
               roots /result
            -- /result/status/message/parts/0/text "Done bob": text of text:2
               ends text:2
               roots /result
        "#]],
    );
}

#[test]
fn a_stream_of_version_1_0_has_the_same_channels_over_rest() {
    let shown = events(
        &mut rest(),
        &[
            r#"{"artifactUpdate":{"taskId":"t1","contextId":"c1","artifact":{"artifactId":"a1","parts":[{"text":"4111 "}]}}}"#,
            r#"{"artifactUpdate":{"taskId":"t1","contextId":"c1","artifact":{"artifactId":"a1","parts":[{"text":"1111"}]},"append":true,"lastChunk":true}}"#,
            r#"{"statusUpdate":{"taskId":"t1","contextId":"c1","status":{"state":"TASK_STATE_WORKING","message":{"role":"ROLE_AGENT","messageId":"m1","parts":[{"text":"at bob"}]}}}}"#,
        ],
    );
    check(
        &shown,
        &expect![[r#"
            -- /artifactUpdate/artifact/parts/0/text "4111 ": text of artifact:t1/a1#1
               ends artifact:t1/a1#0
            -- /artifactUpdate/artifact/parts/0/text "1111": text of artifact:t1/a1#1
               ends artifact:t1/a1#1
            -- /statusUpdate/status/message/parts/0/text "at bob": text of text:1
               ends text:1
        "#]],
    );
}

#[test]
fn files_are_decoded_or_media_and_data_is_read() {
    let shown = whole(
        &mut rpc(),
        r#"{"jsonrpc":"2.0","id":"r1","result":{"kind":"message","role":"agent","messageId":"m1","parts":[{"kind":"file","file":{"name":"a b","mimeType":"text/csv","bytes":"Ym9i"}},{"kind":"file","file":{"mimeType":"image/png","bytes":"iVBORw0KGgo="}},{"kind":"data","data":{"who":"bob smith"}}]}}"#,
    );
    check(
        &shown,
        &expect![[r#"
            /result/parts/0/file/name "a b": complete
            /result/parts/0/file/bytes "Ym9i": base64 from 0
            /result/parts/1/file/bytes "iVBORw0KGgo=": media image/png
            /result/parts/2/data/who "bob smith": complete
            ends text:1
            roots /result
        "#]],
    );
    let shown = whole(
        &mut rest(),
        r#"{"message":{"role":"ROLE_AGENT","messageId":"m1","parts":[{"raw":"Ym9i","mediaType":"text/plain","filename":"a b"},{"url":"https://a.example/x","mediaType":"image/png"}]}}"#,
    );
    check(
        &shown,
        &expect![[r#"
            /message/parts/0/raw "Ym9i": base64 from 0
            /message/parts/0/filename "a b": complete
            /message/parts/1/url "https://a.example/x": complete
            ends text:1
        "#]],
    );
}

#[test]
fn errors_are_read_with_their_data() {
    let shown = whole(
        &mut rpc(),
        r#"{"jsonrpc":"2.0","id":"r1","error":{"code":-32001,"message":"no bob","data":[{"a":"b c"}]}}"#,
    );
    check(
        &shown,
        &expect![[r#"
        /error/message "no bob": complete
        /error/data/0/a "b c": complete
    "#]],
    );
}

#[test]
fn pr1_a_refusal_is_an_error_of_the_request() {
    check(
        &bytes(rpc().ending(End::Refused)),
        &expect![[r#"
        data: {"jsonrpc":"2.0","id":"r1","error":{"code":403,"message":"The response was withheld by policy (refused, decision 7f3c).","data":{"reason":"refused","decision_id":"7f3c"}}}

    "#]],
    );
    check(
        &bytes(rpc().refusal(End::Cut)),
        &expect![[
            r#"{"jsonrpc":"2.0","id":"r1","error":{"code":-32603,"message":"The response is not complete (cut, decision 7f3c).","data":{"reason":"cut","decision_id":"7f3c"}}}"#
        ]],
    );
    check(
        &bytes(rest().ending(End::Refused)),
        &expect![[r#"
        data: {"error":{"code":403,"status":"PERMISSION_DENIED","message":"The response was withheld by policy (refused, decision 7f3c).","details":[{"reason":"refused","decision_id":"7f3c"}]}}

    "#]],
    );
    check(
        &bytes(rest().refusal(End::Cut)),
        &expect![[
            r#"{"error":{"code":500,"status":"INTERNAL","message":"The response is not complete (cut, decision 7f3c).","details":[{"reason":"cut","decision_id":"7f3c"}]}}"#
        ]],
    );
}

#[test]
fn a_hostile_stream_of_artifacts_takes_bounded_memory() {
    let mut format = rest();
    for number in 0..2 * RECORDS_MAX {
        let text = format!(r#"{{"artifactUpdate":{{"artifact":{{"artifactId":"{number}","parts":[]}}}}}}"#);
        events(&mut format, &[&text]);
    }
    assert_eq!(format.artifacts.len(), RECORDS_MAX + 1);
}
