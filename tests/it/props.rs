//! Properties of every input: no call is allowed that plain Cedar does not allow.
//!
//! Every run draws new inputs and prints its seed; `PROPS_SEED=<seed> cargo test --test it props` repeats a run,
//! `PROPS_CASES=<n>` runs more of them.

mod bodies;
mod calls;
mod canonical;
mod identities;
mod obligations;
mod outgoing;
mod parameters;
mod proxys;
mod query_strings;
mod trees;

use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use picket::decision::verdict::Decision;
use proptest::prelude::*;
use prost::Message as _;
use tokio::runtime::Runtime;

use crate::harness::direct::{Direct, Seen};
use crate::harness::said;
use crate::oracle;
use crate::support::tree;
pub use calls::{check, profiles, tokens_and_peer};
pub use picket_properties::holds;
pub use trees::{NASTY, shipped};

/// Sends a check to every listener, and asserts the properties of every answer.
pub fn ask_all(runtime: &Runtime, listeners: &[Direct], request: &CheckRequest) -> Vec<Seen> {
    let ask = |listener: &Direct| {
        let (response, seen) = runtime.block_on(listener.judged(request.clone()));
        let said = said(&response);
        assert_eq!(said.status == 200, seen.is_allow(), "the answer is not the verdict: {seen:?}");
        oracle::assert_proven(&seen);
        oracle::assert_stripped(request, &response, &seen);
        seen
    };
    listeners.iter().map(ask).collect()
}

/// Every profile over the shipped policies and over nasty ones.
pub fn listeners(runtime: &Runtime) -> Vec<Direct> {
    let trees = [shipped(), tree(trees::NASTY)];
    let all = trees.iter().flat_map(|tree| profiles().into_iter().map(move |profile| (tree.clone(), profile)));
    all.map(|(tree, profile)| runtime.block_on(Direct::with(tree, profile))).collect()
}

#[test]
fn no_check_is_allowed_without_a_satisfied_permit() {
    let runtime = Runtime::new().unwrap();
    let listeners = listeners(&runtime);
    let allows = std::cell::Cell::new(0);
    holds(1500, check(), |check| {
        let seen = ask_all(&runtime, &listeners, &check.0);
        allows.set(allows.get() + seen.iter().filter(|seen| seen.is_allow()).count());
    });
    // Inputs that are all refused would prove nothing.
    assert!(allows.get() > 0, "not one of the drawn checks was allowed");
}

#[test]
fn no_bytes_that_decode_as_a_check_are_allowed_without_a_satisfied_permit() {
    let runtime = Runtime::new().unwrap();
    let listeners = listeners(&runtime);
    let flips = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let spoilt = (check(), flips).prop_map(|(check, flips)| {
        let mut bytes = check.0.encode_to_vec();
        flips.into_iter().for_each(|(at, byte)| *at.get_mut(&mut bytes) = byte);
        bytes
    });
    let bytes = prop_oneof![4 => spoilt, 1 => proptest::collection::vec(any::<u8>(), 0..200)];
    holds(1000, bytes, |bytes| {
        if let Ok(request) = CheckRequest::decode(bytes.as_slice()) {
            ask_all(&runtime, &listeners, &request);
        }
    });
}

fn shown(seen: &Seen) -> (String, Vec<String>) {
    match &seen.result {
        Ok(verdict) => {
            (format!("{} {}", verdict.decision().as_str(), verdict.reason().as_str()), verdict.determining.clone())
        }
        Err(failure) => (failure.code.as_str().to_owned(), Vec::new()),
    }
}

#[test]
fn the_order_of_headers_does_not_matter() {
    let runtime = Runtime::new().unwrap();
    let listeners = listeners(&runtime);
    let shuffled = check().prop_flat_map(|mut check| {
        let headers = check.http().header_map.clone().unwrap_or_default().headers;
        (Just(check), Just(headers).prop_shuffle())
    });
    holds(400, shuffled, |(check, headers)| {
        let mut other = check.clone();
        if let Some(map) = &mut other.http().header_map {
            map.headers = headers;
        }
        let answers = [&check, &other].map(|check| ask_all(&runtime, &listeners, &check.0));
        for (one, other) in answers[0].iter().zip(&answers[1]) {
            // The first of several faults is reported; the existence of one does not depend on the order.
            match (&one.result, &other.result) {
                (Err(_), Err(_)) => {}
                _ => assert_eq!(shown(one), shown(other)),
            }
        }
    });
}

