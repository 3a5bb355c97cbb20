//! Streams of the three APIs of models.

use expect_test::{Expect, expect};

use super::{chat, data, messages, named, responses, stream};

fn check(actual: &str, expected: &Expect) {
    expected.assert_eq(actual);
}

#[test]
fn fe1_a_value_over_several_chunks_is_masked_and_all_other_chunks_stay_byte_for_byte() {
    let sent = data(&[
        r#"{"id":"c1","object":"chat.completion.chunk","created":1.0e3,"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
        r#"{"id":"c1","choices":[ {"index":0,"delta":{"content":"Write to b"},"finish_reason":null}]}"#,
        r#"{"id":"c1","choices":[{"index":0,"delta":{"content":"ob@corp.exa"},"finish_reason":null}]}"#,
        r#"{"id":"c1","choices":[{"index":0,"delta":{"content":"mple, \u00e9"},"finish_reason":null}]}"#,
        r#"{"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        r#"{"id":"c1","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}"#,
        "[DONE]",
    ]);
    check(
        &stream(chat, &sent),
        &expect![[r#"
        data: {"id":"c1","object":"chat.completion.chunk","created":1.0e3,"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}

        data: {"id":"c1","choices":[ {"index":0,"delta":{"content":"Write to [email]"},"finish_reason":null}]}

        data: {"id":"c1","choices":[{"index":0,"delta":{"content":""},"finish_reason":null}]}

        data: {"id":"c1","choices":[{"index":0,"delta":{"content":", \u00e9"},"finish_reason":null}]}

        data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

        data: {"id":"c1","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}

        data: [DONE]

        == complete, {"email": 1}"#]],
    );
}

#[test]
fn fe13_a_stream_without_a_value_leaves_byte_for_byte() {
    let sent = data(&[
        r#"{"id":"c1","n":1e3, "x":"<b>\u0041","choices":[{"index":0,"delta":{"content":"Hello \/ there"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"look","arguments":"{\"q\": 1}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
        "[DONE]",
    ]);
    assert_eq!(stream(chat, &sent), sent);
}

#[test]
fn tx2_a_value_in_arguments_is_masked_in_spite_of_escapes_and_they_stay_json() {
    let sent = data(&[
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"mail","arguments":""}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"to\":\"b\\u006f"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"b@corp.example\"}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
        "[DONE]",
    ]);
    check(
        &stream(chat, &sent),
        &expect![[r#"
        data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"mail","arguments":""}}]}}]}

        data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"to\":\"[email]"}}]}}]}

        data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"}"}}]}}]}

        data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}

        data: [DONE]

        == complete, {"email": 1}"#]],
    );
}

#[test]
fn pr1_a_refused_call_does_not_begin_and_its_choice_is_finished() {
    let sent = data(&[
        r#"{"id":"c1","model":"m","created":1,"choices":[{"index":0,"delta":{"content":"One moment."}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"mail","arguments":""}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"k\":\"AKIAQ3EGRIYX5T2"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"VWJHB\"}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
        "[DONE]",
    ]);
    check(
        &stream(chat, &sent),
        &expect![[r#"
        data: {"id":"c1","model":"m","created":1,"choices":[{"index":0,"delta":{"content":"One moment."}}]}

        data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"content_filter"}]}

        data: [DONE]

        == refused, {"aws_key": 1}"#]],
    );
}

#[test]
fn tx7_every_copy_of_a_text_is_masked_the_same_and_counted_once() {
    let sent = named(&[
        r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","created_at":5,"model":"gpt-5","output":[]}}"#,
        r#"{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"msg_1","type":"message","role":"assistant","content":[]}}"#,
        r#"{"type":"response.content_part.added","sequence_number":2,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}"#,
        r#"{"type":"response.output_text.delta","sequence_number":3,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"to bob@co"}"#,
        r#"{"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"rp.example!"}"#,
        r#"{"type":"response.output_text.done","sequence_number":5,"item_id":"msg_1","output_index":0,"content_index":0,"text":"to bob@corp.example!"}"#,
        r#"{"type":"response.content_part.done","sequence_number":6,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"to bob@corp.example!","annotations":[{"type":"url_citation","start_index":1,"end_index":3,"url":"https://a.example/","title":"A"}]}}"#,
        r#"{"type":"response.output_item.done","sequence_number":7,"output_index":0,"item":{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"to bob@corp.example!","annotations":[]}]}}"#,
        r#"{"type":"response.completed","sequence_number":8,"response":{"id":"resp_1","output":[{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"to bob@corp.example!"}]}],"usage":{"input_tokens":7,"output_tokens":3}}}"#,
    ]);
    check(
        &stream(responses, &sent),
        &expect![[r#"
        event: response.created
        data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","created_at":5,"model":"gpt-5","output":[]}}

        event: response.output_item.added
        data: {"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"msg_1","type":"message","role":"assistant","content":[]}}

        event: response.content_part.added
        data: {"type":"response.content_part.added","sequence_number":2,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}

        event: response.output_text.delta
        data: {"type":"response.output_text.delta","sequence_number":3,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"to [email]"}

        event: response.output_text.delta
        data: {"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"!"}

        event: response.output_text.done
        data: {"type":"response.output_text.done","sequence_number":5,"item_id":"msg_1","output_index":0,"content_index":0,"text":"to [email]!"}

        event: response.content_part.done
        data: {"type":"response.content_part.done","sequence_number":6,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"to [email]!","annotations":[{"type":"url_citation","url":"https://a.example/","title":"A"}]}}

        event: response.output_item.done
        data: {"type":"response.output_item.done","sequence_number":7,"output_index":0,"item":{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"to [email]!","annotations":[]}]}}

        event: response.completed
        data: {"type":"response.completed","sequence_number":8,"response":{"id":"resp_1","output":[{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"to [email]!"}]}],"usage":{"input_tokens":7,"output_tokens":3}}}

        == complete, {"email": 1}"#]],
    );
}

