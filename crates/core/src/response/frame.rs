//! One event or document: its texts, and the changes of it.
//!
//! Knows: ranges of bytes, values. Must not know: how bytes are framed, the verdict function.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use super::arguments::offset;
use super::channel::{Channels, Key, ValueId};
use super::document::Document;
use super::format::Edit;
use super::grpc::Lengths;
use super::map::{Map, Splice};
use super::value::{Replacement, Value};
use crate::content::detectors::FieldMask;

/// A text of a frame.
#[derive(Debug)]
pub(super) struct Leaf {
    /// To the bytes of the frame.
    pub map: Map,
    pub source: Source,
    /// Whether its values were counted before.
    pub is_repeated: bool,
}

/// Where the values of a text are.
#[derive(Debug)]
pub(super) enum Source {
    /// In a channel, of which the text is this part.
    Channel { key: Key, from: u64, to: u64 },
    /// Here: the text is complete.
    Own { values: Vec<Value>, bytes: usize },
    /// In the text that is here in Base64, behind `from` bytes that are not.
    Base64 { from: usize, bytes: usize, text: String, values: Vec<Value> },
}

/// A value that a detector of fields found.
#[derive(Debug)]
pub(super) struct Field {
    pub detector: SmolStr,
    pub mask: FieldMask,
    /// Number of the value in the document.
    pub place: usize,
    pub is_masked: bool,
}

/// Anything of a frame that was not read, by the offset of its first byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gap {
    Unread,
    Media(SmolStr),
}

/// A frame.
#[derive(Debug, Default)]
pub(super) struct Frame {
    /// As it arrived.
    pub bytes: Vec<u8>,
    /// From the text of its data to `bytes`.
    pub data: Map,
    pub event: SmolStr,
    pub document: Option<Document>,
    pub leaves: Vec<Leaf>,
    pub fields: Vec<Field>,
    pub gaps: Vec<(usize, Gap)>,
    pub edits: Vec<Edit>,
    pub edits_when_masked: Vec<Edit>,
    /// The lengths in `bytes` that change with its texts.
    pub lengths: Lengths,
}

impl Leaf {
    /// Its values, those included that began earlier in its channel.
    pub fn values<'a>(&'a self, channels: &'a Channels) -> Vec<(ValueId, &'a Value)> {
        match &self.source {
            Source::Channel { key, from, to } => {
                channels.get(key).map(|channel| channel.scan.values((*from, *to)).collect()).unwrap_or_default()
            }
            Source::Own { values, .. } | Source::Base64 { values, .. } => {
                values.iter().enumerate().map(|(number, value)| ((0, number), value)).collect()
            }
        }
    }

    /// One of [`Self::values`].
    pub fn value_mut<'a>(&'a mut self, channels: &'a mut Channels, id: ValueId) -> Option<&'a mut Value> {
        match &mut self.source {
            Source::Channel { key, .. } => channels.get_mut(key)?.scan.value_mut(id),
            Source::Own { values, .. } | Source::Base64 { values, .. } => values.get_mut(id.1),
        }
    }

    /// The parts of it that are masked.
    fn regions(&self, channels: &Channels) -> Vec<(usize, usize, String)> {
        regions(self.values(channels).into_iter().map(|(_, value)| value), self.range())
    }

    /// The part of the values' text that the leaf is.
    pub fn range(&self) -> (u64, u64) {
        match &self.source {
            Source::Channel { from, to, .. } => (*from, *to),
            Source::Own { bytes, .. } => (0, *bytes as u64),
            Source::Base64 { text, .. } => (0, text.len() as u64),
        }
    }

    /// Where a place of the values' text is in the frame.
    pub fn place(&self, at: u64) -> usize {
        let from = match &self.source {
            Source::Channel { from, .. } => offset(at.saturating_sub(*from)),
            Source::Own { .. } => offset(at),
            // All values of a text in Base64 are changed at once.
            Source::Base64 { from, .. } => *from,
        };
        self.map.sources(from..from + 1).first().map_or(0, |source| source.start)
    }

    /// The changes of the frame that mask its values.
    fn splices(&self, channels: &Channels) -> Vec<Splice> {
        let regions = self.regions(channels);
        if regions.is_empty() {
            return Vec::new();
        }
        if let Source::Base64 { from, bytes, text, .. } = &self.source {
            let splices = regions.into_iter().map(|(from, to, with)| Splice { at: from..to, with }).collect();
            let mut masked = Vec::new();
            super::map::apply(text.as_bytes(), splices, &mut masked);
            let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, masked);
            return replace(&self.map, (*from, *bytes), encoded);
        }
        regions.into_iter().flat_map(|(from, to, with)| replace(&self.map, (from, to), with)).collect()
    }
}

