//! The mask of a request: what a proxy's processor has to do with the body that a check allowed.
//!
//! Knows: digests, names of detectors. Must not know: detectors, bodies, who masks.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};
use smol_str::SmolStr;

/// The mask of one request. It is part of the record, so that the processor does what the check decided, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestMask {
    /// Detectors with values that are masked; at least one.
    pub detectors: BTreeSet<SmolStr>,
    /// Where the messages are in the body.
    pub shape: BodyShape,
    /// The part of stand-ins that is the call's own.
    pub random: [u8; 8],
    /// The body that was evaluated.
    pub judged: BodyDigest,
    /// The masked body, which was evaluated too.
    pub masked: BodyDigest,
}

/// Where the messages of a body are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyShape {
    /// The body is the message.
    Json,
    /// The body is a request to a model.
    Model,
    /// The body is a message of JSON-RPC, or a list of them.
    Rpc,
}

/// SHA-256 of a body's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyDigest(pub(super) [u8; 32]);

impl BodyDigest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        Self(Sha256::digest(body).into())
    }
}

impl BodyShape {
    pub(super) fn tag(self) -> u8 {
        match self {
            Self::Json => 0,
            Self::Model => 1,
            Self::Rpc => 2,
        }
    }

    pub(super) fn of_tag(tag: u8) -> Option<Self> {
        [Self::Json, Self::Model, Self::Rpc].into_iter().find(|shape| shape.tag() == tag)
    }
}
