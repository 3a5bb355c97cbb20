//! Picket: an authorization server for Envoy and Istio meshes, with Cedar policies.
//!
//! A map of the modules, from the bottom up. A module imports only modules that stand above it in this list.
//! `tests/it/tidy/arrows.rs` holds the exact table, `docs/ARCHITECTURE.md` explains it, and `docs/adding.md` says which
//! file to open for which change.
//!
//! **Nouns**, without dependencies on the rest:
//!
//! - [`call`]: one call as the proxy described it, in canonical form
//! - [`failure`]: why a call has no verdict: a code and who is to blame
//! - [`problem`]: an error in a file that somebody wrote: place, message, hint
//! - [`setting`]: the name, default and documentation of a configuration key
//! - [`query`]: the PDP's input: principal, action, resource, context
//! - [`catalog`]: services, routes and workloads of the mesh
//! - [`reply`]: the response format of a denial: problem+json, gRPC, JSON-RPC, OpenAI or Anthropic
//!
//! **Tools**, used by several modules:
//!
//! - `sighted`: cache keys, and the filter that admits a key on its second request
//! - `courtesy`: cooperative scheduling of long work, and threads for slow evaluations
//! - `incomplete`: limits on memory and time of requests that have not arrived whole
//!
//! **Pure modules**: no I/O, no clock, no log:
//!
//! - [`identity`]: who is calling, from certificates, headers and tokens
//! - [`body`]: parses bodies: JSON, gRPC, MCP, A2A, requests to models
//! - [`mapping`]: turns a call into a query
//! - [`obligation`]: changes that an allow carries, challenges that a denial carries
//! - [`decision`]: the PDP: evaluates a query by the policies; Cedar is used here
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
//! - [`check`]: runs the steps in their order, behind a cache of whole results
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
//! - [`cli`]: the commands of the binary

// Alphabetical, as rustfmt sorts them.
pub mod app;
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
pub mod setting;
mod sighted;
pub mod telemetry;
