//! The one integration binary: everything is linked once.

#[cfg(test)]
mod algebra;
#[cfg(test)]
mod approvals;
#[cfg(test)]
mod bodies;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod elicitation;
#[cfg(test)]
mod engine;
#[cfg(test)]
mod envoy;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod grpc;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod library;
#[cfg(test)]
mod loading;
#[cfg(test)]
mod long;
#[cfg(test)]
mod looking;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod metadata;
#[cfg(test)]
mod models;
#[cfg(test)]
mod names;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod props;
#[cfg(test)]
mod release;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod sdk;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod typed;
#[cfg(test)]
mod wire;
