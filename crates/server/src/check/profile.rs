//! Profiles: how the calls of one kind of listener are read.
//!
//! Knows: the settings of identity, mapping and responses. Must not know: which listener has which profile.

use super::request_forward::Promise;
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
    /// What the proxies send in addition to checks.
    pub processor: Processor,
}

/// What the proxies' ext_proc filters send.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Processor {
    /// States that the proxies send responses to be evaluated. Then every answer to a check has a release record, and
    /// upstreams of guarded services are requested without compression and ranges. Default false: a response that is sent
    /// without a record is refused.
    pub responses: bool,
    /// States that on every route an ext_proc filter behind the check hands requests over with the mode `BUFFERED`. Then
    /// requests can be masked, every allowed call has a release record, and a request without a record is refused.
    /// Default false (the safe one): a request that has to be masked is denied. True where a route has no such filter
    /// lets requests that have to be masked pass as they came.
    pub requests: bool,
}

impl Processor {
    /// Returns whether allowed calls have release records.
    #[must_use]
    pub fn has_records(&self) -> bool {
        self.responses || self.requests
    }

    /// What it promises about requests.
    #[must_use]
    pub fn promise(&self) -> Promise {
        if self.requests { Promise::Given } else { Promise::None }
    }
}

impl CheckSettings for Processor {
    fn problems(&self) -> Vec<SettingProblem> {
        // No value is out of bounds: without records responses are refused.
        let Self { responses: _, requests: _ } = self;
        Vec::new()
    }
}

impl CheckSettings for Profile {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { identity, mapping, processor } = self;
        of_parts(&[("identity", identity), ("mapping", mapping), ("processor", processor)])
    }
}
