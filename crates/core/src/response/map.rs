//! Leads from a text that was read back to the bytes that it was read from.
//!
//! Knows: offsets. Must not know: JSON documents, event streams.

use std::ops::Range;

/// A part of a text, and its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// In the text.
    pub text: Range<usize>,
    /// In the source. If the lengths differ, the part is one character, which is replaced as one.
    pub source: Range<usize>,
}

/// The parts of a text, in their order and without gaps in the text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Map {
    parts: Vec<Part>,
}

impl Map {
    /// A text that is this part of its source as it is.
    pub fn of(source: Range<usize>) -> Self {
        let mut map = Self::default();
        map.push(source.len(), source);
        map
    }

    /// Adds the next `bytes` of the text.
    pub fn push(&mut self, bytes: usize, source: Range<usize>) {
        let from = self.parts.last().map_or(0, |part| part.text.end);
        self.parts.push(Part { text: from..from + bytes, source });
    }

    /// Where the source of the last part ends.
    pub fn end(&self) -> usize {
        self.parts.last().map_or(0, |part| part.source.end)
    }

    /// The sources of a part of the text, joined where they touch.
    pub fn sources(&self, text: Range<usize>) -> Vec<Range<usize>> {
        let mut sources: Vec<Range<usize>> = Vec::new();
        let first = self.parts.partition_point(|part| part.text.end <= text.start);
        for part in self.parts.iter().skip(first).take_while(|part| part.text.start < text.end) {
            let is_linear = part.text.len() == part.source.len();
            let next = if is_linear {
                let (from, to) = (text.start.max(part.text.start), text.end.min(part.text.end));
                part.source.start + (from - part.text.start)..part.source.start + (to - part.text.start)
            } else {
                part.source.clone()
            };
            match sources.last_mut() {
                Some(last) if last.end == next.start => last.end = next.end,
                Some(_) | None => sources.push(next),
            }
        }
        sources
    }
}

/// The map of a JSON text to the bytes between its quotes, which begin at `from`.
pub(super) fn of_json_text(between: &str, from: usize) -> Map {
    let mut map = Map::default();
    let (bytes, mut at) = (between.as_bytes(), 0);
    while at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let plain = rest.iter().position(|byte| *byte == b'\\').unwrap_or(rest.len());
        if plain > 0 {
            map.push(plain, from + at..from + at + plain);
            at += plain;
            continue;
        }
        let (text_bytes, source_bytes) = escape(rest);
        map.push(text_bytes, from + at..from + at + source_bytes);
        at += source_bytes;
    }
    map
}

/// How many bytes of text a valid escape is, and how many bytes it has.
fn escape(escape: &[u8]) -> (usize, usize) {
    let Some([b'\\', b'u', digits @ ..]) = escape.get(..6) else { return (1, 2) };
    let unit = digits.iter().fold(0, |unit, digit| unit * 16 + char::from(*digit).to_digit(16).unwrap_or_default());
    match unit {
        0xd800..=0xdfff => (4, 12),
        0..=0x7f => (1, 6),
        0x80..=0x7ff => (2, 6),
        _ => (3, 6),
    }
}

/// A part of some bytes with its replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Splice {
    pub at: Range<usize>,
    pub with: String,
}

/// Adds the bytes with their replacements to `out`. Of splices that overlap the one that begins first counts, then the longer.
pub(super) fn apply(bytes: &[u8], mut splices: Vec<Splice>, out: &mut Vec<u8>) {
    splices.sort_by_key(|splice| (splice.at.start, std::cmp::Reverse(splice.at.end)));
    let mut written = 0;
    for splice in splices.iter().filter(|splice| !splice.at.is_empty() || !splice.with.is_empty()) {
        if splice.at.start < written {
            continue;
        }
        out.extend_from_slice(bytes.get(written..splice.at.start).unwrap_or_default());
        out.extend_from_slice(splice.with.as_bytes());
        written = splice.at.end;
    }
    out.extend_from_slice(bytes.get(written..).unwrap_or_default());
}

impl Map {
    /// The map of this text to the source of its source. Each part must be within one part of `outer`.
    pub fn through(&self, outer: &Self) -> Self {
        let mut through = Self::default();
        for part in &self.parts {
            let source = outer.sources(part.source.clone()).into_iter().next().unwrap_or_default();
            through.push(part.text.len(), source);
        }
        through
    }
}
