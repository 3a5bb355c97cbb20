//! The server as a whole, with its services for operators.

mod lifecycle;
mod metrics;
