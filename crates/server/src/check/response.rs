//! The response phase: the order of its steps, decided here and nowhere else.
//!
//! Knows: release records, policies, when a response is evaluated again. Must not know: the proxy's protocol, bytes of
//! bodies, how detectors find anything.
//!
//! 1. open the record that the check of the same call made;
//! 2. take the active policies, and their guard of the service;
//! 3. evaluate the headers of the response, with nothing found;
//! 4. evaluate again at each first finding, at each unread part, and when policies change: [`GuardedResponse::rule`];
//! 5. report the outcome, once: [`GuardedResponse::finish`].
//!
//! Masks and refusals only grow: bytes that left cannot be taken back.

mod active;
mod lists;
mod opened;
mod outcome;
mod report;
mod shadow;
mod view;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;
use tokio::time::Instant;
use uuid::Uuid;

use super::release_record::ReleaseSealer;
use crate::policy::Store;
use active::{Active, Stopped, Subject, Together};
pub use lists::EntryFilter;
pub use outcome::{Outcome, Refusal, RefusalReason, ResponseRecord, Ruled, WouldBe};
use picket_core::call::UnixMillis;
use picket_core::decision::allowance::Pace;
use picket_core::failure::{Code, Failure};
use picket_core::mapping::release::{ResponseFacts, ResponseSource};
use picket_core::response::ruling::{End, Ruling, Seen, Summary};
pub use report::Report;
pub use shadow::ShadowResponse;

/// `response.code_details` of a response that the called service made.
const VIA_UPSTREAM: &str = "via_upstream";
/// A part of these details for a response from a cache in the proxy: it is an upstream's, and another call's.
const CACHED: &str = "cache";

/// Receives the outcome of every evaluated response, once; must not block.
pub type ResponseObserver = Arc<dyn Fn(&ResponseRecord) + Send + Sync>;

/// Evaluates the responses to the calls of one listener.
#[derive(Clone)]
pub struct ResponseChecker {
    /// The home trust domain.
    pub home: String,
    /// The source of policies.
    pub policies: Arc<Store>,
    /// Opens the records of checks.
    pub sealer: Arc<ReleaseSealer>,
    /// How long one evaluation may take.
    pub evaluation_max: Duration,
    /// A lookup can give facts about principals or resources, so that those of another call are not known.
    pub has_lookups: bool,
    /// Receives the outcomes.
    pub observer: ResponseObserver,
    /// Most rulings of one response that its record has: 0 where nobody reads them.
    pub rulings_max: usize,
}

/// A response, as far as its headers show it.
#[derive(Debug, Clone)]
pub struct ResponseHead<'a> {
    /// The record: `release` in the metadata of the ext_authz filter.
    pub record: Option<&'a str>,
    /// Identity of the proxy that sends the response; empty without a certificate.
    pub proxy: &'a str,
    /// `response.code_details`, if the proxy sends it.
    pub code_details: Option<&'a str>,
    /// When the headers arrived.
    pub at: UnixMillis,
    /// Its HTTP status.
    pub status: u16,
    /// Its media type in lower case without parameters; empty if it has none.
    pub media_type: SmolStr,
    /// Its body is a stream of events.
    pub is_stream: bool,
    /// When it is refused, unless it was evaluated before.
    pub deadline: Instant,
}

/// What happens to a response.
#[derive(Debug)]
pub enum Begun {
    /// No policy is about it, or nothing that a service made is in it: it leaves as it came.
    Pass,
    /// It was evaluated and leaves as it came; nothing has to read its body.
    Released,
    /// Nothing of it leaves.
    Refuse(Box<Refusal>),
    /// The same by a verdict over its headers. The call is known, so the client can get an error of its API.
    RefuseCall(Box<GuardedResponse>),
    /// Its body is read, and evaluated while it is read.
    Read(Box<GuardedResponse>),
    /// It leaves as it came, and policies in shadow mode read a copy of its body.
    Watch(Box<GuardedResponse>),
    /// The evaluation would take longer than other calls may wait. It has to be repeated with [`Pace::Long`], on a thread
    /// for long work, and the body has to be read there too.
    TooLong(Report),
}

/// A response that policies evaluate.
#[derive(Debug)]
pub struct GuardedResponse {
    checker: ResponseChecker,
    decision_id: Uuid,
    subject: Arc<Subject>,
    policies: Active,
    /// Detectors with findings that are masked from now on.
    masks: BTreeSet<SmolStr>,
    determining: BTreeSet<String>,
    refusal: Option<Refusal>,
    /// What would happen with the policies in shadow mode; `None` where there are none, and while a copy is read.
    shadow: Option<ShadowResponse>,
    report: Report,
}

impl std::fmt::Debug for ResponseChecker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseChecker").field("home", &self.home).finish_non_exhaustive()
    }
}

