//! Serves the protected-resource metadata of a service (RFC 9728).
//!
//! Knows: which calls those are. Must not know: who is calling, policies. What is not exactly such a call is judged
//! like any other, on the same path.

use super::Judgement;
use super::profile::Profile;
use crate::call::{Call, Target};
use crate::decision::Snapshot;
use crate::mapping;
use crate::obligation::metadata::{self, Document, WELL_KNOWN};

/// The document that `call` asks for, if its service has Picket serve it; notes the service.
pub(super) fn asked(call: &Call, profile: &Profile, snapshot: &Snapshot, known: &mut Judgement) -> Option<Document> {
    let path = match &call.target {
        Target::Path { path, query: None } => path.as_str(),
        Target::Path { .. } | Target::Authority => return None,
    };
    // The prefix first: every other call pays for nothing but this comparison.
    if !path.starts_with(WELL_KNOWN) || !matches!(call.method.as_str(), "GET" | "HEAD") || call.upgrade.is_some() {
        return None;
    }
    let home = &profile.identity.home_trust_domain;
    let service = mapping::service(call, &profile.mapping, snapshot.catalog(), home).ok()?;
    let document = metadata::document(&service, path)?;
    known.service = Some(service.id.clone());
    known.protocol = Some(service.protocol);
    Some(document)
}
