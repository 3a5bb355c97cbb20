//! Chooses the Cedar validator for a policy.
//!
//! Knows: Cedar's validator, whose calls a unit judges. Must not know: policies' meaning.
//!
//! Tools with an `input_schema` add actions. A namespace judges no calls of other namespaces' tools, so it is not held to the
//! types of these either: else an operator could not give a tool its types because of what some other namespace says.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use cedar_policy::{Policy, Schema, SchemaFragment, Validator};

use super::tool_actions;
use crate::decision::limits::MESH;

/// A schema in parts: what all units share, and the actions of each namespace's tools.
#[derive(Debug)]
pub(super) struct Validators {
    shared: Vec<SchemaFragment>,
    /// With the actions of all tools: the mesh's.
    all: Validator,
    /// Without those of single tools; `None` where there are none.
    without_tools: Option<Validator>,
    namespaces: BTreeMap<String, Own>,
}

#[derive(Debug)]
struct Own {
    tools: SchemaFragment,
    /// Built when a policy needs it: that takes as long as to check dozens of policies.
    validator: OnceLock<Option<Validator>>,
}

impl Validators {
    /// `tools` by namespace; `schema` is all of it together.
    ///
    /// # Errors
    /// What Cedar finds wrong with the shared parts alone.
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

    /// Cedar's validator for a policy of a unit. One that cannot tell the actions of single tools from that of all is checked
    /// against the latter alone: checking takes as long as there are actions.
    pub fn of(&self, unit: &str, policy: &Policy) -> &Validator {
        let Some(without_tools) = &self.without_tools else { return &self.all };
        if !tool_actions::sees_tools(policy) {
            return without_tools;
        }
        match self.namespaces.get(unit) {
            _ if unit == MESH => &self.all,
            Some(own) => own.validator.get_or_init(|| self.own(&own.tools)).as_ref().unwrap_or(&self.all),
            None => without_tools,
        }
    }

    /// Whether a call that `unit` judges may be of a tool whose arguments have types.
    pub fn has_typed_tools(&self, unit: &str) -> bool {
        self.namespaces.contains_key(unit) || (unit == MESH && !self.namespaces.is_empty())
    }

    /// `None` does not come about: parts of a schema that is good together are good without some of their actions.
    fn own(&self, tools: &SchemaFragment) -> Option<Validator> {
        let fragments = self.shared.iter().chain([tools]).cloned();
        Schema::from_schema_fragments(fragments).map(Validator::new).ok()
    }
}
