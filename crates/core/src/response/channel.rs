//! One text channel: its scans, and the values that were found.
//!
//! Knows: text in pieces. Must not know: frames, rulings, formats.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use smol_str::SmolStr;

use super::arguments;
use super::plan::Plan;
use super::ruling::End;
use super::value::{Marks, Value};
use crate::content::scanner::{Scanner, Stop};

/// The scan of one text by all passes.
#[derive(Debug)]
pub(super) struct Scan {
    scanners: Vec<(Scanner, u64)>,
    read: u64,
    /// Values by pass, in the order of the text. Those of one pass do not overlap.
    values: Vec<VecDeque<Value>>,
}

/// Number of a pass, and of a value in it.
pub(super) type ValueId = (usize, usize);

/// Whether more text may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    MayFollow,
    No,
}

impl Scan {
    pub fn new(plan: &Plan) -> Self {
        let scanner = |matcher| (Scanner::new(std::sync::Arc::clone(matcher), plan.limits.channel_bytes_max), 0);
        Self {
            scanners: plan.passes.iter().map(scanner).collect(),
            read: 0,
            values: vec![VecDeque::new(); plan.passes.len()],
        }
    }

    /// The values of a complete text.
    pub fn complete(plan: &Plan, text: &str) -> Result<Vec<Value>, End> {
        let mut scan = Self::new(plan);
        scan.read(plan, text, More::No)?;
        Ok(scan.values.into_iter().flatten().collect())
    }

    /// Reads more text. Every pass reads it, also if one of them has to stop: [`Self::decided`] is right then too.
    pub fn read(&mut self, plan: &Plan, text: &str, more: More) -> Result<(), End> {
        self.read += text.len() as u64;
        let mut stopped = Ok(());
        let scanners = self.scanners.iter_mut().zip(&mut self.values).zip(&plan.passes);
        for (pass, (((scanner, decided), values), matcher)) in scanners.enumerate() {
            let mut marks = Marks { pass, matcher, values, decided };
            let read = match more {
                More::MayFollow => scanner.read(text, &mut marks),
                More::No => scanner.read_last(text, &mut marks),
            };
            match read {
                Ok(()) => {}
                Err(Stop::HoldExceeded { .. }) => stopped = Err(End::ChannelHold),
                Err(Stop::StandIns(_)) => stopped = Err(End::TooManyStandIns),
            }
        }
        stopped
    }

    /// How much of the text every pass has decided, in bytes.
    pub fn decided(&self) -> u64 {
        self.scanners.iter().map(|(_, decided)| *decided).min().unwrap_or(self.read)
    }

    /// Values in this part of the text, without those that were forgotten.
    pub fn values(&self, (from, to): (u64, u64)) -> impl Iterator<Item = (ValueId, &Value)> {
        self.values.iter().enumerate().flat_map(move |(pass, values)| {
            // Values of a pass do not overlap, so that their ends are in order too.
            let first = values.partition_point(|value| value.to.is_some_and(|end| end <= from));
            let here = values.iter().enumerate().skip(first).take_while(move |(_, value)| value.from < to);
            here.map(move |(number, value)| ((pass, number), value))
        })
    }

    /// One of [`Self::values`].
    pub fn value_mut(&mut self, (pass, number): ValueId) -> Option<&mut Value> {
        self.values.get_mut(pass)?.get_mut(number)
    }

    /// Forgets values that end at this offset or before.
    pub fn forget(&mut self, before: u64) {
        for values in &mut self.values {
            while values.front().is_some_and(|value| value.to.is_some_and(|to| to <= before)) {
                values.pop_front();
            }
        }
    }
}

/// A text that arrives in several frames.
#[derive(Debug)]
pub(super) struct Channel {
    pub scan: Scan,
    /// Arguments of a tool call so far, which are scanned when they are complete.
    arguments: Option<String>,
    kind: Kind,
    /// Whether a part of it could not be read, once it ended.
    pub is_unread: bool,
    /// Queued frames with a piece of it.
    pub queued: usize,
}

/// Name of a channel: scope and name.
pub(super) type Key = (SmolStr, SmolStr);

/// The channels of a choice, item, block or call.
#[derive(Debug, Default)]
struct Scope {
    channels: BTreeMap<SmolStr, Channel>,
    /// Number of the last frame with a piece of a tool call's arguments.
    call_to: u64,
}

/// The channels of one stream.
#[derive(Debug, Default)]
pub(super) struct Channels {
    /// Number of the frame that is read.
    pub frame: u64,
    scopes: BTreeMap<SmolStr, Scope>,
    /// Scopes that ended.
    ended: BTreeSet<SmolStr>,
    /// Channels and ended scopes.
    count: usize,
    /// Channels ever opened.
    pub opened: u64,
}

