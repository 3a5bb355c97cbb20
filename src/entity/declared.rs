//! What the catalogue and `entities.json` say: facts that are part of the snapshot. Pure.
//!
//! Knows: the snapshot's [`Knowledge`]. Must not know: the network, policies.

use smol_str::SmolStr;

use super::Knowledge;
use crate::query::{Additions, Ancestors, Facts, Node, Query, Uid};

/// The catalogue, as a source of facts.
pub const CATALOG: &str = "catalog.yaml";
/// `entities.json`, as a source of facts.
pub const ENTITIES: &str = "entities.json";

/// What is declared about a query's principal and resource, by source.
#[must_use]
pub fn facts<'a>(known: &dyn Knowledge, query: &Query) -> Vec<(&'a str, Facts)> {
    let catalog = Facts {
        principal: of_workload(known, &query.principal),
        resource: of_service(known, &query.resource),
        ..Facts::default()
    };
    let entities = Facts {
        principal: of_entity(known, &query.principal, &catalog.principal.ancestors),
        resource: of_entity(known, &query.resource, &catalog.resource.ancestors),
        ..Facts::default()
    };
    vec![(CATALOG, catalog), (ENTITIES, entities)]
}

fn of_workload(known: &dyn Knowledge, principal: &Node) -> Additions {
    let mut additions = Additions::default();
    if principal.uid.kind != "Workload" {
        return additions;
    }
    let groups = known.workload_groups(&principal.uid.id).into_iter().flatten();
    additions.ancestors = groups.map(|group| Uid::new("Group", group)).collect();
    if let Some(facts) = known.workload_facts(&principal.uid.id) {
        additions.attributes.insert(SmolStr::new_static("facts"), facts.clone());
    }
    additions
}

fn of_service(known: &dyn Knowledge, resource: &Node) -> Additions {
    let mut additions = Additions::default();
    if let Some(facts) = service_id(&resource.uid.id).and_then(|service| known.service_facts(service)) {
        additions.attributes.insert(SmolStr::new_static("facts"), facts.clone());
    }
    additions
}

fn of_entity(known: &dyn Knowledge, node: &Node, groups: &Ancestors) -> Additions {
    let mut additions = Additions::default();
    if let Some(declared) = known.declared(&node.uid) {
        additions.attributes = declared.attributes.clone();
        additions.tags = declared.tags.clone();
        additions.ancestors = declared.ancestors.clone();
    }
    // Ancestors are listed flat: a service that is declared to lie in a group takes along everything inside it.
    for ancestor in node.ancestors.iter().chain(groups) {
        if let Some(declared) = known.declared(ancestor) {
            additions.ancestors.merge(declared.ancestors.clone());
        }
    }
    additions
}

/// The service that a resource lies in: the first two segments of its id.
fn service_id(resource: &str) -> Option<&str> {
    let (namespace, rest) = resource.split_once('/')?;
    let name = rest.split('/').next()?;
    (!namespace.is_empty() && !name.is_empty()).then(|| resource.get(..namespace.len() + 1 + name.len()))?
}

#[cfg(test)]
mod tests;
