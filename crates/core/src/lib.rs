//! The engine: the nouns of a check, and everything that decides it without I/O.
//!
//! Knows: bytes, Cedar and the protocols' own texts. Must not know: a socket, a file, a clock, a runtime. Its `Cargo.toml`
//! names no crate that could, and `tests/it/tidy/packages.rs` holds that for the crates behind those.
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
//! - [`setting`]: a configuration key with its documentation, and the one form of a setting's problem
//! - [`query`]: the PDP's input: principal, action, resource, context
//! - [`catalog`]: services, routes and workloads of the mesh
//! - [`release`]: the sealed record that carries a check's result to the response of its call
//! - [`denial_format`]: the response format of a denial: problem+json, gRPC, JSON-RPC, OpenAI or Anthropic
//!
//! **Tools**, used by several modules:
//!
//! - [`doorkeeper`]: cache keys, and the filter that admits a key on its second request
//!
//! **Pure modules**:
//!
//! - [`identity`]: who is calling, from certificates, headers and tokens
//! - [`body`]: parses bodies: JSON, gRPC, MCP, A2A, requests to models
//! - [`content`]: finds and masks secrets and personal data in text, in pieces of any size
//! - [`inspection`]: which detectors find something in a message, and whether all of it was read
//! - [`response`]: masks and refuses content of a response, whichever way it is cut
//! - [`mapping`]: turns a call into a query
//! - [`obligation`]: changes that an allow carries, challenges that a denial carries
//! - [`decision`]: the PDP: evaluates a query by the policies; Cedar is used here

// Alphabetical, as rustfmt sorts them.
pub mod body;
pub mod call;
pub mod catalog;
pub mod content;
pub mod decision;
pub mod denial_format;
pub mod doorkeeper;
pub mod failure;
pub mod identity;
pub mod inspection;
pub mod mapping;
pub mod obligation;
pub mod problem;
pub mod query;
pub mod release;
pub mod response;
pub mod setting;
