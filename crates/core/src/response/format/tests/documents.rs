//! Documents of each API.

use expect_test::{Expect, expect};

use super::{a2a, chat, document, mcp, messages, responses};
use crate::response::format::lists::ListKind;

fn check(actual: &str, expected: &Expect) {
    expected.assert_eq(actual);
}

#[test]
fn documents_of_models_are_masked_in_texts_and_in_arguments() {
    let sent = r#"{"id":"c1", "choices":[{"index":0,"message":{"role":"assistant","content":"to bob@corp.example","tool_calls":[{"id":"a","type":"function","function":{"name":"mail","arguments":"{\"to\": \"b\\u006fb@corp.example\"}"}}]},"logprobs":{"content":[{"token":"bob"}]},"finish_reason":"tool_calls"}]}"#;
    check(
        &document(chat, sent),
        &expect![[
            r#"{"id":"c1", "choices":[{"index":0,"message":{"role":"assistant","content":"to [email]","tool_calls":[{"id":"a","type":"function","function":{"name":"mail","arguments":"{\"to\": \"[email]\"}"}}]},"logprobs":null,"finish_reason":"tool_calls"}]}== complete, {"email": 2}"#
        ]],
    );
    let sent = r#"{"id":"resp_1","output":[{"type":"message","content":[{"type":"output_text","text":"4111 1111"},{"type":"output_text","text":" 1111 1111"}]}]}"#;
    check(
        &document(responses, sent),
        &expect![[
            r#"{"id":"resp_1","output":[{"type":"message","content":[{"type":"output_text","text":"[card]"},{"type":"output_text","text":""}]}]}== complete, {"card": 1}"#
        ]],
    );
    let sent = r#"{"id":"msg_1","content":[{"type":"thinking","thinking":"bob@corp.example","signature":"EqQB"},{"type":"text","text":"to bob@corp.example"},{"type":"tool_use","id":"t","name":"mail","input":{"to":"bob@corp.example"}}],"stop_reason":"tool_use"}"#;
    check(
        &document(messages, sent),
        &expect![[
            r#"{"id":"msg_1","content":[{"type":"text","text":"to [email]"},{"type":"tool_use","id":"t","name":"mail","input":{"to":"[email]"}}],"stop_reason":"tool_use"}== complete, {"email": 2}"#
        ]],
    );
}

#[test]
fn pr6_a_tools_result_is_masked_in_both_of_its_copies() {
    let sent = r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"{\"mail\":\"bob@corp.example\"}"}],"structuredContent":{"mail":"bob@corp.example"}}}"#;
    check(
        &document(|| mcp(&[("7", None)]), sent),
        &expect![[
            r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"{\"mail\":\"[email]\"}"}],"structuredContent":{"mail":"[email]"}}}== complete, {"email": 2}"#
        ]],
    );
}

#[test]
fn a_batch_keeps_only_awaited_answers_and_lists_are_filtered() {
    let sent = r#"[{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"secret"},{"name":"b"}]}}, {"jsonrpc":"2.0","id":9,"result":{}},{"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"to bob@corp.example"}]}}]"#;
    let calls = [("1", Some(ListKind::Tools)), ("2", None)];
    check(
        &document(|| mcp(&calls), sent),
        &expect![[
            r#"[{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"b"}]}},{"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"to [email]"}]}}]== complete, {"email": 1}"#
        ]],
    );
}

#[test]
fn a_task_is_masked() {
    let sent = r#"{"jsonrpc":"2.0","id":"r1","result":{"kind":"task","id":"t1","artifacts":[{"artifactId":"a1","parts":[{"kind":"text","text":"4111 1111"},{"kind":"text","text":" 1111 1111"}]}]}}"#;
    check(
        &document(a2a, sent),
        &expect![[
            r#"{"jsonrpc":"2.0","id":"r1","result":{"kind":"task","id":"t1","artifacts":[{"artifactId":"a1","parts":[{"kind":"text","text":"[card]"},{"kind":"text","text":""}]}]}}== complete, {"card": 1}"#
        ]],
    );
}
