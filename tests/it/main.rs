//! The one integration binary: everything is linked once.

mod algebra;
mod loading;
mod support;
