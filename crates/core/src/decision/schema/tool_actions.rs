//! Actions of single tools: their context has the typed arguments of the tool.
//!
//! Knows: Cedar's schema in JSON, the catalogue's schemas of tools. Must not know: calls, JSON Schema.
//!
//! Such an action is a member of `mcp.tools.call` and has its principals, resources and context. So every policy that
//! names a group still applies to it, and a policy with the scope `action == Action::"mcp.tools.call"` is enforced as
//! `action in [Action::"mcp.tools.call"]`. Only a condition can distinguish the two, and such conditions are rejected.

use std::collections::BTreeMap;

use cedar_policy::pst::Template;
use cedar_policy::{Policy, SchemaFragment};
use serde_json::{Map, Value, json};

use crate::catalog::Catalog;
use crate::catalog::mcp::input::{Record, Type};
use crate::decision::accesses::{Accesses, Origin, Root, Use};
use crate::query::action;

/// The parts of the schema that tools with an `input_schema` add, by the namespace of their service. `built_in` is the
/// shipped part.
///
/// # Errors
/// A fragment that says which part of the shipped schema is not as expected, or Cedar's problem.
pub fn fragments(catalog: &Catalog, built_in: &SchemaFragment) -> Result<BTreeMap<String, SchemaFragment>, String> {
    let tools = catalog.services().flat_map(|service| {
        let typed = service.tools.iter().filter_map(|(name, tool)| Some((name, tool.input.as_ref()?)));
        typed.map(|(name, input)| (service.namespace(), action::of_tool(&service.id, name), &input.record))
    });
    let tools: Vec<_> = tools.collect();
    if tools.is_empty() {
        return Ok(BTreeMap::new());
    }
    let built_in = built_in.clone().to_json_value().map_err(|error| error.to_string())?;
    let parent = built_in.get("").and_then(|root| root.get("actions")?.get(action::CALL_TOOL)?.get("appliesTo"));
    let parent = parent.ok_or_else(|| format!("action `{}` applies to nothing", action::CALL_TOOL))?;
    let mut actions: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for (namespace, id, record) in tools {
        let mut applies_to = parent.clone();
        let context = applies_to.pointer_mut("/context/attributes").and_then(Value::as_object_mut);
        let context = context.ok_or_else(|| format!("the context of `{}` is not a record", action::CALL_TOOL))?;
        context.insert("input".to_owned(), record_type(record));
        actions
            .entry(namespace)
            .or_default()
            .insert(id, json!({"memberOf": [{"id": action::CALL_TOOL}], "appliesTo": applies_to}));
    }
    let fragment = |(namespace, actions): (&str, Map<String, Value>)| {
        let fragment = json!({"": {"entityTypes": {}, "actions": actions}});
        let fragment = SchemaFragment::from_json_value(fragment).map_err(|error| error.to_string())?;
        Ok((namespace.to_owned(), fragment))
    };
    actions.into_iter().map(fragment).collect()
}

fn record_type(record: &Record) -> Value {
    let field = |(name, kind): (&String, &Type)| {
        let mut of = type_of(kind);
        if let Some(of) = of.as_object_mut() {
            of.insert("required".to_owned(), Value::Bool(record.required.contains(name)));
        }
        (name.clone(), of)
    };
    let attributes: Map<String, Value> = record.fields.iter().map(field).collect();
    json!({"type": "Record", "attributes": attributes})
}

fn type_of(kind: &Type) -> Value {
    match kind {
        // These names cannot be redefined.
        Type::Text => json!({"type": "EntityOrCommon", "name": "__cedar::String"}),
        Type::Integer => json!({"type": "EntityOrCommon", "name": "__cedar::Long"}),
        Type::Boolean => json!({"type": "EntityOrCommon", "name": "__cedar::Bool"}),
        Type::List(items) => json!({"type": "Set", "element": type_of(items)}),
        Type::Object(record) => record_type(record),
    }
}

/// Returns whether a policy may decide differently for the action of a single tool than for `mcp.tools.call`: it names
/// such an action, or reads an input that only these have.
#[must_use]
pub fn depends_on_tool_actions(policy: &Policy) -> bool {
    let names_one = policy.entity_literals().iter().any(|uid| action::tool(uid.id().unescaped()).is_some());
    names_one || policy.to_pst().map_or(true, |policy| reads_input(policy.body()))
}

/// Returns whether a policy reads the typed arguments of a tool.
pub(in crate::decision) fn reads_input(policy: &Template) -> bool {
    Accesses::of(policy).list.iter().any(|access| match access.origin {
        // Without a first step it is the whole context.
        Origin::Root(Root::Context) => access.path.first().is_none_or(|name| *name == "input"),
        Origin::Root(Root::Principal | Root::Resource) | Origin::FactEntity => false,
        Origin::Unknown => access.usage == Use::Anything,
    })
}

#[cfg(test)]
mod tests;
