//! Policies that read fields against the descriptor sets of their tree.

use picket::catalog::grpc::Descriptors;
use picket::decision::Snapshot;
use picket::decision::snapshot::Loaded;

use super::{bytes, set_text};
use crate::support::{problems, tree};

const CATALOG: &str = "
services:
  - {id: shop/refunds, protocol: grpc, grpc: {descriptors: orders.binpb}}
  - {id: shop/plain, protocol: grpc}
  - {id: pay/ledger, protocol: grpc}
";

fn loaded(catalog: &str, policy: &str) -> Loaded {
    let set = set_text("orders.proto");
    let files =
        [("catalog.yaml", catalog), ("descriptors/orders.binpb", set.as_str()), ("namespaces/shop/a.cedar", policy)];
    Snapshot::load(&tree(&files), None)
}

/// A forbid of this scope that reads a field.
fn reading(resource: &str, pointer: &str) -> String {
    format!(
        "forbid (principal, action == Action::\"grpc.call\", {resource})\n\
         when {{ context has fields && context.fields.hasTag(\"{pointer}\") }};"
    )
}

#[test]
fn a_field_that_no_described_method_has_is_refused() {
    let refunds = "resource in Service::\"shop/refunds\"";
    let refund = "resource == Method::\"shop/refunds/shop.v1.Orders/Refund\"";
    for (resource, pointer, is_known) in [
        (refunds, "/order_id", true),
        (refunds, "/amount/units", true),
        (refunds, "/items/0/sku", true),
        (refunds, "/steps/12", true),
        (refunds, "/labels/any key/currency", true),
        (refunds, "/inner/inner/inner/order_id", true),
        (refunds, "/n", true),
        (refund, "/order_id", true),
        ("resource in Method::\"shop/refunds/shop.v1.Orders\"", "/n", true),
        ("resource is Method in Namespace::\"shop\"", "/order_id", true),
        ("resource", "/order_id", true),
        (refund, "/n", false),
        (refunds, "/orderId", false),
        (refunds, "/amount", false),
        (refunds, "/amount/units/0", false),
        (refunds, "/items/sku", false),
        (refunds, "/items/first/sku", false),
        (refunds, "/labels/currency", false),
        (refunds, "/", false),
        ("resource", "/order", false),
    ] {
        let loaded = loaded(CATALOG, &reading(resource, pointer));
        let text = problems(&loaded);
        assert_eq!(!text.contains(&format!("has a field `{pointer}`")), is_known, "{resource} {pointer}: {text}");
        assert_eq!(loaded.refused.is_empty(), is_known, "{resource} {pointer}: {text}");
    }
    let bare = loaded(CATALOG, &reading(refunds, "order_id"));
    assert!(problems(&bare).contains("write `/order_id`"), "{}", problems(&bare));
}

#[test]
fn fields_of_a_service_that_nothing_describes_are_refused_by_name_and_warned_of_otherwise() {
    let named = loaded(CATALOG, &reading("resource in Service::\"shop/plain\"", "/order_id"));
    let text = problems(&named);
    assert!(
        text.contains("`shop/plain` has no descriptor set for its messages") && text.contains("descriptors: FILE"),
        "{text}"
    );
    assert_eq!(named.refused, ["shop"]);
    let all = loaded(CATALOG, &reading("resource", "/order_id"));
    let text = problems(&all);
    assert!(
        text.contains("Warning") && text.contains("`shop/plain` has no descriptor set for its messages, so"),
        "{text}"
    );
    assert!(text.contains("`shop.v1.Orders/Upload` takes a stream"), "{text}");
    assert!(all.refused.is_empty());
    let one = loaded(CATALOG, &reading("resource == Method::\"shop/refunds/shop.v1.Orders/Refund\"", "/order_id"));
    let text = problems(&one);
    assert!(!text.contains("describes") && !text.contains("stream"), "{text}");
}

