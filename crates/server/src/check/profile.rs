//! Profiles: how the calls of one kind of listener are read.
//!
//! Knows: the settings of identity and mapping. Must not know: which listener has which profile.

use picket_core::setting::{CheckSettings, SettingProblem, of_parts};
use picket_core::{identity, mapping};

/// How the calls of one kind of listener are read.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// How callers are identified.
    pub identity: identity::Settings,
    /// How calls are mapped to queries.
    pub mapping: mapping::Settings,
}

impl CheckSettings for Profile {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { identity, mapping } = self;
        of_parts(&[("identity", identity), ("mapping", mapping)])
    }
}
