//! The schema: the built-in types, and the platform's additions in `facts.cedarschema`.
//!
//! Knows: Cedar's schema and validator. Must not know: policies' meaning, files.

use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy::{
    Context, Entities, Entity, EntityTypeName, EntityUid, EvalResult, Policy, Schema, SchemaFragment, Validator,
};
use cedar_policy_core::ast;
use cedar_policy_core::extensions::Extensions;
use smol_str::{SmolStr, ToSmolStr};

use crate::catalog::Catalog;
use crate::problem::Problem;
use crate::query::quick::Map;
use crate::query::{Memberships, Node, Uid, Value};
use validators::Validators;

pub use actions::Action;

mod actions;
pub mod cedar_values;
pub(super) mod diagnostics;
pub(super) mod tool_actions;
mod validators;

/// The built-in types, from the very file that is shipped.
pub const BUILT_IN: &str = include_str!("../../../../policies/schema.cedarschema");
/// Name of that file in a policy tree.
pub const BUILT_IN_FILE: &str = "schema.cedarschema";
/// Name of the platform's additions.
pub const FACTS_FILE: &str = "facts.cedarschema";
/// Name of the catalogue; its tools add to the schema.
const CATALOG_FILE: &str = "catalog.yaml";

/// Record types that the platform may define; empty records otherwise.
const FACT_TYPES: [&str; 3] = ["WorkloadFacts", "ServiceFacts", "CallFacts"];

/// The record type of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FactsType {
    /// `WorkloadFacts`: `principal.facts`.
    Workload,
    /// `ServiceFacts`: `resource.facts`.
    Service,
    /// `CallFacts`: `context.env.facts`.
    Call,
}

/// The schema with what is derived from it.
#[derive(Debug)]
pub struct Types {
    schema: Schema,
    validators: Validators,
    actions: Map<String, Action>,
    names: Map<String, EntityTypeName>,
    constructors: Constructors,
}

/// Cedar's functions that make an extension value from a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Constructors {
    pub(super) datetime: &'static ast::ExtensionFunction,
    pub(super) duration: &'static ast::ExtensionFunction,
    pub(super) ip: &'static ast::ExtensionFunction,
    pub(super) decimal: &'static ast::ExtensionFunction,
}

impl Constructors {
    fn new() -> Result<Self, String> {
        let named = |name: &str| {
            let name: ast::Name = name.parse().map_err(|_| format!("`{name}` is not a name"))?;
            Extensions::all_available().func(&name).map_err(|error| error.to_string())
        };
        Ok(Self {
            datetime: named("datetime")?,
            duration: named("duration")?,
            ip: named("ip")?,
            decimal: named("decimal")?,
        })
    }
}

impl Types {
    /// Combines the built-in types and `facts` (the text of `facts.cedarschema`, possibly empty).
    ///
    /// # Errors
    /// Cedar's problems with `facts`.
    pub fn new(facts: &str) -> Result<Self, Vec<Problem>> {
        Self::of(facts, &Catalog::default())
    }

