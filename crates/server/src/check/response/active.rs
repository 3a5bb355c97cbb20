//! The policies about one response, and one evaluation by them.
//!
//! Knows: the snapshot, release queries. Must not know: earlier evaluations of the response, bodies.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;
use tokio::time::Instant;

use super::outcome::Refusal;
use crate::check::time::Time;
use picket_core::decision::Snapshot;
use picket_core::decision::allowance::{Allowance, Pace};
use picket_core::decision::bundle::release::ReleaseGuard;
use picket_core::decision::decide::release::{ReleaseEffect, ReleaseVerdict, release_within};
use picket_core::decision::policy::mode::Basis;
use picket_core::decision::release as release_policies;
use picket_core::failure::{Code, Failure};
use picket_core::mapping::release::{Findings, ResponseFacts, query};
use picket_core::query::{ContentUse, Family};
use picket_core::release::Allowed;
use picket_core::response::ruling::Seen;

/// The response that is evaluated, and how long that may take.
#[derive(Debug)]
pub(super) struct Subject {
    /// What the check evaluated.
    pub record: Allowed,
    /// What the headers show.
    pub facts: ResponseFacts,
    /// The home trust domain.
    pub home: String,
    /// How much may be evaluated where it is evaluated.
    pub pace: Pace,
    /// How long one evaluation may take.
    pub evaluation_max: Duration,
}

/// The policies that evaluate a response.
#[derive(Debug, Clone)]
pub(super) struct Active {
    pub snapshot: Arc<Snapshot>,
    pub guard: ReleaseGuard,
    pub basis: Basis,
}

/// The result of all operations of a call together.
#[derive(Debug, Default)]
pub(super) struct Together {
    pub masks: BTreeSet<SmolStr>,
    pub determining: BTreeSet<String>,
}

/// Why an evaluation does not release a response.
pub(super) enum Stopped {
    Refused(Refusal),
    TooLong,
}

impl Active {
    /// The enforced policies about a service, if the record covers what they read.
    pub fn of(snapshot: Arc<Snapshot>, record: &Allowed) -> Result<Self, Refusal> {
        let guard = release_policies::guard(&snapshot, &record.service).map_err(Refusal::failed)?;
        let active = Self { snapshot, guard, basis: Basis::Enforced };
        // Where every response is released nothing of the record is read.
        if !active.guard.is_open() {
            active.is_covered(record)?;
        }
        Ok(active)
    }

    /// The same at the begin of a response; the record also has to hold what entries of lists need.
    pub fn at_begin(snapshot: Arc<Snapshot>, record: &Allowed) -> Result<Self, Refusal> {
        let active = Self::of(snapshot, record)?;
        active.covers_lists(record)?;
        Ok(active)
    }

    /// Checks that the record holds what the policies read of the caller to evaluate entries of lists, if it is for that.
    fn covers_lists(&self, record: &Allowed) -> Result<(), Refusal> {
        let Some(digest) = record.lists else { return Ok(()) };
        let needed = release_policies::list_coverage(&self.snapshot, &record.service).map_err(Refusal::failed)?;
        if needed.digest() == digest {
            return Ok(());
        }
        Err(Refusal::unbound(
            "policies about requests changed what they read since the check, so lists cannot be filtered",
        ))
    }

    /// Returns an error if the record lacks what the policies read, or may be that of another call.
    pub fn is_covered(&self, record: &Allowed) -> Result<(), Refusal> {
        let Self { snapshot, guard, .. } = self;
        if !record.coverage.covers(&guard.coverage) {
            return Err(Refusal::unbound("the release record lacks parts that the active policies read"));
        }
        if record.carries_another_result && release_policies::is_scoped_below(guard, snapshot, &record.service) {
            return Err(Refusal::foreign());
        }
        Ok(())
    }

    /// Whether the body has to be read.
    pub fn reads_body(&self) -> bool {
        !self.guard.is_open() && self.guard.reads_body
    }

    /// Evaluates every operation of the call: the response carries the results of all of them.
    pub fn evaluate(&self, subject: &Subject, seen: &Seen) -> Result<Together, Stopped> {
        let Subject { record, facts, home, pace, evaluation_max } = subject;
        let time = Time { deadline: Instant::now() + *evaluation_max, pace: *pace };
        let allowance = Allowance::new(&time, *pace);
        let inspected = self.is_inspected(&record.service, seen);
        let findings = Findings { found: &seen.found, inspected, passed: &seen.passed };
        let mut together = Together::default();
        for judged in &record.judged {
            let mut query = query(record, judged, facts, findings, home);
            let verdict = release_within(&self.snapshot, &mut query, self.basis, &allowance);
            let ReleaseVerdict { effect, determining, errors } = verdict.map_err(|failure| {
                if allowance.is_exceeded() { Stopped::TooLong } else { Stopped::Refused(Refusal::failed(failure)) }
            })?;
            match effect {
                ReleaseEffect::Release => {}
                ReleaseEffect::Mask(detectors) => together.masks.extend(detectors),
                ReleaseEffect::Refuse(denial) => {
                    return Err(Stopped::Refused(Refusal::denied(denial, determining, errors)));
                }
            }
            together.determining.extend(determining);
        }
        if allowance.is_over() {
            let detail = "the response was decided after its deadline";
            return Err(Stopped::Refused(Refusal::failed(Failure::new(Code::Deadline, detail))));
        }
        Ok(together)
    }

    /// Whether everything so far was read, or is of a media type that a policy names.
    pub fn is_inspected(&self, service: &str, seen: &Seen) -> bool {
        let names = |media_type: &SmolStr| self.content(service).names_media(media_type);
        seen.inspected && seen.passed.iter().all(names)
    }

    /// What the policies read of content.
    pub fn content(&self, service: &str) -> Cow<'_, ContentUse> {
        let plan = self.snapshot.content(service, Family::Release);
        match self.basis {
            Basis::Enforced => Cow::Borrowed(&plan.enforced),
            Basis::WouldBe => {
                let mut both = plan.enforced.clone();
                both.merge(&plan.shadow);
                Cow::Owned(both)
            }
        }
    }
}
