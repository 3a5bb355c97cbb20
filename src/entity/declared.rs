//! What the catalogue and `entities.json` say: facts that are part of the snapshot. Pure.
//!
//! Knows: the snapshot's [`Knowledge`]. Must not know: the network, policies.

use smol_str::SmolStr;

use super::Knowledge;
use crate::decision::groups::Groups;
use crate::query::{Additions, Facts, Node, Query};

/// The catalogue, as a source of facts.
pub const CATALOG: &str = "catalog.yaml";
/// `entities.json`, as a source of facts.
pub const ENTITIES: &str = "entities.json";

/// What is declared about a query's principal and resource, by the sources that say anything of them.
#[must_use]
pub fn facts<'a>(known: &dyn Knowledge, query: &Query) -> Vec<(&'a str, Facts)> {
    let principal = &query.principal.uid;
    let groups = if principal.kind == "Workload" { known.workload_groups(&principal.id) } else { None };
    let catalog = Facts {
        principal: of_workload(known, &query.principal, groups),
        resource: of_service(known, &query.resource),
        ..Facts::default()
    };
    let entities = Facts {
        principal: of_entity(known, &query.principal, groups),
        resource: of_entity(known, &query.resource, None),
        ..Facts::default()
    };
    // Mostly nothing is said: an empty list takes no memory.
    [(CATALOG, catalog), (ENTITIES, entities)].into_iter().filter(|(_, facts)| !facts.is_empty()).collect()
}

fn of_workload(known: &dyn Knowledge, principal: &Node, groups: Option<&Groups>) -> Additions {
    let mut additions = Additions::default();
    if principal.uid.kind != "Workload" {
        return additions;
    }
    if let Some(groups) = groups {
        additions.ancestors.share(&groups.named);
    }
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

fn of_entity(known: &dyn Knowledge, node: &Node, groups: Option<&Groups>) -> Additions {
    let mut additions = Additions::default();
    if let Some(declared) = known.declared(&node.uid) {
        additions.attributes = declared.attributes.clone();
        additions.tags = declared.tags.clone();
        additions.ancestors = declared.ancestors.clone();
    }
    // Ancestors are listed flat: a service that is declared to lie in a group takes along everything inside it.
    for ancestor in &node.ancestors {
        if let Some(declared) = known.declared(ancestor) {
            additions.ancestors.merge(declared.ancestors.clone());
        }
    }
    // What all groups of a workload lie in was found when they were loaded.
    if let Some(groups) = groups {
        additions.ancestors.share(&groups.above);
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
