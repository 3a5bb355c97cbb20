//! An independent reference: responses as lists of characters with their spelling, masked without a scanner or a parser.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regex::Regex;
use smol_str::SmolStr;

use super::draw::Draw;
use crate::content::detector::{Detector, Pattern};
use crate::content::mask::Mask;
use crate::content::matcher::Matcher;
use crate::content::validator::Validator;
use crate::response::plan::{Limits, Plan};
use crate::response::ruling::{End, Ruling, Seen};

/// A character with its bytes in the response. A line break between two `data:` lines stays, whatever is masked.
#[derive(Debug, Clone)]
pub(super) struct Spelled {
    pub character: char,
    pub bytes: String,
    pub is_fixed: bool,
}

/// A part of a frame.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Bytes(String),
    /// A piece of the channel with this name.
    Text(String, Vec<Spelled>),
    /// A text of its own, which is changed as a whole.
    Whole(Form, Vec<Spelled>),
    /// Marks an event of the tool call with this name.
    Call(&'static str),
}

/// How a text of its own is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// It cannot be masked.
    Number,
    /// A detector of fields with the name `field` finds it, and its mask is `null`.
    Field,
    Base64,
}

/// A frame, part by part.
pub(super) type Frame = Vec<Part>;

/// What policies want.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    pub tested: BTreeSet<SmolStr>,
    /// `None` refuses.
    pub masks: Option<BTreeSet<SmolStr>>,
}

/// Detectors, passes and policies.
#[derive(Debug)]
pub(super) struct World {
    pub plan: Arc<Plan>,
    pub policies: Vec<Policy>,
    pub detectors: Vec<Detector>,
    /// Detectors of each pass, with two spellings of their pattern: at the beginning, and the whole text.
    passes: Vec<Vec<(Detector, Regex, Regex)>>,
}

const PATTERNS: &[&str] = &[
    "ab",
    "abba",
    "a+@",
    "b-[ab]{2}",
    "-+b",
    "a[ab]*",
    "@@",
    "é+b",
    "a.b",
    "k=[a-zé]{2,}",
    "[ab-]{1,6}@[ab]+",
    "1[12-]*2",
    "\"a",
    "\nb",
    "😀a",
];

/// Patterns that find nothing in the words of any API.
pub(super) const PATTERNS_OF_TEXTS: &[&str] =
    &["abba", "a+@", "b-[ab]{2}", "-+b", "@@", "é+b", "k=[a-zé]{2,}", "[ab-]{1,6}@[ab]+", "1[12-]*2", "\nb", "😀a"];

impl World {
    pub fn draw(draw: &mut Draw) -> Self {
        Self::draw_from(draw, PATTERNS)
    }

    /// Detectors with some of these patterns.
    pub fn draw_from(draw: &mut Draw, patterns: &[&str]) -> Self {
        let count = 1 + draw.below(4);
        let detectors: Vec<Detector> = (0..count)
            .map(|number| {
                let mask = if draw.below(4) == 0 { Mask::KeepLast(2) } else { Mask::Fixed(format!("[{number}]")) };
                let patterns = vec![Pattern::parse(draw.one(patterns), Validator::None).unwrap()];
                Detector { name: number.to_string(), patterns, mask }
            })
            .collect();
        let mut policies = Vec::new();
        for _ in 0..1 + draw.below(3) {
            let some: BTreeSet<SmolStr> =
                (0..count).filter(|_| draw.below(2) == 0).map(|number| SmolStr::new(number.to_string())).collect();
            let masks = (draw.below(6) != 0).then(|| some.clone());
            policies.push(Policy { tested: some, masks });
        }
        Self::of(&detectors, policies)
    }

    pub fn of(detectors: &[Detector], policies: Vec<Policy>) -> Self {
        let lists: BTreeSet<BTreeSet<SmolStr>> = policies.iter().filter_map(|policy| policy.masks.clone()).collect();
        let rest: BTreeSet<SmolStr> = policies
            .iter()
            .flat_map(|policy| &policy.tested)
            .filter(|name| !lists.iter().any(|list| list.contains(*name)))
            .cloned()
            .collect();
        let sets: Vec<Vec<Detector>> = lists
            .iter()
            .chain([&rest])
            .map(|list| detectors.iter().filter(|found| list.contains(found.name.as_str())).cloned().collect())
            .filter(|set: &Vec<Detector>| !set.is_empty())
            .collect();
        let passes = sets.iter().map(|set| Arc::new(Matcher::new(set).unwrap())).collect();
        let compiled = |found: &Detector| {
            let source = &found.patterns[0].source;
            let regex = |text: String| Regex::new(&text).unwrap();
            (found.clone(), regex(format!(r"\A(?:{source})")), regex(format!(r"\A(?:{source})\z")))
        };
        Self {
            plan: Arc::new(Plan { passes, fields: Vec::new(), limits: Limits::default() }),
            policies,
            detectors: detectors.to_vec(),
            passes: sets.iter().map(|set| set.iter().map(compiled).collect()).collect(),
        }
    }

