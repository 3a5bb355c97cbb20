//! Checks that a call is admissible, or ends it without a verdict.
//!
//! Knows: how a call was read, and which names policies depend on. Must not know: who may do what.

use picket_core::call::Call;
use picket_core::catalog::Service;
use picket_core::decision::Snapshot;
use picket_core::failure::{Code, Failure};
use picket_core::identity::Identity;
use picket_core::mapping;
use picket_core::obligation::Changeable;
use picket_core::query::{Family, Query};

/// Checks that the query has the family that its call was read for: another family would need other inputs.
pub(super) fn of_family(family: Family, query: Query) -> Result<Query, Failure> {
    if Family::of(&query.action) == Some(family) {
        return Ok(query);
    }
    let detail = format!("the call became `{}`, but its inputs were read for another family", query.action);
    Err(Failure::new(Code::Internal, detail))
}

/// Checks a call before its content is read: its token is for the service, and no server can mistake a key of its query
/// for one that policies change.
pub(super) fn admissible(
    call: &Call,
    identity: &Identity,
    snapshot: &Snapshot,
    service: &Service,
) -> Result<(), Failure> {
    mapping::audience(identity, service)?;
    // Other spellings of headers are stripped by the edge; those of query keys cannot be.
    let Changeable { set_headers: _, remove_headers: _, set_query, remove_query } =
        snapshot.changeable(service.namespace());
    mapping::parameters::changed(call, set_query, remove_query)
}

/// Checks that the requested resource is not a known one in another spelling: a provider may treat both as the same.
pub(super) fn plainly_named<'q>(snapshot: &Snapshot, query: &'q mut Query) -> Result<&'q mut Query, Failure> {
    match snapshot.known_spelling(&query.namespace, &query.resource.uid) {
        None => Ok(query),
        Some(known) => {
            let detail = format!(
                "{} is `{known}` in another spelling, which a provider may treat as the same",
                query.resource.uid
            );
            Err(Failure::new(Code::MessageRefused, detail))
        }
    }
}
