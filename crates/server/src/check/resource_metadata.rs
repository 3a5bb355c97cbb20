//! Serves the protected-resource metadata of a service (RFC 9728).
//!
//! Knows: which calls request it. Must not know: who is calling, policies. Every other call is evaluated as usual, on
//! the same path too.

use picket_core::call::{Call, Target};
use picket_core::catalog::Service;
use picket_core::obligation::metadata::{self, Document, WELL_KNOWN};

/// The document that `call` requests, if its service has Picket serve it.
pub(super) fn requested(call: &Call, service: &Service) -> Option<Document> {
    let path = match &call.target {
        Target::Path { path, query: None } => path.as_str(),
        Target::Path { .. } | Target::Authority => return None,
    };
    // Compare the prefix first: every other call pays only for this comparison.
    if !path.starts_with(WELL_KNOWN) || !matches!(call.method.as_str(), "GET" | "HEAD") || call.upgrade.is_some() {
        return None;
    }
    metadata::document(service, path)
}
