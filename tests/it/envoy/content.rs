//! Content that policies are about: what clients get of responses, and services of requests, through Envoy and a server.
//!
//! The upstream sends what the test wants, in the pieces that it wants; callers have certificates.

pub mod answers;
mod apis;
mod grpc;
mod holes;
mod lists;
mod masks;
pub mod reference;
mod requests;
pub mod site;
