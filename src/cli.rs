//! The commands of the `picket` binary.

pub mod demo;
