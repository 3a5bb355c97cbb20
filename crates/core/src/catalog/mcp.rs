//! MCP servers and their tools in the catalogue.

pub mod input;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::routes::Scopes;
use crate::call::CanonicalPath;
use input::Input;

/// A protocol version of MCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum ProtocolVersion {
    /// Sessions, batches, no version header.
    #[serde(rename = "2025-03-26")]
    March2025,
    /// Sessions, version header, elicitation.
    #[serde(rename = "2025-06-18")]
    June2025,
    /// Sessions, tasks, elicitation by URL.
    #[serde(rename = "2025-11-25")]
    November2025,
    /// Stateless; mirrored headers.
    #[serde(rename = "2026-07-28")]
    July2026,
}

impl ProtocolVersion {
    /// All versions, oldest first.
    pub const ALL: [Self; 4] = [Self::March2025, Self::June2025, Self::November2025, Self::July2026];

    /// Reads a version as it is sent.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == text)
    }

    /// The version's date, as it is sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::March2025 => "2025-03-26",
            Self::June2025 => "2025-06-18",
            Self::November2025 => "2025-11-25",
            Self::July2026 => "2026-07-28",
        }
    }
}

/// How a denial reaches an MCP client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DenialStyle {
    /// The HTTP status, with `application/problem+json`.
    HttpProblem,
    /// The HTTP status, with a JSON-RPC error.
    #[default]
    HttpJsonrpc,
    /// Status 200 with a JSON-RPC error, for clients that take any other status for a broken connection.
    #[serde(rename = "rpc_error_200")]
    RpcError200,
    /// Status 200 with a tool result that is an error, so that the model reads why. Calls of tools only.
    #[serde(rename = "tool_error_200")]
    ToolError200,
    /// As if there were no such tool, resource or prompt.
    Hidden,
}

/// Handling of batches (version 2025-03-26 only).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Batches {
    /// It is refused.
    #[default]
    Refused,
    /// Every message is evaluated; one denial denies all.
    Each,
}

/// Handling of lists of tools, resources, templates and prompts in responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lists {
    /// Entries that the caller could never use do not leave, where the proxy hands over responses.
    #[default]
    Filtered,
    /// They leave as the server sends them.
    Unfiltered,
}

/// The `mcp:` part of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mcp {
    /// The endpoint's path.
    pub endpoint: CanonicalPath,
    /// Versions that are accepted.
    pub versions: BTreeSet<ProtocolVersion>,
    /// The response format of denials.
    pub denial: DenialStyle,
    /// Forms that differ by version.
    pub denial_by_version: BTreeMap<ProtocolVersion, DenialStyle>,
    /// Handling of batches.
    pub batches: Batches,
    /// Handling of lists in responses.
    pub lists: Lists,
    /// The page a client that can is sent to where an approval is missing; opt-in.
    pub elicitation: Option<Elicitation>,
}

/// Elicitation of an approval inside the protocol.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elicitation {
    /// URL of the page; `{decision_id}` in it is replaced.
    pub url: String,
    /// The text that the person reads.
    pub message: String,
}

/// One of the `tools:` of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tool {
    /// `read`, `write`, `destructive` or `unknown`.
    pub effect: Effect,
    /// Groups it belongs to.
    pub groups: BTreeSet<String>,
    /// Labels.
    pub labels: BTreeSet<String>,
    /// Whether it reaches outside the mesh.
    pub external: bool,
    /// Scopes a call needs.
    pub scopes: Option<Scopes>,
    /// Arguments that version 2026-07-28 mirrors in a header: argument name to header suffix
    /// (`ticket_id` to `Ticket` for `Mcp-Param-Ticket`).
    pub headers: BTreeMap<String, String>,
    /// Its arguments' types, if its schema is known: then its calls have an action of their own.
    pub input: Option<Arc<Input>>,
}

/// A tool's effect on the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It changes nothing.
    Read,
    /// It changes something.
    Write,
    /// It can destroy something.
    Destructive,
    /// Not known.
    #[default]
    Unknown,
}

impl Effect {
    /// The text policies compare with.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Destructive => "destructive",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_written_as_the_docs_name_them() {
        for name in ["http_problem", "http_jsonrpc", "rpc_error_200", "tool_error_200", "hidden"] {
            let form: DenialStyle = serde_json::from_value(name.into()).unwrap();
            assert_eq!(serde_json::to_value(form).unwrap(), name);
        }
    }
}
