//! Picket under an open load, next to a server that evaluates nothing. Every check has its intended time, and its
//! latency counts from there, so that a server that falls behind cannot hide it by getting checks later.
//!
//! `cargo bench --bench load -- PART`, where the part is `steps` (latency over offered load), `envoy` (through the real
//! Envoy), `reload` (while files are edited), `memory` (bytes a policy, and 10^7 distinct callers) or `responses` (event
//! streams of a model through Envoy, masked).
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a bench stops at the first surprise, reads the real clock and spawns its own load"
)]

#[path = "support/by_tonic.rs"]
mod by_tonic;
#[path = "load/memory.rs"]
mod memory;
#[path = "support/noop.rs"]
mod noop;
#[path = "load/open.rs"]
mod open;
#[path = "load/reload.rs"]
mod reload;
#[path = "load/responses.rs"]
mod responses;
#[path = "support/rows.rs"]
mod rows;
#[path = "support/servers.rs"]
mod servers;
#[path = "load/steps.rs"]
mod steps;
#[path = "support.rs"]
mod support;
#[path = "load/through_envoy.rs"]
mod through_envoy;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--serve-nothing") {
        noop::serve_nothing(&arguments[at + 1]);
        return;
    }
    if let Some(at) = arguments.iter().position(|argument| argument == "--serve-by-tonic") {
        by_tonic::serve_by_tonic(&arguments[at + 1]);
        return;
    }
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for argument in &arguments[1..] {
        match argument.as_str() {
            "steps" => runtime().block_on(steps::run()),
            "envoy" => runtime().block_on(through_envoy::run()),
            "reload" => runtime().block_on(reload::run()),
            "memory" => memory::run(),
            "responses" => runtime().block_on(responses::run()),
            _ => {}
        }
    }
}
