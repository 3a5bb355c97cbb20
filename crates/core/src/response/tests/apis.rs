//! The properties over streams of every API, as its services send them: texts and calls that interleave, repetitions, ends.

use std::sync::Arc;

use super::draw::{Draw, cases};
use super::model::{Frame, PATTERNS_OF_TEXTS, Part, Rulings, Spelled, World, expected};
use super::properties::{arguments, bytes, check, json};
use crate::content::mask::StandIns;
use crate::response::events::EventStream;
use crate::response::format::a2a::{A2a, Carrier};
use crate::response::format::chat::Chat;
use crate::response::format::endings::Words;
use crate::response::format::lists::Choice;
use crate::response::format::mcp::{Awaited, Mcp};
use crate::response::format::messages::{Messages, SignedBlocks};
use crate::response::format::responses::Responses;
use crate::response::format::{Format, LogProbabilities};
use crate::response::ruling::{Body as _, End, Progress};

/// An API: a fresh format, a drawn stream, and how a stream that was ended early ends.
struct Api {
    format: fn() -> Box<dyn Format>,
    stream: fn(&mut Draw) -> Vec<Frame>,
    last: &'static str,
}

/// An event with the parts of one string in its JSON.
fn event(before: &str, parts: Vec<Part>, after: &str) -> Frame {
    let mut frame = vec![Part::Bytes(before.to_owned())];
    frame.extend(parts);
    frame.push(Part::Bytes(format!("{after}\n\n")));
    frame
}

fn plain(text: &str) -> Frame {
    event(text, Vec::new(), "")
}

/// Events of some tracks, each in its own order.
fn interleaved(draw: &mut Draw, mut tracks: Vec<Vec<Frame>>) -> Vec<Frame> {
    tracks.iter_mut().for_each(|frames| frames.reverse());
    let mut frames = Vec::new();
    while tracks.iter().any(|frames| !frames.is_empty()) {
        let from = draw.below(tracks.len());
        frames.extend(tracks[from].pop());
    }
    frames
}

/// The pieces of a call, of which the first is empty.
fn call(draw: &mut Draw, name: &'static str, before: &str, after: &str) -> Vec<Frame> {
    let piece = |parts: Vec<Part>| {
        let mut frame = event(before, parts, after);
        frame.insert(0, Part::Call(name));
        frame
    };
    let mut frames = vec![piece(Vec::new())];
    let mut rest = arguments(draw, name, 2).into_iter().peekable();
    while rest.peek().is_some() {
        let count = 1 + draw.below(5);
        frames.push(piece(rest.by_ref().take(count).collect()));
    }
    frames
}

/// The characters of a channel once more, spelled anew.
fn again(draw: &mut Draw, channel: &str, name: &str, frames: &[Frame]) -> Part {
    let mut all: Vec<Spelled> = Vec::new();
    for part in frames.iter().flatten() {
        if let Part::Text(of, spelled) = part
            && of == channel
        {
            all.extend(spelled.iter().map(|one| json(draw, one.character)));
        }
    }
    Part::Text(name.to_owned(), all)
}

fn chat(draw: &mut Draw) -> Vec<Frame> {
    let head = r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":NUMBER,"delta":"#;
    let mut choices = Vec::new();
    for number in 0..1 + draw.below(2) {
        let head = head.replace("NUMBER", &number.to_string());
        let text = |draw: &mut Draw, field: &str| -> Vec<Frame> {
            let (before, after) = (format!("{head}{{\"{field}\":\""), "\"},\"finish_reason\":null}]}");
            let channel = format!("{number}/{field}");
            (0..draw.below(5)).map(|_| event(&before, vec![piece(draw, channel.clone(), 3)], after)).collect()
        };
        let mut tracks = vec![text(draw, "content"), text(draw, "reasoning_content")];
        for (at, name) in [["0/0", "0/1"], ["1/0", "1/1"]][number].into_iter().enumerate().take(draw.below(3)) {
            let before = format!("{head}{{\"tool_calls\":[{{\"index\":{at},\"function\":{{\"arguments\":\"");
            tracks.push(call(draw, name, &before, "\"}}]},\"finish_reason\":null}]}"));
        }
        let mut frames = interleaved(draw, tracks);
        frames.push(plain(&format!("{head}{{}},\"finish_reason\":\"stop\"}}]}}")));
        choices.push(frames);
    }
    let mut frames = interleaved(draw, choices);
    frames.push(plain("data: [DONE]"));
    frames
}

