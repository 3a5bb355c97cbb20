//! Configuration: merges file, environment and flags into one [`Config`] and reports every problem at once.
//!
//! Knows: the modules' `Settings` and where values come from. Must not know: what is done with them.
//!
//! Flags win over the environment, the environment over the file, the file over the defaults. The merged tree
//! is checked against the keys that the modules list, then each section is read by its own `Settings`, then
//! what sections say about each other is checked.

mod check;
pub mod load;
pub mod print;
pub mod sections;
pub mod tree;

use std::collections::BTreeMap;

pub use load::{Effective, Sources, load};

use crate::server::{limits, settings};
use picket_core::setting::Section;

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where policies come from.
    pub policies: sections::Policies,
    /// The gRPC listeners.
    pub listeners: Vec<settings::Listener>,
    /// How their calls are read, by name.
    pub profiles: BTreeMap<String, sections::Profile>,
    /// Issuers of tokens and their keys.
    pub keys: sections::Keys,
    /// Where facts come from.
    pub entity: sections::Entity,
    /// Elicitation of approvals from MCP clients.
    pub elicitation: sections::Elicitation,
    /// Evaluation of responses.
    pub responses: sections::Responses,
    /// Where approvals come from.
    pub approvals: Vec<sections::Approvals>,
    /// The store of used approvals.
    pub approvals_store: sections::ApprovalsStore,
    /// The ports for operators.
    pub admin: settings::Admin,
    /// Limits of connections and checks.
    pub limits: Limits,
    /// Metrics, traces, decision log.
    pub telemetry: sections::Telemetry,
    /// How the server stops.
    pub shutdown: settings::Shutdown,
}

/// Limits of connections and checks; section `limits`.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Each connection.
    pub connection: limits::Settings,
    /// Each check.
    pub check: sections::CheckLimits,
    /// Each response, and all of them.
    pub responses: sections::ResponseLimits,
    /// Most checks in evaluation at once.
    pub in_flight_max: usize,
    /// Every Nth decision is verified; 0 for none.
    pub verify_every: u64,
}

impl Limits {
    /// Limits of connections. The largest check must fit into the part of one connection, a quarter.
    #[must_use]
    pub fn of_connections(&self) -> limits::Settings {
        let least = self.check.message_bytes_max.saturating_mul(4);
        let unfinished_bytes_max = self.connection.unfinished_bytes_max.max(least);
        limits::Settings { unfinished_bytes_max, ..self.connection.clone() }
    }
}

/// Every section with its keys, in the order of the documentation.
#[must_use]
pub fn all_sections() -> Vec<Section> {
    let mut all = settings::Listener::SECTIONS.to_vec();
    all.extend_from_slice(sections::SECTIONS);
    all.push(Section { prefix: "limits.connection", keys: limits::Settings::KEYS });
    all.push(Section { prefix: "admin", keys: settings::Admin::KEYS });
    all.push(Section { prefix: "shutdown", keys: settings::Shutdown::KEYS });
    all
}

/// The environment variables that may be settings.
#[must_use]
pub fn environment() -> Vec<(String, String)> {
    // A variable that is not UTF-8 becomes one with replacement characters, and so an error that names it.
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| name.starts_with(load::VARIABLE_PREFIX))
        .collect()
}

#[cfg(test)]
mod tests;
