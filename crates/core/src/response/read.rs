//! Finds the texts of a document, and scans them.
//!
//! Knows: roles of strings, channels. Must not know: frames' bytes, rulings.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use smol_str::SmolStr;

use super::arguments;
use super::channel::{Channels, Kind, Scan};
use super::document::Document;
use super::format::{Edit, Fate, Leaf as Reads, Reading, Role, Unlisted};
use super::frame::{Field, Frame, Gap, Leaf, Source};
use super::map;
use super::nested;
use super::plan::Plan;
use super::ruling::End;
use super::value::{Place, Value as Found};
use crate::body::json::{Node, Value};

/// Reads a frame's document, which `reading` describes, into the frame.
pub(super) fn document(
    plan: &Plan,
    channels: &mut Channels,
    reading: &Reading,
    document: Document,
    frame: &mut Frame,
) -> Result<(), End> {
    if reading.fate == Fate::Forwarded {
        let edited = reading.edits.iter().map(|edit| match edit {
            Edit::Remove(place) | Edit::Replace(place, _) => *place,
        });
        let mut reader = Reader {
            plan,
            channels,
            reading,
            document: &document,
            frame,
            path: String::new(),
            is_repeated: false,
            edited: edited.collect(),
            leaves: true,
        };
        reader.value(document.json.node())?;
        fields(plan, reading, &document, frame);
    }
    frame.edits.clone_from(&reading.edits);
    frame.edits_when_masked.clone_from(&reading.edits_when_masked);
    frame.document = Some(document);
    Ok(())
}

fn fields(plan: &Plan, reading: &Reading, document: &Document, frame: &mut Frame) {
    if plan.fields.is_empty() {
        return;
    }
    for root in &reading.roots {
        document.locations(*root, &mut |node, location| {
            for detector in plan.fields.iter().filter(|detector| detector.finds(location)) {
                let (place, mask) = (node.place(), detector.mask.clone());
                frame.fields.push(Field { detector: SmolStr::new(&detector.name), mask, place, is_masked: false });
            }
        });
    }
}

struct Reader<'a> {
    plan: &'a Plan,
    channels: &'a mut Channels,
    reading: &'a Reading,
    document: &'a Document,
    frame: &'a mut Frame,
    /// Path of the value, without two readings: a key is preceded by its length.
    path: String,
    /// Whether the text that is read was in earlier events too.
    is_repeated: bool,
    /// Values that the format removes or replaces in any case.
    edited: BTreeSet<usize>,
    /// Whether the value that is read is in none of them.
    leaves: bool,
}

