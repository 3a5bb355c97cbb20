//! Encodes a [`Judgement`] as Envoy's `CheckResponse`: THE table of statuses.
//!
//! Knows: which HTTP status, headers and body each outcome becomes. Must not know: how it came about.
//!
//! To Envoy only `denied_response` beside a non-zero status is a deny whatever its filter is set to; a missing
//! status is an allow. So every answer sets its status, and an allow that cannot be carried out becomes a deny.

mod denied;
mod metadata;
mod mutations;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{CheckResponse, OkHttpResponse};
use envoy_types::pb::google::rpc;
use prost::{DecodeError, Message as _};
use uuid::Uuid;

use super::decode::Caller;
use crate::check::Judgement;
use crate::check::release_record::ProxySeal;
use picket_core::call::Call;
use picket_core::catalog::{Service, TokenMetadata};
use picket_core::decision::Verdict;
use picket_core::decision::verdict::{Denial, Effect, Reason};
use picket_core::failure::{Blame, Code, Failure};
use picket_core::obligation::Mutations;
use picket_core::obligation::challenge::{Challenge, TokenFault};

/// Codes of `google.rpc.Code` that we use.
const OK: i32 = 0;
const PERMISSION_DENIED: i32 = 7;
const UNAVAILABLE: i32 = 14;
const UNAUTHENTICATED: i32 = 16;

/// Numbers of the fields `status` and `dynamic_metadata` in a `CheckResponse`.
const STATUS_TAG: u32 = 1;
const METADATA_TAG: u8 = 4;
/// Room for most answers.
const ANSWER_BYTES: usize = 768;

/// An answer, and what it says.
#[derive(Debug)]
pub struct Answer {
    /// Id of the decision.
    pub decision_id: Uuid,
    /// The actual result of the call: an allow that Envoy could not carry out is a denial here.
    pub judgement: Arc<Judgement>,
    /// The response to Envoy: the bytes of a `CheckResponse`.
    pub bytes: Vec<u8>,
    /// HTTP status the caller gets; 200 for an allow, and for refusals in a form that has it.
    pub status: u16,
}

impl Answer {
    /// The response to Envoy, as a message.
    ///
    /// # Errors
    /// Where the bytes are none, which is a defect.
    pub fn response(&self) -> Result<CheckResponse, DecodeError> {
        CheckResponse::decode(self.bytes.as_slice())
    }
}

/// Writes the answer to a call.
///
/// `call` is `None` where the check could not be decoded. An allow needs the call, the snapshot and the service:
/// without them nobody knows which headers to strip, and it becomes [`Code::Internal`].
#[must_use]
pub fn answer(judgement: Arc<Judgement>, decision_id: Uuid, call: Option<&Call>, caller: Caller) -> Answer {
    sealed_answer(judgement, decision_id, call, caller, None)
}

/// As [`answer`], with a release record for the response of the call.
#[must_use]
pub fn sealed_answer(
    judgement: Arc<Judgement>,
    decision_id: Uuid,
    call: Option<&Call>,
    caller: Caller,
    seal: Option<ProxySeal<'_>>,
) -> Answer {
    let record = |judgement: &Judgement| seal.and_then(|seal| seal.record(judgement, decision_id));
    // What answers many calls is written from what was looked at of all of them.
    let sendable = ok_response(&judgement, judgement.reduced.as_ref().or(call));
    let judgement = match sendable {
        Ok(Some(ok)) => {
            let record = record(&judgement);
            // Without its record the processor would let the request pass as it came.
            if record.is_none() && !judgement.masked.is_empty() {
                let failure = Failure::new(Code::Internal, "a request that has to be masked has no release record");
                let judgement = Arc::new(judgement.with_result(Err(failure)));
                return sealed_answer(judgement, decision_id, call, caller, seal);
            }
            let bytes = bytes(OK, &HttpResponse::OkResponse(ok), &judgement, decision_id, record.as_deref());
            return Answer { decision_id, judgement, bytes, status: 200 };
        }
        Ok(None) => judgement,
        Err(Unsendable::Failure(failure)) => Arc::new(judgement.with_result(Err(failure))),
        Err(Unsendable::Obligation(detail)) => Arc::new(judgement.with_result(denied_for(&judgement, detail))),
    };
    let refusal = refusal(&judgement);
    // The code is the refusal's own, never that of its form: a form may have status 200.
    let code = rpc_code(refusal.status_for(caller));
    let denied::RenderedDenial { status, response: denied } = denied::denied(&judgement, decision_id, &refusal, caller);
    let record = record(&judgement);
    let bytes = bytes(code, &HttpResponse::DeniedResponse(denied), &judgement, decision_id, record.as_deref());
    Answer { decision_id, judgement, bytes, status }
}

