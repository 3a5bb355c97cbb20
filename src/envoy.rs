//! Placeholder until this module's own commit.