    /// A policy that masks whatever is found.
    pub fn all_masked(&self) -> Policy {
        let all: BTreeSet<SmolStr> = self.detectors.iter().map(|found| SmolStr::new(&found.name)).collect();
        Policy { tested: all.clone(), masks: Some(all) }
    }

    pub fn rule(&self, seen: &Seen) -> Ruling {
        let mut all = BTreeSet::new();
        for policy in self.policies.iter().filter(|policy| !policy.tested.is_disjoint(&seen.found)) {
            match &policy.masks {
                None => return Ruling::Refuse,
                Some(masks) => all.extend(masks.iter().cloned()),
            }
        }
        Ruling::Release { masks: all }
    }

    /// Values of a text: pass, detector, from, to (in characters), mask.
    fn values(&self, text: &[char]) -> Vec<Found> {
        let mut values = Vec::new();
        for (pass, detectors) in self.passes.iter().enumerate() {
            let mut at = 0;
            while at < text.len() {
                let rest: String = text[at..].iter().collect();
                let mut best: Option<(usize, &Detector)> = None;
                for (detector, begins, whole) in detectors.iter().filter(|(_, begins, _)| begins.is_match(&rest)) {
                    let _ = begins;
                    let longest = (1..=text.len() - at)
                        .filter(|length| whole.is_match(&text[at..at + length].iter().collect::<String>()))
                        .max();
                    if let Some(length) = longest.filter(|length| best.is_none_or(|(known, _)| *length > known)) {
                        best = Some((length, detector));
                    }
                }
                let Some((length, detector)) = best else {
                    at += 1;
                    continue;
                };
                let (name, mask) = (SmolStr::new(&detector.name), masked(&detector.mask, &text[at..at + length]));
                values.push(Found { pass, name, from: at, to: at + length, mask, is_masked: false });
                at += length;
            }
        }
        values
    }
}

fn masked(mask: &Mask, value: &[char]) -> String {
    match mask {
        Mask::Fixed(text) => text.clone(),
        Mask::KeepLast(count) => {
            let letters: Vec<char> = value.iter().copied().filter(|c| c.is_alphanumeric()).collect();
            let kept = (*count).min(letters.len() / 2);
            format!("****{}", letters[letters.len() - kept..].iter().collect::<String>())
        }
        Mask::Pseudonym { .. } => unreachable!("the properties draw no stand-ins"),
    }
}

#[derive(Debug)]
struct Found {
    pass: usize,
    name: SmolStr,
    from: usize,
    to: usize,
    mask: String,
    is_masked: bool,
}

/// When rulings come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rulings {
    /// One for the whole response.
    Once,
    /// One at each detector's first value.
    InOrder,
}

/// What leaves of a response.
#[derive(Debug)]
pub(super) struct Expected {
    pub output: Vec<u8>,
    pub end: End,
    /// Frames that left.
    pub frames: usize,
}