    /// As [`Types::new`], with an action for each tool of the catalogue with typed arguments.
    ///
    /// # Errors
    /// As [`Types::new`].
    pub fn of(facts: &str, catalog: &Catalog) -> Result<Self, Vec<Problem>> {
        let fault = |error: &dyn miette::Diagnostic| vec![diagnostics::problem(FACTS_FILE, 0, error)];
        let (built_in, _) = SchemaFragment::from_cedarschema_str(BUILT_IN).map_err(|e| fault(&e))?;
        let (additions, _) = SchemaFragment::from_cedarschema_str(facts).map_err(|e| fault(&e))?;
        let defined = defined_types(&additions);
        let missing: String =
            FACT_TYPES.iter().filter(|t| !defined.contains(**t)).map(|t| format!("type {t} = {{}};\n")).collect();
        let (missing, _) = SchemaFragment::from_cedarschema_str(&missing).map_err(|e| fault(&e))?;
        let tools = tool_actions::fragments(catalog, &built_in)
            .map_err(|message| vec![Problem::error(CATALOG_FILE, message)])?;
        let shared = vec![built_in, additions, missing];
        let fragments = shared.iter().chain(tools.values()).cloned();
        let schema = Schema::from_schema_fragments(fragments).map_err(|e| fault(&e))?;
        let validators = Validators::new(shared, tools, &schema).map_err(|e| fault(&*e))?;
        let actions = actions::closures(&schema).map_err(|message| vec![Problem::error(FACTS_FILE, message)])?;
        let constructors = Constructors::new().map_err(|message| vec![Problem::error(BUILT_IN_FILE, message)])?;
        // A name without its place in the schema's text is cheaper to copy.
        let bare = |name: &EntityTypeName| EntityTypeName::from(name.as_ref().with_loc(None));
        let mut names: Map<_, _> = schema.entity_types().map(|name| (name.to_string(), bare(name))).collect();
        if let Ok(action) = "Action".parse() {
            names.insert("Action".to_owned(), bare(&action));
        }
        Ok(Self { schema, validators, actions, names, constructors })
    }

    /// Cedar's schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Cedar's validator for a policy of `unit`, which has the types of the unit's own tools and not of others'.
    #[must_use]
    pub fn validator(&self, unit: &str, policy: &Policy) -> &Validator {
        self.validators.of(unit, policy)
    }

    /// An action with its groups.
    #[must_use]
    pub fn action(&self, id: &str) -> Option<&Action> {
        self.actions.get(id)
    }

    /// Every action by its id.
    pub fn actions(&self) -> impl Iterator<Item = (&str, &Action)> {
        self.actions.iter().map(|(id, action)| (id.as_str(), action))
    }

    /// Returns whether a call to `unit` may be of a tool with typed arguments.
    #[must_use]
    pub fn has_typed_tools(&self, unit: &str) -> bool {
        self.validators.has_typed_tools(unit)
    }

    pub(super) fn constructors(&self) -> Constructors {
        self.constructors
    }

    /// As [`Types::uid`], for the evaluator.
    ///
    /// # Errors
    /// As [`Types::uid`].
    pub(super) fn core_uid(&self, uid: &Uid) -> Result<ast::EntityUID, String> {
        let name = self.names.get(uid.kind.as_str()).ok_or_else(|| unknown_type(uid))?;
        Ok(ast::EntityUID::from_components(name.as_ref().clone(), ast::Eid::new(uid.id.clone()), None))
    }

    /// Cedar's name of an entity, without parsing if the schema has the type.
    ///
    /// # Errors
    /// A lower-case fragment if `uid`'s type is not in the schema.
    pub fn uid(&self, uid: &Uid) -> Result<EntityUid, String> {
        let name = self.names.get(uid.kind.as_str()).ok_or_else(|| unknown_type(uid))?;
        Ok(EntityUid::from_type_name_and_id(name.clone(), cedar_policy::EntityId::new(&uid.id)))
    }

    /// Parses JSON as one of the facts' record types; Cedar itself checks it.
    ///
    /// # Errors
    /// Cedar's message.
    pub fn typed(&self, kind: FactsType, json: &serde_json::Value) -> Result<Value, String> {
        match kind {
            FactsType::Workload => self.typed_attribute(&serde_json::json!({
                "uid": {"type": "Workload", "id": "spiffe://t/w"}, "parents": [],
                "attrs": {"spiffeId": "spiffe://t/w", "trustDomain": "t", "proof": "mtls", "facts": json},
            })),
            FactsType::Service => self.typed_attribute(
                &serde_json::json!({"uid": {"type": "Agent", "id": "n/s"}, "parents": [], "attrs": {"facts": json}}),
            ),
            FactsType::Call => self.typed_call(json),
        }
    }

