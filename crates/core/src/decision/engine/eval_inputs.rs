//! Builds the inputs of Cedar's evaluator from a projected query.
//!
//! Knows: Cedar's core crate, see `docs/decisions/0006-cedar-core.md`. Must not know: policies.
//!
//! It skips two steps that Cedar's public interface would repeat for every call. Ancestors are listed flat, so no
//! closure is computed. There is no schema check, since a projection lacks attributes that the schema requires.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use cedar_policy_core::ast::{self, EntityUIDEntry, ExtensionFunction, PartialValue};
use cedar_policy_core::entities::{Entities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::extensions::Extensions;

use smol_str::SmolStr;

use super::projection::{Fields, Projected, ProjectedEntity, ProjectedValue};
use crate::decision::schema::Types;
use crate::decision::schema::cedar_values::datetime;
use crate::query::{Query, Uid, Value};

/// Inputs of Cedar's evaluator.
#[derive(Debug)]
pub(in crate::decision) struct EvalInputs {
    pub(in crate::decision) request: ast::Request,
    pub(in crate::decision) entities: Entities,
}

/// Builds the evaluator's inputs.
///
/// # Errors
/// A fragment that says which name the schema does not have.
pub(in crate::decision) fn build(projected: &Projected<'_>, types: &Types) -> Result<EvalInputs, String> {
    let action = types.action(projected.action()).ok_or_else(|| unknown_action(projected.action()))?;
    let mut context = BTreeMap::new();
    projected.context().try_each(|name, seen| {
        context.insert(name.clone(), value(seen, types)?);
        Ok::<(), String>(())
    })?;
    let entry = |euid| EntityUIDEntry::Known { euid, loc: None };
    let request = ast::Request::new_unchecked(
        entry(Arc::new(types.core_uid(projected.principal().uid())?)),
        entry(Arc::clone(&action.uid)),
        entry(Arc::new(types.core_uid(projected.resource().uid())?)),
        Some(ast::Context::Value(Arc::new(context))),
    );
    let mut entities = Vec::with_capacity(4);
    // An entity with only a name is left out: the name is in the request.
    for node in [projected.principal(), projected.resource()].into_iter().filter(|node| !node.is_bare()) {
        entities.push(Arc::new(entity(node, types)?));
    }
    entities.extend(bags(projected, types)?.into_iter().map(Arc::new));
    let (schema, closed, extensions) =
        (None::<&NoEntitiesSchema>, TCComputation::AssumeAlreadyComputed, Extensions::all_available());
    let store = action.store.clone();
    let entities = store.add_entities(entities, schema, closed, extensions).map_err(|error| error.to_string())?;
    Ok(EvalInputs { request, entities })
}

/// Checks that the schema has every name that [`build`] would look up in a query without other inputs.
///
/// # Errors
/// As [`build`].
pub(in crate::decision) fn fits(query: &Query, types: &Types) -> Result<(), String> {
    types.action(&query.action).ok_or_else(|| unknown_action(&query.action))?;
    [&query.principal, &query.resource].into_iter().try_for_each(|node| types.core_uid(&node.uid).map(drop))
}

pub(in crate::decision) fn unknown_action(action: &str) -> String {
    format!("the schema has no action `{action}`")
}

fn entity(node: ProjectedEntity<'_>, types: &Types) -> Result<ast::Entity, String> {
    let parents = node.ancestors().map(|uid| types.core_uid(uid)).collect::<Result<HashSet<_>, String>>()?;
    let (attributes, tags) = (partials(node.attributes(), types)?, partials(node.tags(), types)?);
    let uid = types.core_uid(node.uid())?;
    Ok(ast::Entity::new_with_attr_partial_value(uid, attributes, HashSet::new(), parents, tags))
}

/// The bags in the read set. If two paths lead to one bag, it holds the tags of both.
fn bags(projected: &Projected<'_>, types: &Types) -> Result<Vec<ast::Entity>, String> {
    // There are a handful at most.
    let mut reached: Vec<(&Uid, Vec<_>)> = Vec::new();
    for (uid, tags) in projected.bags() {
        let tags = partials(tags, types)?;
        match reached.iter_mut().find(|(known, _)| *known == uid) {
            Some((_, known)) => known.extend(tags),
            None => reached.push((uid, tags)),
        }
    }
    let bag = |(uid, tags): (&Uid, _)| {
        let core = types.core_uid(uid)?;
        Ok(ast::Entity::new_with_attr_partial_value(core, [], HashSet::new(), HashSet::new(), tags))
    };
    reached.into_iter().map(bag).collect()
}

fn partials(fields: Fields<'_>, types: &Types) -> Result<Vec<(SmolStr, PartialValue)>, String> {
    let mut partials = Vec::new();
    fields.try_each(|name, seen| {
        partials.push((name.clone(), PartialValue::Value(value(seen, types)?)));
        Ok::<(), String>(())
    })?;
    Ok(partials)
}

fn value(seen: ProjectedValue<'_>, types: &Types) -> Result<ast::Value, String> {
    match seen {
        ProjectedValue::Whole(Value::Record(fields)) => record(fields.into(), types),
        ProjectedValue::Part(fields) => record(fields, types),
        ProjectedValue::Whole(Value::String(text)) => Ok(text.clone().into()),
        ProjectedValue::Whole(Value::Long(number)) => Ok((*number).into()),
        ProjectedValue::Whole(Value::Bool(flag)) => Ok((*flag).into()),
        ProjectedValue::Whole(Value::Entity(uid)) => Ok(types.core_uid(uid)?.into()),
        ProjectedValue::Whole(Value::Set(items)) => {
            let items =
                items.iter().map(|item| value(ProjectedValue::Whole(item), types)).collect::<Result<Vec<_>, _>>()?;
            Ok(ast::Value::set(items, None))
        }
        ProjectedValue::Whole(Value::Time(milliseconds)) => {
            extension_value(types.constructors().datetime, &datetime(*milliseconds)?)
        }
        ProjectedValue::Whole(Value::Duration(text)) => extension_value(types.constructors().duration, text),
        ProjectedValue::Whole(Value::Ip(text)) => extension_value(types.constructors().ip, text),
        ProjectedValue::Whole(Value::Decimal(text)) => extension_value(types.constructors().decimal, text),
    }
}

fn record(fields: Fields<'_>, types: &Types) -> Result<ast::Value, String> {
    let mut record = BTreeMap::new();
    fields.try_each(|name, seen| {
        record.insert(name.clone(), value(seen, types)?);
        Ok::<(), String>(())
    })?;
    Ok(ast::Value::record_arc(Arc::new(record), None))
}

fn extension_value(constructor: &ExtensionFunction, text: &SmolStr) -> Result<ast::Value, String> {
    match constructor.call(&[text.clone().into()]) {
        Ok(PartialValue::Value(value)) => Ok(value),
        Ok(PartialValue::Residual(_)) => Err(format!("`{text}` is not a value")),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::engine::projection::Projection;
    use crate::decision::read_set::ReadSet;
    use crate::decision::schema::cedar_values;
    use crate::query::{self, Node, Record};

    fn every_kind() -> Record {
        let record = Value::Record(query::record([("deep", Value::Bool(true))]));
        query::record([
            ("text", Value::from("t")),
            ("long", Value::Long(-1)),
            ("set", Value::texts(["a", "b"])),
            ("record", record),
            ("entity", Value::Entity(Uid::new("Bag", "b"))),
            ("time", Value::Time(1_795_392_000_123)),
            ("duration", Value::Duration("1h30m".into())),
            ("ip", Value::Ip("10.0.0.0/8".into())),
            ("decimal", Value::Decimal("1.5".into())),
        ])
    }

    fn query() -> Query {
        let mut principal = Node::new(Uid::new("Workload", "w"));
        principal.attributes = every_kind();
        principal.tags = every_kind();
        principal.ancestors = [Uid::new("Group", "g"), Uid::new("Workload", "w"), Uid::new("Namespace", "n")].into();
        let mut bag = Node::new(Uid::new("Bag", "b"));
        bag.tags = every_kind();
        Query {
            principal,
            action: "GET".into(),
            resource: Node::new(Uid::new("Path", "n/s/")),
            context: query::record([("bag", Value::Entity(bag.uid.clone()))]),
            bags: vec![bag],
            namespace: "n".into(),
        }
    }

    #[test]
    fn a_whole_entity_equals_the_one_that_cedars_public_interface_builds() {
        let (types, query, mut read_set) = (Types::new("").unwrap(), query(), ReadSet::default());
        read_set.principal.whole = true;
        read_set.whole_context = true;
        let projection = Projection::new(&read_set);
        let inputs = build(&projection.project(&query), &types).unwrap();
        for node in [&query.principal, &query.bags[0]] {
            let public = cedar_values::entity(node, &types).unwrap();
            let ours = inputs.entities.entity(&types.core_uid(&node.uid).unwrap()).unwrap();
            assert!(ours.deep_eq(public.as_ref()), "{ours:?} is not {public:?}");
        }
    }

    #[test]
    fn an_entity_outside_the_read_set_is_left_out() {
        let (types, query) = (Types::new("").unwrap(), query());
        let held = |read_set: &ReadSet| {
            let projection = Projection::new(read_set);
            let inputs = build(&projection.project(&query), &types).unwrap();
            inputs.entities.iter().any(|entity| *entity.uid() == types.core_uid(&query.principal.uid).unwrap())
        };
        let mut read_set = ReadSet::default();
        assert!(!held(&read_set));
        read_set.principal.within.insert(Uid::new("Group", "g"));
        assert!(held(&read_set));
    }

    #[test]
    fn two_paths_to_one_bag_give_the_tags_of_both() {
        let (types, mut query, mut read_set) = (Types::new("").unwrap(), query(), ReadSet::default());
        query.context.insert("other".into(), Value::Entity(Uid::new("Bag", "b")));
        for (path, key) in [("bag", "text"), ("other", "long")] {
            let keys = crate::query::Keys::Some([key.to_owned()].into());
            read_set.bags.insert(vec![path.to_owned()], keys);
        }
        let projection = Projection::new(&read_set);
        let inputs = build(&projection.project(&query), &types).unwrap();
        let bag = inputs.entities.entity(&types.core_uid(&Uid::new("Bag", "b")).unwrap()).unwrap();
        let keys: Vec<&str> = bag.tag_keys().map(AsRef::as_ref).collect();
        assert_eq!(keys, ["long", "text"]);
    }
}
