//! The response to one check: a message, or bytes that were encoded for an earlier call.
//!
//! Knows: prepared answers. Must not know: how a call is judged, which status a verdict has.

use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::CheckResponse;
use prost::Message as _;
use prost::bytes::BufMut;
use tonic::Status;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::check::Judgement;
use crate::check::prepared::EncodedAnswer;
use crate::check::release_record::ProxySeal;
use crate::envoy::decode::Caller;
use crate::envoy::encode::{self, Answer};
use picket_core::call::Call;

/// The response to one check.
#[derive(Debug)]
pub struct Reply(Content);

#[derive(Debug)]
enum Content {
    /// Written for this call.
    Own(Vec<u8>),
    /// Encoded once for all calls with this judgement; only the id is this call's.
    Prepared { judgement: Arc<Judgement>, caller: Caller, decision_id: Uuid },
}

/// A reply with the result that it was made from.
pub(super) struct Answered {
    /// The response.
    pub reply: Reply,
    /// The actual result of the call.
    pub judgement: Arc<Judgement>,
    /// HTTP status that the caller gets; 200 for an allow.
    pub status: u16,
}

impl Answered {
    /// Writes the reply to a call, or takes the one that is prepared. A reply with a release record is this call's alone.
    pub fn new(
        judgement: Arc<Judgement>,
        decision_id: Uuid,
        call: Option<&Call>,
        caller: Caller,
        seal: Option<ProxySeal<'_>>,
    ) -> Self {
        if seal.is_some_and(|seal| seal.has_record(&judgement)) {
            return Self::of(encode::sealed_answer(judgement, decision_id, call, caller, seal));
        }
        if let Some(written) = caller.pick(&judgement.prepared.answers).get() {
            let status = written.status;
            return Self::prepared(judgement, decision_id, caller, status);
        }
        let answers_many = judgement.reduced.is_some();
        let answer = encode::answer(Arc::clone(&judgement), decision_id, call, caller);
        // An answer that says something else than the judgement is this call's alone.
        if !answers_many || !Arc::ptr_eq(&answer.judgement, &judgement) {
            return Self::of(answer);
        }
        caller.pick(&judgement.prepared.answers).get_or_init(|| written(&answer));
        Self::prepared(judgement, decision_id, caller, answer.status)
    }

    /// An answer of one call.
    pub fn of(answer: Answer) -> Self {
        let Answer { judgement, bytes, status, .. } = answer;
        Self { reply: Reply(Content::Own(bytes)), judgement, status }
    }

    fn prepared(judgement: Arc<Judgement>, decision_id: Uuid, caller: Caller, status: u16) -> Self {
        let content = Content::Prepared { judgement: Arc::clone(&judgement), caller, decision_id };
        Self { reply: Reply(content), judgement, status }
    }
}

/// Finds an answer's id in its bytes. The id is random and newer than the call, so nothing else can hold it by intent.
fn written(answer: &Answer) -> EncodedAnswer {
    let bytes = answer.bytes.clone().into_boxed_slice();
    let mut text = Uuid::encode_buffer();
    let id = answer.decision_id.as_hyphenated().encode_lower(&mut text).as_bytes();
    let places = bytes.windows(id.len()).enumerate();
    let ids = places.filter(|(_, window)| *window == id).map(|(at, _)| at).collect();
    EncodedAnswer { bytes, ids, status: answer.status }
}

impl Reply {
    /// Appends the answer's bytes.
    ///
    /// # Errors
    /// Where there is no room, or no answer: an empty one would be an allow.
    pub fn write(&self, out: &mut impl BufMut) -> Result<(), Status> {
        match &self.0 {
            Content::Own(bytes) if bytes.len() > out.remaining_mut() => {
                Err(Status::internal("the answer does not fit"))
            }
            Content::Own(bytes) => {
                out.put_slice(bytes);
                Ok(())
            }
            Content::Prepared { judgement, caller, decision_id } => {
                let written = caller.pick(&judgement.prepared.answers).get();
                let written = written.ok_or_else(|| Status::internal("the answer was not prepared"))?;
                written.put(*decision_id, out).ok_or_else(|| Status::internal("the answer was prepared badly"))
            }
        }
    }

    /// The answer as a message.
    ///
    /// # Errors
    /// As [`Reply::write`].
    pub fn into_response(self) -> Result<CheckResponse, Status> {
        let mut bytes = Vec::with_capacity(1024);
        self.write(&mut bytes)?;
        CheckResponse::decode(bytes.as_slice()).map_err(|_| Status::internal("the answer was written badly"))
    }
}

impl EncodedAnswer {
    /// Appends the bytes with another id in place of the first one.
    fn put(&self, decision_id: Uuid, out: &mut impl BufMut) -> Option<()> {
        let mut text = Uuid::encode_buffer();
        let id = decision_id.as_hyphenated().encode_lower(&mut text).as_bytes();
        let mut from = 0;
        for at in &self.ids {
            out.put_slice(self.bytes.get(from..*at)?);
            out.put_slice(id);
            from = at + Hyphenated::LENGTH;
        }
        out.put_slice(self.bytes.get(from..)?);
        Some(())
    }
}