#[test]
fn tx9_arguments_of_a_response_are_held_and_masked_in_both_copies() {
    let sent = named(&[
        r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"fc_1","type":"function_call","arguments":"","call_id":"call_1","name":"mail"}}"#,
        r#"{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":0,"delta":"{\"to\":\"bob@cor"}"#,
        r#"{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":0,"delta":"p.example\"}"}"#,
        r#"{"type":"response.function_call_arguments.done","item_id":"fc_1","output_index":0,"arguments":"{\"to\":\"bob@corp.example\"}"}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"fc_1","type":"function_call","arguments":"{\"to\":\"bob@corp.example\"}","call_id":"call_1","name":"mail"}}"#,
    ]);
    check(
        &stream(responses, &sent),
        &expect![[r#"
        event: response.output_item.added
        data: {"type":"response.output_item.added","output_index":0,"item":{"id":"fc_1","type":"function_call","arguments":"","call_id":"call_1","name":"mail"}}

        event: response.function_call_arguments.delta
        data: {"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":0,"delta":"{\"to\":\"[email]"}

        event: response.function_call_arguments.delta
        data: {"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":0,"delta":"\"}"}

        event: response.function_call_arguments.done
        data: {"type":"response.function_call_arguments.done","item_id":"fc_1","output_index":0,"arguments":"{\"to\":\"[email]\"}"}

        event: response.output_item.done
        data: {"type":"response.output_item.done","output_index":0,"item":{"id":"fc_1","type":"function_call","arguments":"{\"to\":\"[email]\"}","call_id":"call_1","name":"mail"}}

        == complete, {"email": 1}"#]],
    );
}

#[test]
fn tx10_an_event_that_is_not_known_is_masked_over_its_pieces() {
    let sent = named(&[
        r#"{"type":"response.novel.delta","output_index":0,"delta":"to bob@co"}"#,
        r#"{"type":"response.novel.delta","output_index":0,"delta":"rp.example!"}"#,
        r#"{"type":"surprise","deep":[{"words":"to amy@corp.example!"}]}"#,
    ]);
    check(
        &stream(responses, &sent),
        &expect![[r#"
        event: response.novel.delta
        data: {"type":"response.novel.delta","output_index":0,"delta":"to [email]"}

        event: response.novel.delta
        data: {"type":"response.novel.delta","output_index":0,"delta":"!"}

        event: surprise
        data: {"type":"surprise","deep":[{"words":"to [email]!"}]}

        == complete, {"email": 2}"#]],
    );
}

#[test]
fn tx5_signed_thinking_is_withheld_and_text_over_two_blocks_is_masked() {
    let sent = named(&[
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[],"stop_reason":null,"usage":{"input_tokens":25,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"bob@corp.example"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQBCgIYAhIM"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Pay with 4111 1111"}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":" 1111 1111 now"}}"#,
        r#"{"type":"content_block_stop","index":2}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}"#,
        r#"{"type":"message_stop"}"#,
    ]);
    check(
        &stream(messages, &sent),
        &expect![[r#"
        event: message_start
        data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[],"stop_reason":null,"usage":{"input_tokens":25,"output_tokens":1}}}

        event: content_block_start
        data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

        event: content_block_delta
        data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Pay with [card]"}}

        event: content_block_stop
        data: {"type":"content_block_stop","index":0}

        event: content_block_start
        data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}

        event: content_block_delta
        data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":" now"}}

        event: content_block_stop
        data: {"type":"content_block_stop","index":1}

        event: message_delta
        data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}

        event: message_stop
        data: {"type":"message_stop"}

        == complete, {"card": 1}"#]],
    );
}

#[test]
fn pr1_a_refused_call_of_a_message_does_not_begin() {
    let sent = named(&[
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":25,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"One moment."}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"mail","input":{}}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"k\":\"AKIAQ3EGRIYX"}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"5T2VWJHB\"}"}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"message_stop"}"#,
    ]);
    check(
        &stream(messages, &sent),
        &expect![[r#"
        event: message_start
        data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":25,"output_tokens":1}}}

        event: content_block_start
        data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

        event: content_block_delta
        data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"One moment."}}

        event: content_block_stop
        data: {"type":"content_block_stop","index":0}

        event: message_delta
        data: {"type":"message_delta","delta":{"stop_reason":"refusal","stop_sequence":null},"usage":{"output_tokens":1}}

        event: message_stop
        data: {"type":"message_stop"}

        == refused, {"aws_key": 1}"#]],
    );
}

#[test]
fn fe4_a_truncated_last_event_never_leaves_and_the_stream_ends_as_an_error() {
    let start = r#"{"type":"message_start","message":{"id":"msg_1","content":[],"usage":{"input_tokens":2}}}"#;
    let sent =
        named(&[start]) + "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"text\":\"bob@corp";
    check(
        &stream(messages, &sent),
        &expect![[r#"
        event: message_start
        data: {"type":"message_start","message":{"id":"msg_1","content":[],"usage":{"input_tokens":2}}}

        event: error
        data: {"type":"error","error":{"type":"api_error","message":"The response is not complete (cut, decision 7f3c).","decision_id":"7f3c"}}

        == cut, {}"#]],
    );
}
