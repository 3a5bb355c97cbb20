//! The PDP: from a query to a verdict.
//!
//! Knows: Cedar, policies, the schema. Must not know: Envoy, time, where facts come from. Pure.
//!
//! Its modules from the bottom up: `accesses` finds what conditions read, `schema` types queries, `policy` reads and
//! checks one policy, `bundle` holds the policies of the mesh or of a namespace, `engine` evaluates them, `snapshot`
//! holds all active policies, `load` makes the next snapshot, `decide` combines satisfied policies into a verdict,
//! `release` says what the active policies do with responses.
//! `tests/it/tidy/rooms.rs` holds the table of their imports.

pub mod accesses;
pub mod allowance;
pub mod bundle;
pub mod decide;
pub mod engine;
pub mod explain;
pub mod groups;
pub mod limits;
pub mod load;
pub mod policy;
pub mod reachable;
pub mod read_set;
pub mod reference;
pub mod release;
pub mod schema;
pub mod snapshot;
pub mod verdict;

pub use decide::decide;
pub use schema::FactsType;
pub use snapshot::Snapshot;
pub use verdict::Verdict;
