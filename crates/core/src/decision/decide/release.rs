//! The verdict on a response: release it, mask findings in it, or refuse it.
//!
//! Knows: satisfied policies, masks. Must not know: bodies, detectors' patterns.
//!
//! A response needs a permit, as a request does. Its satisfied forbids mask if each of them has the remedy `mask`; a
//! forbid without it refuses. A challenge cannot be sent with a response, so every other remedy refuses too.

use std::collections::BTreeSet;
use std::sync::Arc;

use smol_str::SmolStr;

use super::{Combine, Evaluation, denial};
use crate::decision::allowance::Allowance;
use crate::decision::engine::evaluate::Satisfied;
use crate::decision::policy::mode::{Basis, Mode};
use crate::decision::policy::remedy::Remedy;
use crate::decision::snapshot::Snapshot;
use crate::decision::verdict::{Denial, Effect, PolicyError, Reason};
use crate::failure::Failure;
use crate::obligation::Mutations;
use crate::query::{Facts, Query};

/// The PDP's answer to one release query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseVerdict {
    /// The outcome for the response.
    pub effect: ReleaseEffect,
    /// Ids of the policies that decided, sorted.
    pub determining: Vec<String>,
    /// Policies that failed to evaluate, sorted, with Cedar's message.
    pub errors: Vec<PolicyError>,
}

/// The outcome for a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseEffect {
    /// It is released as it is.
    Release,
    /// The findings of these detectors are masked.
    Mask(BTreeSet<SmolStr>),
    /// It is refused.
    Refuse(Denial),
}

/// Decides one release query by the policies of `basis`.
///
/// # Errors
/// As [`decide_within`](super::decide_within).
pub fn release_within(
    snapshot: &Snapshot,
    query: &mut Query,
    basis: Basis,
    allowance: &Allowance<'_>,
) -> Result<ReleaseVerdict, Failure> {
    let evaluation = Evaluation::begin(snapshot, query, &Facts::default(), allowance)?;
    let combine = Combine { snapshot, query: evaluation.query, units: &evaluation.units };
    let mut found = evaluation.find(Mode::Enforce)?.findings;
    match basis {
        Basis::Enforced => {}
        Basis::WouldBe => found = Arc::new(combine.with_shadow(&found, &evaluation.find(Mode::Shadow)?.findings)),
    }
    let (effect, determining) = match masks(&combine, &found) {
        Some(detectors) => match released(&combine.allowed(&found.permits)) {
            ReleaseEffect::Release => (ReleaseEffect::Mask(detectors), found.forbids.iter().cloned().collect()),
            refused => (refused, found.permits.iter().cloned().collect()),
        },
        None => {
            let (effect, determining) = combine.effect(&found);
            (released(&effect), determining)
        }
    };
    Ok(ReleaseVerdict { effect, determining, errors: found.errors() })
}

/// The detectors to mask, if masking is all that the satisfied forbids require.
pub(super) fn masks(combine: &Combine<'_>, found: &Satisfied) -> Option<BTreeSet<SmolStr>> {
    if !found.forbid_errors.is_empty() || found.permits.is_empty() || found.forbids.is_empty() {
        return None;
    }
    let mut masked = BTreeSet::new();
    for id in &found.forbids {
        match &combine.entry(id)?.remedy {
            Some(Remedy::Mask { detectors }) => masked.extend(detectors.iter().map(SmolStr::from)),
            Some(Remedy::StepUp { .. } | Remedy::AddScope { .. } | Remedy::NarrowToken | Remedy::Approve { .. })
            | None => return None,
        }
    }
    Some(masked)
}

/// The effect on a response of an effect on a request.
fn released(effect: &Effect) -> ReleaseEffect {
    match effect {
        Effect::Allow(mutations) if changes_the_call(mutations) => {
            let detail = "a permit of a response has an obligation to change the request or its headers";
            ReleaseEffect::Refuse(denial(Reason::ObligationUnmet, detail))
        }
        Effect::Allow(_) => ReleaseEffect::Release,
        Effect::Deny(denial) | Effect::Challenge(_, denial) => ReleaseEffect::Refuse(denial.clone()),
    }
}

/// The request is gone by now, and the headers of its response belong to the request's permits.
fn changes_the_call(mutations: &Mutations) -> bool {
    // A field that is missing here does not compile.
    let Mutations { set_headers, remove_headers, response_headers, set_query, remove_query, metadata: _, log_full: _ } =
        mutations;
    let sets = [set_headers, response_headers, set_query].into_iter().any(|map| !map.is_empty());
    sets || !remove_headers.is_empty() || !remove_query.is_empty()
}

#[cfg(test)]
mod tests;
