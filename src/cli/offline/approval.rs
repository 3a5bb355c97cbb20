//! An approval in a call file, which replaces a look-up at an approval source.
//!
//! Knows: the keys of the form. Must not know: sources, policies.

use serde::Deserialize;

use super::form::{Given, moment};
use picket_core::call::UnixMillis;
use picket_server::approval;
use picket_server::approval::record::{Matches, Record};

/// An approval. An omitted field has the value that permits nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GivenApproval {
    /// Its id. Default `approval`.
    pub id: Option<String>,
    /// Its kind.
    pub kind: String,
    /// Its state.
    pub state: String,
    /// The requester.
    pub requested_by: String,
    /// The approvers.
    pub approved_by: Vec<String>,
    /// Start of its validity, as `now`, `-1h` or RFC 3339. Default: never valid.
    pub not_before: Option<String>,
    /// Until when.
    pub not_after: Option<String>,
    /// Whether it was used before.
    pub used: bool,
    /// Whether it is for this very call.
    pub matches_action: bool,
}

impl Given {
    /// The given approval.
    ///
    /// # Errors
    /// A time that is none.
    pub fn approval(&self, now: UnixMillis) -> Result<Option<approval::Given>, String> {
        let Some(written) = &self.approval else { return Ok(None) };
        let time = |name: &str, text: &Option<String>, never: i64| match text {
            None => Ok(never),
            Some(text) => {
                let seconds = moment(text, now).map_err(|why| format!("`{name}` of the approval: {why}"))?;
                Ok::<_, String>(seconds.saturating_mul(1000))
            }
        };
        // A window that is not said is never open.
        let not_before = time("not_before", &written.not_before, now.0.saturating_add(1))?;
        let not_after = time("not_after", &written.not_after, now.0.saturating_sub(1))?;
        let record = Record {
            id: written.id.clone().unwrap_or_else(|| "approval".to_owned()),
            kind: written.kind.clone(),
            state: written.state.clone(),
            requested_by: written.requested_by.clone(),
            approved_by: written.approved_by.iter().cloned().collect(),
            not_before,
            not_after,
            used: written.used,
            // Calls of a test do not know of each other.
            one_use: false,
            digest: None,
            bound: std::collections::BTreeMap::new(),
        };
        let matches = if written.matches_action { Matches::Yes } else { Matches::No };
        Ok(Some(approval::Given { record, matches }))
    }
}