/// The same verdict as a denial, because its obligations cannot be carried out.
fn denied_for(judgement: &Judgement, detail: String) -> Result<Verdict, Failure> {
    let mut result = judgement.result.clone();
    if let Ok(verdict) = &mut result {
        let reason = Reason::ObligationUnmet;
        verdict.effect = Effect::Deny(Denial { reason, status: None, public_reason: None, detail });
    }
    result
}

/// The code of a failure that is our own or a source's trouble, and so may be left to the proxy to decide.
#[must_use]
pub fn deferrable(judgement: &Judgement) -> Option<Code> {
    let code = judgement.result.as_ref().err()?.code;
    match code.blame() {
        Blame::Picket | Blame::Source => Some(code),
        Blame::Caller | Blame::Policy => None,
    }
}

/// The bytes of a `CheckResponse`. The metadata is written as it is found: as a message it would be a map of a dozen
/// texts, made for every call only to be written.
fn bytes(code: i32, http: &HttpResponse, judgement: &Judgement, decision_id: Uuid, record: Option<&str>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ANSWER_BYTES);
    let status = rpc::Status { code, message: String::new(), details: Vec::new() };
    prost::encoding::message::encode(STATUS_TAG, &status, &mut bytes);
    http.encode(&mut bytes);
    metadata::write(METADATA_TAG, judgement, decision_id, record, &mut bytes);
    bytes
}

/// Why an allow cannot be sent.
enum Unsendable {
    Failure(Failure),
    Obligation(String),
}

/// The allow's response; `None` for everything that is no allow.
fn ok_response(judgement: &Judgement, call: Option<&Call>) -> Result<Option<OkHttpResponse>, Unsendable> {
    let Ok(verdict) = &judgement.result else { return Ok(None) };
    let mutations: &Mutations = match &verdict.effect {
        Effect::Allow(mutations) => mutations,
        Effect::Deny(_) | Effect::Challenge(..) => return Ok(None),
    };
    let (Some(call), Some(snapshot), Some(namespace)) = (call, &judgement.snapshot, judgement.namespace()) else {
        let detail = "an allow without its call, snapshot or service";
        return Err(Unsendable::Failure(Failure::new(Code::Internal, detail)));
    };
    let changeable = snapshot.changeable(namespace);
    let is_read = judgement.release.as_ref().is_some_and(|drafted| drafted.reads_body);
    metadata::check(&mutations.metadata)
        .and_then(|()| mutations::ok_response(mutations, call, changeable))
        .and_then(|ok| if is_read { mutations::readable_response(ok, call) } else { Ok(ok) })
        .map(Some)
        .map_err(Unsendable::Obligation)
}

/// A denial, before it is put into words for the caller.
#[derive(Debug, Default)]
struct Refusal<'a> {
    status: u16,
    reason: Option<&'a str>,
    authenticate: Option<String>,
    retry_after_seconds: Option<u32>,
    remedy: Option<&'a Challenge>,
    failure: Option<Code>,
}

impl Refusal<'_> {
    /// The status in the caller's language. Envoy turns 401, 403 and 503 into the gRPC codes that fit; the rest
    /// would become `unknown` or codes that clients retry.
    fn status_for(&self, caller: Caller) -> u16 {
        match (caller, self.status) {
            (Caller::Http, status @ 400..=599) => status,
            (Caller::Http, _) => 403,
            (Caller::Grpc, 401) => 401,
            (Caller::Grpc, 500..=599) => 503,
            (Caller::Grpc, _) => 403,
        }
    }
}

