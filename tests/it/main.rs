//! The one integration binary: Cedar and tonic are linked once, builders are shared.
//!
//! Every module stands under `cfg(test)`, so that clippy lets helpers unwrap as tests may.

#[cfg(test)]
mod tidy;