impl ResponseChecker {
    /// The report about a response, which is sent at the latest when it is dropped.
    #[must_use]
    pub fn report(&self, head: &ResponseHead<'_>) -> Report {
        Report::new(Arc::clone(&self.observer), head)
    }

    /// Evaluates the headers of a response. Responses that are not read are reported here.
    #[must_use]
    pub fn begin(&self, head: &ResponseHead<'_>, pace: Pace) -> Begun {
        self.begin_reported(head, pace, self.report(head))
    }

    /// As [`Self::begin`], with the report of an evaluation that took too long.
    #[must_use]
    pub fn begin_reported(&self, head: &ResponseHead<'_>, pace: Pace, mut report: Report) -> Begun {
        let Some(snapshot) = self.policies.current() else {
            return refused(report, Refusal::failed(Failure::new(Code::NotReady, "no policies are loaded")));
        };
        let is_own = head.code_details.is_some_and(is_made_by_proxy);
        let (decision_id, record) = match self.opened(head, &snapshot, is_own, &mut report) {
            Ok(Some(opened)) => opened,
            Ok(None) => return passed(report),
            Err(refusal) => return refused(report, refusal),
        };
        let policies = match Active::at_begin(Arc::clone(&snapshot), &record) {
            Ok(policies) => policies,
            Err(refusal) => return refused(report, refusal),
        };
        let source = if is_own { ResponseSource::Proxy } else { ResponseSource::Upstream };
        let ResponseHead { at, status, is_stream, .. } = *head;
        let facts = ResponseFacts { at, source, status, media_type: head.media_type.clone(), is_stream };
        let (home, evaluation_max) = (self.home.clone(), self.evaluation_max);
        let subject = Arc::new(Subject { record, facts, home, pace, evaluation_max });
        let note = |report: &mut Report, evaluated: Result<&Together, &Refusal>| {
            self.note_ruling(report, &Seen::default(), evaluated, &BTreeSet::new());
        };
        let together = match evaluated(&policies, &subject) {
            Ok(together) => together,
            Err(Stopped::TooLong) => return Begun::TooLong(report),
            Err(Stopped::Refused(refusal)) => {
                note(&mut report, Err(&refusal));
                let shadow = ShadowResponse::begun(&self.policies, &snapshot, &subject);
                report.note(|report| report.would_be = shadow.map(ShadowResponse::of_refused));
                if !refusal.is_verdict() {
                    return refused(report, refusal);
                }
                report.refuse(&refusal);
                let (checker, masks, determining) = (self.clone(), BTreeSet::new(), BTreeSet::new());
                let (refusal, shadow) = (Some(refusal), None);
                return Begun::RefuseCall(Box::new(GuardedResponse {
                    checker,
                    decision_id,
                    subject,
                    policies,
                    masks,
                    determining,
                    refusal,
                    shadow,
                    report,
                }));
            }
        };
        let shadow = ShadowResponse::begun(&self.policies, &snapshot, &subject);
        if policies.guard.is_open() && shadow.is_none() && subject.record.lists.is_none() {
            return passed(report);
        }
        note(&mut report, Ok(&together));
        let reads = policies.reads_body() || subject.record.lists.is_some();
        let is_watched = shadow.as_ref().is_some_and(ShadowResponse::reads_body);
        let Together { masks, determining } = together;
        let (checker, refusal) = (self.clone(), None);
        let response =
            GuardedResponse { checker, decision_id, subject, policies, masks, determining, refusal, shadow, report };
        match (reads, is_watched) {
            (true, _) => Begun::Read(Box::new(response)),
            (false, true) => Begun::Watch(Box::new(response)),
            (false, false) => {
                let is_open = response.guard().is_open();
                response.finish(End::Complete, Summary::default(), Duration::ZERO);
                if is_open { Begun::Pass } else { Begun::Released }
            }
        }
    }

    /// Adds a ruling to the report, behind `masks` of earlier ones.
    fn note_ruling(
        &self,
        report: &mut Report,
        seen: &Seen,
        evaluated: Result<&Together, &Refusal>,
        masks: &BTreeSet<SmolStr>,
    ) {
        let (determining, masks, refused) = match evaluated {
            Ok(together) => {
                (together.determining.iter().cloned().collect(), masks.union(&together.masks).cloned().collect(), None)
            }
            Err(refusal) => (refusal.determining.clone(), masks.clone(), Some(refusal.reason.as_str())),
        };
        report.note(|report| {
            if report.rulings.len() < self.rulings_max {
                report.rulings.push(Ruled { seen: seen.clone(), masks, determining, refused });
            }
        });
    }
}

/// Returns whether these details prove that no service made the response.
fn is_made_by_proxy(details: &str) -> bool {
    !details.is_empty() && details != VIA_UPSTREAM && !details.contains(CACHED)
}

