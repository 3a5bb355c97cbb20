//! `picket demo`: a real Envoy, Picket and a sample shop on this machine, and some calls that show what they do.
//!
//! Knows everything below assembly. The parts that drive Envoy are also the harness of the tests with the real Envoy.

pub mod certs;
pub mod client;
pub mod config;
pub mod envoy;
pub mod folder;
pub mod process;
pub mod tls;
pub mod upstream;
