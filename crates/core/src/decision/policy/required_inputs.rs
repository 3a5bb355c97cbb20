//! Required inputs: the parts of a call that must be collected before a policy is evaluated.
//!
//! Knows: the accesses of a policy, the source of each part of the context. Must not know: Cedar's syntax, calls.
//!
//! An access to a part that is not in `CONTEXT`, or one that is not understood, requires everything.

use crate::decision::accesses::{Access, Accesses, Origin, Root, TagTest, Use, bag_at};
use crate::query::{ANYWHERE, Keys, Reads};

/// What has to be collected so that a part of the context has its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Nothing: every call has it, or its protocol is parsed anyway.
    Always,
    IpAddress,
    CallFacts,
    Headers,
    Query,
    BodyLength,
    Arguments,
    Numbers,
    Fields,
    TypedInput,
    Approval,
    Found,
    Inspected,
    Passed,
}

/// Every part of every action's context, and its source. A part stands for all that is below it.
const CONTEXT: &[(&[&str], Source)] = &[
    (&["env", "now"], Source::Always),
    (&["env", "listener"], Source::Always),
    (&["env", "sourceIp"], Source::IpAddress),
    (&["env", "facts"], Source::CallFacts),
    (&["http", "method"], Source::Always),
    (&["http", "host"], Source::Always),
    (&["http", "path"], Source::Always),
    (&["http", "headers"], Source::Headers),
    (&["http", "query"], Source::Query),
    (&["http", "bodyBytes"], Source::BodyLength),
    (&["args"], Source::Arguments),
    (&["kinds"], Source::Arguments),
    (&["numbers"], Source::Numbers),
    (&["decimals"], Source::Numbers),
    (&["fields"], Source::Fields),
    // Of a tool with an `input_schema`: crates/core/src/decision/schema/tool_actions.rs.
    (&["input"], Source::TypedInput),
    (&["approval"], Source::Approval),
    (&["taskParams"], Source::Always),
    // MCP.
    (&["rpcMethod"], Source::Always),
    // A2A.
    (&["taskId"], Source::Always),
    (&["contextId"], Source::Always),
    (&["pushHost"], Source::Always),
    // Requests to models.
    (&["api"], Source::Always),
    (&["stream"], Source::Always),
    (&["maxOutputTokens"], Source::Always),
    (&["toolNames"], Source::Always),
    (&["hostedTools"], Source::Always),
    (&["hostedServers"], Source::Always),
    (&["hostedOrigins"], Source::Always),
    (&["hostedDomains"], Source::Always),
    (&["otherModels"], Source::Always),
    (&["stored"], Source::Always),
    (&["hiddenHistory"], Source::Always),
    // The content of a message or of a response.
    (&["found"], Source::Found),
    (&["inspected"], Source::Inspected),
    // Responses.
    (&["source"], Source::Always),
    (&["status"], Source::Always),
    (&["passed"], Source::Passed),
];

/// The attribute of principal and resource that look-ups fill.
const FACTS: &str = "facts";

/// One reading of a dynamic map by a literal key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// The map: `headers`, `query`, `args`, `numbers`, `decimals`, `kinds`, `fields`, or `resource` for its captures.
    pub bag: String,
    /// The key.
    pub key: String,
}

/// What a policy reads.
#[derive(Debug, Clone, Default)]
pub struct RequiredInputs {
    /// For the layers outside the PDP.
    pub reads: Reads,
    /// Every literal key, for checks at load.
    pub keys: Vec<KeyUse>,
}

impl RequiredInputs {
    /// The inputs that a policy with these accesses requires.
    #[must_use]
    pub fn of(accesses: &Accesses<'_>) -> Self {
        let mut reads = Reads::default();
        accesses.list.iter().for_each(|access| add(access, &mut reads));
        if reads.args == Keys::All || reads.fields == Keys::All {
            // A computed key may be any text of the policy.
            let names = accesses.texts.iter().filter_map(|text| text.strip_prefix(ANYWHERE));
            reads.names.extend(names.map(str::to_owned));
        }
        Self { reads, keys: accesses.list.iter().filter_map(key_use).collect() }
    }
}

fn key_use(access: &Access<'_>) -> Option<KeyUse> {
    let (Origin::Root(root), Use::Tag(Some(key), _)) = (access.origin, &access.usage) else { return None };
    let bag = bag_at(root, &access.path)?;
    Some(KeyUse { bag: bag.to_owned(), key: (*key).to_owned() })
}

