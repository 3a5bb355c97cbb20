//! Picket: an authorization server for Envoy and Istio meshes, with Cedar policies.
//!
//! The map, one line per module; arrows point down only (see `docs/ARCHITECTURE.md`).

pub mod approval;
pub mod body;
pub mod call;
pub mod catalog;
pub mod check;
pub mod cli;
pub mod config;
mod courtesy;
pub mod decision;
pub mod entity;
pub mod envoy;
pub mod failure;
pub mod identity;
mod incomplete;
pub mod keys;
pub mod mapping;
pub mod obligation;
pub mod policy;
pub mod problem;
pub mod query;
pub mod reply;
pub mod server;
mod sighted;
pub mod telemetry;
