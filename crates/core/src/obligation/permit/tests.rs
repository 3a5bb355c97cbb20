//! Merging of obligations, in any order.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::query::{Node, Uid};

/// Annotations with values that agree, contradict each other or cannot be had in [`query`].
const WRITTEN: [(&str, &str); 18] = [
    ("set_headers", "x-a=1"),
    ("set_headers", "x-a=2"),
    ("set_headers", "x_a=1, x-b=${principal.id}"),
    ("set_headers", "x-c=${context.absent}"),
    ("response_headers", "x-a=1"),
    ("response_headers", "x-a=2, x-b=1"),
    ("metadata", "tier=core"),
    ("metadata", "tier=edge"),
    ("metadata", "owner=${resource.absent}"),
    ("set_query", "tenant=a b"),
    ("set_query", "tenant=other, role=1"),
    ("set_query", "role=${context.absent}"),
    ("remove_headers", "x-a"),
    ("remove_headers", "x_b, x-d"),
    ("remove_query", "tenant"),
    ("remove_query", "debug"),
    ("log", "full"),
    ("log", "full"),
];

fn query() -> Query {
    Query {
        principal: Node::new(Uid::new("Workload", "spiffe://a/b")),
        action: "GET".into(),
        resource: Node::new(Uid::new("Path", "shop/orders/")),
        context: Default::default(),
        bags: vec![],
        namespace: "shop".into(),
    }
}

fn permit(annotations: &[(&str, &str)]) -> Obligations {
    let mut permit = Obligations::default();
    annotations.iter().for_each(|(annotation, text)| permit.add(annotation, text, &[]).unwrap());
    permit
}

fn applied(permits: &[Vec<(&str, &str)>]) -> Result<Mutations, Unenforceable> {
    let permits: Vec<Obligations> = permits.iter().map(|annotations| permit(annotations)).collect();
    mutations(&permits, &query())
}

#[test]
fn every_annotation_makes_an_obligation_of_its_own() {
    let mut kinds = Vec::new();
    for annotation in annotations() {
        let written = WRITTEN.iter().find(|(known, _)| *known == annotation);
        let (_, text) = written.unwrap_or_else(|| panic!("`{annotation}` has no example in WRITTEN"));
        let permit = permit(&[(annotation, text)]);
        let obligation = permit.0.first().unwrap();
        assert_eq!(obligation.annotation(), annotation);
        kinds.push(std::mem::discriminant(obligation));
        assert!(!permit.is_empty());
    }
    assert!(kinds.iter().enumerate().all(|(at, kind)| kinds.iter().position(|other| other == kind) == Some(at)));
}

#[test]
fn an_annotation_that_is_added_again_replaces_the_first() {
    assert_eq!(permit(&[("set_headers", "x-a=1"), ("set_headers", "x-b=1")]), permit(&[("set_headers", "x-b=1")]));
}

#[test]
fn of_several_values_that_cannot_be_had_the_first_in_order_is_reported() {
    // The order of `PARSERS`, whatever the order of the annotations.
    let absent = annotations()
        .filter(|annotation| WRITTEN.iter().any(|(known, text)| known == annotation && text.contains("${")));
    let written: Vec<(&str, String)> =
        absent.map(|annotation| (annotation, format!("x=${{context.of_{annotation}}}"))).collect();
    let mut left: Vec<(&str, &str)> = written.iter().map(|(annotation, text)| (*annotation, text.as_str())).collect();
    left.reverse();
    for annotation in ["set_headers", "metadata", "set_query"] {
        let reported = applied(&[left.clone()]).unwrap_err().to_string();
        assert_eq!(reported, format!("`${{context.of_{annotation}}}` has no value in this call"));
        left.retain(|(other, _)| *other != annotation);
    }
    assert!(applied(&[left]).is_ok());
}

#[test]
fn a_name_that_one_permit_sets_and_another_removes_is_a_conflict() {
    for (set, removed, name) in [
        (("set_headers", "x-a=1"), ("remove_headers", "x_a"), "x_a"),
        (("set_query", "tenant=a"), ("remove_query", "tenant"), "tenant"),
    ] {
        assert_eq!(applied(&[vec![set], vec![removed]]), Err(Unenforceable::Conflict(name.to_owned())));
    }
    let response = ("response_headers", "x-a=1");
    assert!(applied(&[vec![response], vec![("remove_headers", "x-a")]]).is_ok(), "another message's header");
}

/// The annotations of one permit.
type Written = Vec<(&'static str, &'static str)>;

/// One permit's annotations, each once, in two orders.
fn drawn_permit() -> impl Strategy<Value = (Written, Written)> {
    let some = proptest::collection::vec(proptest::sample::select(WRITTEN.to_vec()), 0..4);
    let once = some.prop_map(|mut written| {
        let mut seen = BTreeSet::new();
        written.retain(|(annotation, _)| seen.insert(*annotation));
        written
    });
    once.prop_flat_map(|written| (Just(written.clone()), Just(written).prop_shuffle()))
}

proptest! {
    #[test]
    fn the_order_of_annotations_changes_neither_the_mutations_nor_the_error(
        permits in proptest::collection::vec(drawn_permit(), 0..4),
    ) {
        let (one, other): (Vec<_>, Vec<_>) = permits.into_iter().unzip();
        prop_assert_eq!(applied(&one), applied(&other));
    }

    /// Of several errors the first permit's is reported; that there is one does not depend on the order.
    #[test]
    fn the_order_of_permits_changes_neither_the_mutations_nor_whether_there_is_an_error(
        (one, other) in proptest::collection::vec(drawn_permit().prop_map(|(written, _)| written), 0..4)
            .prop_flat_map(|permits| (Just(permits.clone()), Just(permits).prop_shuffle())),
    ) {
        prop_assert_eq!(applied(&one).ok(), applied(&other).ok());
    }

    /// A name that can be set or removed is stripped from the client's request, so none may be left out.
    #[test]
    fn all_that_a_permit_sets_or_removes_is_changeable((written, _) in drawn_permit()) {
        let changeable = permit(&written).changeable();
        if let Ok(Mutations { set_headers, remove_headers, set_query, remove_query, .. }) = applied(&[written]) {
            prop_assert!(set_headers.keys().chain(&remove_headers).all(|name| changeable.has_header(name)));
            prop_assert!(set_query.keys().all(|key| changeable.set_query.contains(key)));
            prop_assert!(remove_query.iter().all(|key| changeable.remove_query.contains(key)));
        }
    }
}
