//! Writes the denial that a client gets instead of a response.
//!
//! Knows: reasons, the documents of APIs. Must not know: the proxy's protocol, policies.

use super::format;
use crate::check::response::{GuardedResponse, Refusal};
use crate::check::response_phase::Denial;
use picket_core::failure::Code;
use picket_core::response::format::Format;
use picket_core::response::ruling::End;

/// The status of a response that policies refuse.
const FORBIDDEN: u16 = 403;
/// The status of a response that has no verdict.
const UNAVAILABLE: u16 = 503;

/// The denial of a response that is refused by its headers, or as a whole without having been read.
pub(super) fn of(refusal: &Refusal) -> Denial {
    let reason = refusal.reason.as_str();
    let public = refusal.public_reason.as_deref();
    text(if refusal.is_verdict() { FORBIDDEN } else { UNAVAILABLE }, reason, public)
}

/// The denial of a response to a known call that is refused by its headers: an error of its API, if the API has any.
pub(super) fn of_call(response: &GuardedResponse) -> Denial {
    match response.refusal() {
        Some(refusal) if !format::is_of_api(response) => of(refusal),
        refusal => ended(refusal, End::Refused, &mut *format::of(response)),
    }
}

/// The denial of a response that has no verdict.
pub(super) fn failed(code: Code) -> Denial {
    text(UNAVAILABLE, code.as_str(), None)
}

/// The denial of a response to a known call: an error of its API, so that the API's clients can read it.
pub(super) fn ended(refusal: Option<&Refusal>, end: End, format: &mut dyn Format) -> Denial {
    let reason = refusal.map_or(end.as_str(), |refusal| refusal.reason.as_str());
    let headers = vec![("content-type", "application/json".to_owned()), ("cache-control", "no-store".to_owned())];
    Denial { status: format.refusal_status(), headers, body: format.refusal(end), reason }
}

/// The reason is for the proxy's access log; the client gets the one that a policy states.
fn text(status: u16, reason: &'static str, public: Option<&str>) -> Denial {
    let headers = vec![("content-type", "text/plain".to_owned()), ("cache-control", "no-store".to_owned())];
    let stated = public.map(|public| format!(": {public}")).unwrap_or_default();
    Denial { status, headers, body: format!("the response was withheld{stated}\n").into_bytes(), reason }
}
