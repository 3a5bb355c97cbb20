//! EDGE: Envoy's external authorization and external processing protocols. Envoy is the PEP.
//!
//! Knows: Envoy's protobuf, gRPC, HTTP status codes. Must not know: Cedar, where facts and keys come from.
//! The only module that names `envoy_types` and `tonic::Status`.
//!
//! ```text
//! CheckRequest ─ decode ─▶ Call ─ check::Judge ─▶ Judgement ─ encode ─▶ CheckResponse
//! ```
//!
//! To Envoy an empty answer is an allow, and a gRPC error obeys the filter's `failure_mode_allow`.
//! So every answer made here has an explicit status, and every path that is not a proven yes ends in
//! a `denied_response`. [`ext_proc`] has the same for responses.

pub mod authz;
pub mod decode;
pub mod encode;
pub mod ext_proc;
pub mod json;
mod protobuf_struct;

pub use authz::{Authz, AuthzSettings, OnFailure, Stats};
