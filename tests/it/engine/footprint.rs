//! The reach of policies: what is outside of it does not matter, and nothing in it can be left out.

use picket::decision::Snapshot;
use picket::decision::engine::evaluate::Satisfied;
use picket::decision::engine::find_within;
use picket::decision::policy::mode::Mode;
use picket::decision::read_set::{EntityReadSet, Path, ReadSet};
use picket::decision::reference::reference;
use picket::decision::snapshot::applicable_bundles;
use picket::query::{Keys, Node, Query, Record, Uid, Value};
use proptest::prelude::*;

use super::drawn::{CONDITIONS, FACTS, pairs, policies, query};
use super::{engine, failed, load};
use crate::support::{problems, tree};

/// The read set of all policies that apply to calls into `shop`.
fn read_set(snapshot: &Snapshot) -> ReadSet {
    let mut all = ReadSet::default();
    for unit in applicable_bundles(snapshot, "shop").unwrap() {
        unit.entries.values().for_each(|entry| all.merge(&entry.read_set));
    }
    all
}

/// Another value of the same type.
fn other(value: &Value) -> Value {
    match value {
        Value::String(text) => format!("{text}-other").into(),
        Value::Long(number) => Value::Long(number.wrapping_add(1)),
        Value::Bool(flag) => Value::Bool(!flag),
        Value::Set(items) => Value::Set(items.iter().cloned().chain([Value::from("other")]).collect()),
        Value::Time(milliseconds) => Value::Time(milliseconds + 1_000_000),
        Value::Ip(_) => Value::Ip("192.0.2.77".into()),
        // The id of a bag says nothing, and the others do not occur here.
        Value::Record(_) | Value::Entity(_) | Value::Duration(_) | Value::Decimal(_) => value.clone(),
    }
}

/// Changes every value that none of the paths leads to, past, or into.
fn vary(record: &mut Record, above: &[String], reached: &dyn Fn(&[String]) -> bool) -> usize {
    let mut varied = 0;
    for (name, value) in record {
        let path: Vec<String> = above.iter().cloned().chain([name.to_string()]).collect();
        match value {
            Value::Record(fields) => varied += vary(fields, &path, reached),
            _ if !reached(&path) => {
                *value = other(value);
                varied += 1;
            }
            _ => {}
        }
    }
    varied
}

fn vary_tags(tags: &mut Record, keys: Option<&Keys>) -> usize {
    let free = |key: &str| keys.is_none_or(|keys| !keys.contains(key));
    let mut varied = 0;
    for (_, value) in tags.iter_mut().filter(|(key, _)| free(key)) {
        *value = other(value);
        varied += 1;
    }
    if free("x-added") {
        tags.insert("x-added".into(), Value::from("1"));
    }
    varied
}

fn touches<'a>(mut paths: impl Iterator<Item = &'a Path>, path: &[String]) -> bool {
    paths.any(|read| path.starts_with(read) || read.starts_with(path))
}

fn vary_node(node: &mut Node, read_set: &EntityReadSet) -> usize {
    if read_set.whole {
        return 0;
    }
    let varied = vary(&mut node.attributes, &[], &|path| touches(read_set.paths.iter(), path));
    // Only paths have tags, and no policy's scope names this group.
    if !read_set.all_ancestors {
        node.ancestors.insert(Uid::new("Group", "added"));
    }
    varied + if node.uid.kind == "Path" { vary_tags(&mut node.tags, Some(&read_set.tags)) } else { 0 }
}

/// The query with everything outside of `read_set` changed, and how many values that were.
fn varied(query: &Query, read_set: &ReadSet) -> (Query, usize) {
    let mut query = query.clone();
    if read_set.whole_context {
        return (query, 0);
    }
    let mut count = vary(&mut query.context, &[], &|path| touches(read_set.context.iter(), path));
    for bag in &mut query.bags {
        let path = ["headers", "query"].into_iter().find(|name| bag.uid.id.contains(name)).unwrap();
        count += vary_tags(&mut bag.tags, read_set.bags.get(&vec!["http".to_owned(), path.to_owned()]));
    }
    count += vary_node(&mut query.principal, &read_set.principal) + vary_node(&mut query.resource, &read_set.resource);
    (query, count)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn what_is_not_reached_does_not_matter(mesh in policies(5), shop in policies(5), at in 0..4_usize) {
        let snapshot = load(&mesh, &shop, None);
        let read_set = read_set(&snapshot);
        let mut count = 0;
        for (identity, call) in pairs(at, 4).into_iter().filter(|(_, call)| call.extensions["service"] == "shop/orders") {
            let query = query(&snapshot, &identity, &call);
            let (varied, changed) = varied(&query, &read_set);
            count += changed;
            for mode in [Mode::Enforce, Mode::Shadow] {
                let slow = [&query, &varied].map(|query| reference(&snapshot, query, mode).unwrap());
                prop_assert_eq!(&slow[0], &slow[1], "the reach is too small for {:?}", varied);
                let fast = [&query, &varied].map(|query| engine(&snapshot, query, mode));
                prop_assert_eq!(&fast[0].permits, &fast[1].permits);
                prop_assert_eq!(&fast[0].forbids, &fast[1].forbids);
                prop_assert_eq!(failed(&fast[0]), failed(&fast[1]));
            }
        }
        prop_assert!(count > 0 || read_set.whole_context, "nothing was varied");
    }
}

