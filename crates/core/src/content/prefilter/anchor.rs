//! Chooses the anchor of one pattern: bytes of which every match holds one, as rare as possible.

use regex_syntax::hir::{Class, Hir, HirKind};

/// A set of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ByteSet([bool; 256]);

impl ByteSet {
    pub const EMPTY: Self = Self([false; 256]);

    pub fn has(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)).copied().unwrap_or_default()
    }

    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(place, is_in)| *place |= is_in);
    }

    fn insert(&mut self, bytes: std::ops::RangeInclusive<u8>) {
        bytes.for_each(|byte| {
            if let Some(place) = self.0.get_mut(usize::from(byte)) {
                *place = true;
            }
        });
    }

    /// What it costs to stop at each of these bytes that is not in `taken`.
    fn cost(&self, taken: &Self) -> u32 {
        let costs = (0..=u8::MAX).filter(|byte| self.has(*byte) && !taken.has(*byte)).map(frequency);
        costs.fold(0, u32::saturating_add)
    }
}

/// Roughly how often a byte occurs in 10,000 bytes of prose, code and JSON.
fn frequency(byte: u8) -> u32 {
    match byte {
        b' ' => 1600,
        b'e' | b't' | b'a' | b'o' | b'i' | b'n' => 600,
        b's' | b'r' | b'l' | b'd' | b'h' | b'c' | b'u' => 300,
        b'm' | b'p' | b'f' | b'g' | b'w' | b'y' | b'b' | b'v' | b'k' => 130,
        b'\n' | b'.' | b',' | b'"' => 150,
        b':' | b'-' | b'_' | b'=' | b'(' | b')' | b'/' | b'0'..=b'9' => 60,
        b'@' | b'~' | b'^' | b'`' | b'$' | b'%' | b'|' => 2,
        b'A'..=b'Z' | b'j' | b'q' | b'x' | b'z' => 25,
        0x80..=0xff => 40,
        0x00..=0x7f => 20,
    }
}

/// Bytes of which every match holds one, and what comes before it.
#[derive(Debug, Clone)]
pub(super) struct Anchor {
    pub bytes: ByteSet,
    /// Bytes that can come before it within a match.
    pub approach: ByteSet,
    /// How many come before it at most; `None`: any number.
    pub approach_bytes_max: Option<usize>,
    pub cost: u32,
}

impl Anchor {
    /// The cheapest anchor, where bytes of `taken` cost nothing.
    ///
    /// A pattern that matches the empty text has none; it is anchored at every byte.
    pub fn of(pattern: &Hir, taken: &ByteSet) -> Self {
        required(pattern, taken).unwrap_or_else(|| {
            let mut bytes = ByteSet::EMPTY;
            bytes.insert(0..=u8::MAX);
            Self { approach: bytes.clone(), bytes, approach_bytes_max: None, cost: u32::MAX }
        })
    }

    fn at(bytes: ByteSet, taken: &ByteSet) -> Self {
        let cost = bytes.cost(taken);
        Self { bytes, approach: ByteSet::EMPTY, approach_bytes_max: Some(0), cost }
    }

    /// The same anchor with more before it.
    fn behind(mut self, approach: &ByteSet, bytes_max: Option<usize>) -> Self {
        self.approach.add(approach);
        self.approach_bytes_max = self.approach_bytes_max.zip(bytes_max).map(|(a, b)| a.saturating_add(b));
        self
    }

    fn or(mut self, other: &Self) -> Self {
        self.bytes.add(&other.bytes);
        self.approach.add(&other.approach);
        self.approach_bytes_max = self.approach_bytes_max.zip(other.approach_bytes_max).map(|(a, b)| a.max(b));
        self.cost = self.cost.saturating_add(other.cost);
        self
    }
}

fn required(hir: &Hir, taken: &ByteSet) -> Option<Anchor> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => None,
        HirKind::Literal(literal) => {
            let mut before = ByteSet::EMPTY;
            let mut best: Option<Anchor> = None;
            for (count, byte) in literal.0.iter().enumerate() {
                let mut bytes = ByteSet::EMPTY;
                bytes.insert(*byte..=*byte);
                keep_cheaper(&mut best, Anchor::at(bytes.clone(), taken).behind(&before, Some(count)));
                before.add(&bytes);
            }
            best
        }
        // The first byte of the character: every character has one.
        HirKind::Class(class) => Some(Anchor::at(first_bytes(class), taken)),
        HirKind::Repetition(repetition) if repetition.min == 0 => None,
        HirKind::Repetition(repetition) => required(&repetition.sub, taken),
        HirKind::Capture(capture) => required(&capture.sub, taken),
        HirKind::Concat(parts) => {
            let (mut before, mut count) = (ByteSet::EMPTY, Some(0_usize));
            let mut best = None;
            for part in parts {
                if let Some(anchor) = required(part, taken) {
                    keep_cheaper(&mut best, anchor.behind(&before, count));
                }
                before.add(&all_bytes(part));
                count = count.zip(part.properties().maximum_len()).map(|(a, b)| a.saturating_add(b));
            }
            best
        }
        HirKind::Alternation(branches) => {
            let mut anchors = branches.iter().map(|branch| required(branch, taken));
            let first = anchors.next()??;
            anchors.try_fold(first, |all, next| Some(all.or(&next?)))
        }
    }
}

fn keep_cheaper(best: &mut Option<Anchor>, anchor: Anchor) {
    if best.as_ref().is_none_or(|found| anchor.cost < found.cost) {
        *best = Some(anchor);
    }
}

fn first_bytes(class: &Class) -> ByteSet {
    let mut found = ByteSet::EMPTY;
    match class {
        Class::Unicode(class) => {
            for range in class.iter() {
                found.insert(first_byte(range.start())..=first_byte(range.end()));
            }
        }
        Class::Bytes(class) => class.iter().for_each(|range| found.insert(range.start()..=range.end())),
    }
    found
}

/// The first byte of a character in UTF-8; it grows with the character.
fn first_byte(character: char) -> u8 {
    character.encode_utf8(&mut [0; 4]).bytes().next().unwrap_or_default()
}

/// Every byte that can occur in a match.
fn all_bytes(hir: &Hir) -> ByteSet {
    let mut found = ByteSet::EMPTY;
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => literal.0.iter().for_each(|byte| found.insert(*byte..=*byte)),
        HirKind::Class(class) => {
            found = first_bytes(class);
            if (0xc0..=u8::MAX).any(|byte| found.has(byte)) {
                found.insert(0x80..=0xbf);
            }
        }
        HirKind::Repetition(repetition) => found = all_bytes(&repetition.sub),
        HirKind::Capture(capture) => found = all_bytes(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().for_each(|part| found.add(&all_bytes(part)));
        }
    }
    found
}