/// What leaves of a response: if it ends early, what comes before the frame that ends it, and before the call that frame is of.
pub(super) fn expected(world: &World, frames: &[Frame], rulings: Rulings) -> Expected {
    let mut texts: BTreeMap<String, Vec<char>> = BTreeMap::new();
    // Where each piece begins in its channel, in the order of the response.
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    for (number, part) in
        frames.iter().enumerate().flat_map(|(number, frame)| frame.iter().map(move |part| (number, part)))
    {
        let (channel, spelled, form) = match part {
            Part::Text(channel, spelled) => (channel.clone(), spelled, None),
            Part::Whole(form, spelled) => (format!("whole/{}", pieces.len()), spelled, Some(*form)),
            Part::Bytes(_) | Part::Call(_) => continue,
        };
        let text = texts.entry(channel.clone()).or_default();
        pieces.push(Piece { frame: number, channel, from: text.len(), spelled, form });
        text.extend(spelled.iter().map(|one| one.character));
    }
    let mut values: BTreeMap<String, Vec<Found>> =
        texts.iter().map(|(channel, text)| (channel.clone(), world.values(text))).collect();
    for piece in pieces.iter().filter(|piece| piece.form == Some(Form::Field)) {
        let (name, to, mask) = (SmolStr::new_static("field"), piece.spelled.len(), "null".to_owned());
        values.insert(piece.channel.clone(), vec![Found { pass: 0, name, from: 0, to, mask, is_masked: false }]);
    }
    let early = rule(world, &pieces, &mut values, rulings);
    let left = early.map_or(frames.len(), |(frame, _)| before_calls(frames, frame));
    let mut output = Vec::new();
    let mut piece = pieces.iter();
    for (number, part) in
        frames.iter().enumerate().flat_map(|(number, frame)| frame.iter().map(move |part| (number, part)))
    {
        if number >= left {
            break;
        }
        match part {
            Part::Call(_) => {}
            Part::Bytes(bytes) => output.extend_from_slice(bytes.as_bytes()),
            Part::Text(..) | Part::Whole(..) => {
                let piece = piece.next().unwrap();
                let mut text = Vec::new();
                write(&values[&piece.channel], piece.from, piece.spelled, &mut text);
                if piece.form == Some(Form::Base64) {
                    let engine = base64::engine::general_purpose::STANDARD;
                    text = base64::Engine::encode(&engine, text).into_bytes();
                }
                output.extend(text);
            }
        }
    }
    Expected { output, end: early.map_or(End::Complete, |(_, end)| end), frames: left }
}

/// A text, or a part of one.
#[derive(Debug)]
struct Piece<'a> {
    frame: usize,
    channel: String,
    /// Where it begins in its channel.
    from: usize,
    spelled: &'a [Spelled],
    form: Option<Form>,
}

/// The first frame of the calls that a frame is between, or the frame itself.
fn before_calls(frames: &[Frame], frame: usize) -> usize {
    let mut calls: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (number, part) in frames.iter().enumerate().flat_map(|(number, frame)| frame.iter().map(move |p| (number, p))) {
        if let Part::Call(name) = part {
            calls.entry(name).or_insert((number, number)).1 = number;
        }
    }
    let mut first = frame;
    while let Some((from, _)) = calls.values().find(|(from, to)| *from < first && first <= *to) {
        first = *from;
    }
    first
}

/// Rules about every value, and returns the frame that ends the response.
fn rule(
    world: &World,
    pieces: &[Piece<'_>],
    values: &mut BTreeMap<String, Vec<Found>>,
    rulings: Rulings,
) -> Option<(usize, End)> {
    let mut seen = Seen::default();
    if rulings == Rulings::Once {
        seen.found = values.values().flatten().map(|found| found.name.clone()).collect();
    }
    for Piece { frame, channel, from, spelled, form } in pieces {
        let here = *from..from + spelled.len();
        let of_channel = values.get_mut(channel).unwrap();
        let mut order: Vec<usize> = (0..of_channel.len()).filter(|at| here.contains(&of_channel[*at].from)).collect();
        order.sort_by_key(|at| (of_channel[*at].from, of_channel[*at].pass));
        for at in order {
            seen.found.insert(of_channel[at].name.clone());
            match world.rule(&seen) {
                Ruling::Refuse => return Some((*frame, End::Refused)),
                Ruling::Release { masks } if *form == Some(Form::Number) && masks.contains(&of_channel[at].name) => {
                    return Some((*frame, End::NotMaskable));
                }
                Ruling::Release { masks } => of_channel[at].is_masked = masks.contains(&of_channel[at].name),
            }
        }
    }
    None
}

/// Writes a piece that begins at `from` of its channel.
fn write(values: &[Found], from: usize, spelled: &[Spelled], output: &mut Vec<u8>) {
    for (at, one) in spelled.iter().enumerate().map(|(at, one)| (from + at, one)) {
        let mut over: Vec<&Found> = values.iter().filter(|v| v.is_masked && v.from <= at && at < v.to).collect();
        over.sort_by_key(|found| (found.from, found.pass));
        // A mask is written where nothing that began earlier covers the value's first character.
        if let Some(first) = over.first().filter(|first| first.from == at) {
            output.extend_from_slice(first.mask.as_bytes());
        }
        if over.is_empty() || one.is_fixed {
            output.extend_from_slice(one.bytes.as_bytes());
        }
    }
}