/// `read_set` without one of its keys, for every key, with the key's name. A path goes with those above and below it, each of
/// which brings the same value.
fn without_each(read_set: &ReadSet) -> Vec<(String, ReadSet)> {
    let mut all = Vec::new();
    let mut drop_one = |name: String, change: &dyn Fn(&mut ReadSet)| {
        let mut less = read_set.clone();
        change(&mut less);
        all.push((name, less));
    };
    // Where a bag lies is reached with its keys as well.
    for path in read_set.context.iter().filter(|path| !read_set.bags.contains_key(*path)) {
        drop_one(format!("context.{}", path.join(".")), &|less| {
            less.context.retain(|other| !touches([path].into_iter(), other))
        });
    }
    // An entity in a fact may be the caller or the resource, and then these are in the read set as a whole.
    let is_fact = |path: &Path| path.starts_with(&["env".to_owned(), "facts".to_owned()]);
    for (path, keys) in read_set.bags.iter().filter(|(path, _)| !is_fact(path)) {
        let Keys::Some(keys) = keys else { continue };
        for key in keys {
            drop_one(format!("{} {key}", path.join(".")), &|less| forget(less.bags.get_mut(path).unwrap(), key));
        }
    }
    type Of = fn(&mut ReadSet) -> &mut EntityReadSet;
    let sides: [(&str, &EntityReadSet, Of); 2] = [
        ("principal", &read_set.principal, |read_set| &mut read_set.principal),
        ("resource", &read_set.resource, |read_set| &mut read_set.resource),
    ];
    for (side, entity, of) in sides {
        for path in &entity.paths {
            drop_one(format!("{side}.{}", path.join(".")), &|less| {
                of(less).paths.retain(|other| !touches([path].into_iter(), other))
            });
        }
        for uid in &entity.within {
            drop_one(format!("{side} in {uid}"), &|less| of(less).within.retain(|other| other != uid));
        }
        let Keys::Some(keys) = &entity.tags else { continue };
        for key in keys {
            drop_one(format!("{side} tag {key}"), &|less| forget(&mut of(less).tags, key));
        }
    }
    all
}

fn forget(keys: &mut Keys, key: &str) {
    match keys {
        Keys::Some(keys) => keys.retain(|other| other != key),
        Keys::All => {}
    }
}

/// The result for a query that is projected onto `read_set`.
fn cut_down(snapshot: &Snapshot, query: &Query, read_set: &ReadSet) -> Satisfied {
    let units = applicable_bundles(snapshot, &query.namespace).unwrap();
    find_within(&units, read_set, query, snapshot.types()).unwrap()
}

/// Each condition as a policy of its own, so that no other policy's read set hides a missing key.
#[test]
fn a_key_that_is_dropped_from_a_reach_is_missed() {
    let mut keys = 0;
    for condition in CONDITIONS {
        let policy =
            format!(r#"@id("one") permit (principal, action in Action::"any", resource is Path) {condition};"#);
        let loaded =
            Snapshot::load(&tree(&[FACTS, ("catalog.yaml", CATALOG_OF_FACTS), ("mesh/a.cedar", &policy)]), None);
        assert!(loaded.refused.is_empty(), "{}", problems(&loaded));
        let snapshot = loaded.snapshot.unwrap();
        let queries: Vec<Query> =
            pairs(0, 1).into_iter().map(|(identity, call)| query(&snapshot, &identity, &call)).collect();
        let read_set = read_set(&snapshot);
        let right: Vec<Satisfied> = queries.iter().map(|query| cut_down(&snapshot, query, &read_set)).collect();
        for (query, right) in queries.iter().zip(&right) {
            assert_eq!(reference(&snapshot, query, Mode::Enforce).unwrap().permits, right.permits, "{condition}");
        }
        for (key, less) in without_each(&read_set) {
            keys += 1;
            let is_missed =
                queries.iter().zip(&right).any(|(query, right)| cut_down(&snapshot, query, &less) != *right);
            assert!(is_missed, "`{key}` dropped from {condition}");
        }
    }
    assert!(keys > 15, "only {keys} keys");
}

/// As the tests' catalogue, with facts that conditions read.
const CATALOG_OF_FACTS: &str = r"
services:
  - id: shop/orders
    hosts: [orders.shop]
    groups: [pci]
    labels: [internal]
    facts: {tier: core}
    routes:
      - {name: get-order, match: '/v1/orders/{id}', methods: [GET], scopes: {required: ['orders:read'], acceptable: [openid]}}
  - id: pay/billing
workloads:
  - {id: 'spiffe://cluster.local/ns/web/sa/frontend', groups: [storefront], facts: {team: a}}
";
