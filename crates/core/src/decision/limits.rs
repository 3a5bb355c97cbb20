//! The name of the mesh's bundle, and the limits on the size of a policy.
//!
//! Knows: numbers. Must not know: policies.

/// Longest policy text that is accepted, in bytes. [`super::allowance`] bounds the cost of its evaluation in a call.
pub const POLICY_BYTES_MAX: usize = 16 * 1024;
/// Deepest nesting of brackets that is accepted: bounds the stack that one evaluation needs.
pub const NESTING_MAX: usize = 48;
/// Most operators and clauses of one policy, which nest without brackets: bounds the stack that reading it needs.
pub const OPERATORS_MAX: usize = 256;
/// Stack of threads that read policies, in bytes: enough for the longest and deepest accepted policy, in a debug build
/// too (27 KiB a level; 5 KiB in a release build, rustc 1.95).
pub const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Name of the mesh's bundle.
pub const MESH: &str = "mesh";
