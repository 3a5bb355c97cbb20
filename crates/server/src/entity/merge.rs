//! Merges the facts of several sources. Pure.
//!
//! Knows: who gave what. Must not know: where a source has it from.
//!
//! Nothing is overwritten: which of two answers won would be a matter of order, and so would the verdict.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use super::unavailable;
use picket_core::failure::Failure;
use picket_core::query::{Additions, Facts, Node, Query, Record, Uid};

/// Entity types whose place is fixed by an entity's id. A source that could add one would move a
/// resource into another namespace, or a workload into another trust domain.
const FIXED: [&str; 12] = [
    "Namespace",
    "TrustDomain",
    "Service",
    "Route",
    "Path",
    "Method",
    "McpServer",
    "McpResource",
    "Tool",
    "Prompt",
    "Agent",
    "Model",
];

/// Merges what sources give, by their names.
///
/// # Errors
/// `entities_unavailable`: two sources give the same attribute or tag, one contradicts the call, or one
/// adds an ancestor that only the id can give.
pub fn merge(query: &Query, sources: Vec<(&str, Facts)>) -> Result<Facts, Failure> {
    let mut principal = Merge::new("principal", &query.principal);
    let mut resource = Merge::new("resource", &query.resource);
    let nothing = Record::new();
    let mut call = Fields::new("", "context.env.facts", &nothing);
    for (source, facts) in sources {
        principal.add(source, facts.principal)?;
        resource.add(source, facts.resource)?;
        call.add(source, facts.call)?;
    }
    Ok(Facts { principal: principal.finish(), resource: resource.finish(), call: call.values })
}

/// What is being put together for one entity.
struct Merge<'a> {
    node: &'a Node,
    attributes: Fields<'a>,
    tags: Fields<'a>,
    additions: Additions,
}

impl<'a> Merge<'a> {
    fn new(part: &'static str, node: &'a Node) -> Self {
        Self {
            node,
            attributes: Fields::new("", part, &node.attributes),
            tags: Fields::new("tag ", part, &node.tags),
            additions: Additions::default(),
        }
    }

    fn add(&mut self, source: &'a str, additions: Additions) -> Result<(), Failure> {
        let Additions { attributes, tags, ancestors } = additions;
        self.attributes.add(source, attributes)?;
        self.tags.add(source, tags)?;
        let is_fixed = |kind: &SmolStr| FIXED.contains(&kind.as_str());
        let moves = |uid: &&Uid| is_fixed(&uid.kind) && !self.node.ancestors.contains(uid);
        // Of a caller's groups, which may be a thousand, only the type is looked at.
        if ancestors.kinds().any(is_fixed)
            && let Some(ancestor) = ancestors.iter().find(moves)
        {
            return Err(unavailable(format!(
                "`{source}` adds `{}` to `{ancestor}`, which is not its ancestor",
                self.node.uid
            )));
        }
        self.additions.ancestors.merge(ancestors);
        Ok(())
    }

    fn finish(self) -> Additions {
        Additions { attributes: self.attributes.values, tags: self.tags.values, ..self.additions }
    }
}

/// Named values, and who gave each.
struct Fields<'a> {
    /// `tag ` for tags.
    kind: &'static str,
    part: &'static str,
    of_call: &'a Record,
    values: Record,
    givers: BTreeMap<SmolStr, &'a str>,
}

impl<'a> Fields<'a> {
    fn new(kind: &'static str, part: &'static str, of_call: &'a Record) -> Self {
        Self { kind, part, of_call, values: Record::new(), givers: BTreeMap::new() }
    }

    fn add(&mut self, source: &'a str, values: Record) -> Result<(), Failure> {
        for (name, value) in values {
            if let Some(earlier) = self.givers.get(&name) {
                let Self { kind, part, .. } = self;
                return Err(unavailable(format!("{kind}`{part}.{name}` comes from both `{earlier}` and `{source}`")));
            }
            // An entity of entities.json must repeat what the schema requires; only a contradiction is one.
            if self.of_call.get(&name).is_some_and(|of_call| *of_call != value) {
                let Self { kind, part, .. } = self;
                return Err(unavailable(format!("`{source}` contradicts the call about {kind}`{part}.{name}`")));
            }
            self.givers.insert(name.clone(), source);
            self.values.insert(name, value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
