//! Events and documents of Responses, as the API sends them.

use expect_test::{Expect, expect};

use super::*;
use crate::response::format::fixtures::{event, events, left, whole};

fn responses() -> Responses {
    Responses::new(Words::new("7f3c"), LogProbabilities::Dropped)
}

fn check(actual: &str, expected: &Expect) {
    expected.assert_eq(actual);
}

fn bytes(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn tx7_text_that_later_events_repeat_is_masked_the_same_and_counted_once() {
    let shown = events(
        &mut responses(),
        &[
            r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","created_at":5,"status":"in_progress","model":"gpt-5","instructions":"Be kind","output":[]}}"#,
            r#"{"type":"response.in_progress","sequence_number":0,"response":{"id":"resp_1","status":"in_progress","model":"gpt-5","instructions":"Be kind","output":[]}}"#,
            r#"{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"msg_1","type":"message","status":"in_progress","role":"assistant","content":[]}}"#,
            r#"{"type":"response.content_part.added","sequence_number":2,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}}"#,
            r#"{"type":"response.output_text.delta","sequence_number":3,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"Write to","logprobs":[{"token":"Write"}],"obfuscation":"x1"}"#,
            r#"{"type":"response.output_text.done","sequence_number":4,"item_id":"msg_1","output_index":0,"content_index":0,"text":"Write to bob","logprobs":[]}"#,
            r#"{"type":"response.content_part.done","sequence_number":5,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"Write to bob","annotations":[],"logprobs":[]}}"#,
            r#"{"type":"response.output_item.done","sequence_number":6,"output_index":0,"item":{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Write to bob","annotations":[]}]}}"#,
            r#"{"type":"response.completed","sequence_number":7,"response":{"id":"resp_1","status":"completed","model":"gpt-5","output":[{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"Write to bob","annotations":[]}]}],"usage":{"input_tokens":7,"output_tokens":3,"total_tokens":10}}}"#,
        ],
    );
    check(
        &shown,
        &expect![[r#"
            -- /response/instructions "Be kind": complete
            -- /response/instructions "Be kind": complete again
            -- 
            -- /part/text "": text of item:0/output_text
            -- /delta "Write to": text of item:0/output_text
               replaces /logprobs by []
            -- /text "Write to bob": event/text of item:0/output_text.done again
            -- /part/text "Write to bob": text of item:0/part.done again
            -- /item/content/0/text "Write to bob": text of copy:1/content again
               ends copy:1/content, item:0/output_text, item:0/output_text.done, item:0/part.done, item:0/response.content_part.added, item:0/response.output_item.added
            -- /response/output/0/content/0/text "Write to bob": text of copy:2/content again
               ends all
               usage 7 + 3
        "#]],
    );
}

#[test]
fn tx8_text_that_no_delta_had_is_counted_where_it_occurs() {
    let shown = event(
        &mut responses(),
        r#"{"type":"response.incomplete","response":{"id":"resp_1","status":"incomplete","output":[{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"So bob"}],"encrypted_content":"gAAAAAB="}]}}"#,
    );
    check(
        &shown,
        &expect![[r#"
            /response/output/0/summary/0/text "So bob": text of copy:1/summary
            ends all
        "#]],
    );
}

#[test]
fn tx9_arguments_of_every_kind_of_call_are_held_until_they_are_complete() {
    let shown = events(
        &mut responses(),
        &[
            r#"{"type":"response.output_item.added","output_index":1,"item":{"id":"fc_1","type":"function_call","status":"in_progress","arguments":"","call_id":"call_1","name":"look"}}"#,
            r#"{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":1,"delta":"{\"q\""}"#,
            r#"{"type":"response.function_call_arguments.done","item_id":"fc_1","output_index":1,"name":"look","arguments":"{\"q\":1}"}"#,
            r#"{"type":"response.output_item.done","output_index":1,"item":{"id":"fc_1","type":"function_call","arguments":"{\"q\":1}","call_id":"call_1","name":"look"}}"#,
            r#"{"type":"response.mcp_call_arguments.delta","item_id":"mcp_1","output_index":2,"delta":"{"}"#,
            r#"{"type":"response.custom_tool_call_input.delta","item_id":"ct_1","output_index":3,"delta":"rm"}"#,
            r#"{"type":"response.custom_tool_call_input.done","item_id":"ct_1","output_index":3,"input":"rm x"}"#,
            r#"{"type":"response.refusal.delta","item_id":"msg_2","output_index":4,"content_index":0,"delta":"No"}"#,
            r#"{"type":"response.code_interpreter_call_code.delta","item_id":"ci_1","output_index":5,"delta":"print("}"#,
        ],
    );
    check(
        &shown,
        &expect![[r#"
        -- /item/arguments "": held arguments of item:1/function_call_arguments
           /item/name "look": held name of item:1/function_call_arguments
        -- /delta "{\"q\"": held arguments of item:1/function_call_arguments
        -- /name "look": complete again
           /arguments "{\"q\":1}": arguments again
           ends item:1/function_call_arguments
        -- /item/arguments "{\"q\":1}": arguments again
           /item/name "look": complete again
           ends item:1/response.output_item.added
        -- /delta "{": held arguments of item:2/mcp_call_arguments
        -- /delta "rm": held arguments of item:3/custom_tool_call_input
        -- /input "rm x": arguments again
           ends item:3/custom_tool_call_input
        -- /delta "No": text of item:4/refusal
        -- /delta "print(": text of item:5/code_interpreter_call_code
    "#]],
    );
}

#[test]
fn tx10_events_that_are_not_known_have_channels_too() {
    let shown = events(
        &mut responses(),
        &[
            r#"{"type":"response.new_thing.delta","item_id":"n_1","output_index":0,"delta":"Hel","hint":"lo w"}"#,
            r#"{"type":"response.new_thing.done","item_id":"n_1","output_index":0,"value":"Hello w"}"#,
            r#"{"type":"response.surprise","output_index":0,"note":{"words":["x y"]}}"#,
        ],
    );
    check(
        &shown,
        &expect![[r#"
        -- /delta "Hel": text of item:0/new_thing
           /hint "lo w": event/hint of item:0/new_thing
        -- /value "Hello w": event/value of item:0/new_thing.done again
        -- /note/words/0 "x y": event/note/words/0 of item:0/response.surprise
    "#]],
    );
}

#[test]
fn tx16_a_value_over_adjacent_parts_is_one_text_in_every_copy() {
    let shown = events(
        &mut responses(),
        &[
            r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"4111 1111"}"#,
            r#"{"type":"response.output_text.delta","output_index":0,"content_index":1,"delta":" 1111 1111"}"#,
            r#"{"type":"response.output_text.done","output_index":0,"content_index":0,"text":"4111 1111"}"#,
            r#"{"type":"response.output_text.done","output_index":0,"content_index":1,"text":" 1111 1111"}"#,
            r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"message","content":[{"type":"output_text","text":"4111 1111"},{"type":"output_text","text":" 1111 1111"}]}}"#,
        ],
    );
    check(
        &shown,
        &expect![[r#"
            -- /delta "4111 1111": text of item:0/output_text
            -- /delta " 1111 1111": text of item:0/output_text
            -- /text "4111 1111": event/text of item:0/output_text.done again
            -- /text " 1111 1111": event/text of item:0/output_text.done again
            -- /item/content/0/text "4111 1111": text of copy:1/content again
               /item/content/1/text " 1111 1111": text of copy:1/content again
               ends copy:1/content, item:0/output_text, item:0/output_text.done
        "#]],
    );
}

#[test]
fn citations_are_read_and_lose_their_offsets_once_a_value_was_masked() {
    let shown = event(
        &mut responses(),
        r#"{"type":"response.output_text.annotation.added","item_id":"msg_1","output_index":0,"content_index":0,"annotation_index":0,"annotation":{"type":"url_citation","start_index":3,"end_index":9,"url":"https://a.example/","title":"A b"}}"#,
    );
    check(
        &shown,
        &expect![[r#"
        /annotation/url "https://a.example/": complete
        /annotation/title "A b": complete
        removes /annotation/start_index, once masked
        removes /annotation/end_index, once masked
    "#]],
    );
}

#[test]
fn tx6_encrypted_content_passes_and_images_are_media() {
    let shown = whole(
        &mut responses(),
        r#"{"id":"resp_1","object":"response","output":[{"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":"gAAAAABoZ+/_-="},{"id":"rs_2","type":"reasoning","summary":[],"encrypted_content":"to bob@corp.example"},{"id":"ig_1","type":"image_generation_call","status":"completed","result":"iVBORw0KGgo="}],"usage":{"input_tokens":1,"output_tokens":2}}"#,
    );
    check(
        &shown,
        &expect![[r#"
            /output/1/encrypted_content "to bob@corp.example": complete
            /output/2/result "iVBORw0KGgo=": media image/*
            usage 1 + 2
        "#]],
    );
}

#[test]
fn pr1_a_refused_stream_ends_as_an_incomplete_response() {
    let mut responses = responses();
    left(
        &mut responses,
        r#"{"type":"response.created","sequence_number":4,"response":{"id":"resp_1","created_at":5,"model":"gpt-5","instructions":"to bob"}}"#,
    );
    check(
        &bytes(responses.ending(End::Refused)),
        &expect![[r#"
        event: response.incomplete
        data: {"type":"response.incomplete","sequence_number":5,"response":{"id":"resp_1","object":"response","created_at":5,"status":"incomplete","error":null,"incomplete_details":{"reason":"content_filter"},"instructions":null,"metadata":{},"model":"gpt-5","output":[],"parallel_tool_calls":true,"temperature":null,"tool_choice":"auto","tools":[],"top_p":null,"usage":null}}

    "#]],
    );
}

#[test]
fn pr1_a_stream_that_the_upstream_truncated_ends_as_a_failed_response() {
    check(
        &bytes(responses().ending(End::Cut)),
        &expect![[r#"
            event: response.created
            data: {"type":"response.created","sequence_number":0,"response":{"id":"resp-7f3c","object":"response","created_at":0,"status":"in_progress","error":null,"incomplete_details":null,"instructions":null,"metadata":{},"model":"","output":[],"parallel_tool_calls":true,"temperature":null,"tool_choice":"auto","tools":[],"top_p":null,"usage":null}}

            event: response.failed
            data: {"type":"response.failed","sequence_number":1,"response":{"id":"resp-7f3c","object":"response","created_at":0,"status":"failed","error":{"code":"server_error","message":"The response is not complete (cut, decision 7f3c)."},"incomplete_details":null,"instructions":null,"metadata":{},"model":"","output":[],"parallel_tool_calls":true,"temperature":null,"tool_choice":"auto","tools":[],"top_p":null,"usage":null}}

        "#]],
    );
    check(
        &bytes(responses().refusal(End::Refused)),
        &expect![[
            r#"{"error":{"message":"The response was withheld by policy (refused, decision 7f3c).","type":"permission_error","param":null,"code":"refused","decision_id":"7f3c"}}"#
        ]],
    );
}

#[test]
fn a_hostile_stream_of_items_takes_bounded_memory() {
    let mut responses = responses();
    for number in 0..2 * RECORDS_MAX {
        let text = format!(r#"{{"type":"response.x.delta","output_index":{number},"delta":"a"}}"#);
        event(&mut responses, &text);
    }
    assert_eq!((responses.open.len(), responses.seen.len()), (RECORDS_MAX, RECORDS_MAX));
}
