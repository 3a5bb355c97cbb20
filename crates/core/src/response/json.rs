//! Masks a complete JSON document.
//!
//! Knows: one document, its ruling. Must not know: events, APIs, HTTP.
//!
//! All findings come first, then one ruling, then one pass of changes. Nothing leaves before the document is complete; one that
//! is refused leaves no byte, and the caller writes the answer.

use std::sync::Arc;

use super::channel::Channels;
use super::document::Document;
use super::format::{Fate, Format, Message};
use super::frame::{Frame, Gap};
use super::map::Map;
use super::plan::Plan;
use super::read;
use super::ruling::{Body, End, Progress, Rule, Summary};
use super::settle::{Tally, count, settle};
use super::verdicts::Verdicts;
use crate::content::mask::StandIns;

/// A JSON body.
#[derive(Debug)]
pub struct JsonBody {
    plan: Arc<Plan>,
    format: Box<dyn Format>,
    stand_ins: StandIns,
    bytes: Vec<u8>,
    tally: Tally,
    summary: Summary,
    ended: Option<End>,
}

impl JsonBody {
    /// A body of which nothing was read.
    #[must_use]
    pub fn new(plan: Arc<Plan>, format: Box<dyn Format>, stand_ins: StandIns) -> Self {
        let summary = Summary { frames: 1, ..Summary::default() };
        Self { plan, format, stand_ins, bytes: Vec::new(), tally: Tally::new(), summary, ended: None }
    }

    fn last(&mut self, rule: &mut Rule<'_>, out: &mut Vec<u8>) -> Result<(), End> {
        let mut channels = Channels::default();
        let mut frame = Frame { bytes: std::mem::take(&mut self.bytes), ..Frame::default() };
        frame.data = Map::of(0..frame.bytes.len());
        match self.document(&frame.bytes) {
            Err(gap) => {
                self.summary.frames_unread = 1;
                frame.gaps.push((0, gap));
            }
            Ok(document) => {
                let reading = self.format.document(Message { event: "", json: document.json.node() });
                if reading.fate == Fate::Withheld {
                    // Nothing in it was read, and no document can take its place here.
                    self.summary.frames_withheld = 1;
                    return Err(End::Refused);
                }
                self.summary.usage = reading.usage;
                self.summary.lists = reading.lists;
                read::document(&self.plan, &mut channels, &reading, document, &mut frame)?;
                channels.end_all(&self.plan)?;
            }
        }
        self.summary.channels = channels.opened;
        let mut verdicts = Verdicts::default();
        for sight in count(&frame, &channels, &mut self.tally) {
            verdicts.add(&sight);
        }
        verdicts.again(rule)?;
        let mut is_masked = |sight: &_| verdicts.is_masked(sight);
        settle(&mut frame, &mut channels, &mut self.stand_ins, &mut is_masked)?;
        if frame.is_masked(&channels) {
            frame.accept_edits_when_masked();
        }
        frame.write(&channels, out);
        Ok(())
    }

    fn document(&self, bytes: &[u8]) -> Result<Document, Gap> {
        let text = std::str::from_utf8(bytes).map_err(|_| Gap::Unread)?;
        let limits = self.plan.limits.of_json(self.plan.limits.document_bytes_max);
        Document::parse(text, limits).map_err(|_| Gap::Unread)
    }

    fn concluded(&mut self, end: End) -> Progress {
        self.ended = Some(end);
        self.bytes = Vec::new();
        Progress::Ended(end)
    }
}

impl Body for JsonBody {
    /// Nothing: a document has one ruling, when it is complete.
    fn start(&mut self, _: &mut Rule<'_>, _: &mut Vec<u8>) -> Progress {
        self.ended.map_or(Progress::More, Progress::Ended)
    }

    fn push(&mut self, bytes: &[u8], _: &mut Rule<'_>, _: &mut Vec<u8>) -> Progress {
        if let Some(end) = self.ended {
            return Progress::Ended(end);
        }
        if self.bytes.len() + bytes.len() > self.plan.limits.document_bytes_max {
            return self.concluded(End::TooLong);
        }
        self.bytes.extend_from_slice(bytes);
        self.summary.held_bytes_most = self.bytes.len() as u64;
        Progress::More
    }

    fn finish(&mut self, rule: &mut Rule<'_>, out: &mut Vec<u8>) -> Progress {
        if let Some(end) = self.ended {
            return Progress::Ended(end);
        }
        let end = self.last(rule, out).err().unwrap_or(End::Complete);
        self.concluded(end)
    }

    fn stop(&mut self, end: End, _: &mut Vec<u8>) -> Progress {
        match self.ended {
            Some(end) => Progress::Ended(end),
            None => self.concluded(end),
        }
    }

    /// Nothing: the ruling comes when the document is complete.
    fn rule_again(&mut self, _: &mut Rule<'_>, _: &mut Vec<u8>) -> Progress {
        self.ended.map_or(Progress::More, Progress::Ended)
    }

    fn summary(&self) -> Summary {
        Summary { findings: self.tally.clone(), ..self.summary.clone() }
    }

    fn held_bytes(&self) -> usize {
        self.bytes.len()
    }
}
