//! The release record: carries what a check evaluated to the response of the same call.
//!
//! Knows: the record, how much of an entity it covers, its bytes and its seal. Must not know: policies, the proxy's
//! protocol, clocks, where the key comes from.
//!
//! The proxy keeps the record with the request and returns it with the response. So it is sealed, and bound to the
//! proxy: a record that another filter forged, or that another proxy received, does not open.

mod codec;
pub mod coverage;
mod request_mask;
pub mod seal;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use smol_str::SmolStr;

use crate::call::UnixMillis;
use crate::query::{self, Node};
pub use coverage::{Coverage, DIGEST_BYTES, EntityCoverage};
pub use request_mask::{BodyDigest, BodyShape, RequestMask};
pub use seal::{ReleaseKey, open, seal};

/// Longest sealed record, in bytes of its text.
pub const RECORD_BYTES_MAX: usize = 2048;
/// Longest draft, in bytes: sealed and written as text it has [`RECORD_BYTES_MAX`].
pub const DRAFT_BYTES_MAX: usize = 1466;

/// An opened record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRecord {
    /// When the request was evaluated.
    pub at: UnixMillis,
    /// The bytes of the decision's id, which joins the records of both phases.
    pub decision_id: [u8; 16],
    /// What has to be masked in the request before its service gets it.
    pub mask: Option<RequestMask>,
    /// The result of the request.
    pub draft: ReleaseDraft,
}

/// A record without the parts that are the call's own: all calls that one cached result answers share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseDraft {
    /// The request was denied: no upstream has answered it.
    Denied,
    /// The request was allowed, and no policy could change the answers of its service.
    Open {
        /// Id of the called service.
        service: SmolStr,
    },
    /// The request was allowed.
    Allowed(Box<Allowed>),
}

/// What was evaluated of an allowed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// Id of the called service.
    pub service: SmolStr,
    /// The operations, in the order of the request; at least one.
    pub judged: Vec<Judged>,
    /// The principal, as far as [`Coverage::principal`] says.
    pub principal: Node,
    /// Parts of `context.env`, as far as [`Coverage::env`] says.
    pub env: query::Record,
    /// What the record holds of these; other parts are unknown, not absent.
    pub coverage: Coverage,
    /// The response may carry the result of another call.
    pub carries_another_result: bool,
    /// Lists in the response are filtered: then [`Allowed::principal`] also holds what policies about requests read of it. The
    /// digest of that coverage.
    pub lists: Option<[u8; DIGEST_BYTES]>,
    /// Detectors with findings that were masked in the request.
    pub masked: BTreeSet<SmolStr>,
}

/// One evaluated operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The id of its JSON-RPC request, as JSON.
    pub rpc_id: Option<SmolStr>,
    /// The action.
    pub action: SmolStr,
    /// What was called in the terms of the protocol: a method of MCP that concerns the server as a whole, the API of a
    /// request to a model, as in `context.api`, or a method of gRPC as `package.Service/Method`. Empty otherwise.
    pub method: SmolStr,
    /// The resource, as far as [`Coverage::resource`] says.
    pub resource: Node,
}

/// A draft in bytes, encoded once for all calls that share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftBytes(Arc<[u8]>);

/// Why there is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordProblem {
    /// The filter sent none.
    #[error("the release record is missing")]
    Missing,
    /// It is longer than [`RECORD_BYTES_MAX`].
    #[error("the release record is longer than {RECORD_BYTES_MAX} bytes")]
    TooLarge,
    /// Its version is not ours.
    #[error("the release record has an unknown version")]
    UnknownVersion,
    /// Its seal is not ours, or it was made for another proxy.
    #[error("the release record was not sealed for this proxy by a key of ours")]
    Foreign,
    /// It is too old, or from a clock that is too far ahead.
    #[error("the release record is too old")]
    Expired,
    /// The seal is ours and the content is not a record.
    #[error("the release record does not parse")]
    Malformed,
}

impl ReleaseDraft {
    /// The draft in bytes.
    ///
    /// # Errors
    /// [`RecordProblem::TooLarge`] for more than [`DRAFT_BYTES_MAX`].
    pub fn encode(&self) -> Result<DraftBytes, RecordProblem> {
        codec::encode(self, None).map(|bytes| DraftBytes(bytes.into()))
    }

    /// The same of a request that has to be masked.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_masked(&self, mask: &RequestMask) -> Result<DraftBytes, RecordProblem> {
        codec::encode(self, Some(mask)).map(|bytes| DraftBytes(bytes.into()))
    }
}

impl DraftBytes {
    /// How many there are.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.len()
    }
}
