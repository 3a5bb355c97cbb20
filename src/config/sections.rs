//! The sections whose meaning other modules own, in one place.
//!
//! A section of type [`Value`] is passed on as it was written: whoever owns it replaces the alias by its own
//! `Settings` and the tree key by its own list of keys. Nothing else in `config` changes for that.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::key::{Key, Section};

/// How calls of one kind of listener are read: section `profiles.<name>`.
pub type Profile = Value;
/// One issuer of tokens: section `issuers[]`.
pub type Issuer = Value;
/// Where facts come from: section `entity`.
pub type Entity = Value;
/// Metrics, traces and the decision log: section `telemetry`.
pub type Telemetry = Value;
/// What one check may cost: section `limits.check`.
pub type CheckLimits = Value;

/// Where policies come from: section `policies`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policies {
    /// The folder.
    pub dir: PathBuf,
    /// How often it is looked at, beside watching it.
    #[serde(with = "humantime_serde")]
    pub poll: Duration,
}

impl Default for Policies {
    fn default() -> Self {
        Self { dir: PathBuf::from("policies"), poll: Duration::from_secs(10) }
    }
}

/// The keys of these sections.
pub const SECTIONS: &[Section] = &[
    Section {
        prefix: "policies",
        keys: &[
            Key::new("dir", "policies", "Folder of the policies, relative to the working directory."),
            Key::new(
                "poll",
                "10s",
                "How often the folder is read, beside watching it; watches lose events on some file systems.",
            ),
        ],
    },
    Section {
        prefix: "profiles.<name>",
        keys: &[
            Key::tree("identity", "[peer]", "Sources of the caller's identity, in the order they are asked."),
            Key::tree("token", "null", "Source of a token beside the identity; none by default.")
                .example("{metadata: envoy.filters.http.jwt_authn}"),
            Key::tree("service", "[extension]", "How the called service is found, in order."),
            Key::new("allow_connect", "false", "Whether CONNECT may be judged at all; else it is refused."),
            Key::new("allow_upgrade", "false", "Whether upgrades (WebSocket) may be judged; else refused."),
        ],
    },
    Section {
        prefix: "",
        keys: &[
            Key::tree("issuers", "[]", "Issuers whose tokens Picket verifies itself."),
            Key::tree("entity", "{}", "Where facts about callers and resources come from."),
            Key::tree("telemetry", "{}", "Metrics, traces and the decision log."),
        ],
    },
    Section {
        prefix: "limits",
        keys: &[Key::tree("check", "{}", "What one check may cost: deadline, calls in flight, message size.")],
    },
];
