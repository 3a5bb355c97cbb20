//! The release guard of a service: what the active policies do with its responses, and what lists in these need.
//!
//! Knows: the snapshot, the catalogue's groups. Must not know: records of calls, bodies.

use std::collections::BTreeSet;
use std::sync::Arc;

use smol_str::SmolStr;

use super::bundle::Bundle;
use super::bundle::release::ReleaseGuard;
use super::snapshot::{Snapshot, applicable_bundles};
use crate::catalog::Service;
use crate::failure::Failure;
use crate::query::Uid;
use crate::release::EntityCoverage;
use crate::release::coverage::Within;

/// The guard of a service, by its id.
///
/// # Errors
/// [`crate::failure::Code::BundleInvalid`] if the policies of its namespace never loaded.
pub fn guard(snapshot: &Snapshot, service: &str) -> Result<ReleaseGuard, Failure> {
    let mut guard = ReleaseGuard::default();
    for bundle in bundles(snapshot, service)? {
        bundle.releases.add_to(&mut guard, service);
    }
    Ok(guard)
}

/// What the policies about requests to a service read of the caller: with it, entries of a list are evaluated as their calls
/// would be.
///
/// # Errors
/// As [`guard`].
pub fn list_coverage(snapshot: &Snapshot, service: &str) -> Result<EntityCoverage, Failure> {
    // Whether there is a token decides whether a login could help.
    let token = ["token", "kind"].map(SmolStr::new_static).to_vec();
    let mut coverage = EntityCoverage::Parts { paths: [token].into(), within: Within::These(BTreeSet::new()) };
    for bundle in bundles(snapshot, service)? {
        bundle.requests.add_to(&mut coverage, service);
    }
    Ok(coverage)
}

/// The guard that the service would have with its shadow policies enforced; `None` where no such policy is about its
/// responses.
///
/// # Errors
/// As [`guard`].
pub fn would_be_guard(snapshot: &Snapshot, service: &str) -> Result<Option<ReleaseGuard>, Failure> {
    if !snapshot.releases().is_watched {
        return Ok(None);
    }
    let mut would_be = ReleaseGuard::default();
    for bundle in bundles(snapshot, service)? {
        bundle.releases.add_would_be_to(&mut would_be, service);
    }
    let is_different = would_be.policies != guard(snapshot, service)?.policies;
    Ok(is_different.then_some(would_be))
}

fn bundles(snapshot: &Snapshot, service: &str) -> Result<Vec<Arc<Bundle>>, Failure> {
    applicable_bundles(snapshot, crate::catalog::namespace_of(service).unwrap_or_default())
}

/// Returns whether a policy distinguishes the resources of a service, so that the result of one must not be released as
/// that of another.
///
/// A group counts unless the catalogue knows it and has the service itself in it, or no part of the service. `service` is
/// `None` if the catalogue does not have it.
#[must_use]
pub fn is_scoped_below(guard: &ReleaseGuard, snapshot: &Snapshot, id: &str) -> bool {
    let service = snapshot.catalog().service(id);
    let is_below = |uid: &Uid| match uid.kind.as_str() {
        "Group" => !snapshot.catalog().groups().contains(uid.id.as_str()) || is_part_of(service, &uid.id),
        // The server and the agent are the service under another name.
        "McpServer" | "Agent" => false,
        _ => uid.id.strip_prefix(id).is_some_and(|rest| rest.starts_with('/')),
    };
    guard.below_unknown || guard.below.iter().any(is_below)
}

/// Returns whether a group has parts of a service, and not the whole service.
fn is_part_of(service: Option<&Service>, group: &str) -> bool {
    service.is_some_and(|service| {
        let tools = service.tools.values().map(|tool| &tool.groups);
        let models = service.models.values().map(|model| &model.groups);
        let routes = service.routes.iter().map(|route| &route.groups);
        let mut parts = tools.chain(models).chain(routes);
        !service.groups.contains(group) && parts.any(|groups| groups.contains(group))
    })
}

#[cfg(test)]
mod tests;