/// Evaluates a response with nothing found, if a policy can change it.
fn evaluated(policies: &Active, subject: &Subject) -> Result<Together, Stopped> {
    if policies.guard.is_open() { Ok(Together::default()) } else { policies.evaluate(subject, &Seen::default()) }
}

fn refused(report: Report, refusal: Refusal) -> Begun {
    report.refused(&refusal);
    Begun::Refuse(Box::new(refusal))
}

fn passed(report: Report) -> Begun {
    report.none();
    Begun::Pass
}

impl GuardedResponse {
    /// Returns whether policies were loaded since the last evaluation: then it has to be evaluated again.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        let current = self.checker.policies.current();
        current.is_none_or(|current| current.generation() != self.policies.snapshot.generation())
    }

    /// Evaluates the response with what is known of its body so far.
    ///
    /// Once it is refused it stays so, and a detector that is masked once stays masked.
    pub fn rule(&mut self, seen: &Seen) -> Ruling {
        if self.refusal.is_none() {
            let evaluated = self.evaluated(seen);
            self.checker.note_ruling(&mut self.report, seen, evaluated.as_ref(), &self.masks);
            match evaluated {
                Ok(together) => self.add(together),
                Err(refusal) => self.refusal = Some(refusal),
            }
        }
        match self.refusal {
            Some(_) => Ruling::Refuse,
            None => Ruling::Release { masks: self.masks.clone() },
        }
    }

    fn evaluated(&mut self, seen: &Seen) -> Result<Together, Refusal> {
        let is_changed = self.take_active()?;
        if !seen.inspected && self.expects_list() {
            return Err(Refusal::list_refused());
        }
        if !self.policies.is_inspected(self.service(), seen) && self.policies.guard.refuses_unread {
            return Err(Refusal::not_inspected());
        }
        let together = self.policies.evaluate(&self.subject, seen).map_err(|stopped| match stopped {
            Stopped::Refused(refusal) => refusal,
            Stopped::TooLong => {
                let detail = "an evaluation takes longer than other calls may wait";
                Refusal::failed(Failure::new(Code::Deadline, detail))
            }
        })?;
        let is_stricter = together.masks.iter().any(|name| seen.found.contains(name) && !self.masks.contains(name));
        if is_changed && is_stricter { Err(Refusal::policies_changed()) } else { Ok(together) }
    }

    /// Takes the active policies, if they changed. Returns whether those about this response did.
    ///
    /// Text that was searched before is not searched again, so a new policy may need what nobody looked for: it ends the
    /// response.
    fn take_active(&mut self) -> Result<bool, Refusal> {
        if !self.is_outdated() {
            return Ok(false);
        }
        let Some(snapshot) = self.checker.policies.current() else {
            return Err(Refusal::failed(Failure::new(Code::NotReady, "no policies are loaded")));
        };
        let active = Active::of(snapshot, self.record())?;
        if !active.guard.policies.is_subset(&self.policies.guard.policies) {
            return Err(Refusal::policies_changed());
        }
        self.policies = active;
        Ok(true)
    }

    fn add(&mut self, together: Together) {
        self.masks.extend(together.masks);
        self.determining.extend(together.determining);
    }

    /// Refuses it for a reason outside of the policies, and reports that.
    pub fn fail(mut self, failure: Failure) -> Refusal {
        let refusal = Refusal::failed(failure);
        self.refusal = Some(refusal.clone());
        self.finish(End::Refused, Summary::default(), Duration::ZERO);
        refusal
    }

    /// Refuses it as one that should have a list and cannot be read, and reports that.
    pub fn refuse_list(&mut self) {
        self.refusal.get_or_insert_with(Refusal::list_refused);
    }

    /// Reports the outcome; `held` is how long text was held at most.
    pub fn finish(self, end: End, summary: Summary, held: Duration) {
        let Self { subject, masks, determining, refusal, shadow, report, .. } = self;
        // A list that was replaced by an error did not leave, though the rest of its response may have.
        let refusal = refusal.or_else(|| (summary.lists.refused > 0).then(Refusal::list_refused));
        let outcome = Outcome::of(end, refusal.is_some(), &masks, &summary);
        let would_be = shadow.map(|shadow| shadow.would_be(outcome, &shadow::masked_of(&masks, &summary)));
        report.finish(|record| {
            record.service = Some(subject.record.service.clone());
            record.determining = determining.into_iter().collect();
            // A refusal has policies of its own: the ones that released the response so far did not decide.
            if let Some(refusal) = &refusal {
                record.refused(refusal);
            }
            (record.outcome, record.end, record.summary) = (outcome, Some(end), summary);
            (record.held, record.would_be) = (held, would_be);
        });
    }
}
