//! The one integration binary: everything is linked once.

#[cfg(test)]
mod algebra;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod loading;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tidy;
