//! Properties over drawn responses, policies and cuts. Each run prints its seed; `RESPONSE_SEED=<seed>` draws the same again, and
//! `RESPONSE_CASES` sets how many.

use std::sync::Arc;

use super::draw::{Draw, cases};
use super::model::{Expected, Form, Frame, Part, Rulings, Spelled, World, expected};
use crate::content::mask::StandIns;
use crate::response::events::EventStream;
use crate::response::format::Format as _;
use crate::response::format::generic::Generic;
use crate::response::json::JsonBody;
use crate::response::ruling::{Body, End, Progress};
use crate::response::text::TextBody;

const PARTS: &[&str] =
    &["a", "b", "-", "@", "é", " ", "1", "2", "ab", "k=", "ba", "aa", "€", "x", "\"", "\\", "\n", "😀"];

/// The characters of a drawn text.
pub(super) fn text(draw: &mut Draw, parts: usize) -> String {
    (0..draw.below(parts + 1)).map(|_| draw.one(PARTS)).collect()
}

/// A character as JSON spells it, in one of its ways.
pub(super) fn json(draw: &mut Draw, character: char) -> Spelled {
    let mut units = [0; 2];
    let units = character.encode_utf16(&mut units);
    let bytes = match (draw.below(5), character) {
        (0, _) => units.iter().map(|unit| format!("\\u{unit:04x}")).collect(),
        (1, _) => units.iter().map(|unit| format!("\\u{unit:04X}")).collect(),
        (_, '"') => "\\\"".to_owned(),
        (_, '\\') => "\\\\".to_owned(),
        (_, '\n') => "\\n".to_owned(),
        _ => character.to_string(),
    };
    Spelled { character, bytes, is_fixed: false }
}

pub(super) fn piece(draw: &mut Draw, channel: String, parts: usize) -> Part {
    let text = text(draw, parts);
    Part::Text(channel, text.chars().map(|character| json(draw, character)).collect())
}

/// A piece that is a complete text. It does not begin as a text of JSON does.
pub(super) fn complete(draw: &mut Draw, channel: String, parts: usize) -> Part {
    let text = text(draw, parts);
    let before = if text.trim_start().starts_with('"') { "x" } else { "" };
    Part::Text(channel, before.chars().chain(text.chars()).map(|character| json(draw, character)).collect())
}

/// The arguments of a call: a list of one to `most` texts, each a channel with the call's name, an escape deeper than other text.
pub(super) fn arguments(draw: &mut Draw, name: &str, most: usize) -> Vec<Part> {
    let mut parts = vec![Part::Bytes("[".to_owned())];
    for number in 0..1 + draw.below(most) {
        let comma = if number == 0 { "\\\"" } else { ",\\\"" };
        parts.push(Part::Bytes(comma.to_owned()));
        let channel = format!("{name}/{number}");
        let Part::Text(channel, inner) = complete(draw, channel, 4) else { unreachable!("a text was drawn") };
        for mut one in inner {
            one.bytes = one.bytes.chars().map(|character| json(draw, character).bytes).collect();
            parts.push(Part::Text(channel.clone(), vec![one]));
        }
        parts.push(Part::Bytes("\\\"".to_owned()));
    }
    parts.push(Part::Bytes("]".to_owned()));
    parts
}

/// An event with JSON: some members are texts that continue in the next event of its name.
fn json_event(draw: &mut Draw, end: &str) -> Frame {
    let name = draw.one(&["", "one", "other"]);
    let mut frame = Vec::new();
    if !name.is_empty() {
        frame.push(Part::Bytes(format!("event: {name}{end}")));
    }
    if draw.below(6) == 0 {
        frame.push(Part::Bytes(format!("id: 7{end}:{end}")));
    }
    // A document in several lines, cut between tokens.
    let next_line = if draw.below(4) == 0 { format!("{end}data: ") } else { String::new() };
    frame.push(Part::Bytes(format!("data: {{{next_line}\"n\": 1e3, \"t\": \"")));
    frame.push(piece(draw, format!("{name}/t"), 4));
    frame.push(Part::Bytes(format!("\",{next_line}\"l\":[\"")));
    frame.push(piece(draw, format!("{name}/l/0"), 3));
    frame.push(Part::Bytes("\",\"".to_owned()));
    frame.push(piece(draw, format!("{name}/l/1"), 3));
    frame.push(Part::Bytes(format!("\", null]{next_line}}}{end}{end}")));
    frame
}

/// An event with text, perhaps in several lines.
fn text_event(draw: &mut Draw, end: &str) -> Frame {
    let text = text(draw, 5);
    let spelled = text.chars().map(|character| match character {
        '\n' => Spelled { character, bytes: format!("{end}data: "), is_fixed: true },
        _ => Spelled { character, bytes: character.to_string(), is_fixed: false },
    });
    let spelled = spelled.collect();
    vec![
        Part::Bytes("event: text\ndata: ".to_owned()),
        Part::Text("text/data".to_owned(), spelled),
        Part::Bytes(format!("{end}{end}")),
    ]
}

fn comment(draw: &mut Draw, number: usize, end: &str) -> Frame {
    let text = text(draw, 4).replace('\n', "");
    let spelled =
        text.chars().map(|character| Spelled { character, bytes: character.to_string(), is_fixed: false }).collect();
    vec![
        Part::Bytes(": ".to_owned()),
        Part::Text(format!("comment/{number}"), spelled),
        Part::Bytes(format!("{end}{end}")),
    ]
}

