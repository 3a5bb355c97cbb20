//! Picket: an authorization server for Envoy and Istio meshes, with Cedar policies.
//!
//! This package is the binary and its commands. It gives the modules of the crates below under one name, for tests, benches
//! and programs that embed Picket:
//!
//! | crate | what it is | its map |
//! |---|---|---|
//! | [`picket_core`] | the engine: no I/O, no clock, no runtime | `crates/core/src/lib.rs` |
//! | [`picket_server`] | the server: ports, the path of a check, telemetry, the wire, listeners, configuration | `crates/server/src/lib.rs` |
//! | [`picket_demo`] | a real Envoy with sample policies, for `picket demo` and tests | `crates/demo/src/lib.rs` |
//!
//! - [`cli`]: the commands of the binary

pub mod cli;

pub use picket_core::{
    body, call, catalog, content, decision, denial_format, failure, identity, inspection, mapping, obligation, problem,
    query, release, response, setting,
};
pub use picket_server::{app, approval, check, config, entity, envoy, keys, policy, server, telemetry};
