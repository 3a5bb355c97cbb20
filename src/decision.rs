//! The PDP: from a query to a verdict.
//!
//! Knows: Cedar, policies, the schema. Must not know: Envoy, time, where facts come from. Pure.

pub mod allowance;
pub mod annotations;
pub mod confine;
pub mod cost;
pub mod could;
pub mod decide;
mod diagnostics;
pub mod engine;
pub mod evaluate;
pub mod explain;
pub mod footprint;
pub mod groups;
pub mod index;
mod lead;
mod lean;
pub mod lint;
mod literals;
mod load;
pub mod manifest;
mod names;
pub mod project;
pub mod reach;
pub mod reads;
pub mod remedy;
pub mod schema;
pub mod snapshot;
mod template_types;
mod together;
mod typed;
pub mod unit;
pub mod values;
pub mod verdict;

pub use decide::decide;
pub use schema::FactsType;
pub use snapshot::Snapshot;
pub use verdict::Verdict;
