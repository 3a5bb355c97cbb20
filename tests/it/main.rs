//! The one integration binary: everything is linked once.

#[cfg(test)]
mod algebra;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod engine;
#[cfg(test)]
mod envoy;
#[cfg(test)]
mod loading;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tidy;
