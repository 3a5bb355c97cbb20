//! A query cut down to what a set of policies can reach: as a key to remember a decision by, and as inputs.
//!
//! Both are made from the same reach by the same walk, so that nothing that is evaluated can be missing from
//! the key.

use std::collections::{BTreeMap, BTreeSet};

use super::reach::{EntityReach, Path, Reach};
use crate::query::{Keys, Node, Query, Uid, Value};

/// Ancestors that the scopes of the selected policies name, which Cedar tests again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScopeNames {
    /// Of the principal.
    pub principal: BTreeSet<Uid>,
    /// Of the resource.
    pub resource: BTreeSet<Uid>,
}

/// Cuts a query down.
#[must_use]
pub fn project(query: &Query, reach: &Reach, scope: &ScopeNames) -> Query {
    let context =
        if reach.whole_context { query.context.clone() } else { picked(&query.context, &context_paths(reach)) };
    Query {
        principal: node(&query.principal, &reach.principal, &scope.principal),
        action: query.action.clone(),
        resource: node(&query.resource, &reach.resource, &scope.resource),
        context,
        bags: bags(query, reach),
        namespace: query.namespace.clone(),
    }
}

/// The paths to take from the context: those reached, and those that lead to reached bags.
fn context_paths(reach: &Reach) -> BTreeSet<Path> {
    reach.context.iter().chain(reach.bags.keys()).cloned().collect()
}

fn node(node: &Node, reach: &EntityReach, scope: &BTreeSet<Uid>) -> Node {
    if reach.whole {
        return node.clone();
    }
    let named = |uid: &&Uid| reach.all_ancestors || reach.within.contains(*uid) || scope.contains(*uid);
    // Walk the smaller side: callers may be in very many groups, of which policies name few.
    let wanted = reach.within.len() + scope.len();
    let ancestors = if !reach.all_ancestors && wanted < node.ancestors.len() {
        reach.within.iter().chain(scope).filter(|uid| node.ancestors.contains(*uid)).cloned().collect()
    } else {
        node.ancestors.iter().filter(named).cloned().collect()
    };
    Node {
        uid: node.uid.clone(),
        attributes: picked(&node.attributes, &reach.paths),
        tags: kept(&node.tags, &reach.tags),
        ancestors,
    }
}

fn kept(tags: &BTreeMap<String, Value>, keys: &Keys) -> BTreeMap<String, Value> {
    match keys {
        Keys::All => tags.clone(),
        Keys::Some(keys) => keys.iter().filter_map(|key| Some((key.clone(), tags.get(key)?.clone()))).collect(),
    }
}

/// The parts of a record that the paths lead to.
fn picked(record: &BTreeMap<String, Value>, paths: &BTreeSet<Path>) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    for path in paths {
        copy(record, path, &mut out);
    }
    out
}

fn copy(from: &BTreeMap<String, Value>, path: &[String], to: &mut BTreeMap<String, Value>) {
    let Some((first, below)) = path.split_first() else { return };
    let Some(value) = from.get(first) else { return };
    match value {
        Value::Record(inner) if !below.is_empty() => {
            // A record stands even if what was asked of it does not: `has` looks at the record itself.
            let slot = to.entry(first.clone()).or_insert_with(|| Value::Record(BTreeMap::new()));
            if let Value::Record(slot) = slot {
                copy(inner, below, slot);
            }
        }
        _ => drop(to.insert(first.clone(), value.clone())),
    }
}

fn bags(query: &Query, reach: &Reach) -> Vec<Node> {
    let at = |path: &Path| {
        let mut value = query.context.get(path.first()?)?;
        for name in path.iter().skip(1) {
            let Value::Record(record) = value else { return None };
            value = record.get(name)?;
        }
        match value {
            Value::Entity(uid) => query.bags.iter().find(|bag| bag.uid == *uid),
            _ => None,
        }
    };
    if reach.whole_context {
        return query.bags.clone();
    }
    let mut bags: BTreeMap<Uid, Node> = BTreeMap::new();
    for (path, keys) in &reach.bags {
        let Some(bag) = at(path) else { continue };
        let slot = bags.entry(bag.uid.clone()).or_insert_with(|| Node::new(bag.uid.clone()));
        slot.tags.extend(kept(&bag.tags, keys));
    }
    bags.into_values().collect()
}

/// Writes everything of a projected query that an evaluation can depend on, so that no two differ and are equal.
///
/// Ancestors that only scopes name are left out: which policies were selected fixes those tests.
pub fn write_key(query: &Query, reach: &Reach, out: &mut Vec<u8>) {
    text(&query.action, out);
    entity_key(&query.principal, &reach.principal, out);
    entity_key(&query.resource, &reach.resource, out);
    record(&query.context, out);
    length(query.bags.len(), out);
    for bag in &query.bags {
        text(&bag.uid.id, out);
        record(&bag.tags, out);
    }
}

fn entity_key(node: &Node, reach: &EntityReach, out: &mut Vec<u8>) {
    text(&node.uid.kind, out);
    record(&node.attributes, out);
    record(&node.tags, out);
    if reach.whole || reach.all_ancestors {
        text(&node.uid.id, out);
        length(node.ancestors.len(), out);
        for uid in &node.ancestors {
            text(&uid.kind, out);
            text(&uid.id, out);
        }
        return;
    }
    if reach.itself {
        text(&node.uid.id, out);
    }
    // `in` is reflexive, so membership is one bit that stands for the id as well.
    out.extend(reach.within.iter().map(|uid| u8::from(*uid == node.uid || node.ancestors.contains(uid))));
}

fn length(length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&(length as u64).to_be_bytes());
}

fn text(text: &str, out: &mut Vec<u8>) {
    length(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

fn record(fields: &BTreeMap<String, Value>, out: &mut Vec<u8>) {
    length(fields.len(), out);
    for (name, field) in fields {
        text(name, out);
        value(field, out);
    }
}

fn value(value_: &Value, out: &mut Vec<u8>) {
    let tagged = |tag: u8, content: &str, out: &mut Vec<u8>| {
        out.push(tag);
        text(content, out);
    };
    match value_ {
        Value::String(content) => tagged(0, content, out),
        Value::Long(number) => {
            out.push(1);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Bool(flag) => out.extend_from_slice(&[2, u8::from(*flag)]),
        Value::Set(items) => {
            out.push(3);
            length(items.len(), out);
            items.iter().for_each(|item| value(item, out));
        }
        Value::Record(fields) => {
            out.push(4);
            record(fields, out);
        }
        Value::Entity(uid) => {
            tagged(5, &uid.kind, out);
            text(&uid.id, out);
        }
        Value::Time(milliseconds) => {
            out.push(6);
            out.extend_from_slice(&milliseconds.to_be_bytes());
        }
        Value::Duration(content) => tagged(7, content, out),
        Value::Ip(content) => tagged(8, content, out),
        Value::Decimal(content) => tagged(9, content, out),
    }
}
