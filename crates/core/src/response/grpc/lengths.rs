//! Lengths inside a message, which change with the texts that they are about.
//!
//! Knows: how protobuf and gRPC write a length. Must not know: fields, detectors.

use std::cmp::Reverse;
use std::ops::Range;

use crate::response::map::Splice;

/// A length of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Length {
    /// Where it is written.
    at: Range<usize>,
    /// The bytes that it counts.
    of: Range<usize>,
    form: Form,
}

/// How a length is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Varint,
    /// Four bytes, the first is the highest: in front of each message.
    Fixed,
}

/// The lengths of a frame; none for a frame without any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::response) struct Lengths(Vec<Length>);

impl Lengths {
    /// The length in front of a message.
    pub fn of_message(at: Range<usize>, of: Range<usize>) -> Self {
        Self(vec![Length { at, of, form: Form::Fixed }])
    }

    /// Adds the length of a field.
    pub fn push(&mut self, at: Range<usize>, of: Range<usize>) {
        self.0.push(Length { at, of, form: Form::Varint });
    }

    /// Adds the bytes with their replacements to `out`, with the lengths that they have then. As for [`super::super::map::apply`],
    /// of splices that overlap the one that begins first counts, then the longer.
    pub fn apply(&self, bytes: &[u8], splices: Vec<Splice>, out: &mut Vec<u8>) {
        let splices = apart(splices);
        let mut edits = self.edits(&splices);
        edits.extend(splices.into_iter().map(|splice| (splice.at, splice.with.into_bytes())));
        edits.sort_by_key(|(at, _)| at.start);
        let mut written = 0;
        for (at, with) in edits {
            out.extend_from_slice(bytes.get(written..at.start).unwrap_or_default());
            out.extend_from_slice(&with);
            written = at.end;
        }
        out.extend_from_slice(bytes.get(written..).unwrap_or_default());
    }

    /// The lengths that change. A length that is written in another number of bytes changes the lengths around it too, so the inner
    /// ones come first.
    fn edits(&self, splices: &[Splice]) -> Vec<(Range<usize>, Vec<u8>)> {
        let sums = Sums::of(splices);
        let mut edits = Vec::new();
        // Fields that were passed and lie in none of the others, the first of them last, with the change of the lengths in each.
        let mut inner: Vec<(Range<usize>, Change)> = Vec::new();
        for Length { at, of, form } in self.0.iter().rev() {
            let mut lengths = Change::default();
            while let Some((_, change)) = inner.pop_if(|(field, _)| of.start <= field.start && field.end <= of.end) {
                lengths.add(change);
            }
            if let Some(mut change) = sums.within(of) {
                change.add(lengths);
                let written = form.encode(of.len() + change.new - change.gone);
                lengths.add(Change { gone: at.len(), new: written.len() });
                edits.push((at.clone(), written));
            }
            inner.push((at.start..of.end, lengths));
        }
        edits
    }
}

/// Bytes that go, and those that come.
#[derive(Debug, Clone, Copy, Default)]
struct Change {
    gone: usize,
    new: usize,
}

impl Change {
    fn add(&mut self, other: Self) {
        self.gone += other.gone;
        self.new += other.new;
    }
}

/// The changes of a frame up to each of its splices.
struct Sums<'a> {
    splices: &'a [Splice],
    before: Vec<Change>,
}

impl<'a> Sums<'a> {
    fn of(splices: &'a [Splice]) -> Self {
        let mut sum = Change::default();
        let mut before = vec![sum];
        for splice in splices {
            sum.add(Change { gone: splice.at.len(), new: splice.with.len() });
            before.push(sum);
        }
        Self { splices, before }
    }

    /// The changes within these bytes; `None` without any.
    fn within(&self, bytes: &Range<usize>) -> Option<Change> {
        let at = |place: usize| self.splices.partition_point(|splice| splice.at.start < place);
        let (first, end) = (at(bytes.start), at(bytes.end));
        let (before, upto) = (self.before.get(first)?, self.before.get(end)?);
        (first < end).then(|| Change { gone: upto.gone - before.gone, new: upto.new - before.new })
    }
}

/// The splices that count.
fn apart(mut splices: Vec<Splice>) -> Vec<Splice> {
    splices.sort_by_key(|splice| (splice.at.start, Reverse(splice.at.end)));
    let mut written = 0;
    splices.retain(|splice| {
        let counts = splice.at.start >= written && (!splice.at.is_empty() || !splice.with.is_empty());
        if counts {
            written = splice.at.end;
        }
        counts
    });
    splices
}

impl Form {
    fn encode(self, length: usize) -> Vec<u8> {
        match self {
            // A frame is far shorter than four bytes can say.
            Self::Fixed => u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes().to_vec(),
            Self::Varint => {
                let mut bytes = Vec::new();
                prost::encoding::encode_varint(length as u64, &mut bytes);
                bytes
            }
        }
    }
}
