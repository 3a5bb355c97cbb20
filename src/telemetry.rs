//! What operators see: one [`Observed`] per call becomes metrics, a line in the decision log and a span.
//!
//! Knows nouns, verdicts and judgements only; nobody pure knows it. What other modules count themselves is
//! read through [`Metrics::add_source`], which the assembly wires.

pub mod metrics;
pub mod spans;

use std::time::Duration;

use crate::call::{Call, UnixMillis};
use crate::check::Judgement;
pub use metrics::Metrics;

/// One judged call, as the edge saw it.
#[derive(Debug)]
pub struct Observed<'a> {
    /// What became of it.
    pub judgement: &'a Judgement,
    /// The call, where it could be decoded.
    pub call: Option<&'a Call>,
    /// Name of the listener (profile) it came in by.
    pub listener: &'a str,
    /// HTTP status that the caller gets; 200 for an allow.
    pub status: u16,
    /// W3C `traceparent`: the gRPC metadata's, else the checked call's.
    pub trace_parent: Option<&'a str>,
    /// `x-request-id` of the checked call.
    pub request_id: Option<&'a str>,
    /// When it came in.
    pub received_at: UnixMillis,
    /// How long it took us.
    pub elapsed: Duration,
}

#[cfg(test)]
mod tests;