impl Channels {
    pub fn get(&self, key: &Key) -> Option<&Channel> {
        self.scopes.get(&key.0)?.channels.get(&key.1)
    }

    pub fn get_mut(&mut self, key: &Key) -> Option<&mut Channel> {
        self.scopes.get_mut(&key.0)?.channels.get_mut(&key.1)
    }

    /// Number of the last frame with a piece of the call that this channel belongs to. 0 for a channel that is not of a call.
    pub fn call_to(&self, key: &Key) -> u64 {
        match self.get(key).map(|channel| channel.kind) {
            Some(Kind::Arguments) => self.scopes.get(&key.0).map_or(0, |scope| scope.call_to),
            Some(Kind::Text) | None => 0,
        }
    }

    /// Whether the scope ended, so that no text may follow.
    pub fn has_ended(&self, scope: &str) -> bool {
        self.ended.contains(scope)
    }

    /// Reads a piece of a channel, and returns the part of the channel's text that it is.
    pub fn read(&mut self, plan: &Plan, key: &Key, piece: &str, kind: Kind) -> Result<(u64, u64), End> {
        let scope = self.scopes.entry(key.0.clone()).or_default();
        if kind == Kind::Arguments {
            scope.call_to = self.frame;
        }
        let channel = match scope.channels.entry(key.1.clone()) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(free) => {
                self.count += 1;
                if self.count > plan.limits.channels_max {
                    return Err(End::TooManyChannels);
                }
                self.opened += 1;
                let arguments = (kind == Kind::Arguments).then(String::new);
                free.insert(Channel { scan: Scan::new(plan), arguments, kind, is_unread: false, queued: 0 })
            }
        };
        channel.queued += 1;
        let from = channel.scan.read;
        match &mut channel.arguments {
            Some(arguments) => {
                arguments.push_str(piece);
                channel.scan.read += piece.len() as u64;
            }
            None => channel.scan.read(plan, piece, More::MayFollow)?,
        }
        Ok((from, channel.scan.read))
    }

    /// Ends a scope: its texts are complete.
    pub fn end(&mut self, plan: &Plan, scope: &SmolStr) -> Result<(), End> {
        if self.ended.insert(scope.clone()) {
            self.count += 1;
        }
        for channel in self.scopes.get_mut(scope).into_iter().flat_map(|scope| scope.channels.values_mut()) {
            channel.end(plan)?;
        }
        self.drop_unused(scope);
        if self.count > plan.limits.channels_max { Err(End::TooManyChannels) } else { Ok(()) }
    }

    /// Ends every scope, at the end of the stream.
    pub fn end_all(&mut self, plan: &Plan) -> Result<(), End> {
        for channel in self.scopes.values_mut().flat_map(|scope| scope.channels.values_mut()) {
            channel.end(plan)?;
        }
        Ok(())
    }

    /// Every scope with a channel.
    pub fn scopes(&self) -> Vec<SmolStr> {
        self.scopes.keys().cloned().collect()
    }

    /// Notes that a frame with a piece of this channel left; `to` is where the piece ends.
    pub fn left(&mut self, key: &Key, to: u64) {
        if let Some(channel) = self.get_mut(key) {
            channel.queued = channel.queued.saturating_sub(1);
            channel.scan.forget(to);
        }
        if self.has_ended(&key.0) {
            self.drop_unused(&key.0);
        }
    }

    fn drop_unused(&mut self, scope: &SmolStr) {
        let Some(Scope { channels, .. }) = self.scopes.get_mut(scope) else { return };
        let before = channels.len();
        channels.retain(|_, channel| channel.queued > 0);
        self.count = self.count.saturating_sub(before - channels.len());
        if channels.is_empty() {
            self.scopes.remove(scope);
        }
    }
}

/// How the text of a channel is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Arguments,
}

impl Channel {
    /// Whether its text is decided up to here.
    pub fn is_decided(&self, to: u64) -> bool {
        self.arguments.is_none() && self.scan.decided() >= to
    }

    fn end(&mut self, plan: &Plan) -> Result<(), End> {
        match self.arguments.take() {
            None => self.scan.read(plan, "", More::No),
            Some(arguments) => {
                let read = arguments::read(plan, &arguments)?;
                self.is_unread = read.is_unread;
                for value in read.values {
                    if let Some(values) = self.scan.values.get_mut(value.pass) {
                        values.push_back(value);
                    }
                }
                // All of the text is decided.
                self.scan.scanners.clear();
                Ok(())
            }
        }
    }
}
