//! Masks a stream of frames: the events of an event stream, or the messages of gRPC.
//!
//! Knows: events in a queue, their channels and rulings. Must not know: APIs, HTTP, time.
//!
//! Events leave in their order, each when all its texts are decided: no pattern that began before their end can still match.
//! Rulings are asked for when an event is the first of the queue, so that they do not depend on how the bytes arrived. The events
//! of a tool call leave together, with all events between them: a call that is refused leaves no part of itself.

use std::collections::VecDeque;
use std::sync::Arc;

use super::channel::Channels;
use super::event::{self, Extent, Read};
use super::format::{Format, Message, Usage};
use super::frame::{Frame, Source};
use super::framing::Framing;
use super::plan::Plan;
use super::ruling::{Body, End, Progress, Rule, Summary};
use super::settle::{Tally, count, settle};
use super::sse::{Event, Splitter};
use super::verdicts::Verdicts;
use crate::content::mask::StandIns;

/// An event stream.
pub type EventStream = FrameStream<Events>;

/// The events of an API.
#[derive(Debug)]
pub struct Events {
    format: Box<dyn Format>,
    splitter: Splitter,
}

/// A stream of frames.
#[derive(Debug)]
pub struct FrameStream<F> {
    plan: Arc<Plan>,
    framing: F,
    stand_ins: StandIns,
    channels: Channels,
    queue: VecDeque<Read>,
    queued_bytes: usize,
    /// Number of the first event of the queue.
    first: u64,
    /// How many events at the front of the queue are decided.
    decided: usize,
    /// Number of the last event that leaves together with the first one.
    together_to: u64,
    verdicts: Verdicts,
    was_masked: bool,
    tally: Tally,
    summary: Summary,
    ended: Option<End>,
}

impl EventStream {
    /// A stream of which nothing was read.
    #[must_use]
    pub fn new(plan: Arc<Plan>, format: Box<dyn Format>, stand_ins: StandIns) -> Self {
        let splitter = Splitter::new(plan.limits.event_bytes_max);
        Self::of(plan, Events { format, splitter }, stand_ins)
    }
}

impl Framing for Events {
    type Unit = Event;

    fn push(&mut self, bytes: &[u8]) {
        self.splitter.push(bytes);
    }

    fn next(&mut self) -> Result<Option<Event>, End> {
        self.splitter.next()
    }

    fn rest(&mut self) -> Result<Option<Event>, End> {
        self.splitter.rest()
    }

    fn held_bytes(&self) -> usize {
        self.splitter.held_bytes()
    }

    fn read(
        &mut self,
        plan: &Plan,
        channels: &mut Channels,
        event: Event,
        extent: Extent,
    ) -> Result<Option<Read>, End> {
        event::read(plan, channels, &mut *self.format, event, extent)
    }

    fn left(&mut self, read: &Read) {
        if let Some(document) = &read.frame.document {
            self.format.left(Message { event: &read.frame.event, json: document.json.node() });
        }
    }

    fn closing(&mut self) -> Vec<u8> {
        self.format.closing()
    }

    fn ending(&mut self, end: End) -> Vec<u8> {
        self.format.ending(end)
    }
}

