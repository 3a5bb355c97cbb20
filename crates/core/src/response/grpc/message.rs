//! Finds the texts of a message, and scans them.
//!
//! Knows: the wire format, descriptors, channels. Must not know: rulings, the queue.
//!
//! The message is read completely before anything is scanned, so that one that does not parse has no texts. A reader of protobuf
//! takes the last value of a field that occurs twice, or the first, or merges them: all of them are scanned.

use std::fmt::Write as _;
use std::ops::Range;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use smol_str::SmolStr;

use super::Lengths;
use crate::body::grpc::wire::{Cursor, WireValue};
use crate::body::grpc::{HEAD_BYTES, Refused, digits, packed};
use crate::response::channel::{Channels, Kind as ChannelKind, Scan};
use crate::response::frame::{Frame, Gap, Leaf, Source};
use crate::response::map::Map;
use crate::response::nested;
use crate::response::plan::{Limits, Plan};
use crate::response::ruling::End;
use crate::response::value::{Place, Value};

/// The media type of a field of bytes that are not text.
const BYTES: &str = "application/octet-stream";
const SCOPE: &str = "message";

/// Something in a message that may hold a value.
struct Item {
    /// In the bytes of the frame.
    at: Range<usize>,
    what: What,
}

enum What {
    /// A text, by its path.
    Text(SmolStr, String),
    /// A key of a map, which cannot be changed without changing what the message means.
    Key(String),
    /// A number as it is shown.
    Number(String),
    /// Bytes that are text.
    Bytes(String),
    /// Bytes that are not.
    Media,
}

struct Reader<'a> {
    limits: &'a Limits,
    items: Vec<Item>,
    lengths: Lengths,
    values: usize,
    path: String,
}

/// Reads the frame's message and scans it. Returns whether all of it could be read.
pub(super) fn read(
    plan: &Plan,
    channels: &mut Channels,
    descriptor: &MessageDescriptor,
    frame: &mut Frame,
) -> Result<bool, End> {
    // A flag other than 0 says that the message is compressed.
    let Some((0, _)) = frame.bytes.split_first().map(|(flag, rest)| (*flag, rest)) else { return Ok(false) };
    let content = HEAD_BYTES..frame.bytes.len();
    let lengths = Lengths::of_message(1..HEAD_BYTES, content.clone());
    let mut reader = Reader { limits: &plan.limits, items: Vec::new(), lengths, values: 0, path: String::new() };
    let bytes = frame.bytes.get(content).unwrap_or_default();
    if reader.message(bytes, HEAD_BYTES, descriptor, 0).is_err() {
        return Ok(false);
    }
    let Reader { items, lengths, .. } = reader;
    frame.lengths = lengths;
    let mut is_read = true;
    for item in items {
        is_read &= scan(plan, channels, item, frame)?;
    }
    Ok(is_read)
}

/// Scans one item. Returns whether all of it could be read.
fn scan(plan: &Plan, channels: &mut Channels, Item { at, what }: Item, frame: &mut Frame) -> Result<bool, End> {
    let mut own = |values: Vec<Value>, bytes: usize, map: Map| {
        if !values.is_empty() {
            frame.leaves.push(Leaf { map, source: Source::Own { values, bytes }, is_repeated: false });
        }
    };
    match what {
        What::Text(path, text) => {
            // A text that is JSON is also read as JSON, where it has escapes.
            let nested =
                if text.contains('\\') { nested::text(plan, &text, nested::DEPTH_MAX)? } else { Default::default() };
            own(nested.values, text.len(), Map::of(at.clone()));
            if text.is_empty() {
                return Ok(true);
            }
            let key = (SmolStr::new_static(SCOPE), path);
            let (from, to) = channels.read(plan, &key, &text, ChannelKind::Text)?;
            frame.leaves.push(Leaf { map: Map::of(at), source: Source::Channel { key, from, to }, is_repeated: false });
            Ok(!nested.is_unread)
        }
        What::Key(text) => {
            let read = nested::text(plan, &text, nested::DEPTH_MAX)?;
            own(placed(read.values, Place::Key), text.len(), Map::of(at));
            Ok(!read.is_unread)
        }
        What::Bytes(text) => {
            let read = nested::text(plan, &text, nested::DEPTH_MAX)?;
            own(placed(read.values, Place::Number), text.len(), Map::of(at));
            Ok(!read.is_unread)
        }
        What::Number(text) => {
            let mut map = Map::default();
            map.push(text.len(), at);
            own(placed(Scan::complete(plan, &text)?, Place::Number), text.len(), map);
            Ok(true)
        }
        What::Media => {
            frame.gaps.push((at.start, Gap::Media(SmolStr::new_static(BYTES))));
            Ok(true)
        }
    }
}

