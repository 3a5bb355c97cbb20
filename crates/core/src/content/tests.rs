//! The contract of scanning.

mod properties;
mod reference;
mod scanning;
