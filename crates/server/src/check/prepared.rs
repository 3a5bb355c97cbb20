//! The bytes that edges prepare once for a cached result.
//!
//! Knows: bytes. Must not know: protocols.

use std::sync::OnceLock;

/// Bytes that edges prepare for a judgement that answers many calls; made when first needed.
#[derive(Debug, Default)]
pub struct Prepared {
    /// The answer in the proxy's protocol, one for each of its encodings.
    pub answers: [OnceLock<EncodedAnswer>; 2],
    /// The judgement's part of a log record, split where each call has its own values.
    pub record: OnceLock<[Box<[u8]>; 2]>,
}

/// An encoded answer.
#[derive(Debug, PartialEq, Eq)]
pub struct EncodedAnswer {
    /// The bytes, with the decision id of one call in them.
    pub bytes: Box<[u8]>,
    /// The places of the id in the bytes.
    pub ids: Vec<usize>,
    /// The HTTP status of the answer.
    pub status: u16,
}