#[expect(private_bounds, reason = "other crates use the constructors of the streams only")]
impl<F: Framing> FrameStream<F> {
    /// A stream of such frames of which nothing was read.
    pub(super) fn of(plan: Arc<Plan>, framing: F, stand_ins: StandIns) -> Self {
        Self {
            plan,
            framing,
            stand_ins,
            channels: Channels::default(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            first: 0,
            decided: 0,
            together_to: 0,
            verdicts: Verdicts::default(),
            was_masked: false,
            tally: Tally::new(),
            summary: Summary::default(),
            ended: None,
        }
    }

    fn advance(&mut self, bytes: &[u8], rule: &mut Rule<'_>, out: &mut Vec<u8>) -> Result<(), End> {
        self.verdicts.start(rule)?;
        self.framing.push(bytes);
        while let Some(event) = self.framing.next()? {
            self.arrived(event, Extent::Complete, rule, out)?;
        }
        Ok(())
    }

    fn last(&mut self, rule: &mut Rule<'_>, out: &mut Vec<u8>) -> Result<End, End> {
        self.advance(b"", rule, out)?;
        let end = match self.framing.rest()? {
            Some(event) => self.arrived(event, Extent::Last, rule, out)?,
            None => End::Complete,
        };
        self.channels.end_all(&self.plan)?;
        self.release(rule, out)?;
        Ok(end)
    }

    /// Reads an event, and lets out those that are decided.
    fn arrived(&mut self, unit: F::Unit, extent: Extent, rule: &mut Rule<'_>, out: &mut Vec<u8>) -> Result<End, End> {
        self.summary.frames += 1;
        self.channels.frame = self.first + self.queue.len() as u64;
        let Some(read) = self.framing.read(&self.plan, &mut self.channels, unit, extent)? else {
            self.summary.frames_withheld += 1;
            return Ok(End::Cut);
        };
        self.summary.frames_unread += u64::from(read.is_unread);
        self.queued_bytes += read.frame.bytes.len();
        self.queue.push_back(read);
        self.release(rule, out)?;
        if self.queued_bytes > self.plan.limits.stream_bytes_max { Err(End::StreamHold) } else { Ok(End::Complete) }
    }

    /// Lets out the events that are decided, those of a tool call with the last of them.
    fn release(&mut self, rule: &mut Rule<'_>, out: &mut Vec<u8>) -> Result<(), End> {
        while let Some(read) = self.queue.get(self.decided).filter(|read| read.frame.is_decided(&self.channels)) {
            self.together_to = self.together_to.max(read.frame.call_to(&self.channels));
            self.decided += 1;
            if self.together_to < self.first + self.decided as u64 {
                self.leave(rule, out)?;
            }
        }
        Ok(())
    }

    /// Rules about the events that are decided, one by one, and adds them to `out`, or none of them.
    fn leave(&mut self, rule: &mut Rule<'_>, out: &mut Vec<u8>) -> Result<(), End> {
        let mut together: Vec<Read> = self.queue.drain(..self.decided).collect();
        (self.first, self.decided) = (self.first + together.len() as u64, 0);
        let (channels, verdicts) = (&mut self.channels, &mut self.verdicts);
        for Read { frame, .. } in &mut together {
            self.queued_bytes -= frame.bytes.len();
            count(frame, channels, &mut self.tally);
            settle(frame, channels, &mut self.stand_ins, &mut |sight| verdicts.see(sight, rule))?;
        }
        let before = out.len();
        for read in &mut together {
            if let Err(end) = self.write(read, out) {
                out.truncate(before);
                return Err(end);
            }
        }
        for read in together.iter().filter(|read| !read.is_withheld()) {
            forget(&read.frame, &mut self.channels);
            self.framing.left(read);
        }
        Ok(())
    }

    /// Adds an event to `out` that was ruled about.
    fn write(&mut self, read: &mut Read, out: &mut Vec<u8>) -> Result<(), End> {
        if let Some(usage) = read.reading.as_ref().and_then(|reading| reading.usage) {
            self.summary.usage = Some(merged(self.summary.usage, usage));
        }
        if let Some(reading) = &read.reading {
            self.summary.lists.add(reading.lists);
        }
        if read.is_withheld() {
            self.summary.frames_withheld += 1;
            return Ok(());
        }
        let frame = &mut read.frame;
        self.was_masked |= frame.is_masked(&self.channels);
        if self.was_masked {
            frame.accept_edits_when_masked();
        }
        let before = out.len();
        frame.write(&self.channels, out);
        // A mask may be longer than its value; a client has a limit for an event too.
        if out.len() - before > self.plan.limits.event_bytes_max { Err(End::TooLong) } else { Ok(()) }
    }

    fn concluded(&mut self, result: Result<Progress, End>, out: &mut Vec<u8>) -> Progress {
        let held = self.held_bytes() as u64;
        self.summary.held_bytes_most = self.summary.held_bytes_most.max(held);
        let end = match result {
            Ok(Progress::More) => return Progress::More,
            Ok(Progress::Ended(end)) | Err(end) => end,
        };
        out.extend(if end.is_complete() { self.framing.closing() } else { self.framing.ending(end) });
        self.ended = Some(end);
        self.queue.clear();
        self.queued_bytes = 0;
        Progress::Ended(end)
    }
}

/// Forgets what only this frame needed of its channels.
fn forget(frame: &Frame, channels: &mut Channels) {
    for leaf in &frame.leaves {
        if let Source::Channel { key, to, .. } = &leaf.source {
            channels.left(key, *to);
        }
    }
}

fn merged(before: Option<Usage>, usage: Usage) -> Usage {
    let before = before.unwrap_or_default();
    Usage {
        input_tokens: before.input_tokens.max(usage.input_tokens),
        output_tokens: before.output_tokens.max(usage.output_tokens),
    }
}

impl<F: Framing> Body for FrameStream<F> {
    fn start(&mut self, rule: &mut Rule<'_>, out: &mut Vec<u8>) -> Progress {
        self.push(b"", rule, out)
    }

    fn push(&mut self, bytes: &[u8], rule: &mut Rule<'_>, out: &mut Vec<u8>) -> Progress {
        if let Some(end) = self.ended {
            return Progress::Ended(end);
        }
        let result = self.advance(bytes, rule, out).map(|()| Progress::More);
        self.concluded(result, out)
    }

    fn finish(&mut self, rule: &mut Rule<'_>, out: &mut Vec<u8>) -> Progress {
        if let Some(end) = self.ended {
            return Progress::Ended(end);
        }
        let result = self.last(rule, out).map(Progress::Ended);
        self.concluded(result, out)
    }

    fn stop(&mut self, end: End, out: &mut Vec<u8>) -> Progress {
        match self.ended {
            Some(end) => Progress::Ended(end),
            None => self.concluded(Err(end), out),
        }
    }

    fn rule_again(&mut self, rule: &mut Rule<'_>, out: &mut Vec<u8>) -> Progress {
        if let Some(end) = self.ended {
            return Progress::Ended(end);
        }
        let result = self.verdicts.again(rule).map(|()| Progress::More);
        self.concluded(result, out)
    }

    fn summary(&self) -> Summary {
        Summary { channels: self.channels.opened, findings: self.tally.clone(), ..self.summary.clone() }
    }

    fn held_bytes(&self) -> usize {
        if self.ended.is_some() { 0 } else { self.queued_bytes + self.framing.held_bytes() }
    }
}
