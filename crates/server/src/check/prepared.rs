//! The bytes that edges prepare once for a cached result.
//!
//! Knows: bytes. Must not know: protocols.

use std::sync::OnceLock;

/// What edges prepared for a judgement that answers many calls; made by whoever needs it first.
#[derive(Debug, Default)]
pub struct Prepared {
    /// The answer in the proxy's protocol, one for each language it can be put in.
    pub answers: [OnceLock<EncodedAnswer>; 2],
    /// The judgement's part of a log record, cut where each call has something of its own.
    pub record: OnceLock<[Box<[u8]>; 2]>,
}

/// An answer in bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct EncodedAnswer {
    /// The bytes, with some decision's id in them.
    pub bytes: Box<[u8]>,
    /// Where in the bytes the id stands.
    pub ids: Vec<usize>,
    /// The HTTP status that it tells.
    pub status: u16,
}
