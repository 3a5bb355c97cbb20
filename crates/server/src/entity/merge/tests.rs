use super::*;
use crate::entity::tests::query;
use picket_core::failure::Code;
use picket_core::query::record;

fn attribute(name: &'static str, value: &str) -> Additions {
    Additions { attributes: record([(name, value.into())]), ..Additions::default() }
}

fn tag(key: &'static str) -> Additions {
    Additions { tags: record([(key, "x".into())]), ..Additions::default() }
}

fn ancestor(kind: &'static str, id: &str) -> Additions {
    Additions { ancestors: [Uid::new(kind, id)].into(), ..Additions::default() }
}

#[test]
fn sources_may_add_but_neither_overwrite_nor_move() {
    let nothing = Additions::default;
    let rows = [
        ("different attributes", attribute("a", "x"), attribute("b", "x"), true),
        ("same attribute", attribute("a", "x"), attribute("a", "y"), false),
        ("same attribute, same value", attribute("a", "x"), attribute("a", "x"), false),
        ("what the call says too", attribute("proof", "mtls"), nothing(), true),
        ("against the call", attribute("proof", "jwt_svid"), nothing(), false),
        ("same tag", tag("a"), tag("a"), false),
        ("attribute and tag of one name", attribute("a", "x"), tag("a"), true),
        ("same group", ancestor("Group", "a"), ancestor("Group", "a"), true),
        ("its own namespace", ancestor("Namespace", "web"), nothing(), true),
        ("another namespace", ancestor("Namespace", "shop"), nothing(), false),
        ("a trust domain", ancestor("TrustDomain", "other"), nothing(), false),
        ("an entity type of the platform", ancestor("Team", "a"), nothing(), true),
    ];
    let query = query();
    for (name, one, two, expected) in rows {
        let facts = |principal: Additions| Facts { principal, ..Facts::default() };
        let merged = merge(&query, vec![("one", facts(one)), ("two", facts(two))]);
        assert_eq!(merged.is_ok(), expected, "{name}");
        assert!(merged.is_ok() || merged.unwrap_err().code == Code::EntitiesUnavailable, "{name}");
    }
}

#[test]
fn shared_ancestors_change_nothing_either() {
    for (kind, id, expected) in
        [("Service", "shop/orders", true), ("Service", "pay/ledger", false), ("Group", "pay", true)]
    {
        let mut resource = Additions::default();
        let names = [Uid::new("Group", "a"), Uid::new(kind, id), Uid::new("Group", "z")];
        resource.ancestors.share(&std::sync::Arc::new(names.into_iter().collect()));
        let merged = merge(&query(), vec![("one", Facts { resource, ..Facts::default() })]);
        assert_eq!(merged.is_ok(), expected, "{kind} {id}");
        assert!(merged.map_or_else(|failure| failure.detail.contains("pay/ledger"), |facts| !facts.is_empty()));
    }
}

#[test]
fn a_resource_cannot_be_moved_into_another_service() {
    let facts = Facts { resource: ancestor("Service", "pay/ledger"), ..Facts::default() };
    assert!(merge(&query(), vec![("one", facts)]).unwrap_err().detail.contains("pay/ledger"));
}

#[test]
fn principal_resource_and_call_are_kept_apart() {
    let one = Facts {
        principal: attribute("facts", "p"),
        resource: attribute("facts", "r"),
        call: record([("facts", "c".into())]),
    };
    assert_eq!(merge(&query(), vec![("one", one.clone())]).unwrap(), one);
}
