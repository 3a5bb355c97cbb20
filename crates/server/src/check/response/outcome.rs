//! Outcomes of responses, for the proxy, the log and the metrics.
//!
//! Knows: verdicts, failures. Must not know: how a response is written, texts of a body.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use smol_str::SmolStr;
use uuid::Uuid;

use picket_core::call::UnixMillis;
use picket_core::decision::verdict::{Denial, PolicyError, Reason};
use picket_core::failure::{Code, Failure};
use picket_core::response::ruling::{End, Seen, Summary};

/// The outcome of one response; a closed set for logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// It left as it came.
    Released,
    /// It left without entries of its lists that the caller could not use.
    Filtered,
    /// It left with values masked, perhaps also without entries.
    Masked,
    /// It did not leave, or not completely.
    Refused,
}

impl Outcome {
    /// The stable text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Filtered => "filtered",
            Self::Masked => "masked",
            Self::Refused => "refused",
        }
    }

    /// The outcome of a response that was read.
    #[must_use]
    pub fn of(end: End, is_refused: bool, masks: &BTreeSet<SmolStr>, summary: &Summary) -> Self {
        if is_refused || !end.is_complete() {
            Self::Refused
        } else if summary.findings.keys().any(|name| masks.contains(name)) {
            Self::Masked
        } else if summary.lists.dropped > 0 {
            Self::Filtered
        } else {
            Self::Released
        }
    }
}

/// Why a response is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub reason: RefusalReason,
    /// The exact cause, for the log; empty if the policies show it.
    pub detail: String,
    /// Reason code that a policy lets the caller see.
    pub public_reason: Option<String>,
    /// Ids of the policies that decided, sorted.
    pub determining: Vec<String>,
    /// Policies that failed to evaluate.
    pub errors: Vec<PolicyError>,
}

/// The reason of a refusal; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RefusalReason {
    /// No release record proves which call the response belongs to, or the record lacks parts that policies read.
    Unbound,
    /// The response may carry the result of another call.
    Foreign,
    /// A part could not be read, and a policy reads findings.
    NotInspected,
    /// A list of MCP could not be read, or its entries could not be evaluated.
    ListRefused,
    /// Policies changed while the response was read, and are stricter now.
    PoliciesChanged,
    /// Policies refuse it.
    Verdict(Reason),
    /// It has no verdict.
    Failed(Code),
}

impl RefusalReason {
    /// The stable text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unbound => "release_unbound",
            Self::Foreign => "release_foreign",
            Self::NotInspected => "not_inspected",
            Self::ListRefused => "list_refused",
            Self::PoliciesChanged => "policies_changed",
            Self::Verdict(reason) => reason.as_str(),
            Self::Failed(code) => code.as_str(),
        }
    }
}

impl Refusal {
    /// Whether policies refused the response; otherwise it has no verdict.
    #[must_use]
    pub fn is_verdict(&self) -> bool {
        match self.reason {
            RefusalReason::NotInspected
            | RefusalReason::ListRefused
            | RefusalReason::PoliciesChanged
            | RefusalReason::Verdict(_) => true,
            RefusalReason::Unbound | RefusalReason::Foreign | RefusalReason::Failed(_) => false,
        }
    }

    fn new(reason: RefusalReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), public_reason: None, determining: Vec::new(), errors: Vec::new() }
    }

    pub(super) fn unbound(detail: impl Into<String>) -> Self {
        Self::new(RefusalReason::Unbound, detail)
    }

    pub(super) fn foreign() -> Self {
        let detail =
            "the response may carry the result of another call, and policies distinguish the resources of the service";
        Self::new(RefusalReason::Foreign, detail)
    }

    pub(super) fn not_inspected() -> Self {
        Self::new(RefusalReason::NotInspected, "a part could not be read, and no policy tests `inspected`")
    }

    pub(super) fn list_refused() -> Self {
        let detail = "the answer to a list method has no single reading, or its entries could not be evaluated in time";
        Self::new(RefusalReason::ListRefused, detail)
    }

    pub(super) fn policies_changed() -> Self {
        Self::new(RefusalReason::PoliciesChanged, "policies about the response changed while it was read")
    }

    pub(super) fn failed(failure: Failure) -> Self {
        Self::new(RefusalReason::Failed(failure.code), failure.detail)
    }

    /// The head was not evaluated in time, or on no thread.
    pub(in crate::check) fn late() -> Self {
        Self::failed(Failure::new(Code::Deadline, "the head was not evaluated in time"))
    }

    pub(super) fn denied(denial: Denial, determining: Vec<String>, errors: Vec<PolicyError>) -> Self {
        let Denial { reason, status: _, public_reason, detail } = denial;
        Self { reason: RefusalReason::Verdict(reason), detail, public_reason, determining, errors }
    }
}

/// The record of one response. It never holds text of a body.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseRecord {
    /// When its headers arrived.
    pub at: UnixMillis,
    /// Id of the decision on the request, if a release record proves it.
    pub decision_id: Option<Uuid>,
    /// Id of the called service, as far as it is proven.
    pub service: Option<SmolStr>,
    /// HTTP status of the response.
    pub status: u16,
    /// Its body is a stream of events.
    pub is_stream: bool,
    /// The outcome.
    pub outcome: Outcome,
    /// Why it was refused, if it was by policies.
    pub refusal: Option<Refusal>,
    /// Ids of the policies that decided, sorted.
    pub determining: Vec<String>,
    /// How its body ended; `None` if it was not read.
    pub end: Option<End>,
    /// What was read and found.
    pub summary: Summary,
    /// How long text was held at most.
    pub held: Duration,
    /// The time from the headers to the end.
    pub elapsed: Duration,
    /// What would have happened with the policies in shadow mode; `None` where none is about the response.
    pub would_be: Option<WouldBe>,
    /// The first rulings, at most [`ResponseChecker::rulings_max`](super::ResponseChecker::rulings_max).
    pub rulings: Vec<Ruled>,
}

/// One ruling about a response. It names what was seen, and holds no text of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruled {
    /// What was known of the body.
    pub seen: Seen,
    /// Detectors with values that are masked from then on.
    pub masks: BTreeSet<SmolStr>,
    /// Ids of the policies that decided, sorted.
    pub determining: Vec<String>,
    /// Why the response was refused; `None` if it goes on.
    pub refused: Option<&'static str>,
}

/// What would have happened to a response if the policies in shadow mode were enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WouldBe {
    /// `None` if it is not known.
    pub outcome: Option<Outcome>,
    /// Why it would be refused, or why it is not known.
    pub reason: Option<&'static str>,
    /// Ids of the policies that would decide, sorted.
    pub determining: Vec<String>,
    /// Values by detector in the copy that was read.
    pub findings: BTreeMap<SmolStr, u64>,
    /// Another outcome, or other detectors that are masked, than those of the response.
    pub is_different: bool,
}

impl WouldBe {
    /// The outcome as a stable text; `unknown` if it is not known.
    #[must_use]
    pub fn outcome_as_str(&self) -> &'static str {
        self.outcome.map_or("unknown", Outcome::as_str)
    }
}

impl ResponseRecord {
    /// Notes why the response was refused.
    pub(super) fn refused(&mut self, refusal: &Refusal) {
        self.outcome = Outcome::Refused;
        self.determining.clone_from(&refusal.determining);
        self.refusal = Some(refusal.clone());
    }
}
