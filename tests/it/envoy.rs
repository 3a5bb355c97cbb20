//! The real Envoy: what its side of the contract is, pinned against the binary.
//!
//! `contract` runs Envoy between a raw client and a raw upstream, with a scripted authorization server. What Envoy
//! does is committed under `golden/` and explained in `docs/envoy.md`. `e2e` has Picket itself behind Envoy.
//! The first run fetches Envoy into `target/`.

pub(crate) mod bench;
pub(crate) mod content;
pub(crate) mod contract;
mod demo;
mod differential;
pub(crate) mod e2e;
pub(crate) mod processing;
mod scripted;
mod upstream;
