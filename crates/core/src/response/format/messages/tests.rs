//! Events and documents of Messages, as the API sends them.

use expect_test::{Expect, expect};

use super::*;
use crate::response::format::fixtures::{event, events, whole};

fn messages(signed: SignedBlocks) -> Messages {
    Messages::new(Words::new("7f3c"), signed)
}

fn check(actual: &str, expected: &Expect) {
    expected.assert_eq(actual);
}

fn bytes(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":2,"cache_read_input_tokens":3,"output_tokens":1}}}"#;

#[test]
fn a_stream_of_text_and_a_call_has_a_channel_for_each() {
    let shown = events(
        &mut messages(SignedBlocks::Withheld),
        &[
            START,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"ping"}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"look","input":{}}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"q\":"}}"#,
            r#"{"type":"content_block_stop","index":1}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":15}}"#,
            r#"{"type":"message_stop"}"#,
        ],
    );
    check(
        &shown,
        &expect![[r#"
        -- usage 30 + 1
        -- /content_block/text "": text of text:0
        -- 
        -- /delta/text "Hello": text of text:0
        -- 
        -- /content_block/name "look": held name of block:1
           ends text:0
        -- /delta/partial_json "{\"q\":": held input of block:1
        -- ends block:1
        -- ends all
           usage 30 + 15
        -- ends all
    "#]],
    );
}

#[test]
fn tx16_text_blocks_that_citations_split_are_one_text() {
    let shown = events(
        &mut messages(SignedBlocks::Withheld),
        &[
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"4111 1111"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":"","citations":[]}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"citations_delta","citation":{"type":"web_search_result_location","cited_text":"to bob","url":"https://a.example/","title":"A b","encrypted_index":"Eo8B"}}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":" 1111 1111"}}"#,
            r#"{"type":"content_block_stop","index":1}"#,
        ],
    );
    check(
        &shown,
        &expect![[r#"
        -- /content_block/text "": text of text:0
        -- /delta/text "4111 1111": text of text:0
        -- 
        -- /content_block/text "": text of text:0
        -- /delta/citation/cited_text "to bob": complete
           /delta/citation/url "https://a.example/": complete
           /delta/citation/title "A b": complete
        -- /delta/text " 1111 1111": text of text:0
        -- 
    "#]],
    );
}

const THINKING_STREAM: &[&str] = &[
    START,
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Let me see"}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQBCgIYAhIM"}}"#,
    r#"{"type":"content_block_stop","index":0}"#,
    r#"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"EmwKAhgB"}}"#,
    r#"{"type":"content_block_stop","index":1}"#,
    r#"{"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}"#,
    r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"Hi"}}"#,
    r#"{"type":"content_block_stop","index":2}"#,
];

