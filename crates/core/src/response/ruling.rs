//! The question to the policies about a response, their answer, and how a response ends.
//!
//! Knows: names of detectors. Must not know: Cedar, text, frames.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

/// What is known of one response so far. It only grows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Names of the detectors that found something.
    pub found: BTreeSet<SmolStr>,
    /// Whether everything so far was read. Media in `passed` do not count here.
    pub inspected: bool,
    /// Media types of parts that are not text, so that they were not read.
    pub passed: BTreeSet<SmolStr>,
}

impl Default for Seen {
    fn default() -> Self {
        Self { found: BTreeSet::new(), inspected: true, passed: BTreeSet::new() }
    }
}

/// What the policies answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// The response goes on.
    Release {
        /// Names of the detectors with values that are masked. Empty: nothing is masked.
        masks: BTreeSet<SmolStr>,
    },
    /// The response ends here.
    Refuse,
}

/// The verdict function.
///
/// It is called at the start of a stream with nothing found, at the first finding of each detector in the order of the
/// document, at the first part that could not be read, and at each new media type. For a complete document it is called once.
pub type Rule<'r> = dyn FnMut(&Seen) -> Ruling + 'r;

/// Whether more of the response may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Yes.
    More,
    /// No: everything that may leave is in the output, the ending included. Later input is ignored.
    Ended(End),
}

/// How a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All of it was read and left, masked where the policies want it.
    Complete,
    /// The upstream's body ended inside an event or a character; the incomplete part was withheld, all else left.
    Cut,
    /// The policies refused it.
    Refused,
    /// A value was to be masked in a part that cannot be changed: a key, a number, or a part that was not read.
    NotMaskable,
    /// A text channel would have to hold more than [`super::plan::Limits::channel_bytes_max`].
    ChannelHold,
    /// More wire bytes are held than [`super::plan::Limits::stream_bytes_max`].
    StreamHold,
    /// One event, or a complete document, has more wire bytes than its limit.
    TooLong,
    /// There are more text channels than [`super::plan::Limits::channels_max`].
    TooManyChannels,
    /// A call has too many values that are replaced by stand-ins.
    TooManyStandIns,
    /// Bytes were held for longer than the processor allows.
    HeldTooLong,
    /// The process holds too many bytes of responses.
    Overload,
    /// The body is not in the coding that its headers name.
    Undecodable,
    /// The proxy gave the response up.
    Abandoned,
}

impl End {
    /// Whether the response ended as the upstream meant it.
    #[must_use]
    pub fn is_complete(self) -> bool {
        self == Self::Complete
    }

    /// The name in records and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Cut => "cut",
            Self::Refused => "refused",
            Self::NotMaskable => "not_maskable",
            Self::ChannelHold => "channel_hold",
            Self::StreamHold => "stream_hold",
            Self::TooLong => "too_long",
            Self::TooManyChannels => "too_many_channels",
            Self::TooManyStandIns => "too_many_stand_ins",
            Self::HeldTooLong => "held_too_long",
            Self::Overload => "overload",
            Self::Undecodable => "undecodable",
            Self::Abandoned => "abandoned",
        }
    }
}

/// What was done, for the decision log and metrics. It never holds text.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Text channels that were scanned.
    pub channels: u64,
    /// Events, or pieces of a text, that were read.
    pub frames: u64,
    /// Events that could not be read.
    pub frames_unread: u64,
    /// Events that were withheld: an incomplete one at the end, and those that a format withholds.
    pub frames_withheld: u64,
    /// Values by detector. Text that an API repeats counts once.
    pub findings: BTreeMap<SmolStr, u64>,
    /// The most wire bytes that were held at once.
    pub held_bytes_most: u64,
    /// Tokens that the API reported.
    pub usage: Option<super::format::Usage>,
    /// Entries of lists.
    pub lists: super::format::ListCounts,
}

/// A response of any kind, in pieces of any size.
pub trait Body: std::fmt::Debug + Send {
    /// Asks for the ruling before anything was read, once. [`Self::push`] and [`Self::finish`] do it if it was not done.
    fn start(&mut self, rule: &mut Rule<'_>, out: &mut Vec<u8>) -> Progress;

    /// Reads the next bytes, and adds to `out` what may leave.
    fn push(&mut self, bytes: &[u8], rule: &mut Rule<'_>, out: &mut Vec<u8>) -> Progress;

    /// Ends the body, and adds the rest to `out`. Never [`Progress::More`].
    fn finish(&mut self, rule: &mut Rule<'_>, out: &mut Vec<u8>) -> Progress;

    /// Ends the body early for a reason outside of it, and adds to `out` the ending that its API has. Nothing that is held leaves. No
    /// effect on a body that ended.
    fn stop(&mut self, end: End, out: &mut Vec<u8>) -> Progress;

    /// Asks for the ruling again, for policies that changed meanwhile.
    fn rule_again(&mut self, rule: &mut Rule<'_>, out: &mut Vec<u8>) -> Progress;

    /// What was done so far.
    fn summary(&self) -> Summary;

    /// Wire bytes that are held now.
    fn held_bytes(&self) -> usize;
}