/// Replaces a part of a text: the first of its bytes by `with`, the others by nothing.
fn replace(map: &Map, (from, to): (usize, usize), with: String) -> Vec<Splice> {
    let mut with = Some(with);
    let sources = map.sources(from..to).into_iter();
    sources.map(|at| Splice { at, with: with.take().unwrap_or_default() }).collect()
}

/// The parts of a text that are masked, from its beginning on, each with its replacement.
///
/// Of values of several passes that overlap, the mask of the one that begins first replaces all of them.
pub(super) fn regions<'a>(
    values: impl Iterator<Item = &'a Value>,
    (from, to): (u64, u64),
) -> Vec<(usize, usize, String)> {
    let is_here = |value: &&Value| value.is_masked == Some(true) && value.from < to && value.end(to) > from;
    let mut masked: Vec<&Value> = values.filter(is_here).collect();
    masked.sort_by_key(|value| (value.from, value.pass));
    let (mut regions, mut covered): (Vec<(usize, usize, String)>, u64) = (Vec::new(), 0);
    for value in masked {
        let end = value.end(to);
        if value.from < covered {
            if let Some(last) = regions.last_mut() {
                last.1 = last.1.max(offset(end - from));
            }
        } else {
            let with = match &value.replacement {
                Replacement::Text(mask) if value.from >= from => mask.clone(),
                // Its mask is in an earlier frame. A value that is masked has its stand-in.
                Replacement::Text(_) | Replacement::StandIn { .. } => String::new(),
            };
            regions.push((offset(value.from.max(from) - from), offset(end - from), with));
        }
        covered = covered.max(end);
    }
    regions
}

impl Frame {
    /// Whether every text of it is decided.
    pub fn is_decided(&self, channels: &Channels) -> bool {
        self.leaves.iter().all(|leaf| match &leaf.source {
            Source::Channel { key, to, .. } => channels.get(key).is_none_or(|channel| channel.is_decided(*to)),
            Source::Own { .. } | Source::Base64 { .. } => true,
        })
    }

    /// Number of the last frame with a piece of a call of which this frame has one. 0 without one.
    pub fn call_to(&self, channels: &Channels) -> u64 {
        let ends = self.leaves.iter().map(|leaf| match &leaf.source {
            Source::Channel { key, .. } => channels.call_to(key),
            Source::Own { .. } | Source::Base64 { .. } => 0,
        });
        ends.max().unwrap_or(0)
    }

    /// Where the value with this number begins.
    pub fn place(&self, value: usize) -> usize {
        let span = self.document.as_ref().map(|document| document.span(value)).unwrap_or_default();
        self.data.sources(span.start..span.start + 1).first().map_or(0, |source| source.start)
    }

    /// Whether a text or field of it is masked.
    pub fn is_masked(&self, channels: &Channels) -> bool {
        self.fields.iter().any(|field| field.is_masked)
            || self.leaves.iter().any(|leaf| !leaf.regions(channels).is_empty())
    }

    /// Accepts the edits that apply once anything of the response was masked.
    pub fn accept_edits_when_masked(&mut self) {
        self.edits.append(&mut self.edits_when_masked);
    }

    /// Adds the frame as it may leave.
    pub fn write(&self, channels: &Channels, out: &mut Vec<u8>) {
        let mut splices: Vec<Splice> = self.leaves.iter().flat_map(|leaf| leaf.splices(channels)).collect();
        if let Some(document) = &self.document {
            splices.extend(self.changes(document));
        }
        if splices.is_empty() {
            out.extend_from_slice(&self.bytes);
        } else {
            self.lengths.apply(&self.bytes, splices, out);
        }
    }

    /// The splices of whole values: fields that are masked, and edits of the format.
    fn changes(&self, document: &Document) -> Vec<Splice> {
        let mut removed: BTreeSet<usize> = BTreeSet::new();
        let mut replaced: Vec<(usize, String)> = Vec::new();
        for edit in &self.edits {
            match edit {
                Edit::Remove(place) => {
                    removed.insert(*place);
                }
                Edit::Replace(place, json) => replaced.push((*place, json.clone())),
            }
        }
        for field in self.fields.iter().filter(|field| field.is_masked) {
            let is_text = document.json.at(field.place).is_some_and(|node| node.as_text().is_some());
            match &field.mask {
                FieldMask::Drop => {
                    removed.insert(field.place);
                }
                FieldMask::Fixed(text) if is_text => replaced.push((field.place, format!("\"{text}\""))),
                // A fixed text would be of another type than a value that is not a text.
                FieldMask::Fixed(_) | FieldMask::Null => replaced.push((field.place, "null".to_owned())),
            }
        }
        let replaced = replaced.into_iter().map(|(place, with)| Splice { at: document.span(place), with });
        let all = document.removals(&removed).into_iter().chain(replaced);
        all.flat_map(|splice| replace(&self.data, (splice.at.start, splice.at.end), splice.with)).collect()
    }
}
