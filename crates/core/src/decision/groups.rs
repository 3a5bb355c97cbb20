//! The groups of the catalogue's workloads, built once at load and shared by calls.
//!
//! Knows: catalogue and declared entities. Must not know: policies, calls.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::query::quick::Map;
use crate::query::{Memberships, Node, Uid};

/// The groups of one workload.
#[derive(Debug, Clone)]
pub struct Groups {
    /// The groups, as the catalogue names them.
    pub named: Arc<Memberships>,
    /// Ancestors of these groups that `entities.json` declares: none, as long as the schema's `Group` has no parents.
    pub above: Arc<Memberships>,
}

impl Groups {
    /// Groups of these names, each with its ancestors in `declared`.
    #[must_use]
    pub fn new<'a>(names: impl IntoIterator<Item = Uid>, declared: impl Fn(&Uid) -> Option<&'a Node>) -> Self {
        let named: Memberships = names.into_iter().collect();
        let above = named.names().iter().filter_map(declared).flat_map(|group| &group.ancestors).cloned().collect();
        Self { named: Arc::new(named), above: Arc::new(above) }
    }
}

/// The groups of every workload that has some. Workloads with the same groups share them.
pub(super) fn by_workload(catalog: &Catalog, declared: &Map<Uid, Node>) -> Map<String, Groups> {
    let mut uids: HashMap<&str, Uid> = HashMap::new();
    let mut made: HashMap<&BTreeSet<String>, Groups> = HashMap::new();
    let mut groups = Map::default();
    for workload in catalog.workloads().filter(|workload| !workload.groups.is_empty()) {
        let named =
            workload.groups.iter().map(|name| uids.entry(name).or_insert_with(|| Uid::new("Group", name)).clone());
        let of_these = made.entry(&workload.groups).or_insert_with(|| Groups::new(named, |uid| declared.get(uid)));
        groups.insert(workload.id.clone(), of_these.clone());
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(declared: &[Node]) -> Map<String, Groups> {
        let workload =
            |name: &str, groups: &str| format!("{{id: 'spiffe://cluster.local/ns/web/sa/{name}', groups: [{groups}]}}");
        let text = format!(
            "workloads: [{}, {}, {}, {}]",
            workload("a", "x, y"),
            workload("b", "y, x"),
            workload("c", "x"),
            workload("d", "")
        );
        let catalog = Catalog::parse("catalog.yaml", &text).unwrap();
        by_workload(&catalog, &declared.iter().map(|node| (node.uid.clone(), node.clone())).collect())
    }

    fn of<'a>(groups: &'a Map<String, Groups>, name: &str) -> Option<&'a Groups> {
        groups.get(format!("spiffe://cluster.local/ns/web/sa/{name}").as_str())
    }

    #[test]
    fn workloads_of_the_same_groups_share_them() {
        let groups = groups(&[]);
        let [a, b, c] = ["a", "b", "c"].map(|name| &of(&groups, name).unwrap().named);
        assert!(Arc::ptr_eq(a, b) && !Arc::ptr_eq(a, c));
        assert_eq!(a.names(), ["x", "y"].map(|name| Uid::new("Group", name)));
        assert!(of(&groups, "d").is_none());
    }

    #[test]
    fn declared_ancestors_of_a_group_apply_to_its_workloads_alone() {
        let mut group = Node::new(Uid::new("Group", "y"));
        group.ancestors.insert(Uid::new("Group", "all"));
        let groups = groups(&[group]);
        assert_eq!(of(&groups, "a").unwrap().above.names(), [Uid::new("Group", "all")]);
        assert!(of(&groups, "c").unwrap().above.names().is_empty());
    }
}
