//! Responses of the APIs of models: each case as a document and as an event stream.

use serde_json::{Value, json};

use super::{Case, Texts};
use crate::envoy::content::answers::Answer;

/// The arguments of the calls in [`Texts::Calls`], in pieces: the value to find is in the first call, over two pieces.
fn arguments(value: &str) -> [Vec<String>; 2] {
    let (begin, end) = value.split_at(value.len() / 2);
    let read = [r#"{"ticket":""#.to_owned() + begin, end.to_owned() + r#"","note":"a \"b\" "#, r#"\\ c"}"#.to_owned()];
    [read.into(), vec![r#"{"limit""#.to_owned(), ":3}".to_owned()]]
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

fn named(data: &Value) -> String {
    format!("event: {}\n{}", data["type"].as_str().unwrap(), event(data))
}

/// Every answer of the three APIs to this case: its API and form, and what the upstream sends.
pub fn all(case: &Case) -> Vec<(&'static str, Answer)> {
    let document = |document: &Value| Answer::new("application/json", document.to_string().as_bytes());
    let mut all = vec![
        ("chat stream", case.events(chat_events(&case.texts))),
        ("responses stream", case.events(responses_events(&case.texts))),
        ("messages stream", case.events(messages_events(&case.texts))),
    ];
    if !case.is_truncated {
        all.push(("chat", document(&chat(&case.texts))));
        all.push(("responses", document(&response(&case.texts, "completed", true))));
        all.push(("messages", document(&message(&case.texts))));
    }
    all.into_iter().map(|(name, answer)| (name, answer.status(case.status))).collect()
}

fn chat(texts: &Texts) -> Value {
    let (message, reason) = match texts {
        Texts::Pieces(pieces) => (json!({"role": "assistant", "content": pieces.concat(), "refusal": null}), "stop"),
        Texts::Calls(value) => {
            let [read, list] = arguments(value).map(|pieces| pieces.concat());
            let call = |id: &str, name: &str, arguments: String| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
            let calls = [call("call_1", "read", read), call("call_2", "list", list)];
            (json!({"role": "assistant", "content": null, "tool_calls": calls}), "tool_calls")
        }
    };
    json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": reason}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}})
}

fn chat_events(texts: &Texts) -> Vec<String> {
    let chunk = |delta: Value, reason: Value| {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason});
        event(&json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [choice], "usage": null}))
    };
    let mut events = vec![chunk(json!({"role": "assistant", "content": ""}), Value::Null)];
    let reason = match texts {
        Texts::Pieces(pieces) => {
            events.extend(pieces.iter().map(|piece| chunk(json!({"content": piece}), Value::Null)));
            "stop"
        }
        Texts::Calls(value) => {
            let start = |at: usize, name: &str| {
                json!({"index": at, "id": format!("call_{}", at + 1), "type": "function",
                    "function": {"name": name, "arguments": ""}})
            };
            let calls = [(0, start(0, "read")), (1, start(1, "list"))];
            events.extend(calls.into_iter().map(|(_, call)| chunk(json!({"tool_calls": [call]}), Value::Null)));
            for (at, pieces) in arguments(value).into_iter().enumerate() {
                events.extend(pieces.into_iter().map(|piece| {
                    chunk(json!({"tool_calls": [{"index": at, "function": {"arguments": piece}}]}), Value::Null)
                }));
            }
            "tool_calls"
        }
    };
    events.push(chunk(json!({}), json!(reason)));
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7});
    events.push(event(&json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [], "usage": usage})));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

/// The items of a response; `is_complete` says whether they have their texts.
fn items(texts: &Texts, is_complete: bool) -> Vec<Value> {
    let status = if is_complete { "completed" } else { "in_progress" };
    match texts {
        Texts::Pieces(pieces) => {
            let part = json!({"type": "output_text", "text": pieces.concat(), "annotations": []});
            let parts = if is_complete { vec![part] } else { Vec::new() };
            vec![json!({"type": "message", "id": "msg_1", "status": status, "role": "assistant", "content": parts})]
        }
        Texts::Calls(value) => {
            let [read, list] = arguments(value).map(|pieces| if is_complete { pieces.concat() } else { String::new() });
            let item = |at: usize, name: &str, arguments: String| {
                json!({"type": "function_call", "id": format!("fc_{at}"), "call_id": format!("call_{at}"), "name": name,
                    "arguments": arguments, "status": status})
            };
            vec![item(1, "read", read), item(2, "list", list)]
        }
    }
}

