//! The PIP: facts about principals and resources that the call itself does not carry.
//!
//! Must not know: policies.

/// Where facts come from.
pub mod lookup {}
