//! Evaluates a response as if the policies in shadow mode were enforced.
//!
//! Knows: the policies that would be, findings of a copy. Must not know: what leaves, how a copy is read.
//!
//! Nothing here can change a response. An evaluation that would take long, or that cannot be made, is given up: the result
//! is then not known, and the record says why.

use std::collections::BTreeSet;
use std::sync::Arc;

use smol_str::SmolStr;

use super::active::{Active, Stopped, Subject};
use super::outcome::{Outcome, Refusal, RefusalReason, WouldBe};
use crate::policy::Store;
use picket_core::decision::Snapshot;
use picket_core::decision::policy::mode::Basis;
use picket_core::decision::release as release_policies;
use picket_core::query::ContentUse;
use picket_core::response::ruling::{End, Ruling, Seen, Summary};

/// What would happen to one response.
#[derive(Debug)]
pub struct ShadowResponse {
    store: Arc<Store>,
    subject: Arc<Subject>,
    policies: Active,
    masks: BTreeSet<SmolStr>,
    determining: BTreeSet<String>,
    state: State,
    summary: Summary,
}

#[derive(Debug)]
enum State {
    /// It was evaluated by its headers.
    Head,
    /// A copy of its body is read.
    Reading,
    /// The copy has ended.
    Ended(End),
    Refused(Refusal),
    /// The result is not known, for this reason.
    Unknown(&'static str),
}

impl ShadowResponse {
    /// Evaluates the headers. `None` where no policy in shadow mode is about the responses of the service.
    pub(super) fn begun(store: &Arc<Store>, snapshot: &Arc<Snapshot>, subject: &Arc<Subject>) -> Option<Self> {
        // Without policies of the namespace the response is refused in any case.
        let guard = release_policies::would_be_guard(snapshot, &subject.record.service).ok()??;
        let policies = Active { snapshot: Arc::clone(snapshot), guard, basis: Basis::WouldBe };
        let state = match policies.is_covered(&subject.record) {
            Ok(()) => State::Head,
            Err(refusal) => State::Unknown(refusal.reason.as_str()),
        };
        let mut shadow = Self {
            store: Arc::clone(store),
            subject: Arc::clone(subject),
            policies,
            masks: BTreeSet::new(),
            determining: BTreeSet::new(),
            state,
            summary: Summary::default(),
        };
        // The ruling is part of the result.
        let _ = shadow.rule(&Seen::default());
        Some(shadow)
    }

    /// Evaluates with what is known of the copy so far. [`Ruling::Refuse`] ends the copy.
    pub fn rule(&mut self, seen: &Seen) -> Ruling {
        match &self.state {
            State::Head | State::Reading | State::Ended(_) => {}
            State::Refused(_) | State::Unknown(_) => return Ruling::Refuse,
        }
        match self.evaluated(seen) {
            Ok(()) => Ruling::Release { masks: self.masks.clone() },
            Err(state) => {
                self.state = state;
                Ruling::Refuse
            }
        }
    }

    fn evaluated(&mut self, seen: &Seen) -> Result<(), State> {
        let current = self.store.current().map(|current| current.generation());
        if current != Some(self.policies.snapshot.generation()) {
            return Err(State::Unknown("policies_changed"));
        }
        let is_inspected = self.policies.is_inspected(&self.subject.record.service, seen);
        if !is_inspected && self.policies.guard.refuses_unread {
            return Err(State::Refused(Refusal::not_inspected()));
        }
        let together = self.policies.evaluate(&self.subject, seen).map_err(|stopped| match stopped {
            Stopped::TooLong => State::Unknown("deadline"),
            Stopped::Refused(refusal) => match refusal.reason {
                RefusalReason::Failed(code) => State::Unknown(code.as_str()),
                RefusalReason::Unbound
                | RefusalReason::Foreign
                | RefusalReason::NotInspected
                | RefusalReason::ListRefused
                | RefusalReason::PoliciesChanged
                | RefusalReason::Verdict(_) => State::Refused(refusal),
            },
        })?;
        self.masks.extend(together.masks);
        self.determining.extend(together.determining);
        Ok(())
    }

    /// Whether a copy of the body has to be read.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        self.policies.guard.reads_body && matches!(self.state, State::Head)
    }

    /// The `@mask` lists of the policies.
    #[must_use]
    pub fn mask_lists(&self) -> &BTreeSet<BTreeSet<SmolStr>> {
        &self.policies.guard.masks
    }

    /// What the policies read of content.
    #[must_use]
    pub fn content(&self) -> ContentUse {
        self.policies.content(&self.subject.record.service).into_owned()
    }

    /// A copy of the body is read from now on.
    pub fn begin_body(&mut self) {
        if matches!(self.state, State::Head) {
            self.state = State::Reading;
        }
    }

    /// The copy has ended.
    pub fn end_body(&mut self, end: End, summary: Summary) {
        self.summary = summary;
        if matches!(self.state, State::Head | State::Reading) {
            self.state = State::Ended(end);
        }
    }

    /// The result will not be known.
    pub fn give_up(&mut self, reason: &'static str) {
        match self.state {
            State::Head | State::Reading => self.state = State::Unknown(reason),
            State::Ended(_) | State::Refused(_) | State::Unknown(_) => {}
        }
    }

    /// The result for a response that was refused by its headers: its body is not known.
    pub(super) fn of_refused(mut self) -> WouldBe {
        if self.reads_body() {
            self.begin_body();
        }
        self.would_be(Outcome::Refused, &BTreeSet::new())
    }

    /// The result, where `outcome` and `masked` are those of the response itself.
    pub(super) fn would_be(self, outcome: Outcome, masked: &BTreeSet<SmolStr>) -> WouldBe {
        let Self { masks, determining, state, summary, .. } = self;
        // A refusal ends the copy too: nothing can be said to differ.
        let is_interrupted = matches!(state, State::Reading) && outcome == Outcome::Refused;
        let would_mask = masked_of(&masks, &summary);
        let determining = determining.into_iter().collect();
        let (would_be, reason, determining) = match state {
            State::Head | State::Ended(End::Complete) if would_mask.is_empty() => {
                (Some(Outcome::Released), None, determining)
            }
            State::Head | State::Ended(End::Complete) => (Some(Outcome::Masked), None, determining),
            State::Ended(end) => (Some(Outcome::Refused), Some(end.as_str()), determining),
            State::Refused(refusal) => (Some(Outcome::Refused), Some(refusal.reason.as_str()), refusal.determining),
            State::Unknown(reason) => (None, Some(reason), Vec::new()),
            State::Reading => (None, Some(End::Abandoned.as_str()), Vec::new()),
        };
        // Lists are filtered by policies about requests, not by those of the copy.
        let would_be = match would_be {
            Some(Outcome::Released) if outcome == Outcome::Filtered => Some(Outcome::Filtered),
            other => other,
        };
        let is_same_mask = would_be != Some(Outcome::Masked) || would_mask == *masked;
        WouldBe {
            is_different: !is_interrupted && (would_be != Some(outcome) || !is_same_mask),
            outcome: would_be,
            reason,
            determining,
            findings: summary.findings,
        }
    }
}

/// The detectors with findings that are masked.
pub(super) fn masked_of(masks: &BTreeSet<SmolStr>, summary: &Summary) -> BTreeSet<SmolStr> {
    summary.findings.keys().filter(|name| masks.contains(*name)).cloned().collect()
}
