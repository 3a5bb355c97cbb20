//! Masks a request in the processor as its check decided, or refuses it.
//!
//! Knows: release records, detectors, digests of bodies. Must not know: the proxy's protocol, policies' verdicts.
//!
//! The record has the digests of the body that was evaluated and of its masked form, which was evaluated too. Only that one
//! leaves: another body, other detectors and a filter in between all end in a refusal.

use std::sync::Arc;

use smol_str::SmolStr;

use super::release_record::ReleaseSealer;
use super::request_streams::RequestStreams;
use super::response_phase::{Denial, Forward, RequestBodies, RequestBody, RequestStream};
use crate::policy::Store;
use picket_core::content::mask::StandIns;
use picket_core::identity::SpiffeId;
use picket_core::inspection::masking::{self, Shape};
use picket_core::release::{BodyDigest, BodyShape, ReleaseDraft, ReleaseRecord, RequestMask};

const FORBIDDEN: u16 = 403;
const MISCONFIGURED: u16 = 500;

/// Reasons of refusals, as the proxy's access log shows them.
const UNBOUND: &str = "release_unbound";
const MODE: &str = "request_mode";
const CHANGED: &str = "request_changed";
const NOT_MASKED: &str = "request_not_masked";

/// Decides about the requests of one listener.
#[derive(Debug)]
pub struct RequestForwarder {
    /// Name of the listener.
    pub listener: SmolStr,
    /// Whether its profile promises that requests come to a processor.
    pub promise: Promise,
    /// The source of detectors.
    pub policies: Arc<Store>,
    /// Opens the records of checks.
    pub sealer: Arc<ReleaseSealer>,
    /// Streams that prove the promise.
    pub streams: Arc<RequestStreams>,
}

/// Whether a profile promises that requests come to a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// It does, so every allowed call has a record.
    Given,
    /// It does not.
    None,
}

/// The body of a request that has to be masked.
struct Masker {
    mask: RequestMask,
    policies: Arc<Store>,
}

impl RequestForwarder {
    /// Decides what happens to the request of a stream, by its first message.
    #[must_use]
    pub fn forward(&self, stream: &RequestStream<'_>) -> Forward {
        let proxy = stream.proxy.map(SpiffeId::as_str).unwrap_or_default();
        let opened = self.sealer.open(stream.record.unwrap_or_default(), proxy, stream.at);
        match (opened, stream.bodies) {
            (Ok(ReleaseRecord { mask, draft, .. }), RequestBodies::Whole) => {
                if let (Promise::Given, Some(service)) = (self.promise, service(&draft)) {
                    self.streams.record(&self.listener, service, stream.at);
                }
                mask.map_or(Forward::AsItCame, |mask| {
                    Forward::Masked(Box::new(Masker { mask, policies: Arc::clone(&self.policies) }))
                })
            }
            (Ok(ReleaseRecord { mask: Some(_), .. }), RequestBodies::Incomplete | RequestBodies::Passed) => {
                Forward::Refuse(denial(MISCONFIGURED, MODE))
            }
            (Ok(_), RequestBodies::Incomplete | RequestBodies::Passed) => Forward::AsItCame,
            // Nobody knows what this call's check decided: perhaps a mask.
            (Err(_), RequestBodies::Whole | RequestBodies::Incomplete) if self.promise == Promise::Given => {
                Forward::Refuse(denial(FORBIDDEN, UNBOUND))
            }
            (Err(_), _) => Forward::AsItCame,
        }
    }
}

fn service(draft: &ReleaseDraft) -> Option<&str> {
    match draft {
        ReleaseDraft::Denied => None,
        ReleaseDraft::Open { service } => Some(service),
        ReleaseDraft::Allowed(allowed) => Some(&allowed.service),
    }
}

impl RequestBody for Masker {
    fn mask(self: Box<Self>, body: &[u8]) -> Result<Vec<u8>, Denial> {
        let Self { mask, policies } = *self;
        if BodyDigest::of(body) != mask.judged {
            return Err(changed());
        }
        let failed = || denial(FORBIDDEN, NOT_MASKED);
        let snapshot = policies.current().ok_or_else(failed)?;
        let shape = match mask.shape {
            BodyShape::Json => Shape::Json,
            BodyShape::Model => Shape::Model,
            BodyShape::Rpc => Shape::Rpc,
        };
        let detectors = (snapshot.detectors().as_ref(), &mask.detectors);
        // The check did the same within its deadline.
        let masked = masking::mask(body, shape, detectors, &mut StandIns::new(mask.random), &|| false);
        let masked = masked.map_err(|_| failed())?;
        if BodyDigest::of(&masked) == mask.masked { Ok(masked) } else { Err(failed()) }
    }
}

/// The refusal of a request that is not the one that was evaluated.
#[must_use]
pub fn changed() -> Denial {
    denial(FORBIDDEN, CHANGED)
}

/// The refusal of a request that went another way than through the processor.
#[must_use]
pub fn bypassed() -> Denial {
    denial(MISCONFIGURED, MODE)
}

fn denial(status: u16, reason: &'static str) -> Denial {
    let headers = vec![("content-type", "text/plain".to_owned()), ("cache-control", "no-store".to_owned())];
    Denial { status, headers, body: b"the request was withheld\n".to_vec(), reason }
}
