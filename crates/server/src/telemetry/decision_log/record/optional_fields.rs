//! Optional fields of a record: errors, remedies, obligations, the would-be verdict.
//!
//! Knows: verdicts. Must not know: the rest of the record.

use std::collections::BTreeSet;

use serde::Serialize;
use smol_str::SmolStr;

use super::text::{ITEMS_MAX, Text, name, names};
use picket_core::decision::verdict::{Effect, Verdict};
use picket_core::inspection::{Inspection, Unread};
use picket_core::obligation::Mutations;
use picket_core::obligation::challenge::Challenge;

/// What a record has beside its reason.
#[derive(Serialize)]
pub(super) struct OptionalFields<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Failed<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedies: Option<Remedy<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    obligations: Option<Obligations<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_be: Option<Shadow<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Content<'a>>,
}

/// Names of detectors, never what they found.
#[derive(Serialize)]
struct Content<'a> {
    found: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_read: Option<&'static str>,
    /// Detectors with values that the service gets masked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    masked: Vec<Text<'a>>,
}

#[derive(Serialize)]
struct Failed<'a> {
    policy: Text<'a>,
    message: Text<'a>,
}

#[derive(Serialize)]
struct Shadow<'a> {
    decision: &'static str,
    reason: &'static str,
    determining: Vec<Text<'a>>,
}

#[derive(Serialize, Default)]
struct Remedy<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<Text<'a>>,
}

/// Names only: values may be made of claims.
#[derive(Serialize)]
struct Obligations<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    set_headers: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remove_headers: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    response_headers: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    set_query: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remove_query: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metadata: Vec<Text<'a>>,
}

impl<'a> OptionalFields<'a> {
    /// All of it that there is.
    pub(super) fn of(
        verdict: Option<&'a Verdict>,
        inspection: Option<&'a Inspection>,
        masked: &'a BTreeSet<SmolStr>,
    ) -> Self {
        Self {
            content: inspection.and_then(|inspection| content(inspection, masked)),
            errors: verdict.map(errors).unwrap_or_default(),
            remedies: verdict.and_then(remedy),
            obligations: verdict.and_then(obligations),
            would_be: verdict.and_then(would_be),
        }
    }

    /// Whether there is none.
    pub(super) fn is_absent(&self) -> bool {
        let Self { errors, remedies, obligations, would_be, content } = self;
        errors.is_empty() && remedies.is_none() && obligations.is_none() && would_be.is_none() && content.is_none()
    }

    /// Leaves the shortest that says that there was some.
    pub(super) fn shorten(&mut self) {
        self.obligations = None;
        self.remedies = None;
        self.errors.truncate(1);
        if let Some(would_be) = &mut self.would_be {
            would_be.determining.clear();
        }
    }
}

fn content<'a>(inspection: &'a Inspection, masked: &'a BTreeSet<SmolStr>) -> Option<Content<'a>> {
    let Inspection { found, unread } = inspection;
    let is_worth_a_line = !found.is_empty() || unread.is_some() || !masked.is_empty();
    is_worth_a_line.then(|| Content {
        found: found.iter().take(ITEMS_MAX).map(|detector| name(detector)).collect(),
        not_read: unread.map(Unread::as_str),
        masked: masked.iter().take(ITEMS_MAX).map(|detector| name(detector)).collect(),
    })
}

fn errors(verdict: &Verdict) -> Vec<Failed<'_>> {
    let failed = verdict.errors.iter().take(ITEMS_MAX);
    failed.map(|error| Failed { policy: name(&error.policy), message: Text(&error.message, 512) }).collect()
}

fn would_be(verdict: &Verdict) -> Option<Shadow<'_>> {
    let would_be = verdict.would_be.as_ref()?;
    Some(Shadow {
        decision: would_be.decision.as_str(),
        reason: would_be.reason.as_str(),
        determining: names(&would_be.determining),
    })
}

fn remedy(verdict: &Verdict) -> Option<Remedy<'_>> {
    let challenge = match &verdict.effect {
        Effect::Allow(_) | Effect::Deny(_) => return None,
        Effect::Challenge(challenge, _) => challenge,
    };
    Some(match challenge {
        Challenge::Login { scopes } => Remedy { kind: "login", scopes: names(scopes), ..Remedy::default() },
        Challenge::StepUp { acr, max_age_seconds } => Remedy {
            kind: "step_up",
            acr: acr.as_deref().map(name),
            max_age_seconds: *max_age_seconds,
            ..Remedy::default()
        },
        Challenge::AddScope { scopes } => Remedy { kind: "add_scope", scopes: names(scopes), ..Remedy::default() },
        Challenge::NarrowToken { scopes, is_user: _ } => {
            Remedy { kind: "narrow_token", scopes: names(scopes), ..Remedy::default() }
        }
        Challenge::Approve { kind } => {
            Remedy { kind: "approve", approval: kind.as_deref().map(name), ..Remedy::default() }
        }
    })
}

fn obligations(verdict: &Verdict) -> Option<Obligations<'_>> {
    let mutations = match &verdict.effect {
        Effect::Allow(mutations) => mutations,
        Effect::Deny(_) | Effect::Challenge(..) => return None,
    };
    if mutations.is_empty() {
        return None;
    }
    // `log_full` is the record's own affair: it is what `full` is there for.
    let Mutations { set_headers, remove_headers, response_headers, set_query, remove_query, metadata, log_full: _ } =
        mutations;
    Some(Obligations {
        set_headers: names(set_headers.keys()),
        remove_headers: names(remove_headers),
        response_headers: names(response_headers.keys()),
        set_query: names(set_query.keys()),
        remove_query: names(remove_query),
        metadata: names(metadata.keys()),
    })
}