fn response(texts: &Texts, status: &str, has_output: bool) -> Value {
    let output = if has_output { items(texts, true) } else { Vec::new() };
    let usage = json!({"input_tokens": 3, "output_tokens": 4, "total_tokens": 7,
        "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}});
    json!({"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "m", "output": output,
        "error": null, "incomplete_details": null, "instructions": null, "metadata": {}, "parallel_tool_calls": true,
        "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "usage": if has_output { usage } else { Value::Null }})
}

fn responses_events(texts: &Texts) -> Vec<String> {
    let mut events = Vec::new();
    let mut send = |mut data: Value| {
        data["sequence_number"] = json!(events.len());
        events.push(named(&data));
    };
    for kind in ["response.created", "response.in_progress"] {
        send(json!({"type": kind, "response": response(texts, "in_progress", false)}));
    }
    let pieces = match texts {
        Texts::Pieces(pieces) => vec![pieces.iter().map(|piece| (*piece).to_owned()).collect()],
        Texts::Calls(value) => arguments(value).into(),
    };
    for (at, (item, pieces)) in items(texts, false).into_iter().zip(pieces).enumerate() {
        let whole: String = pieces.concat();
        let of = |kind: &str, key: &str, value: Value| json!({"type": kind, "item_id": item["id"], "output_index": at, key: value});
        let done = items(texts, true).swap_remove(at);
        send(json!({"type": "response.output_item.added", "output_index": at, "item": item}));
        if let Texts::Calls(_) = texts {
            let kind = "response.function_call_arguments";
            pieces.iter().for_each(|piece| send(of(&format!("{kind}.delta"), "delta", json!(piece))));
            let mut event = of(&format!("{kind}.done"), "arguments", json!(whole));
            event["name"] = item["name"].clone();
            send(event);
        } else {
            let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
            let mut send = |mut data: Value| {
                data["content_index"] = json!(0);
                send(data);
            };
            send(of("response.content_part.added", "part", part("")));
            for piece in &pieces {
                let mut delta = of("response.output_text.delta", "delta", json!(piece));
                delta["logprobs"] = json!([]);
                send(delta);
            }
            let mut text = of("response.output_text.done", "text", json!(whole));
            text["logprobs"] = json!([]);
            send(text);
            send(of("response.content_part.done", "part", part(&whole)));
        }
        send(json!({"type": "response.output_item.done", "output_index": at, "item": done}));
    }
    send(json!({"type": "response.completed", "response": response(texts, "completed", true)}));
    events
}

/// Signed thinking, which does not leave, and then the content.
fn blocks(texts: &Texts) -> Vec<Value> {
    let mut blocks = vec![json!({"type": "thinking", "thinking": "so INC-2026-00777", "signature": "c2lnbmVk"})];
    match texts {
        Texts::Pieces(pieces) => blocks.push(json!({"type": "text", "text": pieces.concat()})),
        Texts::Calls(value) => {
            let [read, list] = arguments(value).map(|pieces| serde_json::from_str::<Value>(&pieces.concat()).unwrap());
            blocks.push(json!({"type": "tool_use", "id": "toolu_1", "name": "read", "input": read}));
            blocks.push(json!({"type": "tool_use", "id": "toolu_2", "name": "list", "input": list}));
        }
    }
    blocks
}

fn stop_reason(texts: &Texts) -> &'static str {
    match texts {
        Texts::Pieces(_) => "end_turn",
        Texts::Calls(_) => "tool_use",
    }
}

fn message(texts: &Texts) -> Value {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": blocks(texts),
        "stop_reason": stop_reason(texts), "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 4}})
}

fn messages_events(texts: &Texts) -> Vec<String> {
    let mut start = message(texts);
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    let mut events = vec![named(&json!({"type": "message_start", "message": start}))];
    let pieces = match texts {
        Texts::Pieces(pieces) => vec![pieces.iter().map(|piece| (*piece).to_owned()).collect()],
        Texts::Calls(value) => arguments(value).into(),
    };
    let pieces: Vec<Vec<String>> =
        [vec!["so INC-2026".to_owned(), "-00777".to_owned()]].into_iter().chain(pieces).collect();
    for (at, (mut block, pieces)) in blocks(texts).into_iter().zip(pieces).enumerate() {
        let (kind, key) = match block["type"].as_str().unwrap() {
            "thinking" => ("thinking_delta", "thinking"),
            "text" => ("text_delta", "text"),
            _ => ("input_json_delta", "partial_json"),
        };
        let signature = block.get("signature").cloned();
        match kind {
            "input_json_delta" => block["input"] = json!({}),
            _ => block[key] = json!(""),
        }
        if signature.is_some() {
            block["signature"] = json!("");
        }
        events.push(named(&json!({"type": "content_block_start", "index": at, "content_block": block})));
        let delta = |delta: Value| named(&json!({"type": "content_block_delta", "index": at, "delta": delta}));
        events.extend(pieces.iter().map(|piece| delta(json!({"type": kind, key: piece}))));
        events.extend(signature.map(|signature| delta(json!({"type": "signature_delta", "signature": signature}))));
        events.push(named(&json!({"type": "content_block_stop", "index": at})));
    }
    let delta = json!({"stop_reason": stop_reason(texts), "stop_sequence": null});
    events.push(named(&json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 4}})));
    events.push(named(&json!({"type": "message_stop"})));
    events
}
