//! Opens the record that the check of a response's call made.
//!
//! Knows: release records, the guards of services. Must not know: how a response is evaluated.

use uuid::Uuid;

use super::{Refusal, Report, ResponseChecker, ResponseHead};
use picket_core::call::UnixMillis;
use picket_core::decision::Snapshot;
use picket_core::decision::release as release_policies;
use picket_core::release::{Allowed, RecordProblem, ReleaseDraft};

impl ResponseChecker {
    /// Whether the record proves that no policy is about the responses of the called service.
    #[must_use]
    pub fn is_open(&self, record: &str, proxy: &str, at: UnixMillis) -> bool {
        let Some(snapshot) = self.policies.current() else { return false };
        if snapshot.releases().is_everything {
            return true;
        }
        let Ok(record) = self.sealer.open(record, proxy, at) else { return false };
        let service = match record.draft {
            ReleaseDraft::Denied => return true,
            ReleaseDraft::Open { service } => service,
            ReleaseDraft::Allowed(allowed) if allowed.lists.is_some() => return false,
            ReleaseDraft::Allowed(allowed) => allowed.service,
        };
        release_policies::guard(&snapshot, &service).is_ok_and(|guard| guard.is_open())
    }

    /// The record of an allowed call; `None` if no policy is about the response, or no service made it.
    pub(super) fn opened(
        &self,
        head: &ResponseHead<'_>,
        snapshot: &Snapshot,
        is_own: bool,
        report: &mut Report,
    ) -> Result<Option<(Uuid, Allowed)>, Refusal> {
        let releases = snapshot.releases();
        if releases.is_everything && !releases.is_watched {
            return Ok(None);
        }
        let record = match self.sealer.open(head.record.unwrap_or_default(), head.proxy, head.at) {
            Ok(record) => record,
            // Policies in shadow mode need a record, and do not require it.
            Err(_) if releases.is_everything => return Ok(None),
            // The proxy answered before it sent a check.
            Err(RecordProblem::Missing) if is_own => return Ok(None),
            Err(problem) => return Err(Refusal::unbound(problem.to_string())),
        };
        let decision_id = Uuid::from_bytes(record.decision_id);
        report.note(|report| report.decision_id = Some(decision_id));
        match record.draft {
            ReleaseDraft::Denied if is_own || releases.is_everything => Ok(None),
            ReleaseDraft::Denied => Err(Refusal::unbound("the request was denied, so no service answered it")),
            ReleaseDraft::Open { service } => {
                if release_policies::guard(snapshot, &service).map_err(Refusal::failed)?.is_open() {
                    return Ok(None);
                }
                Err(Refusal::unbound("policies about responses of the service were added since its check"))
            }
            ReleaseDraft::Allowed(allowed) => {
                report.note(|report| report.service = Some(allowed.service.clone()));
                Ok(Some((decision_id, *allowed)))
            }
        }
    }
}
