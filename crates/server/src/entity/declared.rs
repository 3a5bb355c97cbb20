//! Facts declared in the catalogue and `entities.json`: part of the snapshot. Pure.
//!
//! Knows: the snapshot's [`Knowledge`]. Must not know: the network, policies.

use super::Knowledge;
use picket_core::decision::groups::Groups;
use picket_core::query::{Additions, Facts, Node, Query, Value, record};

/// The catalogue, as a source of facts.
pub const CATALOG: &str = "catalog.yaml";
/// `entities.json`, as a source of facts.
pub const ENTITIES: &str = "entities.json";

/// The declared facts of a query's principal and resource, by source.
///
/// Mostly nothing is said, which takes no memory.
#[must_use]
pub fn facts<'a>(known: &dyn Knowledge, query: &Query) -> Vec<(&'a str, Facts)> {
    let (principal, resource) = (&query.principal, &query.resource);
    let groups = if principal.uid.kind == "Workload" { known.workload_groups(&principal.uid.id) } else { None };
    let catalog = both(of_workload(known, principal, groups), of_service(known, resource));
    let entities = both(of_entity(known, principal, groups), of_entity(known, resource, None));
    let said = [(CATALOG, catalog), (ENTITIES, entities)].into_iter();
    said.filter_map(|(source, facts)| Some((source, facts.filter(|facts| !facts.is_empty())?))).collect()
}

fn both(principal: Option<Additions>, resource: Option<Additions>) -> Option<Facts> {
    if principal.is_none() && resource.is_none() {
        return None;
    }
    let [principal, resource] = [principal, resource].map(Option::unwrap_or_default);
    Some(Facts { principal, resource, ..Facts::default() })
}

fn of_workload(known: &dyn Knowledge, principal: &Node, groups: Option<&Groups>) -> Option<Additions> {
    if principal.uid.kind != "Workload" {
        return None;
    }
    let mut additions = of_facts(known.workload_facts(&principal.uid.id));
    if let Some(groups) = groups {
        additions.get_or_insert_default().ancestors.share(&groups.named);
    }
    additions
}

fn of_service(known: &dyn Knowledge, resource: &Node) -> Option<Additions> {
    of_facts(known.service_facts(service_id(&resource.uid.id)?))
}

fn of_facts(facts: Option<&Value>) -> Option<Additions> {
    let attributes = record([("facts", facts?.clone())]);
    Some(Additions { attributes, ..Additions::default() })
}

fn of_entity(known: &dyn Knowledge, node: &Node, groups: Option<&Groups>) -> Option<Additions> {
    let mut additions = known.declared(&node.uid).map(|declared| Additions {
        attributes: declared.attributes.clone(),
        tags: declared.tags.clone(),
        ancestors: declared.ancestors.clone(),
    });
    // Ancestors are listed flat: a service that is declared to lie in a group takes along everything inside it.
    for declared in node.ancestors.unsorted().filter_map(|ancestor| known.declared(ancestor)) {
        additions.get_or_insert_default().ancestors.merge(declared.ancestors.clone());
    }
    // What all groups of a workload lie in was found when they were loaded.
    if let Some(groups) = groups {
        additions.get_or_insert_default().ancestors.share(&groups.above);
    }
    additions
}

/// The service that a resource lies in: the first two segments of its id.
fn service_id(resource: &str) -> Option<&str> {
    let slash = |text: &str| text.bytes().position(|byte| byte == b'/');
    let namespace = slash(resource)?;
    let rest = resource.get(namespace + 1..)?;
    let name = slash(rest).unwrap_or(rest.len());
    (namespace > 0 && name > 0).then(|| resource.get(..namespace + 1 + name))?
}

#[cfg(test)]
mod tests;