fn responses(draw: &mut Draw) -> Vec<Frame> {
    let start = r#"{"type":"response.created","response":{"id":"r","object":"response","created_at":1,"output":[]}}"#;
    let mut items = Vec::new();
    for number in 0..1 + draw.below(3) {
        let channel = format!("{number}/text");
        let head = format!("\"output_index\":{number},\"item_id\":\"i\"");
        items.push(if draw.below(2) == 0 {
            let before = format!("data: {{\"type\":\"response.output_text.delta\",{head},\"delta\":\"");
            let mut frames: Vec<Frame> =
                (0..draw.below(5)).map(|_| event(&before, vec![piece(draw, channel.clone(), 3)], "\"}")).collect();
            let before = format!("data: {{\"type\":\"response.output_text.done\",{head},\"text\":\"");
            let whole = again(draw, &channel, &format!("{number}/done"), &frames);
            let item = format!(
                "data: {{\"type\":\"response.output_item.done\",\"output_index\":{number},\"item\":{{\"type\":\"message\",\"content\":[{{\"type\":\"output_text\",\"text\":\""
            );
            let copy = again(draw, &channel, &format!("{number}/copy"), &frames);
            frames.push(event(&before, vec![whole], "\"}"));
            frames.push(event(&item, vec![copy], "\"}]}}"));
            frames
        } else {
            let before = format!("data: {{\"type\":\"response.function_call_arguments.delta\",{head},\"delta\":\"");
            let mut frames = call(draw, ["call/0", "call/1", "call/2"][number], &before, "\"}");
            let before = format!("data: {{\"type\":\"response.function_call_arguments.done\",{head},\"arguments\":\"");
            frames.push(event(&before, arguments(draw, &format!("{number}/arguments"), 2), "\"}"));
            frames
        });
    }
    let mut frames = vec![plain(&format!("event: response.created\ndata: {start}"))];
    frames.extend(interleaved(draw, items));
    frames.push(plain(r#"data: {"type":"response.completed","response":{"id":"r","output":[]}}"#));
    frames
}

fn messages(draw: &mut Draw) -> Vec<Frame> {
    let named = |kind: &str, rest: &str| plain(&format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{rest}}}"));
    let mut frames = vec![named("message_start", r#","message":{"id":"m","role":"assistant","content":[]}"#)];
    let mut run = 0;
    let mut calls = 0;
    for number in 0..draw.below(5) {
        let index = format!(",\"index\":{number}");
        let before = |kind: &str, key: &str| {
            format!("data: {{\"type\":\"content_block_delta\"{index},\"delta\":{{\"type\":\"{kind}\",\"{key}\":\"")
        };
        if calls == 3 || draw.below(3) > 0 {
            frames
                .push(named("content_block_start", &format!(r#"{index},"content_block":{{"type":"text","text":""}}"#)));
            for _ in 0..draw.below(5) {
                frames.push(event(&before("text_delta", "text"), vec![piece(draw, format!("text/{run}"), 3)], "\"}}"));
            }
        } else {
            run += 1;
            let name = ["call/0", "call/1", "call/2"][calls];
            calls += 1;
            let block = format!(r#"{index},"content_block":{{"type":"tool_use","id":"t","name":"look","input":{{}}}}"#);
            let mut start = named("content_block_start", &block);
            start.insert(0, Part::Call(name));
            frames.push(start);
            frames.extend(call(draw, name, &before("input_json_delta", "partial_json"), "\"}}"));
        }
        frames.push(named("content_block_stop", &index));
        if draw.below(3) == 0 {
            frames.push(named("ping", ""));
        }
    }
    frames.push(named("message_delta", r#","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}"#));
    frames.push(named("message_stop", ""));
    frames
}

/// Often the beginning or the rest of a value.
const PARTS: &[&str] = &["a", "b", "@", "a@", "ab", "ba", "b-", "-b", "é", "k=", "1", "2", "\n", "😀", " "];

/// A piece of a text.
fn piece(draw: &mut Draw, channel: String, parts: usize) -> Part {
    let text: String = (0..draw.below(parts + 1)).map(|_| draw.one(PARTS)).collect();
    Part::Text(channel, text.chars().map(|character| json(draw, character)).collect())
}

/// A text that is not JSON by itself, which would be read as JSON.
fn sentence(draw: &mut Draw, channel: String) -> Part {
    let Part::Text(channel, mut all) = piece(draw, channel, 4) else { unreachable!("a text was drawn") };
    if all.iter().all(|one| one.character.is_ascii_digit() || one.character.is_whitespace()) {
        all.insert(0, Spelled { character: 'x', bytes: "x".to_owned(), is_fixed: false });
    }
    Part::Text(channel, all)
}

fn mcp(draw: &mut Draw) -> Vec<Frame> {
    let mut frames = Vec::new();
    for number in 0..draw.below(4) {
        let before =
            r#"data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":""#.to_owned();
        frames.push(event(&before, vec![sentence(draw, format!("told/{number}"))], "\"}}"));
    }
    let mut result = vec![Part::Bytes(
        r#"event: message
data: {"jsonrpc":"2.0","id":7,"result":{"content":["#
            .to_owned(),
    )];
    for number in 0..draw.below(4) {
        let comma = if number == 0 { "" } else { "," };
        result.push(Part::Bytes(format!(r#"{comma}{{"type":"text","text":""#)));
        result.push(sentence(draw, "content".to_owned()));
        result.push(Part::Bytes("\"}".to_owned()));
    }
    result.push(Part::Bytes("]}}\n\n".to_owned()));
    frames.push(result);
    frames
}

fn a2a(draw: &mut Draw) -> Vec<Frame> {
    let mut artifacts = Vec::new();
    for number in 0..1 + draw.below(2) {
        let count = 1 + draw.below(4);
        let update = |draw: &mut Draw, at: usize| {
            let (append, last) = (at > 0, at + 1 == count);
            let before = format!(
                r#"data: {{"jsonrpc":"2.0","id":7,"result":{{"kind":"artifact-update","taskId":"t","append":{append},"lastChunk":{last},"artifact":{{"artifactId":"{number}","parts":[{{"kind":"text","text":""#
            );
            event(&before, vec![piece(draw, format!("artifact/{number}"), 3)], "\"}]}}}")
        };
        artifacts.push((0..count).map(|at| update(draw, at)).collect());
    }
    let mut states = Vec::new();
    for number in 0..draw.below(3) {
        let before = r#"data: {"jsonrpc":"2.0","id":7,"result":{"kind":"status-update","taskId":"t","status":{"state":"working","message":{"kind":"message","role":"agent","messageId":"m","parts":[{"kind":"text","text":""#;
        states.push(event(before, vec![piece(draw, format!("state/{number}"), 3)], "\"}]}}}}"));
    }
    artifacts.push(states);
    interleaved(draw, artifacts)
}

/// The bytes that end a stream early, from a run over the uncut stream.
fn ending(api: &Api, world: &World, bytes: &[u8], before: &[u8], end: End) -> Vec<u8> {
    let mut body = EventStream::new(Arc::clone(&world.plan), (api.format)(), StandIns::new([0; 8]));
    let (mut output, mut rule) = (Vec::new(), |seen: &_| world.rule(seen));
    assert_eq!(body.push(bytes, &mut rule, &mut output), Progress::Ended(end), "{}", String::from_utf8_lossy(bytes));
    let ending = output.strip_prefix(before).map(<[u8]>::to_vec);
    let ending = ending.unwrap_or_else(|| {
        panic!(
            "not before the ending: {:?}\nof {:?}\nin {world:?}\nbut {:?}",
            String::from_utf8_lossy(before),
            String::from_utf8_lossy(bytes),
            String::from_utf8_lossy(&output)
        )
    });
    let text = String::from_utf8(ending.clone()).unwrap();
    assert!(text.trim_end().ends_with(api.last) && !text.contains(['é', '@', '😀']), "{text}");
    ending
}

/// The bytes in pieces; uncut for 0.
fn pieces(draw: &mut Draw, bytes: &[u8], longest: usize) -> Vec<Vec<u8>> {
    if longest == 0 { vec![bytes.to_vec()] } else { draw.pieces(bytes, longest) }
}

fn holds(api: &Api) {
    let mut draw = Draw::new();
    for _ in 0..cases(500) {
        let (mut world, frames) = (World::draw_from(&mut draw, PATTERNS_OF_TEXTS), (api.stream)(&mut draw));
        if draw.below(2) == 0 {
            // Everything that is found is masked.
            world = World::of(&world.detectors, vec![world.all_masked()]);
        }
        let mut expected = expected(&world, &frames, Rulings::InOrder);
        let bytes = bytes(&frames);
        if expected.end != End::Complete {
            let ending = ending(api, &world, &bytes, &expected.output, expected.end);
            expected.output.extend(ending);
        }
        for pieces in [0, 1, 5, 60].map(|longest| pieces(&mut draw, &bytes, longest)) {
            let mut body = EventStream::new(Arc::clone(&world.plan), (api.format)(), StandIns::new([0; 8]));
            check(&world, &mut body, &pieces, &expected);
        }
    }
}

fn words() -> Words {
    Words::new("7f3c")
}

#[test]
fn a_stream_of_chat_equals_the_reference_at_every_cut() {
    let format = || -> Box<dyn Format> { Box::new(Chat::new(words(), LogProbabilities::Dropped)) };
    holds(&Api { format, stream: chat, last: "data: [DONE]" });
}

#[test]
fn a_stream_of_responses_equals_the_reference_at_every_cut() {
    let format = || -> Box<dyn Format> { Box::new(Responses::new(words(), LogProbabilities::Dropped)) };
    holds(&Api { format, stream: responses, last: "}}" });
}

#[test]
fn a_stream_of_messages_equals_the_reference_at_every_cut() {
    let format = || -> Box<dyn Format> { Box::new(Messages::new(words(), SignedBlocks::Withheld)) };
    holds(&Api { format, stream: messages, last: "data: {\"type\":\"message_stop\"}" });
}

#[test]
fn a_stream_of_mcp_equals_the_reference_at_every_cut() {
    let format = || -> Box<dyn Format> {
        let awaited = Awaited::Calls(std::iter::once(("7".to_owned(), None)).collect());
        Box::new(Mcp::new(words(), None, awaited, Box::new(|_, _| Choice::Keep)))
    };
    holds(&Api { format, stream: mcp, last: "}}" });
}

#[test]
fn a_stream_of_a2a_equals_the_reference_at_every_cut() {
    let format = || -> Box<dyn Format> { Box::new(A2a::new(words(), Carrier::JsonRpc("7".to_owned()))) };
    holds(&Api { format, stream: a2a, last: "}}" });
}