fn placed(mut values: Vec<Value>, place: Place) -> Vec<Value> {
    values.iter_mut().for_each(|value| value.place = place);
    values
}

impl Reader<'_> {
    /// Reads a message whose bytes begin at `from` of the frame. As deep as the message, which the limits bound.
    fn message(
        &mut self,
        bytes: &[u8],
        from: usize,
        descriptor: &MessageDescriptor,
        depth: usize,
    ) -> Result<(), Refused> {
        if depth > self.limits.depth_max {
            return Err(Refused::TooDeep(self.limits.depth_max));
        }
        let mut cursor = Cursor::new(bytes);
        let mut counts = std::collections::BTreeMap::<u32, usize>::new();
        while !cursor.is_empty() {
            let (number, wire) = cursor.tag()?;
            let at = bytes.len() - cursor.left();
            let part = cursor.part(wire)?;
            let end = bytes.len() - cursor.left();
            let Some(field) = descriptor.get_field(number) else {
                return Err(Refused::Unknown { message: descriptor.full_name().to_owned(), number });
            };
            let length = self.path.len();
            let _ = write!(self.path, "/{}", field.name());
            if field.is_list() {
                let count = counts.entry(number).or_default();
                let _ = write!(self.path, "/{count}");
                *count += 1;
            }
            self.field(&field, part, from + at..from + end, depth)?;
            self.path.truncate(length);
        }
        Ok(())
    }

    fn field(
        &mut self,
        field: &FieldDescriptor,
        part: WireValue<'_>,
        at: Range<usize>,
        depth: usize,
    ) -> Result<(), Refused> {
        self.values += 1;
        if self.values > self.limits.values_max {
            return Err(Refused::TooMany(self.limits.values_max));
        }
        let kind = field.kind();
        let WireValue::Bytes(bytes) = part else { return self.number(field, &kind, part, at) };
        let content = at.end - bytes.len()..at.end;
        let utf8 = || std::str::from_utf8(bytes).map(str::to_owned);
        let what = match &kind {
            Kind::Message(inner) => {
                self.lengths.push(at.start..content.start, content.clone());
                return self.message(bytes, content.start, inner, depth + 1);
            }
            Kind::String => {
                let text = utf8().map_err(|_| Refused::NotUtf8(field.full_name().to_owned()))?;
                self.lengths.push(at.start..content.start, content.clone());
                if is_key(field) { What::Key(text) } else { What::Text(SmolStr::new(&self.path), text) }
            }
            Kind::Bytes => utf8().map_or(What::Media, What::Bytes),
            _ => return self.items(field, &kind, bytes, &content),
        };
        self.items.push(Item { at: content, what });
        Ok(())
    }

    /// The items of a packed list.
    fn items(
        &mut self,
        field: &FieldDescriptor,
        kind: &Kind,
        bytes: &[u8],
        content: &Range<usize>,
    ) -> Result<(), Refused> {
        let Some(wire) = packed(kind) else { return Err(Refused::Type(field.full_name().to_owned())) };
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            let at = bytes.len() - cursor.left();
            let part = cursor.part(wire)?;
            let end = bytes.len() - cursor.left();
            self.values += 1;
            if self.values > self.limits.values_max {
                return Err(Refused::TooMany(self.limits.values_max));
            }
            self.number(field, kind, part, content.start + at..content.start + end)?;
        }
        Ok(())
    }

    fn number(
        &mut self,
        field: &FieldDescriptor,
        kind: &Kind,
        part: WireValue<'_>,
        at: Range<usize>,
    ) -> Result<(), Refused> {
        let Some(digits) = digits(kind, part) else { return Err(Refused::Value(field.full_name().to_owned())) };
        self.items.extend(digits.map(|digits| Item { at, what: What::Number(digits) }));
        Ok(())
    }
}

/// Whether the field is the key of a map.
fn is_key(field: &FieldDescriptor) -> bool {
    field.parent_message().is_map_entry() && field.number() == 1
}
