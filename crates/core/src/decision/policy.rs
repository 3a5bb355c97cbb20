//! One policy: its text, its annotations, its inputs, and every check of it.
//!
//! Knows: Cedar's syntax, the schema, the catalogue. Must not know: other policies, calls.

pub mod annotations;
pub mod confine;
pub mod context;
pub mod cost;
pub mod entity_literals;
pub mod entry;
pub(super) mod found;
pub(super) mod guards;
pub(super) mod interner;
pub(super) mod key_spellings;
pub mod lint;
pub mod manifest;
pub mod mode;
pub(super) mod named;
pub mod remedy;
pub mod required_inputs;
pub mod scope_test;
pub(super) mod source;
pub(super) mod template_types;
pub(super) mod tool_scope;
