//! Reads one event into a frame.
//!
//! Knows: lines of an event, the format of its data. Must not know: rulings, the queue.

use smol_str::SmolStr;

use super::channel::{Channels, Kind, Scan};
use super::document::Document;
use super::format::{Data, Ends, Fate, Format, Message, Reading};
use super::frame::{Frame, Gap, Leaf, Source};
use super::map::Map;
use super::plan::Plan;
use super::read;
use super::ruling::End;
use super::sse::{Event, field};
use crate::body::json::Refused;

/// An event that was read.
#[derive(Debug)]
pub(super) struct Read {
    pub frame: Frame,
    /// How the format read it, if its data is JSON.
    pub reading: Option<Reading>,
    /// Whether its data could not be read.
    pub is_unread: bool,
}

impl Read {
    /// Whether the format withholds it.
    pub fn is_withheld(&self) -> bool {
        self.reading.as_ref().is_some_and(|reading| reading.fate == Fate::Withheld)
    }
}

/// Whether the event has its empty line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Complete,
    /// The stream ended before it.
    Last,
}

/// Reads an event and scans its texts. `None` for a last event that is incomplete.
pub(super) fn read(
    plan: &Plan,
    channels: &mut Channels,
    format: &mut dyn Format,
    event: Event,
    extent: Extent,
) -> Result<Option<Read>, End> {
    let mut read = Read { frame: Frame::default(), reading: None, is_unread: false };
    let lines = Lines::of(&event);
    read.frame.bytes = event.bytes;
    let Some(lines) = lines else {
        if extent == Extent::Last {
            return Ok(None);
        }
        return Ok(Some(unread(read)));
    };
    read.frame.event = lines.event;
    read.frame.data = lines.map;
    for (from, text) in &lines.others {
        let values = Scan::complete(plan, text)?;
        if !values.is_empty() {
            let map = Map::of(*from..*from + text.len());
            read.frame.leaves.push(Leaf { map, source: Source::Own { values, bytes: text.len() }, is_repeated: false });
        }
    }
    let Some(data) = lines.data else { return Ok(Some(read)) };
    // Empty data is a sign of life: MCP begins streams with it.
    if format.is_sentinel(&data) || data.is_empty() || (format.data() == Data::Json && data.trim().is_empty()) {
        return Ok(Some(read));
    }
    match parse(plan, format.data(), &data) {
        Parsed::Json(document) => json(plan, channels, format, document, &mut read)?,
        Parsed::Text => text(plan, channels, &data, &mut read.frame)?,
        Parsed::Unread if extent == Extent::Last => return Ok(None),
        Parsed::Unread => read = unread(read),
    }
    Ok(Some(read))
}

fn unread(mut read: Read) -> Read {
    read.is_unread = true;
    read.frame.gaps.push((0, Gap::Unread));
    read
}

fn json(
    plan: &Plan,
    channels: &mut Channels,
    format: &mut dyn Format,
    document: Document,
    read: &mut Read,
) -> Result<(), End> {
    let message = Message { event: &read.frame.event, json: document.json.node() };
    let reading = format.event(message);
    read::document(plan, channels, &reading, document, &mut read.frame)?;
    let ended = match &reading.ends {
        Ends::Scopes(scopes) => scopes.clone(),
        Ends::All => channels.scopes(),
    };
    for scope in &ended {
        channels.end(plan, scope)?;
    }
    if reading.fate == Fate::Withheld {
        read.frame.leaves.clear();
    }
    read.reading = Some(reading);
    Ok(())
}

/// Text continues in the next event of the same name.
fn text(plan: &Plan, channels: &mut Channels, data: &str, frame: &mut Frame) -> Result<(), End> {
    let key = (frame.event.clone(), SmolStr::new_static("data"));
    let (from, to) = channels.read(plan, &key, data, Kind::Text)?;
    let source = Source::Channel { key, from, to };
    frame.leaves.push(Leaf { map: frame.data.clone(), source, is_repeated: false });
    Ok(())
}

enum Parsed {
    Json(Document),
    Text,
    Unread,
}

fn parse(plan: &Plan, data: Data, text: &str) -> Parsed {
    let looks_like_json = || text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with(['{', '[']);
    match data {
        Data::Text => return Parsed::Text,
        Data::Either if !looks_like_json() => return Parsed::Text,
        Data::Json | Data::Either => {}
    }
    match (Document::parse(text, plan.limits.of_json(text.len())), data) {
        (Ok(document), _) => Parsed::Json(document),
        // With a backslash a lenient reader could find a value that a scan of the text does not see.
        (Err(Refused::Syntax { .. }), Data::Either) if !text.contains('\\') => Parsed::Text,
        (Err(_), Data::Json | Data::Either | Data::Text) => Parsed::Unread,
    }
}

/// The lines of an event by their fields.
struct Lines {
    event: SmolStr,
    /// The `data:` lines, joined; `None` without one.
    data: Option<String>,
    /// From the data to the bytes of the event.
    map: Map,
    /// Values of all other lines, with their offsets.
    others: Vec<(usize, String)>,
}

impl Lines {
    /// `None` if a line is not UTF-8.
    fn of(event: &Event) -> Option<Self> {
        let mut lines = Self { event: SmolStr::default(), data: None, map: Map::default(), others: Vec::new() };
        for line in &event.lines {
            let Ok(text) = std::str::from_utf8(event.bytes.get(line.clone()).unwrap_or_default()) else { return None };
            let (name, value) = field(text);
            let (from, value) = (line.start + value.start, text.get(value).unwrap_or_default());
            if name == "data" {
                lines.add_data(from, value);
                continue;
            }
            if name == "event" {
                lines.event = SmolStr::new(value);
            }
            // A line without a colon is all name.
            let is_named = matches!(name, "event" | "id" | "retry" | "");
            let (from, value) = if is_named { (from, value) } else { (line.start, text) };
            if !value.is_empty() {
                lines.others.push((from, value.to_owned()));
            }
        }
        Some(lines)
    }

    fn add_data(&mut self, from: usize, value: &str) {
        match &mut self.data {
            None => self.data = Some(value.to_owned()),
            Some(data) => {
                // The line break between two lines is not a byte that could be replaced: a mask goes to the end of the first.
                let end = self.map.end();
                self.map.push(1, end..end);
                data.push('\n');
                data.push_str(value);
            }
        }
        self.map.push(value.len(), from..from + value.len());
    }
}
