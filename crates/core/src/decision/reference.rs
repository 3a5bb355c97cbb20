//! The reference: plain Cedar over all policies, the specification of the whole product.
//!
//! Knows: Cedar's public interface. Must not know: the index, projections, caches.
//!
//! The plain `Authorizer` runs over all rewritten permits and over all rewritten forbids, each on its own, because a plain
//! decision hides the satisfied permits behind a satisfied forbid.

use std::sync::Arc;

use cedar_policy::{Authorizer, PolicySet};

use super::bundle::Bundle;
use super::engine::evaluate::{Satisfied, message};
use super::engine::projection::query_bytes;
use super::policy::cost::Cost;
use super::policy::mode::Mode;
use super::schema::cedar_values::{self, Inputs};
use super::snapshot::{Snapshot, applicable_bundles};
use crate::failure::{Code, Failure};
use crate::query::Query;

/// Evaluates every policy with plain Cedar and all known inputs. This is the specification of
/// [`decide`](super::decide()).
///
/// # Errors
/// As [`decide`](super::decide()).
pub fn reference(snapshot: &Snapshot, query: &Query, mode: Mode) -> Result<Satisfied, Failure> {
    let units = applicable_bundles(snapshot, &query.namespace)?;
    let inputs = cedar_values::inputs(query, snapshot.types());
    let inputs = inputs.map_err(|detail| Failure::new(Code::QueryInvalid, detail))?;
    let found = satisfied(units.iter().map(AsRef::as_ref), mode, &inputs);
    found.map_err(|detail| Failure::new(Code::Internal, detail))
}

/// Estimated cost of [`reference()`], over all of the units' policies.
#[must_use]
pub fn reference_cost(units: &[Arc<Bundle>], query: &Query) -> u64 {
    let mut cost = Cost::of_inputs();
    units.iter().flat_map(|unit| unit.entries.values()).for_each(|entry| cost.add(entry.cost));
    cost.with(query_bytes(query))
}

/// Authorizes with all bundles' policies of one mode.
fn satisfied<'a>(
    bundles: impl IntoIterator<Item = &'a Bundle>,
    mode: Mode,
    inputs: &Inputs,
) -> Result<Satisfied, String> {
    let mut satisfied = Satisfied::default();
    for bundle in bundles {
        bundle.policy_sets(mode)?.into_iter().for_each(|set| authorize(set, inputs, &mut satisfied));
    }
    Ok(satisfied)
}

/// Authorizes with one set and adds Cedar's result. All policies of a set have the same effect, so that none hides
/// another.
fn authorize(set: &PolicySet, inputs: &Inputs, findings: &mut Satisfied) {
    let Some(effect) = set.policies().next().map(cedar_policy::Policy::effect) else { return };
    let (satisfied, failed) = findings.of_effect(effect);
    let response = Authorizer::new().is_authorized(&inputs.request, set, &inputs.entities);
    satisfied.extend(response.diagnostics().reason().map(ToString::to_string));
    for error in response.diagnostics().errors() {
        let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
        failed.insert(error.policy_id().to_string(), message(&error.inner().to_string()));
    }
}
