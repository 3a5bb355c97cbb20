//! Faults, and the promise for them: a denial with its own code, in time, and never an allow.

mod actions;
mod cardinality;
mod codes;
mod drain;
mod evaluation;
mod files;
mod flood;
mod namespaces;
mod ports;
mod reload;
mod sources;

pub use codes::{lookup, tool_call};