impl Reader<'_> {
    fn value(&mut self, node: Node<'_>) -> Result<(), End> {
        let length = self.path.len();
        let leaves = self.leaves && !self.edited.contains(&node.place());
        let leaves = std::mem::replace(&mut self.leaves, leaves);
        match node.value() {
            Value::Text(text) => self.text(node.place(), text)?,
            Value::Object(object) => {
                for (key, value) in object.iter() {
                    self.key(value.place().saturating_sub(1), key)?;
                    let _ = write!(self.path, "/{}:{key}", key.len());
                    self.value(value)?;
                    self.path.truncate(length);
                }
            }
            Value::List(list) => {
                for (index, value) in list.iter().enumerate() {
                    let _ = write!(self.path, "/#{index}");
                    self.value(value)?;
                    self.path.truncate(length);
                }
            }
            Value::Number(number) if self.leaves => self.number(node.place(), number.as_str())?,
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        self.leaves = leaves;
        Ok(())
    }

    fn key(&mut self, place: usize, key: &str) -> Result<(), End> {
        self.is_repeated = false;
        let mut values = Scan::complete(self.plan, key)?;
        values.iter_mut().for_each(|value| value.place = Place::Key);
        if !values.is_empty() {
            self.add(place, Source::Own { values, bytes: key.len() });
        }
        Ok(())
    }

    /// A number is complete where it is, and is not a part of a channel.
    fn number(&mut self, place: usize, number: &str) -> Result<(), End> {
        self.is_repeated = false;
        let values = nested::numbers(self.plan, number, 0)?;
        if !values.is_empty() {
            let map = map::Map::of(self.document.span(place));
            self.leaf(&map, Source::Own { values, bytes: number.len() });
        }
        Ok(())
    }

    fn text(&mut self, place: usize, text: &str) -> Result<(), End> {
        self.is_repeated = false;
        let Some(Reads { scope, role, is_repeated }) = self.reading.leaves.get(&place) else {
            return match &self.reading.unlisted {
                Unlisted::Delta(scope) => {
                    let name = SmolStr::new(&self.path);
                    self.piece(place, text, scope, &name, Kind::Text)
                }
                Unlisted::Complete => self.complete(place, text),
            };
        };
        self.is_repeated = *is_repeated;
        match role {
            Role::Delta(name) => self.piece(place, text, scope, name, Kind::Text),
            Role::Held(name) => self.piece(place, text, scope, name, Kind::Arguments),
            Role::Complete => self.complete(place, text),
            Role::Arguments => {
                let read = arguments::read(self.plan, text)?;
                if read.is_unread {
                    self.gap(place, Gap::Unread);
                }
                self.add(place, Source::Own { values: read.values, bytes: text.len() });
                Ok(())
            }
            Role::Base64 { from } => self.base64(place, text, *from),
            Role::Media(media_type) => {
                self.gap(place, Gap::Media(media_type.clone()));
                Ok(())
            }
            Role::Exempt => Ok(()),
        }
    }

    fn complete(&mut self, place: usize, text: &str) -> Result<(), End> {
        let values = self.nested(place, text)?;
        if !values.is_empty() {
            self.add(place, Source::Own { values, bytes: text.len() });
        }
        Ok(())
    }

    /// The values of a complete text, and of JSON that it is.
    fn nested(&mut self, place: usize, text: &str) -> Result<Vec<Found>, End> {
        let read = nested::text(self.plan, text, nested::DEPTH_MAX)?;
        if read.is_unread {
            self.gap(place, Gap::Unread);
        }
        Ok(read.values)
    }

    fn piece(&mut self, place: usize, text: &str, scope: &SmolStr, name: &SmolStr, kind: Kind) -> Result<(), End> {
        // An empty piece of a call waits with the call.
        let is_nothing = text.is_empty() && (kind == Kind::Text || self.channels.has_ended(scope));
        if is_nothing {
            return Ok(());
        }
        if self.channels.has_ended(scope) {
            // A client may join it with the text before, of which the scan is over.
            self.gap(place, Gap::Unread);
            return self.complete(place, text);
        }
        let key = (scope.clone(), name.clone());
        let (from, to) = self.channels.read(self.plan, &key, text, kind)?;
        self.add(place, Source::Channel { key, from, to });
        Ok(())
    }

    fn base64(&mut self, place: usize, text: &str, from: usize) -> Result<(), End> {
        let (plain, encoded) = text.split_at_checked(from).unwrap_or((text, ""));
        let values = Scan::complete(self.plan, plain)?;
        if !values.is_empty() {
            self.add(place, Source::Own { values, bytes: plain.len() });
        }
        let Some(decoded) = decode(encoded) else {
            self.gap(place, Gap::Unread);
            return Ok(());
        };
        let values = self.nested(place, &decoded)?;
        if !values.is_empty() {
            self.add(place, Source::Base64 { from, bytes: text.len(), text: decoded, values });
        }
        Ok(())
    }

    fn add(&mut self, place: usize, source: Source) {
        let inside = self.document.inside(place);
        let map = match self.document.source(inside.clone()) {
            Some(between) => map::of_json_text(between, inside.start),
            None => map::Map::of(inside),
        };
        self.leaf(&map, source);
    }

    /// Adds a text that `map` leads to the document.
    fn leaf(&mut self, map: &map::Map, source: Source) {
        self.frame.leaves.push(Leaf { map: map.through(&self.frame.data), source, is_repeated: self.is_repeated });
    }

    fn gap(&mut self, place: usize, gap: Gap) {
        let at = self.frame.data.sources(self.document.span(place)).first().map_or(0, |source| source.start);
        self.frame.gaps.push((at, gap));
    }
}

/// The text in Base64 of either alphabet, with or without padding.
fn decode(encoded: &str) -> Option<String> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if encoded.contains(['-', '_']) { alphabet::URL_SAFE } else { alphabet::STANDARD };
    match GeneralPurpose::new(&alphabet, CONFIG).decode(encoded).map(String::from_utf8) {
        Ok(Ok(text)) => Some(text),
        Ok(Err(_)) | Err(_) => None,
    }
}
