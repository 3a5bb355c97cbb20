//! The interface between the machine and an API: its text channels, what ends them, and the ending of a stream.
//!
//! Knows: one event or document, as JSON. Must not know: detectors, policies, frames, cuts. One file an API.

pub mod a2a;
pub mod chat;
pub mod endings;
pub mod generic;
pub mod lists;
pub mod mcp;
pub mod messages;
pub mod responses;
mod roles;

pub use roles::LogProbabilities;

use std::collections::HashMap;
use std::fmt;

use smol_str::SmolStr;

use super::ruling::End;
use crate::body::json::Node;

/// One event of a stream, or a complete document.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The value of the `event:` line; empty without one, and for a document.
    pub event: &'a str,
    /// The JSON of the `data:` lines, or the document.
    pub json: Node<'a>,
}

/// What an API's `data:` lines hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// JSON. Anything else, other than a sentinel, could not be read.
    Json,
    /// Text, also if it looks like JSON.
    Text,
    /// A JSON object or list where it parses as one, text otherwise.
    Either,
}

/// How a string is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// A piece of a text that continues in later events under this name, within [`Leaf::scope`].
    Delta(SmolStr),
    /// A text that is complete here.
    Complete,
    /// A piece of a tool call's arguments under this name, within [`Leaf::scope`]. All pieces are held until the scope ends; then the
    /// arguments are read as JSON, or as text if they are not JSON.
    Held(SmolStr),
    /// Arguments of a tool call that are complete here: JSON inside a string, or text.
    Arguments,
    /// Text in Base64 from this byte on (the text before it is scanned as it is).
    Base64 {
        /// Where Base64 begins.
        from: usize,
    },
    /// A part of this media type, which is not read.
    Media(SmolStr),
    /// Not scanned: one of the short list of ids, signatures and words of the protocol.
    Exempt,
}

/// A string with its role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The choice, item, block or call that the string belongs to.
    pub scope: SmolStr,
    /// How it is read.
    pub role: Role,
    /// Whether the text was in earlier events too, so that its values are masked but not counted again.
    pub is_repeated: bool,
}

/// The role of strings that a [`Reading`] does not list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unlisted {
    /// Each is a [`Role::Delta`], named by its JSON path, within this scope.
    Delta(SmolStr),
    /// Each is [`Role::Complete`].
    Complete,
}

/// A change of a document that an API needs, regardless of what is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Removes the member or element with this value ([`Node::place`]).
    Remove(usize),
    /// Replaces this value by JSON text.
    Replace(usize, String),
}

/// Whether an event leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Yes, as the policies want it.
    Forwarded,
    /// No, regardless of the policies. Its strings are not scanned.
    Withheld,
}

/// Which scopes end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ends {
    /// These.
    Scopes(Vec<SmolStr>),
    /// Every one.
    All,
}

/// Tokens that an API reported for one response.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the request.
    pub input_tokens: u64,
    /// Tokens of the response.
    pub output_tokens: u64,
}

/// Entries of lists, counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ListCounts {
    /// Entries that the service sent.
    pub entries: u64,
    /// Entries of these that do not leave.
    pub dropped: u64,
    /// Lists that do not leave: an error takes their place.
    pub refused: u64,
}

impl ListCounts {
    /// Adds `other`.
    pub fn add(&mut self, other: Self) {
        let Self { entries, dropped, refused } = other;
        self.entries += entries;
        self.dropped += dropped;
        self.refused += refused;
    }
}

/// How a format reads one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Strings with a role of their own, by [`Node::place`].
    pub leaves: HashMap<usize, Leaf>,
    /// All other strings.
    pub unlisted: Unlisted,
    /// Scopes that end behind this message. More text in an ended scope could not be read.
    pub ends: Ends,
    /// Changes in any case.
    pub edits: Vec<Edit>,
    /// Changes once a value was masked in this response, such as offsets that no longer fit.
    pub edits_when_masked: Vec<Edit>,
    /// Values from which the paths of field detectors count ([`Node::place`]).
    pub roots: Vec<usize>,
    /// Whether the message leaves.
    pub fate: Fate,
    /// Tokens so far, which replace those reported earlier.
    pub usage: Option<Usage>,
    /// Entries of lists in this message.
    pub lists: ListCounts,
}

impl Reading {
    /// A message with texts that are complete, and with fields that count from its root.
    #[must_use]
    pub fn complete() -> Self {
        Self {
            leaves: HashMap::new(),
            unlisted: Unlisted::Complete,
            ends: Ends::Scopes(Vec::new()),
            edits: Vec::new(),
            edits_when_masked: Vec::new(),
            roots: vec![0],
            fate: Fate::Forwarded,
            usage: None,
            lists: ListCounts::default(),
        }
    }

    /// A message with texts that continue in later ones of `scope`.
    #[must_use]
    pub fn deltas(scope: SmolStr) -> Self {
        Self { unlisted: Unlisted::Delta(scope), ..Self::complete() }
    }
}

/// The format of an API's responses. It may keep what it needs for an ending.
pub trait Format: fmt::Debug + Send {
    /// What `data:` lines hold.
    fn data(&self) -> Data;

    /// Whether this data is a word of the protocol such as `[DONE]`, which leaves as it is.
    fn is_sentinel(&self, data: &str) -> bool;

    /// Reads one event, when it has arrived.
    fn event(&mut self, message: Message<'_>) -> Reading;

    /// Notes that an event, as it arrived, has left. [`Self::ending`] ends what the client has got.
    fn left(&mut self, message: Message<'_>);

    /// Reads a complete document.
    fn document(&mut self, message: Message<'_>) -> Reading;

    /// The bytes that end a stream early, so that a client of the API reads it as an end. Called once, for any end but
    /// [`End::Complete`].
    fn ending(&mut self, end: End) -> Vec<u8>;

    /// The bytes behind a stream that the upstream ended normally: errors for requests that a client would wait for. Called once, for
    /// [`End::Complete`].
    fn closing(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// The document in place of a response of which nothing leaves: an error of the API, sent with [`Self::refusal_status`].
    fn refusal(&mut self, end: End) -> Vec<u8>;

    /// The HTTP status of [`Self::refusal`]: 403, unless the API has its errors in answers with a status of success.
    fn refusal_status(&self) -> u16 {
        403
    }
}

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
