//! The one integration binary: everything is linked once.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]

mod algebra;
mod loading;
mod support;
