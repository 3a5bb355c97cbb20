//! Converts a whole query into Cedar's request, context and entities.
//!
//! Knows: Cedar's public interface only. Must not know: the inputs of policies. It is the specification of
//! `eval_inputs`, which the engine uses.

use cedar_policy::{Context, Entities, Entity, Request, RestrictedExpression};

use smol_str::{SmolStr, format_smolstr};

use super::Types;
use crate::query::{Facts, Node, Query, Record, Uid, Value};

/// Cedar's inputs of an evaluation.
#[derive(Debug)]
pub struct Inputs {
    /// Principal, action, resource and context, checked against the schema.
    pub request: Request,
    /// Principal, resource, the action with its groups, and the bags of the context.
    pub entities: Entities,
}

/// Adds the facts of all sources to a query.
///
/// # Errors
/// A fragment naming the attribute that two sources set.
pub fn complete(query: &mut Query, facts: &Facts) -> Result<(), String> {
    let both = [(&mut query.principal, &facts.principal), (&mut query.resource, &facts.resource)];
    for (node, more) in both.into_iter().filter(|(_, more)| !more.is_empty()) {
        for (name, value) in &more.attributes {
            match node.attributes.insert(name.clone(), value.clone()) {
                Some(old) if old != *value => {
                    return Err(format!("two sources set `{name}` of {} to different values", node.uid));
                }
                Some(_) | None => {}
            }
        }
        node.tags.extend(more.tags.iter().map(|(key, value)| (key.clone(), value.clone())));
        node.ancestors.merge(more.ancestors.clone());
    }
    if let (false, Some(Value::Record(env))) = (facts.call.is_empty(), query.context.get_mut("env")) {
        env.insert(SmolStr::new_static("facts"), Value::Record(facts.call.clone()));
    }
    Ok(())
}

/// Checks the values that the type [`Value`] does not restrict: every time must fit a `datetime`.
///
/// The query is rejected even if no policy reads the time, so that an edit of a policy never turns an answer into a
/// failure.
///
/// # Errors
/// A fragment that names the time.
pub fn check(query: &Query) -> Result<(), String> {
    let maps = [&query.principal.attributes, &query.resource.attributes, &query.context];
    maps.into_iter().flat_map(|map| map.values()).try_for_each(check_value)
}

fn check_value(value: &Value) -> Result<(), String> {
    match value {
        Value::Time(milliseconds) => {
            let range = jiff::Timestamp::MIN.as_millisecond()..=jiff::Timestamp::MAX.as_millisecond();
            if range.contains(milliseconds) { Ok(()) } else { Err(format!("{milliseconds} ms is not a time")) }
        }
        Value::Record(fields) => fields.values().try_for_each(check_value),
        // Sets hold texts, entities, and values that a tool's schema types; all of these are unbounded.
        Value::Set(_) | Value::String(_) | Value::Long(_) | Value::Bool(_) | Value::Entity(_) => Ok(()),
        Value::Duration(_) | Value::Ip(_) | Value::Decimal(_) => Ok(()),
    }
}

/// Builds Cedar's inputs of all known values, checked against the schema.
///
/// # Errors
/// A fragment that says which part does not fit the schema.
pub fn inputs(query: &Query, types: &Types) -> Result<Inputs, String> {
    let action = types.action(&query.action).ok_or_else(|| format!("the schema has no action `{}`", query.action))?;
    let pairs = query.context.iter().map(|(name, value)| Ok((name.to_string(), expression(value, types)?)));
    let context = Context::from_pairs(pairs.collect::<Result<Vec<_>, String>>()?).map_err(|e| e.to_string())?;
    let request = Request::new(
        types.uid(&query.principal.uid)?,
        types.uid(&Uid::new("Action", query.action.clone()))?,
        types.uid(&query.resource.uid)?,
        context,
        Some(types.schema()),
    )
    .map_err(|error| error.to_string())?;
    let nodes = [&query.principal, &query.resource].into_iter().chain(&query.bags);
    let mut entities = nodes.map(|node| entity(node, types)).collect::<Result<Vec<_>, String>>()?;
    entities.extend(action.closure.iter().cloned());
    // The schema is not passed: Cedar would check every action against it again on every call. `mapping` and
    // `Types::typed` build well-typed values; a property test checks them with the schema.
    let entities = Entities::from_entities(entities, None).map_err(|error| error.to_string())?;
    Ok(Inputs { request, entities })
}

pub(in crate::decision) fn entity(node: &Node, types: &Types) -> Result<Entity, String> {
    let pairs = |map: &Record| {
        map.iter()
            .map(|(name, value)| Ok((name.to_string(), expression(value, types)?)))
            .collect::<Result<Vec<_>, String>>()
    };
    let ancestors = node.ancestors.iter().filter(|uid| **uid != node.uid).map(|uid| types.uid(uid));
    Entity::new_with_tags(
        types.uid(&node.uid)?,
        pairs(&node.attributes)?,
        ancestors.collect::<Result<Vec<_>, String>>()?,
        pairs(&node.tags)?,
    )
    .map_err(|error| error.to_string())
}

fn expression(value: &Value, types: &Types) -> Result<RestrictedExpression, String> {
    Ok(match value {
        Value::String(text) => RestrictedExpression::new_string(text.to_string()),
        Value::Long(number) => RestrictedExpression::new_long(*number),
        Value::Bool(flag) => RestrictedExpression::new_bool(*flag),
        Value::Entity(uid) => RestrictedExpression::new_entity_uid(types.uid(uid)?),
        Value::Set(items) => {
            RestrictedExpression::new_set(items.iter().map(|v| expression(v, types)).collect::<Result<Vec<_>, _>>()?)
        }
        Value::Record(fields) => {
            let fields = fields.iter().map(|(name, value)| Ok((name.to_string(), expression(value, types)?)));
            RestrictedExpression::new_record(fields.collect::<Result<Vec<_>, String>>()?).map_err(|e| e.to_string())?
        }
        Value::Time(milliseconds) => RestrictedExpression::new_datetime(datetime(*milliseconds)?.as_str()),
        Value::Duration(text) => RestrictedExpression::new_duration(text),
        Value::Ip(text) => RestrictedExpression::new_ip(text),
        Value::Decimal(text) => RestrictedExpression::new_decimal(text),
    })
}

/// Cedar's spelling of an instant.
pub(in crate::decision) fn datetime(milliseconds: i64) -> Result<SmolStr, String> {
    let time = jiff::Timestamp::from_millisecond(milliseconds);
    let time = time.map_err(|_| format!("{milliseconds} ms is not a time"))?;
    Ok(format_smolstr!("{time:.3}"))
}