#[test]
fn a_missing_broken_or_unnamed_set_is_reported_with_its_place() {
    let permit = "permit (principal, action == Action::\"grpc.call\", resource);";
    let missing = loaded("services: [{id: shop/refunds, protocol: grpc, grpc: {descriptors: order.binpb}}]", permit);
    let text = problems(&missing);
    assert!(text.contains("no descriptor set `descriptors/order.binpb`"), "{text}");
    assert!(text.contains("did you mean `orders.binpb`?"), "{text}");
    assert_eq!(missing.refused, ["mesh"]);
    let unnamed = loaded("services: [{id: shop/refunds, protocol: grpc}]", permit);
    let text = problems(&unnamed);
    assert!(text.contains("descriptors/orders.binpb: no service names this descriptor set"), "{text}");
    assert!(unnamed.refused.is_empty(), "{text}");
    let other = loaded("services: [{id: shop/a, protocol: http, grpc: {descriptors: orders.binpb}}]", permit);
    assert!(problems(&other).contains("`grpc` has no meaning for protocol `http`"), "{}", problems(&other));
    for broken in ["/w==", "", "not base64"] {
        let files = [("catalog.yaml", CATALOG), ("descriptors/orders.binpb", broken)];
        let loaded = Snapshot::load(&tree(&files), None);
        let text = problems(&loaded);
        assert!(text.contains("descriptors/orders.binpb: this is not a descriptor set"), "{broken}: {text}");
        assert!(!text.contains("there is no descriptor set"), "{text}");
        assert_eq!(loaded.refused, ["mesh"], "{text}");
    }
}

#[test]
fn a_set_that_vanishes_changes_nothing() {
    let policy = reading("resource", "/order_id");
    let first = loaded(CATALOG, &policy);
    let before = first.snapshot.unwrap();
    let gone = tree(&[("catalog.yaml", CATALOG), ("namespaces/shop/a.cedar", &policy)]);
    let after = Snapshot::load(&gone, Some(&before));
    assert_eq!(after.refused, ["mesh"]);
    let kept = after.snapshot.unwrap();
    assert!(kept.catalog().service("shop/refunds").unwrap().grpc.is_some());
    assert_eq!(kept.digests(), before.digests());
}

#[test]
fn a_change_of_a_set_changes_the_evaluation_of_calls() {
    let digest = |proto: &str| {
        let catalog = "services: [{id: shop/refunds, protocol: grpc, grpc: {descriptors: a.binpb}}]";
        let set = set_text(proto);
        let loaded = Snapshot::load(&tree(&[("catalog.yaml", catalog), ("descriptors/a.binpb", &set)]), None);
        loaded.snapshot.unwrap().digests()["mesh"].clone()
    };
    assert_ne!(digest("orders.proto"), digest("health.proto"));
}

/// A file of a set, by hand: `message M { E e = 1; }`, and a method that takes it.
fn by_hand(more: &[Vec<u8>], type_name: &str, kind: u8) -> Vec<u8> {
    let field = [bytes(1, b"e"), vec![0x18, 1, 0x20, 1, 0x28, kind], bytes(6, type_name.as_bytes())].concat();
    let message = [bytes(1, b"M"), bytes(2, &field)].concat();
    let method = [bytes(1, b"Do"), bytes(2, b".M"), bytes(3, b".M")].concat();
    let service = [bytes(1, b"S"), bytes(2, &method)].concat();
    let file = [bytes(1, b"a.proto"), bytes(4, &message), more.concat(), bytes(6, &service), bytes(12, b"proto3")];
    bytes(1, &file.concat())
}

#[test]
fn a_set_that_no_compiler_writes_is_refused_before_a_call_meets_it() {
    let value = bytes(2, &[bytes(1, b"ZERO"), vec![0x10, 0]].concat());
    let whole = by_hand(&[bytes(5, &[bytes(1, b"E"), value].concat())], ".E", 14);
    assert!(Descriptors::decode(&whole).unwrap().method("S", "Do").is_some());
    let entry = [bytes(1, b"N"), bytes(7, &[0x38, 1])].concat();
    let edition = String::from_utf8_lossy(&whole).replace("proto3", "editio").into_bytes();
    assert!(Descriptors::decode(&edition).unwrap_err().contains("syntax `editio`"));
    let broken = [by_hand(&[bytes(5, &bytes(1, b"E"))], ".E", 14), by_hand(&[bytes(4, &entry)], ".N", 11)];
    for set in broken {
        assert!(Descriptors::decode(&set).is_err());
    }
    // A truncated or garbled set is rejected, or describes something: it never ends the process.
    for at in 0..whole.len() {
        drop(Descriptors::decode(&whole[..at]));
        for bit in 0..8 {
            let mut garbled = whole.clone();
            garbled[at] ^= 1 << bit;
            drop(Descriptors::decode(&garbled));
        }
    }
}
