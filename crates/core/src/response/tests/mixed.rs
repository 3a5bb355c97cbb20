//! The properties over events with calls that interleave, Base64, numbers and fields.

use std::sync::Arc;

use super::draw::{Draw, cases};
use super::helpers::Calls;
use super::model::{Form, Frame, Part, Rulings, Spelled, World, expected};
use super::properties::{arguments, bytes, check, cuts, piece, text};
use crate::content::detectors::{FieldDetector, FieldMask};
use crate::content::json_path::JsonPath;
use crate::content::mask::StandIns;
use crate::response::events::EventStream;
use crate::response::format::Format as _;
use crate::response::plan::Plan;
use crate::response::ruling::End;

/// Detectors and policies, with a detector of fields that some of them test or mask.
fn world(draw: &mut Draw) -> World {
    let mut world = World::draw(draw);
    let paths = vec![JsonPath::parse("$.f").unwrap()];
    let field = FieldDetector { name: "field".to_owned(), paths, mask: FieldMask::Null };
    world.plan = Arc::new(Plan { fields: vec![field], ..Plan::clone(&world.plan) });
    for policy in &mut world.policies {
        if draw.below(3) == 0 {
            policy.tested.insert("field".into());
            policy.masks.iter_mut().for_each(|masks| masks.extend(["field".into()]));
        }
    }
    world
}

fn as_sent(text: &str) -> Vec<Spelled> {
    text.chars().map(|character| Spelled { character, bytes: character.to_string(), is_fixed: false }).collect()
}

/// An event with a text that continues in the next one, and perhaps more. No pattern finds anything in its keys.
fn event(draw: &mut Draw) -> Frame {
    let mut frame = vec![Part::Bytes("data: {\"t\":\"".to_owned()), piece(draw, "t".to_owned(), 3)];
    frame.push(Part::Bytes("\"".to_owned()));
    if draw.below(3) == 0 {
        let digits: String = (0..1 + draw.below(4)).map(|_| draw.one(&["1", "2"])).collect();
        frame.extend([Part::Bytes(",\"n\": ".to_owned()), Part::Whole(Form::Number, as_sent(&digits))]);
    }
    if draw.below(3) == 0 {
        let value = draw.one(&["7", "{ }", "[true]"]);
        frame.extend([Part::Bytes(", \"f\":".to_owned()), Part::Whole(Form::Field, as_sent(value))]);
    }
    if draw.below(3) == 0 {
        let drawn = text(draw, 5);
        let before = if drawn.trim_start().starts_with('"') { "x" } else { "" };
        let whole = Part::Whole(Form::Base64, as_sent(&format!("{before}{drawn}")));
        frame.extend([Part::Bytes(",\"code\":\"text,".to_owned()), whole, Part::Bytes("\"".to_owned())]);
    }
    frame.push(Part::Bytes("}\n\n".to_owned()));
    frame
}

/// The events of a call in pieces: a list of texts, an escape deeper than other text.
fn call(draw: &mut Draw, name: &'static str, end: &str) -> Vec<Frame> {
    let piece = |parts: Vec<Part>| {
        let mut frame = vec![Part::Call(name), Part::Bytes(format!("data: {{\"{name}\":\""))];
        frame.extend(parts);
        frame.push(Part::Bytes("\"}\n\n".to_owned()));
        frame
    };
    let mut frames = vec![piece(Vec::new())];
    let mut rest = arguments(draw, name, 2).into_iter().peekable();
    while rest.peek().is_some() {
        let count = 1 + draw.below(5);
        frames.push(piece(rest.by_ref().take(count).collect()));
    }
    frames.push(vec![Part::Bytes(format!("data: {{\"{end}\":true}}\n\n"))]);
    frames
}

/// Events and two calls, each in its own order.
fn stream(draw: &mut Draw) -> Vec<Frame> {
    let events = (0..draw.below(5)).map(|_| event(draw)).collect();
    let mut all: Vec<Vec<Frame>> = vec![events, call(draw, "held", "stop")];
    if draw.below(2) == 0 {
        all.push(call(draw, "other", "over"));
    }
    all.iter_mut().for_each(|frames| frames.reverse());
    let mut frames = Vec::new();
    while all.iter().any(|frames| !frames.is_empty()) {
        let from = draw.below(all.len());
        frames.extend(all[from].pop());
    }
    frames
}

#[test]
fn a_stream_with_calls_equals_the_reference_at_every_cut() {
    let mut draw = Draw::new();
    for _ in 0..cases(300) {
        let (world, frames) = (world(&mut draw), stream(&mut draw));
        let mut expected = expected(&world, &frames, Rulings::InOrder);
        if expected.end != End::Complete {
            let mut format = Calls { left: u32::try_from(expected.frames).unwrap() };
            expected.output.extend(format.ending(expected.end));
        }
        for pieces in cuts(&mut draw, &bytes(&frames)) {
            let format = Box::new(Calls::default());
            let mut body = EventStream::new(Arc::clone(&world.plan), format, StandIns::new([0; 8]));
            check(&world, &mut body, &pieces, &expected);
        }
    }
}