    fn typed_attribute(&self, entity: &serde_json::Value) -> Result<Value, String> {
        let entities = Entities::from_json_value(serde_json::json!([entity]), Some(&self.schema))
            .map_err(|error| diagnostics::chain(&error))?;
        let facts = entities.iter().find_map(|entity| entity.attr("facts"));
        match facts {
            Some(Ok(value)) => value_of(&value),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("the facts are missing".to_owned()),
        }
    }

    fn typed_call(&self, json: &serde_json::Value) -> Result<Value, String> {
        let release = self.uid(&Uid::new("Action", "release"))?;
        let now = serde_json::json!({"__extn": {"fn": "datetime", "arg": "1970-01-01"}});
        let context = serde_json::json!({
            "env": {"now": now, "listener": "", "facts": json},
            "source": "", "status": 200, "stream": false, "inspected": true, "found": [], "passed": [],
        });
        let context = Context::from_json_value(context, Some((&self.schema, &release)))
            .map_err(|error| diagnostics::chain(&error))?;
        context.validate(&self.schema, &release).map_err(|error| diagnostics::chain(&error))?;
        match context.get("env") {
            Some(EvalResult::Record(env)) => env.get("facts").map_or(Err("the facts are missing".to_owned()), value_of),
            _ => Err("the facts are missing".to_owned()),
        }
    }

    /// Parses `entities.json`: Cedar's own entity JSON, checked against the schema.
    ///
    /// # Errors
    /// Cedar's message.
    pub fn entities(&self, json: &str) -> Result<Vec<Node>, String> {
        let entities = Entities::from_json_str(json, Some(&self.schema)).map_err(|error| diagnostics::chain(&error))?;
        let declared = entities.iter().filter(|entity| entity.uid().type_name().to_string() != "Action");
        declared.map(|entity| node_of(entity, &entities)).collect()
    }
}

fn unknown_type(uid: &Uid) -> String {
    format!("the schema has no entity type `{}`", uid.kind)
}

fn node_of(entity: &Entity, all: &Entities) -> Result<Node, String> {
    let mut node = Node::new(uid_of(&entity.uid()));
    for (name, value) in entity.attrs() {
        node.attributes.insert(name.into(), value_of(&value.map_err(|error| error.to_string())?)?);
    }
    for (name, value) in entity.tags() {
        node.tags.insert(name.into(), value_of(&value.map_err(|error| error.to_string())?)?);
    }
    let ancestors = all.ancestors(&entity.uid()).into_iter().flatten();
    node.ancestors.share(&Arc::new(ancestors.map(uid_of).collect::<Memberships>()));
    Ok(node)
}

