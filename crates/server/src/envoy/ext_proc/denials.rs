//! Denials that the edge makes itself, where no policy was evaluated.
//!
//! Knows: their status and reason. Must not know: the API of the service.

use crate::check::response_phase::Denial;

/// The filter's mode does not hand over the complete response.
pub(super) fn unfit_mode() -> Denial {
    denial(500, "response_mode")
}

/// Too many responses are processed.
pub(super) fn overload() -> Denial {
    denial(503, "overload")
}

/// The head was not evaluated in time.
pub(super) fn late() -> Denial {
    denial(503, "deadline")
}

/// The reason stands in the proxy's access log; the client reads that the response is withheld.
fn denial(status: u16, reason: &'static str) -> Denial {
    let headers = vec![("content-type", "text/plain".to_owned()), ("cache-control", "no-store".to_owned())];
    Denial { status, headers, body: b"the response was withheld\n".to_vec(), reason }
}
