//! Chooses the Cedar validator for a policy.
//!
//! Knows: Cedar's validator, which calls a unit's policies apply to. Must not know: policies' meaning.
//!
//! Tools with an `input_schema` add actions. The policies of a namespace never apply to tools of other namespaces, so
//! they are not checked against the types of those. Otherwise an operator could not type a tool because of another
//! namespace's policies.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use cedar_policy::{Policy, Schema, SchemaFragment, Validator};

use super::tool_actions;
use crate::decision::limits::MESH;

/// A schema in parts: the part that all units share, and the actions of each namespace's tools.
#[derive(Debug)]
pub(super) struct Validators {
    shared: Vec<SchemaFragment>,
    /// The schema with the actions of all tools: the mesh's.
    all: Validator,
    /// The schema without actions of single tools; `None` if there are none.
    without_tools: Option<Validator>,
    namespaces: BTreeMap<String, Own>,
}

#[derive(Debug)]
struct Own {
    tools: SchemaFragment,
    /// Built when a policy needs it: building takes as long as checking dozens of policies.
    validator: OnceLock<Option<Validator>>,
}

impl Validators {
    /// `tools` by namespace; `schema` is all of it together.
    ///
    /// # Errors
    /// Cedar's problem with the shared parts alone.
    pub fn new(
        shared: Vec<SchemaFragment>,
        tools: BTreeMap<String, SchemaFragment>,
        schema: &Schema,
    ) -> Result<Self, Box<cedar_policy::SchemaError>> {
        let without_tools = match tools.is_empty() {
            true => None,
            false => Some(Validator::new(Schema::from_schema_fragments(shared.iter().cloned())?)),
        };
        let own = |(namespace, tools)| (namespace, Own { tools, validator: OnceLock::new() });
        let namespaces = tools.into_iter().map(own).collect();
        Ok(Self { shared, all: Validator::new(schema.clone()), without_tools, namespaces })
    }

    /// Cedar's validator for a policy of a unit. A policy that cannot distinguish the actions of single tools is
    /// checked without them: checking takes time for every action.
    pub fn of(&self, unit: &str, policy: &Policy) -> &Validator {
        let Some(without_tools) = &self.without_tools else { return &self.all };
        if !tool_actions::depends_on_tool_actions(policy) {
            return without_tools;
        }
        match self.namespaces.get(unit) {
            _ if unit == MESH => &self.all,
            Some(own) => own.validator.get_or_init(|| self.own(&own.tools)).as_ref().unwrap_or(&self.all),
            None => without_tools,
        }
    }

    /// Returns whether a call to `unit` may be of a tool with typed arguments.
    pub fn has_typed_tools(&self, unit: &str) -> bool {
        self.namespaces.contains_key(unit) || (unit == MESH && !self.namespaces.is_empty())
    }

    /// `None` never occurs: a valid schema stays valid without some of its actions.
    fn own(&self, tools: &SchemaFragment) -> Option<Validator> {
        let fragments = self.shared.iter().chain([tools]).cloned();
        Schema::from_schema_fragments(fragments).map(Validator::new).ok()
    }
}