/// The common types a fragment defines outside any namespace.
fn defined_types(fragment: &SchemaFragment) -> BTreeSet<String> {
    let json = fragment.clone().to_json_value().unwrap_or_default();
    let types = json.get("").and_then(|root| root.get("commonTypes")).and_then(serde_json::Value::as_object);
    types.into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

/// Our name of a Cedar entity.
#[must_use]
pub fn uid_of(uid: &EntityUid) -> Uid {
    Uid { kind: uid.type_name().to_smolstr(), id: uid.id().unescaped().into() }
}

/// Cedar's value as ours.
fn value_of(value: &EvalResult) -> Result<Value, String> {
    Ok(match value {
        EvalResult::Bool(flag) => Value::Bool(*flag),
        EvalResult::Long(number) => Value::Long(*number),
        EvalResult::String(text) => Value::String(text.into()),
        EvalResult::EntityUid(uid) => Value::Entity(uid_of(uid)),
        EvalResult::Set(items) => Value::Set(items.iter().map(value_of).collect::<Result<_, _>>()?),
        EvalResult::Record(record) => {
            let fields = record.iter().map(|(name, value)| Ok((SmolStr::from(name), value_of(value)?)));
            Value::Record(fields.collect::<Result<_, String>>()?)
        }
        EvalResult::ExtensionValue(text) => extension(text)?,
    })
}

/// Cedar prints extension values as the call that makes them: `ip("10.0.0.1")`.
fn extension(text: &str) -> Result<Value, String> {
    let unknown = || format!("`{text}` is an extension value that facts cannot have");
    let (name, rest) = text.split_once("(\"").ok_or_else(unknown)?;
    let argument = rest.strip_suffix("\")").ok_or_else(unknown)?;
    match name {
        "ip" => Ok(Value::Ip(argument.into())),
        "decimal" => Ok(Value::Decimal(argument.into())),
        "duration" => Ok(Value::Duration(argument.into())),
        "datetime" => milliseconds(argument).map(Value::Time).ok_or_else(unknown),
        _ => Err(unknown()),
    }
}

/// Cedar's four spellings of a datetime: a date, or a time with optional milliseconds and `Z` or an offset.
fn milliseconds(text: &str) -> Option<i64> {
    if let Ok(date) = jiff::civil::Date::strptime("%Y-%m-%d", text) {
        return Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond());
    }
    let utc = text.strip_suffix('Z').map(|time| format!("{time}+0000"));
    let text = utc.as_deref().unwrap_or(text);
    let time = jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", text).ok()?;
    Some(time.to_timestamp().ok()?.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::record;

    #[test]
    fn facts_are_typed_by_the_schema() {
        let types = Types::new(
            "type WorkloadFacts = { team: String, since?: datetime, net?: ipaddr, share?: decimal, ttl?: duration };",
        )
        .unwrap();
        let json = serde_json::json!({
            "team": "blue",
            "since": {"__extn": {"fn": "datetime", "arg": "2026-01-02T03:04:05Z"}},
            "net": {"__extn": {"fn": "ip", "arg": "10.0.0.0/8"}},
            "share": {"__extn": {"fn": "decimal", "arg": "0.5"}},
            "ttl": {"__extn": {"fn": "duration", "arg": "1h"}},
        });
        let Ok(Value::Record(facts)) = types.typed(FactsType::Workload, &json) else {
            panic!("{:?}", types.typed(FactsType::Workload, &json))
        };
        assert_eq!(facts[&"team".into()], Value::from("blue"));
        assert_eq!(facts[&"since".into()], Value::Time(1_767_323_045_000));
        assert_eq!(facts[&"net".into()], Value::Ip("10.0.0.0/8".into()));
        assert_eq!(facts[&"share".into()], Value::Decimal("0.5".into()));
        assert_eq!(facts[&"ttl".into()], Value::Duration("1h".into()));
        assert!(types.typed(FactsType::Workload, &serde_json::json!({"team": 1})).is_err());
        assert!(types.typed(FactsType::Workload, &serde_json::json!({})).is_err());
        assert!(types.typed(FactsType::Service, &serde_json::json!({"x": 1})).is_err());
    }

    #[test]
    fn call_facts_are_typed_by_the_schema() {
        let types = Types::new("type CallFacts = { ticket?: String };").unwrap();
        let typed = types.typed(FactsType::Call, &serde_json::json!({"ticket": "T-1"}));
        assert_eq!(typed, Ok(Value::Record(record([("ticket", Value::from("T-1"))]))));
        assert!(types.typed(FactsType::Call, &serde_json::json!({"ticket": 1})).is_err());
    }

    #[test]
    fn every_action_brings_its_groups() {
        let types = Types::new("").unwrap();
        let ids = |action: &str| {
            let mut ids: Vec<_> =
                types.action(action).unwrap().closure.iter().map(|e| e.uid().id().unescaped().to_owned()).collect();
            ids.sort();
            ids
        };
        assert_eq!(ids("POST"), ["POST", "any", "write"]);
        assert_eq!(ids("release"), ["release"]);
    }

    #[test]
    fn a_broken_facts_schema_names_its_file() {
        let problems = Types::new("type WorkloadFacts = {").unwrap_err();
        assert_eq!(problems[0].file, "facts.cedarschema");
        assert!(Types::new("type WorkloadFacts = { a: Nonsense };").is_err());
    }
}
