use super::*;
use crate::entity::tests::{WEB, World, query};
use crate::query::Value;

#[test]
fn the_catalogue_gives_groups_to_workloads_and_facts_to_both() {
    let mut world = World::default();
    world.groups.insert(WEB.to_owned(), ["storefront".to_owned()].into());
    world.workloads.insert(WEB.to_owned(), "team web".into());
    world.services.insert("shop/orders".to_owned(), "team shop".into());
    let facts = facts(&world, &query());
    let (_, catalog) = &facts[0];
    assert_eq!(catalog.principal.ancestors, [Uid::new("Group", "storefront")].into());
    assert_eq!(catalog.principal.attributes[&"facts".into()], Value::from("team web"));
    assert_eq!(catalog.resource.attributes[&"facts".into()], Value::from("team shop"));
}

#[test]
fn a_caller_without_an_identity_gets_no_workload_s_facts() {
    let mut world = World::default();
    world.groups.insert(WEB.to_owned(), ["storefront".to_owned()].into());
    let mut query = query();
    query.principal.uid.kind = "Unauthenticated".into();
    assert_eq!(facts(&world, &query)[0].1, Facts::default());
}

#[test]
fn what_a_service_is_declared_to_lie_in_holds_for_everything_inside_it() {
    let mut world = World::default();
    let mut service = Node::new(Uid::new("Service", "shop/orders"));
    service.ancestors.insert(Uid::new("Group", "pci"));
    world.entities.insert(service.uid.clone(), service);
    assert!(facts(&world, &query())[1].1.resource.ancestors.contains(&Uid::new("Group", "pci")));
}

#[test]
fn a_resource_s_service_is_its_first_two_segments() {
    let rows = [
        ("shop/orders/v1/orders", Some("shop/orders")),
        ("shop/orders/", Some("shop/orders")),
        ("shop/orders", Some("shop/orders")),
        ("shop/@orders/v1", Some("shop/@orders")),
        ("shop", None),
        ("shop/", None),
        ("/orders/v1", None),
        ("", None),
    ];
    for (resource, service) in rows {
        assert_eq!(service_id(resource), service, "{resource}");
    }
}
