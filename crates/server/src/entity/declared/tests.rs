use std::sync::Arc;

use super::*;
use crate::entity::tests::{WEB, World, query};
use picket_core::query::{Uid, Value};

fn storefront() -> Groups {
    Groups::new([Uid::new("Group", "storefront")], |_| None)
}

#[test]
fn the_catalogue_gives_groups_to_workloads_and_facts_to_both() {
    let mut world = World::default();
    world.groups.insert(WEB.to_owned(), storefront());
    world.workloads.insert(WEB.to_owned(), "team web".into());
    world.services.insert("shop/orders".to_owned(), "team shop".into());
    let facts = facts(&world, &query());
    let [(CATALOG, catalog)] = &facts[..] else { panic!("{facts:?}") };
    assert_eq!(catalog.principal.ancestors, [Uid::new("Group", "storefront")].into());
    assert_eq!(catalog.principal.attributes[&"facts".into()], Value::from("team web"));
    assert_eq!(catalog.resource.attributes[&"facts".into()], Value::from("team shop"));
}

#[test]
fn a_caller_without_an_identity_gets_no_workload_s_facts() {
    let mut world = World::default();
    world.groups.insert(WEB.to_owned(), storefront());
    let mut query = query();
    assert_eq!(facts(&world, &query).len(), 1);
    query.principal.uid.kind = "Unauthenticated".into();
    assert_eq!(facts(&world, &query), []);
}

#[test]
fn declared_ancestors_of_a_service_apply_to_everything_inside_it() {
    let mut world = World::default();
    let mut service = Node::new(Uid::new("Service", "shop/orders"));
    service.ancestors.insert(Uid::new("Group", "pci"));
    world.entities.insert(service.uid.clone(), service);
    let [(ENTITIES, entities)] = &facts(&world, &query())[..] else { panic!("only entities.json says something") };
    assert_eq!(entities.resource.ancestors, [Uid::new("Group", "pci")].into());
}

#[test]
fn declared_ancestors_of_a_catalogue_group_apply_to_its_workloads() {
    let mut world = World::default();
    let mut group = Node::new(Uid::new("Group", "storefront"));
    group.ancestors.insert(Uid::new("Group", "all"));
    world.groups.insert(WEB.to_owned(), Groups::new([group.uid.clone()], |uid| (*uid == group.uid).then_some(&group)));
    let mut workload = Node::new(Uid::new("Workload", WEB));
    workload.ancestors.insert(Uid::new("Team", "web"));
    world.entities.insert(workload.uid.clone(), workload);
    let [(CATALOG, _), (ENTITIES, entities)] = &facts(&world, &query())[..] else { panic!("both say something") };
    assert_eq!(entities.principal.ancestors, [Uid::new("Group", "all"), Uid::new("Team", "web")].into());
}

#[test]
fn a_call_takes_its_groups_along_without_copying_them() {
    let mut world = World::default();
    let groups: Groups = Groups::new((0..1000).map(|number| Uid::new("Group", format!("g{number}"))), |_| None);
    world.groups.insert(WEB.to_owned(), groups.clone());
    let (mut query, before) = (query(), Arc::strong_count(&groups.named));
    let facts = crate::entity::merge::merge(&query, facts(&world, &query)).unwrap();
    picket_core::decision::schema::cedar_values::complete(&mut query, &facts).unwrap();
    assert_eq!(Arc::strong_count(&groups.named), before + 2, "in the facts and in the query");
    assert!(query.principal.ancestors.contains(&Uid::new("Group", "g999")));
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
