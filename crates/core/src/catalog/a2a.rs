//! A2A agents in the catalogue.

use std::collections::BTreeSet;

use crate::call::CanonicalPath;

/// A version of A2A.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Version {
    /// 0.3, also meant where a call names none.
    #[serde(rename = "0.3")]
    V03,
    /// 1.0.
    #[serde(rename = "1.0")]
    V10,
}

/// How A2A is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binding {
    /// JSON-RPC by POST to the endpoint.
    Jsonrpc,
    /// Paths below the endpoint; version 1.0 only.
    Rest,
}

/// The `a2a:` part of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct A2a {
    /// The endpoint's path.
    pub endpoint: CanonicalPath,
    /// Versions that are accepted.
    pub versions: BTreeSet<Version>,
    /// Bindings that are accepted.
    pub bindings: BTreeSet<Binding>,
}