fn refusal(judgement: &Judgement) -> Refusal<'_> {
    let token = token_metadata(judgement);
    match &judgement.result {
        Err(failure) => of_failure(failure.code, token),
        Ok(verdict) => match &verdict.effect {
            Effect::Challenge(challenge, denial) => of_challenge(challenge, denial, token),
            Effect::Deny(denial) => Refusal {
                // Policies may ask for 400-499 only; the snapshot checked that, and a success must never slip out.
                status: denial.status.filter(|status| (400..=499).contains(status)).unwrap_or(403),
                reason: denial.public_reason.as_deref(),
                ..Refusal::default()
            },
            // `answer` has turned every allow that arrives here into a denial.
            Effect::Allow(_) => of_failure(Code::Internal, token),
        },
    }
}

fn service(judgement: &Judgement) -> Option<&Service> {
    judgement.snapshot.as_ref()?.catalog().service(judgement.service.as_deref()?)
}

fn token_metadata(judgement: &Judgement) -> Option<&TokenMetadata> {
    service(judgement)?.token.as_ref()
}

fn of_challenge<'a>(challenge: &'a Challenge, denial: &'a Denial, token: Option<&TokenMetadata>) -> Refusal<'a> {
    let status = match challenge {
        Challenge::Login { .. } | Challenge::StepUp { .. } | Challenge::NarrowToken { .. } => 401,
        Challenge::AddScope { .. } | Challenge::Approve { .. } => 403,
    };
    let authenticate = challenge.www_authenticate(token);
    let reason = denial.public_reason.as_deref();
    Refusal { status, reason, authenticate, remedy: Some(challenge), ..Refusal::default() }
}

/// The row of every failure code.
fn of_failure(code: Code, token: Option<&TokenMetadata>) -> Refusal<'static> {
    // What the caller can mend is named to the caller; who the caller may be, and what exists, is not.
    let untold = |status| Refusal { status, failure: Some(code), ..Refusal::default() };
    let told = |status| Refusal { reason: Some(code.as_str()), ..untold(status) };
    let later = |seconds| Refusal { retry_after_seconds: Some(seconds), ..told(503) };
    let challenged = |fault: TokenFault| Some(fault.www_authenticate(token));
    let bad_token = |fault| Refusal { authenticate: challenged(fault), ..untold(401) };
    match code {
        Code::MalformedRequest
        | Code::PathRefused
        | Code::HostRefused
        | Code::QueryRefused
        | Code::HeaderDuplicated
        | Code::HeaderRefused
        | Code::MethodOverride
        | Code::ProtocolMismatch
        | Code::BodyRefused
        | Code::MessageRefused
        | Code::HeaderMismatch
        | Code::VersionRefused
        | Code::NumberRefused
        | Code::QueryInvalid => told(400),
        Code::RpcMethodUnknown => told(404),
        Code::MethodNotAllowed => told(405),
        Code::BodyEncoded => told(415),
        Code::TooLarge => told(431),
        Code::BodyIncomplete => told(413),
        Code::ConnectRefused
        | Code::UpgradeRefused
        | Code::StreamRefused
        | Code::TaskExpired
        | Code::ReleaseTooLarge
        | Code::ReleaseForeign
        | Code::ApprovalUsed => told(403),
        Code::TokenRejected => bad_token(TokenFault::Rejected),
        Code::TokenExpired => bad_token(TokenFault::Expired),
        // RFC 6750, section 3.1.
        Code::TokenRepeated => Refusal { authenticate: challenged(TokenFault::Repeated), ..told(400) },
        Code::TcpUnsupported
        | Code::PeerRejected
        | Code::XfccRejected
        | Code::TrustDomainRefused
        | Code::TokenNotBound
        | Code::TaskRejected
        | Code::TaskNotBound
        | Code::Unmapped => untold(403),
        Code::Deadline | Code::Overload | Code::Internal => later(1),
        Code::NotReady | Code::EntitiesUnavailable | Code::KeysUnavailable | Code::BundleInvalid => later(5),
    }
}

/// A header that replaces all values of its name.
///
/// Envoy goes by `append` alone for request and denied headers and by `append_action` for response headers;
/// other proxies by `append_action` alone. `append` unset and this action mean the same to all of them.
/// Only `value` is read in ext_authz; `raw_value` would set an empty header.
fn header(name: &str, value: String) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue { key: name.to_owned(), value, raw_value: Vec::new() }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }
}

fn rpc_code(status: u16) -> i32 {
    match status {
        401 => UNAUTHENTICATED,
        500..=599 => UNAVAILABLE,
        _ => PERMISSION_DENIED,
    }
}

fn title(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Denied")
}
