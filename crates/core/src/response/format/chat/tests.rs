//! Chunks and documents of Chat Completions, as the API sends them.

use expect_test::{Expect, expect};

use super::*;
use crate::response::format::fixtures::{event, events, left, whole};

fn chat() -> Chat {
    Chat::new(Words::new("7f3c"), LogProbabilities::Dropped)
}

fn check(actual: &str, expected: &Expect) {
    expected.assert_eq(actual);
}

fn bytes(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn tx1_each_choice_has_a_channel_of_its_own() {
    let shown = events(
        &mut chat(),
        &[
            r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4o-2024-08-06","system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"aQ9"}"#,
            r#"{"id":"c1","choices":[{"index":1,"delta":{"content":"Hel"},"finish_reason":null},{"index":0,"delta":{"content":"lo"},"finish_reason":null}]}"#,
            r#"{"id":"c1","choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}"#,
        ],
    );
    check(
        &shown,
        &expect![[r#"
            -- /choices/0/delta/content "": choice/delta/content of choice:0
            -- /choices/0/delta/content "Hel": choice/delta/content of choice:1
               /choices/1/delta/content "lo": choice/delta/content of choice:0
            -- ends choice:1, choice:1/function_call
        "#]],
    );
}

#[test]
fn tx2_arguments_of_calls_are_held_by_call_until_the_choice_finishes() {
    let shown = events(
        &mut chat(),
        &[
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"look","arguments":""}}]},"finish_reason":null}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"q\":"}},{"index":1,"id":"call_b","type":"custom","custom":{"name":"run","input":"ls"}}]},"finish_reason":null}]}"#,
            r#"{"choices":[{"index":0,"delta":{"function_call":{"name":"old","arguments":"{}"}},"finish_reason":null}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
        ],
    );
    check(
        &shown,
        &expect![[r#"
        -- /choices/0/delta/tool_calls/0/function/name "look": held name of choice:0/call:0
           /choices/0/delta/tool_calls/0/function/arguments "": held arguments of choice:0/call:0
        -- /choices/0/delta/tool_calls/0/function/arguments "{\"q\":": held arguments of choice:0/call:0
           /choices/0/delta/tool_calls/1/custom/name "run": held name of choice:0/call:1
           /choices/0/delta/tool_calls/1/custom/input "ls": held input of choice:0/call:1
        -- /choices/0/delta/function_call/name "old": held name of choice:0/function_call
           /choices/0/delta/function_call/arguments "{}": held arguments of choice:0/function_call
        -- ends choice:0, choice:0/call:0, choice:0/call:1, choice:0/function_call
    "#]],
    );
}

#[test]
fn tx4_fields_that_vendors_added_to_a_delta_are_channels() {
    let shown = event(
        &mut chat(),
        r#"{"choices":[{"index":0,"delta":{"reasoning_content":"The u","reasoning_details":[{"type":"reasoning.text","text":"ser"}]},"finish_reason":null}],"provider":"Some Provider"}"#,
    );
    check(
        &shown,
        &expect![[r#"
            /choices/0/delta/reasoning_content "The u": choice/delta/reasoning_content of choice:0
            /choices/0/delta/reasoning_details/0/type "reasoning.text": choice/delta/reasoning_details/0/type of choice:0
            /choices/0/delta/reasoning_details/0/text "ser": choice/delta/reasoning_details/0/text of choice:0
            /provider "Some Provider": path of event
        "#]],
    );
}

#[test]
fn legacy_completions_have_a_channel_for_each_text() {
    let shown = event(
        &mut chat(),
        r#"{"id":"cmpl-1","object":"text_completion","choices":[{"text":"Once","index":0,"logprobs":{"tokens":["Once"],"token_logprobs":[-0.1],"text_offset":[0]},"finish_reason":null}]}"#,
    );
    check(
        &shown,
        &expect![[r#"
            /choices/0/text "Once": choice/text of choice:0
            replaces /choices/0/logprobs by null
        "#]],
    );
}

#[test]
fn log_probabilities_are_dropped_because_they_repeat_the_text() {
    let shown = event(
        &mut chat(),
        r#"{"choices":[{"index":0,"delta":{"content":"bob"},"logprobs":{"content":[{"token":"bob","logprob":-0.1,"bytes":[98,111,98],"top_logprobs":[]}],"refusal":null},"finish_reason":null}]}"#,
    );
    check(
        &shown,
        &expect![[r#"
            /choices/0/delta/content "bob": choice/delta/content of choice:0
            replaces /choices/0/logprobs by null
        "#]],
    );
    let mut kept = Chat::new(Words::new("7f3c"), LogProbabilities::Kept);
    let shown = event(&mut kept, r#"{"choices":[{"index":0,"delta":{},"logprobs":{"content":[]}}]}"#);
    assert!(!shown.contains("replaces"), "{shown}");
}

#[test]
fn fields_of_a_choice_that_is_not_a_delta_are_channels_of_the_choice() {
    let shown = event(&mut chat(), r#"{"choices":[{"index":1,"message":{"content":"Hel"},"finish_reason":null}]}"#);
    check(
        &shown,
        &expect![[r#"
        /choices/0/message/content "Hel": choice/message/content of choice:1
    "#]],
    );
}

#[test]
fn tx13_the_last_chunk_has_usage_and_no_choice() {
    let shown = event(
        &mut chat(),
        r#"{"id":"c1","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21,"prompt_tokens_details":{"cached_tokens":4}}}"#,
    );
    check(
        &shown,
        &expect![[r#"
        usage 9 + 12
    "#]],
    );
}

#[test]
fn a_document_has_complete_texts_and_arguments_as_json() {
    let shown = whole(
        &mut chat(),
        r#"{"id":"c1","object":"chat.completion","created":1,"model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"See data","refusal":null,"annotations":[{"type":"url_citation","url_citation":{"start_index":0,"end_index":3,"url":"https://a.example/","title":"A b"}}],"tool_calls":[{"id":"call_a","type":"function","function":{"name":"look","arguments":"{\"q\":\"x\"}"}}],"audio":{"id":"audio_1","data":"UklGRg==","expires_at":9,"transcript":"Hi all"}},"logprobs":null,"finish_reason":"tool_calls"},{"index":1,"message":{"role":"assistant","content":[{"type":"text","text":"4111 1111"},{"type":"text","text":" 1111 1111"}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}}"#,
    );
    check(
        &shown,
        &expect![[r#"
            /choices/0/message/content "See data": complete
            /choices/0/message/annotations/0/url_citation/url "https://a.example/": complete
            /choices/0/message/annotations/0/url_citation/title "A b": complete
            /choices/0/message/tool_calls/0/function/name "look": complete
            /choices/0/message/tool_calls/0/function/arguments "{\"q\":\"x\"}": arguments
            /choices/0/message/audio/data "UklGRg==": media audio/*
            /choices/0/message/audio/transcript "Hi all": complete
            /choices/1/message/content/0/text "4111 1111": content of choice:1
            /choices/1/message/content/1/text " 1111 1111": content of choice:1
            removes /choices/0/message/annotations/0/url_citation/start_index, once masked
            removes /choices/0/message/annotations/0/url_citation/end_index, once masked
            usage 9 + 12
        "#]],
    );
}

#[test]
fn an_exempt_member_without_the_shape_of_an_id_is_read() {
    let shown = event(&mut chat(), r#"{"id":"write to bob@corp.example","model":"a b","choices":[]}"#);
    check(
        &shown,
        &expect![[r#"
        /id "write to bob@corp.example": path of event
        /model "a b": path of event
    "#]],
    );
}

#[test]
fn pr1_a_refusal_finishes_every_open_choice_and_the_stream() {
    let mut chat = chat();
    left(
        &mut chat,
        r#"{"id":"c1","object":"chat.completion.chunk","created":5,"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null},{"index":1,"delta":{"content":"a"},"finish_reason":null}]}"#,
    );
    left(&mut chat, r#"{"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#);
    check(
        &bytes(chat.ending(End::Refused)),
        &expect![[r#"
        data: {"id":"c1","object":"chat.completion.chunk","created":5,"model":"gpt-4o","choices":[{"index":1,"delta":{},"logprobs":null,"finish_reason":"content_filter"}]}

        data: [DONE]

    "#]],
    );
}

#[test]
fn pr1_a_refusal_before_the_first_chunk_has_a_choice_that_ends() {
    check(
        &bytes(chat().ending(End::ChannelHold)),
        &expect![[r#"
        data: {"id":"chatcmpl-7f3c","object":"chat.completion.chunk","created":0,"model":"","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":"content_filter"}]}

        data: [DONE]

    "#]],
    );
    check(
        &bytes(chat().refusal(End::Refused)),
        &expect![[
            r#"{"error":{"message":"The response was withheld by policy (refused, decision 7f3c).","type":"permission_error","param":null,"code":"refused","decision_id":"7f3c"}}"#
        ]],
    );
}

#[test]
fn pr1_a_stream_that_the_upstream_truncated_ends_as_an_error() {
    check(
        &bytes(chat().ending(End::Cut)),
        &expect![[r#"
        data: {"error":{"message":"The response is not complete (cut, decision 7f3c).","type":"server_error","param":null,"code":"cut","decision_id":"7f3c"}}

        data: [DONE]

    "#]],
    );
}

#[test]
fn an_ending_never_repeats_text_of_the_upstream() {
    let mut chat = chat();
    left(&mut chat, r#"{"id":"write to bob","object":"x y","model":"{\"a\"}","choices":[]}"#);
    let ending = bytes(chat.ending(End::Refused));
    assert!(!ending.contains("bob") && !ending.contains("\\\"a"), "{ending}");
}

#[test]
fn a_hostile_stream_of_choices_takes_bounded_memory() {
    let mut chat = chat();
    for number in 0..2 * RECORDS_MAX {
        let chunk = format!(r#"{{"choices":[{{"index":{number},"delta":{{"content":"a"}}}}]}}"#);
        event(&mut chat, &chunk);
        left(&mut chat, &chunk);
    }
    assert_eq!((chat.open.len(), chat.client.finished.len()), (RECORDS_MAX, RECORDS_MAX));
}
