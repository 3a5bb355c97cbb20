//! The ext_proc filter of the real Envoy: what it does with answers, and Picket's service behind it.
//!
//! `contract` has a scripted processor; what Envoy does is committed under `golden/` and explained in `docs/ext-proc.md`.
//! The others have Picket's own service, over a response phase that replaces a word.

mod chain;
mod contract;
mod matrix;
mod responses;
mod scripted;
mod served;
mod service;
pub(crate) mod site;
mod upstream;
