//! The server around the engine: where facts, approvals, policies and keys come from, the path of a check, and the wire.
//!
//! Knows: `picket_core`, the network, files and the clock. Must not know: the command line.
//!
//! A map of the modules, from the bottom up. A module imports only modules that stand above it in this list, and those of
//! `picket_core`. `tests/it/tidy/arrows.rs` holds the exact table.
//!
//! **Tools**, used by several modules:
//!
//! - `cooperative`: yields the CPU during long work
//! - `inline_task`: calls that are polled on the connection's task until they turn out to take long
//! - `lanes`: threads for slow evaluations and large messages
//! - `incomplete`: limits on memory and time of requests that have not arrived whole
//!
//! **I/O behind traits**:
//!
//! - [`entity`]: the PIP: facts from HTTP lookups, cached
//! - [`approval`]: approvals from ticket systems, and which of them were used
//! - [`policy`]: the PRP: reads and watches the policy tree, keeps the last good version
//! - [`keys`]: token issuers' key sets, refreshed in the background
//!
//! **The path of a call**:
//!
//! - [`check`]: runs the steps in their order, behind a cache of whole judgements
//!
//! **Edges**:
//!
//! - [`telemetry`]: metrics, decision log, traces
//! - [`envoy`]: decodes `CheckRequest`, encodes `CheckResponse`
//!
//! **Assembly**:
//!
//! - [`server`]: listeners, TLS, readiness, drain
//! - [`config`]: reads the configuration, reports every problem at once
//! - [`app`]: builds the server from the configuration, and the services for operators

// Alphabetical, as rustfmt sorts them.
pub mod app;
pub mod approval;
pub mod check;
pub mod config;
mod cooperative;
pub mod entity;
pub mod envoy;
mod incomplete;
mod inline_task;
pub mod keys;
mod lanes;
pub mod policy;
pub mod server;
pub mod telemetry;
