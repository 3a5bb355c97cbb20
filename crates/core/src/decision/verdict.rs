//! The verdict: the answer of the PDP.

use crate::obligation::Mutations;
use crate::obligation::challenge::Challenge;

/// The PDP's answer to one query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The outcome for the call.
    pub effect: Effect,
    /// Ids of the policies that decided, sorted.
    pub determining: Vec<String>,
    /// Policies that failed to evaluate, sorted, with Cedar's message.
    pub errors: Vec<PolicyError>,
    /// The verdict with the shadow policies enforced, if there are any.
    pub would_be: Option<WouldBe>,
}

/// The outcome for a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The call is allowed, with these changes.
    Allow(Mutations),
    /// It is denied.
    Deny(Denial),
    /// The call is denied, and the answer says how to get an allow.
    Challenge(Challenge, Denial),
}

/// A denial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The reason.
    pub reason: Reason,
    /// HTTP status that a policy sets (400-499).
    pub status: Option<u16>,
    /// Reason code that a policy lets the caller see.
    pub public_reason: Option<String>,
    /// The exact cause, for the log; empty if the policies show it.
    pub detail: String,
}

/// The reason of a verdict; a closed set for logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// A permit is satisfied, and no forbid.
    PolicyPermit,
    /// A forbid without a remedy is satisfied.
    PolicyForbid,
    /// No permit is satisfied.
    NoPermit,
    /// A forbid failed to evaluate.
    PolicyError,
    /// All satisfied forbids have remedies, which make a challenge.
    Remedy,
    /// Remedies that cannot be merged.
    RemedyConflict,
    /// A satisfied forbid wants a part of the request masked, which is not possible here.
    MaskUnavailable,
    /// A policy tests findings in the message, and a part of the message was not read.
    NotInspected,
    /// Two satisfied permits have contradicting obligations.
    ObligationConflict,
    /// An obligation cannot be carried out.
    ObligationUnmet,
    /// No policy was evaluated: Picket answered with a public document.
    Metadata,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 11] = [
        Self::PolicyPermit,
        Self::PolicyForbid,
        Self::NoPermit,
        Self::PolicyError,
        Self::Remedy,
        Self::RemedyConflict,
        Self::MaskUnavailable,
        Self::NotInspected,
        Self::ObligationConflict,
        Self::ObligationUnmet,
        Self::Metadata,
    ];

    /// The stable text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PolicyPermit => "policy_permit",
            Self::PolicyForbid => "policy_forbid",
            Self::NoPermit => "no_permit",
            Self::PolicyError => "policy_error",
            Self::Remedy => "remedy",
            Self::RemedyConflict => "remedy_conflict",
            Self::MaskUnavailable => "mask_unavailable",
            Self::NotInspected => "not_inspected",
            Self::ObligationConflict => "obligation_conflict",
            Self::ObligationUnmet => "obligation_unmet",
            Self::Metadata => "metadata",
        }
    }
}

/// A policy that failed to evaluate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyError {
    /// The policy's id.
    pub policy: String,
    /// Cedar's message.
    pub message: String,
}

/// The would-be verdict: enforced and shadow policies together, without bridges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WouldBe {
    /// `allow`, `deny`, or a challenge's kind.
    pub decision: Decision,
    /// The reason.
    pub reason: Reason,
    /// Ids of the policies that would have decided.
    pub determining: Vec<String>,
}

/// The kind of an answer, for logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Decision {
    /// The call is allowed.
    Allow,
    /// The call is denied.
    Deny,
    /// The call is denied until a remedy is carried out.
    Challenge,
    /// No verdict; denied for a [`Failure`](crate::failure::Failure).
    Error,
}

impl Decision {
    /// The stable text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Challenge => "challenge",
            Self::Error => "error",
        }
    }
}

impl Verdict {
    /// The one verdict without policies: Picket answers itself, and the call is not forwarded.
    #[must_use]
    pub fn answered() -> Self {
        let denial = Denial { reason: Reason::Metadata, status: None, public_reason: None, detail: String::new() };
        Self { effect: Effect::Deny(denial), determining: Vec::new(), errors: Vec::new(), would_be: None }
    }

    /// Allow, deny or challenge.
    #[must_use]
    pub fn decision(&self) -> Decision {
        match &self.effect {
            Effect::Allow(_) => Decision::Allow,
            Effect::Deny(_) => Decision::Deny,
            Effect::Challenge(..) => Decision::Challenge,
        }
    }

    /// The reason.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match &self.effect {
            Effect::Allow(_) => Reason::PolicyPermit,
            Effect::Deny(denial) | Effect::Challenge(_, denial) => denial.reason,
        }
    }
}