fn stream(draw: &mut Draw) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    for number in 0..1 + draw.below(8) {
        let end = draw.one(&["\n", "\n", "\r\n", "\r"]);
        frames.push(match draw.below(6) {
            0 => text_event(draw, end),
            1 => comment(draw, number, end),
            _ => json_event(draw, end),
        });
        if number == 0 && draw.below(3) == 0 {
            frames[0].insert(0, Part::Bytes("\u{feff}".to_owned()));
        }
    }
    frames
}

pub(super) fn bytes(frames: &[Frame]) -> Vec<u8> {
    let mut all = Vec::new();
    for part in frames.iter().flatten() {
        match part {
            Part::Bytes(bytes) => all.extend_from_slice(bytes.as_bytes()),
            Part::Call(_) => {}
            Part::Whole(Form::Base64, spelled) => {
                let text: String = spelled.iter().map(|one| one.character).collect();
                let engine = base64::engine::general_purpose::STANDARD;
                all.extend(base64::Engine::encode(&engine, text).into_bytes());
            }
            Part::Text(_, spelled) | Part::Whole(Form::Number | Form::Field, spelled) => {
                spelled.iter().for_each(|one| all.extend_from_slice(one.bytes.as_bytes()))
            }
        }
    }
    all
}

/// All pieces of a body: whole, one byte each, cut at every single place, and drawn.
pub(super) fn cuts(draw: &mut Draw, bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut all = vec![vec![bytes.to_vec()]];
    all.extend([1, 3, 12, 80].map(|longest| draw.pieces(bytes, longest)));
    all.extend(
        (0..bytes.len()).step_by(1 + bytes.len() / 40).map(|at| vec![bytes[..at].to_vec(), bytes[at..].to_vec()]),
    );
    all
}

/// Feeds a body, and compares each prefix of the output and the whole of it.
pub(super) fn check(world: &World, body: &mut dyn Body, pieces: &[Vec<u8>], expected: &Expected) {
    let (mut output, mut rule) = (Vec::new(), |seen: &_| world.rule(seen));
    let mut progress = Progress::More;
    let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for piece in pieces {
        progress = body.push(piece, &mut rule, &mut output);
        let is_prefix = expected.output.starts_with(&output);
        assert!(
            is_prefix,
            "left early: {:?}\nexpected: {:?}\nof {pieces:?}\nin {world:?}",
            show(&output),
            show(&expected.output)
        );
    }
    if progress == Progress::More {
        progress = body.finish(&mut rule, &mut output);
    }
    let shown = (show(&output), progress);
    assert_eq!(
        shown,
        (show(&expected.output), Progress::Ended(expected.end)),
        "{:?}\nin {world:?}",
        show(&pieces.concat())
    );
}

#[test]
fn an_event_stream_equals_the_reference_at_every_cut() {
    let mut draw = Draw::new();
    for _ in 0..cases(300) {
        let (world, frames) = (World::draw(&mut draw), stream(&mut draw));
        let mut expected = expected(&world, &frames, Rulings::InOrder);
        if expected.end != End::Complete {
            expected.output.extend(Generic.ending(expected.end));
        }
        for pieces in cuts(&mut draw, &bytes(&frames)) {
            let mut body = EventStream::new(Arc::clone(&world.plan), Box::new(Generic), StandIns::new([0; 8]));
            check(&world, &mut body, &pieces, &expected);
        }
    }
}

#[test]
fn a_text_equals_the_reference_at_every_cut() {
    let mut draw = Draw::new();
    for _ in 0..cases(300) {
        let world = World::draw(&mut draw);
        // Each character is a frame, so that a refusal lets out everything before the value.
        let one = |character: char| {
            vec![Part::Text(
                "text".to_owned(),
                vec![Spelled { character, bytes: character.to_string(), is_fixed: false }],
            )]
        };
        let frames: Vec<Frame> = text(&mut draw, 24).chars().map(one).collect();
        let expected = expected(&world, &frames, Rulings::InOrder);
        for pieces in cuts(&mut draw, &bytes(&frames)) {
            let mut body = TextBody::new(Arc::clone(&world.plan), StandIns::new([0; 8]));
            check(&world, &mut body, &pieces, &expected);
        }
    }
}

#[test]
fn a_document_equals_the_reference_at_every_cut() {
    let mut draw = Draw::new();
    for _ in 0..cases(300) {
        let world = World::draw(&mut draw);
        let mut frame = vec![Part::Bytes(" [{\"n\":1e3}".to_owned())];
        for number in 0..draw.below(5) {
            frame.push(Part::Bytes(", \"".to_owned()));
            frame.push(complete(&mut draw, number.to_string(), 6));
            frame.push(Part::Bytes("\"".to_owned()));
        }
        frame.push(Part::Bytes("]\n".to_owned()));
        let frames = [frame];
        let expected = expected(&world, &frames, Rulings::Once);
        for pieces in cuts(&mut draw, &bytes(&frames)) {
            let mut body = JsonBody::new(Arc::clone(&world.plan), Box::new(Generic), StandIns::new([0; 8]));
            check(&world, &mut body, &pieces, &expected);
        }
    }
}