#[test]
fn tx5_a_signed_block_is_withheld_with_its_signature_and_the_rest_is_renumbered() {
    check(
        &events(&mut messages(SignedBlocks::Withheld), THINKING_STREAM),
        &expect![[r#"
        -- usage 30 + 1
        -- /content_block/thinking "": path of event
           withheld
        -- /delta/type "thinking_delta": path of event
           /delta/thinking "Let me see": path of event
           withheld
        -- /delta/type "signature_delta": path of event
           /delta/signature "EqQBCgIYAhIM": path of event
           withheld
        -- withheld
        -- replaces /index by 0
           ends text:0
        -- replaces /index by 0
           ends block:1
        -- /content_block/text "": text of text:1
           replaces /index by 1
        -- /delta/text "Hi": text of text:1
           replaces /index by 1
        -- replaces /index by 1
    "#]],
    );
}

#[test]
fn tx5_a_signed_block_that_passes_is_not_read_and_not_changed() {
    check(
        &events(&mut messages(SignedBlocks::Passed), &THINKING_STREAM[..4]),
        &expect![[r#"
        -- usage 30 + 1
        -- /content_block/thinking "": media thinking
           ends text:0
        -- /delta/thinking "Let me see": media thinking
        -- 
    "#]],
    );
}

#[test]
fn tx10_deltas_and_events_that_are_not_known_have_channels() {
    let shown = events(
        &mut messages(SignedBlocks::Withheld),
        &[
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"novel","words":"a b"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"novel_delta","more":["c d"]}}"#,
            r#"{"type":"novel_event","note":"e f"}"#,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Over loaded"}}"#,
        ],
    );
    check(
        &shown,
        &expect![[r#"
        -- /content_block/words "a b": complete
           ends text:0
        -- /delta/more/0 "c d": delta/more/0 of block:0
        -- /note "e f": path of event
        -- /error/type "overloaded_error": complete
           /error/message "Over loaded": complete
           ends all
    "#]],
    );
}

const DOCUMENT: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"type":"thinking","thinking":"Let me","signature":"EqQB"},{"type":"redacted_thinking","data":"EmwK"},{"type":"text","text":"4111 1111","citations":[{"type":"char_location","cited_text":"bob is","document_index":0,"start_char_index":0,"end_char_index":6}]},{"type":"text","text":" 1111 1111"},{"type":"tool_use","id":"toolu_1","name":"look","input":{"q":"a b"}},{"type":"web_search_tool_result","tool_use_id":"srv_1","content":[{"type":"web_search_result","url":"https://a.example/","title":"A b","encrypted_content":"EqgfCio=","page_age":"2 days"}]}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":25,"cache_read_input_tokens":5,"output_tokens":15}}"#;

#[test]
fn a_document_loses_its_signed_blocks_and_has_complete_texts() {
    check(
        &whole(&mut messages(SignedBlocks::Withheld), DOCUMENT),
        &expect![[r#"
        /content/2/text "4111 1111": text of text:1
        /content/2/citations/0/cited_text "bob is": complete
        /content/3/text " 1111 1111": text of text:1
        /content/4/name "look": complete
        /content/4/input/q "a b": complete
        /content/5/content/0/url "https://a.example/": complete
        /content/5/content/0/title "A b": complete
        /content/5/content/0/page_age "2 days": complete
        removes /content/0
        usage 30 + 15
    "#]],
    );
}

#[test]
fn a_document_with_signed_blocks_that_pass_has_them_as_media() {
    let shown = whole(&mut messages(SignedBlocks::Passed), DOCUMENT);
    let expected = "/content/0/thinking \"Let me\": media thinking";
    assert!(shown.starts_with(expected) && !shown.contains("removes"), "{shown}");
}

#[test]
fn pr1_a_refusal_closes_the_open_block_and_stops_the_message() {
    let mut format = messages(SignedBlocks::Withheld);
    events(&mut format, &THINKING_STREAM[..9]);
    check(
        &bytes(format.ending(End::Refused)),
        &expect![[r#"
        event: content_block_stop
        data: {"type":"content_block_stop","index":1}

        event: message_delta
        data: {"type":"message_delta","delta":{"stop_reason":"refusal","stop_sequence":null},"usage":{"output_tokens":1}}

        event: message_stop
        data: {"type":"message_stop"}

    "#]],
    );
}

#[test]
fn pr1_a_refusal_before_the_first_event_is_a_complete_message() {
    let mut format = messages(SignedBlocks::Withheld);
    check(
        &bytes(format.ending(End::Refused)),
        &expect![[r#"
        event: message_start
        data: {"type":"message_start","message":{"id":"msg-7f3c","type":"message","role":"assistant","model":"","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}}

        event: message_delta
        data: {"type":"message_delta","delta":{"stop_reason":"refusal","stop_sequence":null},"usage":{"output_tokens":0}}

        event: message_stop
        data: {"type":"message_stop"}

    "#]],
    );
    check(
        &bytes(format.refusal(End::Refused)),
        &expect![[
            r#"{"type":"error","error":{"type":"permission_error","message":"The response was withheld by policy (refused, decision 7f3c).","decision_id":"7f3c"}}"#
        ]],
    );
}

#[test]
fn pr1_a_stream_that_the_upstream_truncated_ends_as_an_error() {
    let mut format = messages(SignedBlocks::Withheld);
    check(
        &bytes(format.ending(End::Cut)),
        &expect![[r#"
        event: error
        data: {"type":"error","error":{"type":"api_error","message":"The response is not complete (cut, decision 7f3c).","decision_id":"7f3c"}}

    "#]],
    );
    check(
        &bytes(format.refusal(End::Cut)),
        &expect![[
            r#"{"type":"error","error":{"type":"api_error","message":"The response is not complete (cut, decision 7f3c).","decision_id":"7f3c"}}"#
        ]],
    );
}

#[test]
fn the_name_of_a_call_is_held_with_its_input() {
    let shown = event(
        &mut messages(SignedBlocks::Withheld),
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"mcp_tool_use","id":"m_1","server_name":"a b","name":"look","input":{}}}"#,
    );
    check(
        &shown,
        &expect![[r#"
        /content_block/server_name "a b": complete
        /content_block/name "look": held name of block:0
        ends text:0
    "#]],
    );
}

#[test]
fn a_hostile_stream_of_blocks_takes_bounded_memory() {
    let mut format = messages(SignedBlocks::Withheld);
    for number in 0..2 * RECORDS_MAX {
        for kind in ["text", "thinking"] {
            let start = r#"{"type":"content_block_start","index":"#;
            event(&mut format, &format!(r#"{start}{number},"content_block":{{"type":"{kind}"}}}}"#));
        }
    }
    assert_eq!((format.scopes.len(), format.withheld.len()), (RECORDS_MAX, RECORDS_MAX));
}