/// Adds what one access requires.
pub(super) fn add(access: &Access<'_>, reads: &mut Reads) {
    let has = |name| access.path.contains(&name);
    match access.origin {
        // An entity that is passed on is no more than its name: its facts are read where an attribute is taken.
        Origin::Root(Root::Principal) => reads.principal_facts |= access.path.first() == Some(&FACTS),
        Origin::Root(Root::Resource) => reads.resource_facts |= access.path.first() == Some(&FACTS),
        Origin::Root(Root::Context) => add_context(access, reads),
        Origin::FactEntity => {
            reads.principal_facts |= has(FACTS);
            reads.resource_facts |= has(FACTS);
        }
        Origin::Unknown => {
            let is_anything = access.usage == Use::Anything;
            if is_anything {
                CONTEXT.iter().for_each(|(_, source)| add_source(*source, &[], &Use::Value, reads));
            }
            // Any of the three may be what the path begins at, or a record of the context.
            if is_anything || has(FACTS) {
                reads.principal_facts = true;
                reads.resource_facts = true;
                reads.call_facts = Keys::All;
            }
            reads.approval |= has("approval");
            reads.size |= has("bodyBytes");
        }
    }
}

fn add_context(access: &Access<'_>, reads: &mut Reads) {
    let path = access.path.as_slice();
    if let Some((part, source)) = CONTEXT.iter().find(|(part, _)| path.starts_with(part)) {
        return add_source(*source, path.get(part.len()..).unwrap_or_default(), &access.usage, reads);
    }
    let mut below = CONTEXT.iter().filter(|(part, _)| part.starts_with(path)).peekable();
    match (&access.usage, below.peek().is_some()) {
        // The record itself is part of every call.
        (Use::Presence | Use::Guard, true) => {}
        (_, true) => below.for_each(|(_, source)| add_source(*source, &[], &Use::Value, reads)),
        (_, false) => CONTEXT.iter().for_each(|(_, source)| add_source(*source, &[], &Use::Value, reads)),
    }
}

/// Adds the source of a part of the context, which is used so; `below` is the path from that part on.
fn add_source(source: Source, below: &[&str], usage: &Use<'_>, reads: &mut Reads) {
    match source {
        Source::Always => {}
        Source::IpAddress => reads.source_ip = true,
        Source::BodyLength => reads.size = true,
        Source::Approval => reads.approval = true,
        // Every action that has these parts always has them, so their presence needs nothing.
        Source::Found | Source::Inspected | Source::Passed if matches!(usage, Use::Presence | Use::Guard) => {}
        Source::Found => {
            reads.body = true;
            reads.content.enforced.tested.merge(&elements(usage));
        }
        Source::Inspected => {
            reads.body = true;
            reads.content.enforced.inspected = true;
        }
        Source::Passed => {
            reads.body = true;
            reads.content.enforced.passed.merge(&elements(usage));
        }
        Source::TypedInput => reads.body = true,
        Source::CallFacts => match (below.first(), usage) {
            (Some(name), _) => reads.call_facts.merge(&Keys::Some([(*name).to_owned()].into())),
            // The fact behind it is read by the next condition.
            (None, Use::Guard) => {}
            // Any fact makes the record present.
            (None, _) => reads.call_facts = Keys::All,
        },
        Source::Headers => {
            reads.headers.merge(&keys(usage));
            match usage {
                Use::Tag(_, TagTest::Presence | TagTest::Pattern) => {}
                _ => reads.headers_compared.merge(&keys(usage)),
            }
        }
        Source::Query => reads.query.merge(&keys(usage)),
        Source::Arguments => {
            let pointers = pointers(usage, reads);
            reads.args.merge(&pointers);
        }
        Source::Fields => {
            let pointers = pointers(usage, reads);
            reads.message = true;
            reads.fields.merge(&pointers);
        }
        // Of arguments and of fields.
        Source::Numbers => {
            let pointers = pointers(usage, reads);
            reads.message = true;
            reads.numbers |= keys(usage) != Keys::default();
            reads.args.merge(&pointers);
            reads.fields.merge(&pointers);
        }
    }
}

/// The elements of a set that a use of it tests.
fn elements(usage: &Use<'_>) -> Keys {
    match usage {
        Use::Presence | Use::Guard => Keys::default(),
        Use::Contains(Some(texts)) => Keys::Some(texts.iter().map(|text| (*text).to_owned()).collect()),
        Use::Contains(None) | Use::Tag(..) | Use::Value | Use::In(_) | Use::Name | Use::Anything => Keys::All,
    }
}

/// The JSON pointers that a use of a map of the body reads. A name that is read anywhere is added at once.
fn pointers(usage: &Use<'_>, reads: &mut Reads) -> Keys {
    reads.body = true;
    if let Use::Tag(Some(key), _) = usage
        && let Some(name) = key.strip_prefix(ANYWHERE)
    {
        reads.names.insert(name.to_owned());
        return Keys::default();
    }
    keys(usage)
}

/// The keys of a dynamic map that are read by a use of it.
fn keys(usage: &Use<'_>) -> Keys {
    match usage {
        Use::Presence | Use::Guard => Keys::default(),
        Use::Tag(Some(key), _) => Keys::Some([(*key).to_owned()].into()),
        Use::Tag(None, _) | Use::Value | Use::Contains(_) | Use::In(_) | Use::Name | Use::Anything => Keys::All,
    }
}

#[cfg(test)]
mod tests;
