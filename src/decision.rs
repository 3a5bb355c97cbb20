//! The PDP: from a query to a verdict.
//!
//! Knows: Cedar, policies, the schema. Must not know: Envoy, time, where facts come from. Pure.

pub mod snapshot;
pub mod verdict;

pub use snapshot::Snapshot;
pub use verdict::Verdict;
