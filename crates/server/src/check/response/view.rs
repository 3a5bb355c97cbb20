//! Shows a guarded response to the reader of its body.
//!
//! Knows: the record and the policies of one response. Must not know: how it is evaluated.

use std::sync::Arc;

use uuid::Uuid;

use super::{EntryFilter, GuardedResponse, Refusal, ShadowResponse};
use picket_core::decision::Snapshot;
use picket_core::decision::allowance::Pace;
use picket_core::decision::bundle::release::ReleaseGuard;
use picket_core::query::{ContentUse, Family, Keys};
use picket_core::release::Allowed;
use picket_core::response::ruling::{End, Ruling, Seen, Summary};

impl GuardedResponse {
    /// Id of the called service.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.subject.record.service
    }

    /// The request's record.
    #[must_use]
    pub fn record(&self) -> &Allowed {
        &self.subject.record
    }

    /// What the active policies do with responses of the service.
    #[must_use]
    pub fn guard(&self) -> &ReleaseGuard {
        &self.policies.guard
    }

    /// The policies that evaluate it.
    #[must_use]
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.policies.snapshot
    }

    /// Id of the decision on the request.
    #[must_use]
    pub fn decision_id(&self) -> Uuid {
        self.decision_id
    }

    /// Whether its evaluation may take longer than other calls may wait. A list has an evaluation for each entry.
    #[must_use]
    pub fn takes_long(&self) -> bool {
        self.subject.pace == Pace::Long || self.filters_lists()
    }

    /// Whether lists in it are filtered.
    #[must_use]
    pub fn filters_lists(&self) -> bool {
        self.record().lists.is_some()
    }

    /// Whether a client would read a list in it: lists are filtered, and its status is one of success.
    #[must_use]
    pub fn expects_list(&self) -> bool {
        self.filters_lists() && (200..300).contains(&self.subject.facts.status)
    }

    /// Chooses the entries of its lists, by the policies that evaluate it now.
    #[must_use]
    pub fn entry_filter(&self) -> EntryFilter {
        let snapshot = Arc::clone(&self.policies.snapshot);
        EntryFilter::new(&self.checker, snapshot, self.service(), self.record().principal.clone())
    }

    /// The detectors with findings that policies test.
    #[must_use]
    pub fn tested(&self) -> &Keys {
        &self.content().tested
    }

    /// Whether a policy names this media type, and so may let it by unread.
    #[must_use]
    pub fn names_media(&self, media_type: &str) -> bool {
        self.content().names_media(media_type)
    }

    fn content(&self) -> &ContentUse {
        &self.policies.snapshot.content(self.service(), Family::Release).enforced
    }

    /// Takes what policies in shadow mode need, to read a copy of the body.
    pub fn take_shadow(&mut self) -> Option<ShadowResponse> {
        self.shadow.take_if(|shadow| shadow.reads_body())
    }

    /// Returns what [`Self::take_shadow`] took, so that its result is reported.
    pub fn return_shadow(&mut self, shadow: ShadowResponse) {
        self.shadow = Some(shadow);
    }

    /// Evaluates a body that is not read by the policies in shadow mode.
    pub fn rule_shadow(&mut self, seen: &Seen, summary: Summary) {
        if let Some(shadow) = &mut self.shadow {
            let end = match shadow.rule(seen) {
                Ruling::Release { masks } if !masks.is_empty() => End::NotMaskable,
                Ruling::Release { .. } | Ruling::Refuse => End::Complete,
            };
            shadow.end_body(end, summary);
        }
    }

    /// Why it is refused, if it is.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }
}
