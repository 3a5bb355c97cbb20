//! Plans, verdict functions and a format for named tests.

use std::collections::BTreeSet;
use std::sync::Arc;

use smol_str::SmolStr;

use crate::body::json::Node;
use crate::content::detector::{Detector, Pattern};
use crate::content::mask::{Mask, StandIns};
use crate::content::matcher::Matcher;
use crate::content::validator::Validator;
use crate::response::events::EventStream;
use crate::response::format::{Data, Edit, Ends, Fate, Format, Leaf, Message, Reading, Role, Usage};
use crate::response::plan::Plan;
use crate::response::ruling::{Body, End, Progress, Ruling, Seen};

/// Detectors with the mask `[<name>]`, in one pass.
pub(super) fn plan(detectors: &[(&str, &str)]) -> Plan {
    let detector = |(name, pattern): &(&str, &str)| Detector {
        name: (*name).to_owned(),
        patterns: vec![Pattern::parse(pattern, Validator::None).unwrap()],
        mask: Mask::named(name),
    };
    let all: Vec<Detector> = detectors.iter().map(detector).collect();
    Plan { passes: vec![Arc::new(Matcher::new(&all).unwrap())], ..Plan::default() }
}

/// A key of nine characters, and a name of any length.
pub(super) fn secrets() -> Plan {
    plan(&[("key", "KEY-[0-9]{5}"), ("staff", "staff:[a-z]+")])
}

/// Masks everything that was found.
pub(super) fn mask(seen: &Seen) -> Ruling {
    Ruling::Release { masks: seen.found.clone() }
}

/// Masks what was found, and refuses what could not be read.
pub(super) fn guard(seen: &Seen) -> Ruling {
    if seen.inspected && seen.passed.is_empty() { mask(seen) } else { Ruling::Refuse }
}

/// Lets out everything.
pub(super) fn open(_: &Seen) -> Ruling {
    Ruling::Release { masks: BTreeSet::new() }
}

pub(super) fn stand_ins() -> StandIns {
    StandIns::new([7; 8])
}

pub(super) fn stream(plan: Plan) -> EventStream {
    EventStream::new(Arc::new(plan), Box::new(Calls::default()), stand_ins())
}

/// The output after each piece, after the end of the body, and how it ended.
pub(super) fn steps(body: &mut dyn Body, rule: fn(&Seen) -> Ruling, pieces: &[&str]) -> (Vec<String>, End) {
    let (mut rule, mut steps) = (rule, Vec::new());
    let mut take = |output: Vec<u8>| steps.push(String::from_utf8(output).unwrap());
    for piece in pieces {
        let mut output = Vec::new();
        if let Progress::Ended(end) = body.push(piece.as_bytes(), &mut rule, &mut output) {
            take(output);
            return (steps, end);
        }
        take(output);
    }
    let mut output = Vec::new();
    let Progress::Ended(end) = body.finish(&mut rule, &mut output) else { panic!("the body did not end") };
    take(output);
    (steps, end)
}

/// The whole output, and how it ended.
pub(super) fn whole(body: &mut dyn Body, rule: fn(&Seen) -> Ruling, pieces: &[&str]) -> (String, End) {
    let (steps, end) = steps(body, rule, pieces);
    (steps.concat(), end)
}

/// An API of JSON events with one member for each thing that a format can want. Its ending names the events that left.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub left: u32,
}

impl Format for Calls {
    fn data(&self) -> Data {
        Data::Json
    }

    fn is_sentinel(&self, data: &str) -> bool {
        data == "[DONE]"
    }

    fn event(&mut self, message: Message<'_>) -> Reading {
        let mut reading = Reading::deltas(SmolStr::new_static("rest"));
        for (name, value) in message.json.as_object().into_iter().flat_map(|object| object.iter()) {
            member(&mut reading, name, value);
        }
        reading
    }

    fn left(&mut self, _: Message<'_>) {
        self.left += 1;
    }

    fn document(&mut self, message: Message<'_>) -> Reading {
        Reading { unlisted: Reading::complete().unlisted, ..self.event(message) }
    }

    fn ending(&mut self, end: End) -> Vec<u8> {
        format!("data: {{\"end\":\"{}\",\"left\":{}}}\n\n", end.as_str(), self.left).into_bytes()
    }

    fn refusal(&mut self, end: End) -> Vec<u8> {
        format!("{{\"end\":\"{}\"}}", end.as_str()).into_bytes()
    }
}

fn member(reading: &mut Reading, name: &str, value: Node<'_>) {
    let scope = SmolStr::new_static(if name == "other" { "other" } else { "call" });
    let role = match name {
        "call" | "held" | "other" => Role::Held(SmolStr::new_static("arguments")),
        "text" => Role::Delta(SmolStr::new_static("text")),
        "arguments" => Role::Arguments,
        "blob" | "code" => Role::Base64 { from: 5 },
        "again" => Role::Complete,
        "image" => Role::Media(SmolStr::new_static("image/png")),
        "id" => Role::Exempt,
        "stop" => {
            reading.ends = Ends::Scopes(vec![scope]);
            return;
        }
        "over" => {
            reading.ends = Ends::Scopes(vec![SmolStr::new_static("other")]);
            return;
        }
        "thinking" => {
            reading.fate = Fate::Withheld;
            return;
        }
        "usage" => {
            reading.usage = Some(Usage { input_tokens: 3, output_tokens: 4 });
            return;
        }
        "logprobs" => return reading.edits.push(Edit::Remove(value.place())),
        "offset" => return reading.edits_when_masked.push(Edit::Replace(value.place(), "null".to_owned())),
        _ => return,
    };
    reading.leaves.insert(value.place(), Leaf { scope, role, is_repeated: name == "again" });
}