#[test]
fn a_header_name_in_another_case_never_helps() {
    let runtime = Runtime::new().unwrap();
    let listeners = listeners(&runtime);
    let one = (check(), any::<prop::sample::Index>());
    holds(400, one, |(check, at)| {
        let mut other = check.clone();
        let Some(map) = other.http().header_map.as_mut().filter(|map| !map.headers.is_empty()) else { return };
        let header = at.get_mut(&mut map.headers);
        let upper = header.key.to_ascii_uppercase();
        if upper == header.key {
            return;
        }
        header.key = upper;
        for seen in ask_all(&runtime, &listeners, &other.0) {
            assert!(seen.result.is_err(), "no proxy sends such a name, so it has no reading: {seen:?}");
        }
    });
}

#[test]
fn the_case_of_a_host_does_not_matter() {
    let runtime = Runtime::new().unwrap();
    let listeners = listeners(&runtime);
    holds(200, check(), |check| {
        let mut other = check.clone();
        // The pseudo header would have to change with it: two spellings of the authority disagree.
        let map = other.http().header_map.clone().unwrap_or_default();
        let named = other.http().headers.keys().chain(map.headers.iter().map(|header| &header.key));
        if named.into_iter().any(|name| name == ":authority") {
            return;
        }
        other.http().host = other.http().host.to_ascii_uppercase();
        let answers = [&check, &other].map(|check| ask_all(&runtime, &listeners, &check.0));
        for (one, other) in answers[0].iter().zip(&answers[1]) {
            assert_eq!(shown(one), shown(other));
        }
    });
}

#[test]
fn adding_a_forbid_never_turns_a_deny_into_an_allow() {
    let runtime = Runtime::new().unwrap();
    let before = runtime.block_on(Direct::with(tree(trees::NASTY), tokens_and_peer()));
    let after: Vec<Direct> = trees::FORBIDS
        .iter()
        .flat_map(|forbid| ["mesh/zz.cedar", "namespaces/shop/zz.cedar"].map(|file| (file, *forbid)))
        .map(|added| {
            let files: Vec<_> = trees::NASTY.iter().copied().chain([added]).collect();
            runtime.block_on(Direct::with(tree(&files), tokens_and_peer()))
        })
        .collect();
    holds(400, check(), |check| {
        let (_, first) = runtime.block_on(before.judged(check.0.clone()));
        for seen in ask_all(&runtime, &after, &check.0) {
            assert!(first.is_allow() || !seen.is_allow(), "before {:?}, after {:?}", first.result, seen.result);
        }
    });
}

#[test]
fn mapped_queries_conform_to_the_schema_for_any_identity() {
    let snapshot = crate::support::snapshot(trees::NASTY);
    holds(500, identities::queries(), |(identity, call, service)| {
        let query = identities::query(&snapshot, &identity, &call, &service);
        // Panics where an entity, an ancestor or the context does not conform.
        oracle::inputs(&snapshot, &query);
    });
}

#[test]
fn the_oracle_finds_a_wrong_allow() {
    let runtime = Runtime::new().unwrap();
    let open = runtime.block_on(Direct::new(&[("namespaces/shop/a.cedar", crate::harness::PERMIT_ALL)]));
    let shut = runtime.block_on(Direct::new(&[]));
    let (_, allowed) = runtime.block_on(open.judged(crate::harness::orders().0));
    let (_, denied) = runtime.block_on(shut.judged(crate::harness::orders().0));
    assert_eq!(allowed.result.as_ref().unwrap().decision(), Decision::Allow);
    oracle::assert_proven(&allowed);
    let forged = Seen { snapshot: denied.snapshot, ..allowed.clone() };
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| oracle::assert_proven(&forged))).is_err());
    let baseless = Seen { query: None, ..allowed };
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| oracle::assert_proven(&baseless))).is_err());
}
