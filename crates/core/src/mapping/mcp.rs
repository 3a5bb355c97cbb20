//! Maps a message to an MCP server: the resource is a tool, a resource, a prompt or the server itself.
//!
//! Knows: what a message requests, the catalogue's tools. Must not know: JSON-RPC, other protocols.

use smol_str::SmolStr;

use super::action::{Asked, What};
use super::context::ContextParts;
use super::resource::{cut_to, groups, scope_facts, within};
use super::values::{self, Values};
use crate::body::json::Json;
use crate::body::mcp::{Ask, input};
use crate::catalog::Service;
use crate::failure::Failure;
use crate::query::action::{self, CALL_TOOL};
use crate::query::{Node, Query, Reads, Uid, Value};

/// The schema's action for a message; a tool with typed arguments has one of its own below it.
pub(super) fn action(ask: &Ask) -> &'static str {
    match ask {
        Ask::CallTool { .. } => CALL_TOOL,
        Ask::ReadResource { .. } => "mcp.resources.read",
        Ask::SubscribeResource { .. } => "mcp.resources.subscribe",
        Ask::GetPrompt { .. } => "mcp.prompts.get",
        Ask::UseServer { .. } => "mcp.server.use",
    }
}

/// The arguments of a tool or a prompt.
pub(super) fn arguments(ask: &Ask) -> Option<&Json> {
    match ask {
        Ask::CallTool { arguments, .. } | Ask::GetPrompt { arguments, .. } => Some(arguments),
        Ask::ReadResource { .. } | Ask::SubscribeResource { .. } | Ask::UseServer { .. } => None,
    }
}

/// Adds the arguments, or the method of the server that is used.
///
/// # Errors
/// As [`Values::of`].
pub(super) fn context(ask: &Ask, reads: &Reads, parts: &mut ContextParts) -> Result<(), Failure> {
    match ask {
        Ask::CallTool { arguments: object, .. } => values::add_arguments(object.node(), reads, parts),
        Ask::GetPrompt { arguments: object, .. } => {
            parts.set_bag("Bag", "args", Values::of(object.node(), &reads.args, reads)?.args);
            Ok(())
        }
        Ask::UseServer { method } => {
            parts.set("rpcMethod", method.as_str());
            Ok(())
        }
        Ask::ReadResource { .. } | Ask::SubscribeResource { .. } => Ok(()),
    }
}

/// Adds `context.input` and names the tool's own action, where the catalogue has the tool's schema.
///
/// # Errors
/// As [`input::read`].
pub(super) fn add_typed_input(query: &mut Query, service: &Service, asked: &Asked) -> Result<(), Failure> {
    let What::Mcp(Ask::CallTool { name, arguments }) = &asked.what else { return Ok(()) };
    let Some(types) = service.tools.get(name).and_then(|tool| tool.input.as_ref()) else { return Ok(()) };
    let record = input::read(arguments.node(), &types.record)?;
    query.context.insert(SmolStr::new_static("input"), Value::Record(record));
    query.action = action::of_tool(&service.id, name).into();
    Ok(())
}

/// The resource, inside its server.
pub(super) fn resource(service: &Service, ask: &Ask) -> Node {
    let server = Uid::new("McpServer", service.id.as_str());
    let mut node = match ask {
        Ask::CallTool { name, .. } => tool_node(service, name),
        Ask::ReadResource { uri } | Ask::SubscribeResource { uri } => resource_node(service, uri),
        Ask::GetPrompt { name, .. } => {
            let mut node = Node::new(Uid::new("Prompt", within(service, name)));
            node.set("name", name.as_str());
            node
        }
        Ask::UseServer { .. } => return Node::new(server),
    };
    node.ancestors.insert(server);
    node
}

/// `Tool::"agents/deploy-mcp/deploy.production"`, with what the catalogue knows of it.
///
/// About a tool that the catalogue does not list nothing is known: its effect is `unknown`, and it may reach
/// anywhere, so it counts as external.
pub(super) fn tool_node(service: &Service, name: &str) -> Node {
    let mut node = Node::new(Uid::new("Tool", within(service, name)));
    let known = service.tools.get(name);
    let unknown = Default::default();
    let tool = known.unwrap_or(&unknown);
    node.set("name", name);
    node.set("effect", tool.effect.as_str());
    node.set("external", Value::Bool(tool.external || known.is_none()));
    node.set("labels", Value::texts(service.labels.union(&tool.labels)));
    node.attributes.extend(tool.scopes.iter().flat_map(scope_facts));
    node.ancestors.extend(groups(&tool.groups));
    node
}

/// `McpResource::"agents/tickets/ticket://4711/notes"` inside its prefixes by whole segments.
pub(super) fn resource_node(service: &Service, uri: &str) -> Node {
    let id = within(service, uri);
    let mut node = Node::new(Uid::new("McpResource", id.clone()));
    node.set("uri", uri);
    node.set("labels", Value::texts(&service.labels));
    node.ancestors.extend(uri_prefixes(uri).map(|prefix| Uid::new("McpResource", cut_to(prefix, uri, &id))));
    node
}

/// The ancestors of a resource's URI: its prefixes by whole segments, from `scheme://authority` on. A URI without
/// `//` has no segments that all readers agree on, so its only ancestor is its server.
fn uri_prefixes(uri: &str) -> impl Iterator<Item = &str> {
    let path = uri.find(['?', '#']).unwrap_or(uri.len());
    let begin = uri.find("://").map_or(path, |at| at + 3);
    let inner = uri.get(begin..path).unwrap_or_default();
    let slashes = inner.char_indices().filter(|(_, c)| *c == '/').map(move |(at, _)| begin + at);
    // A query hangs below the resource without it.
    let whole = (path < uri.len() && begin < path).then_some(path);
    slashes.chain(whole).filter_map(move |end| uri.get(..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_lies_in_its_prefixes_by_whole_segments() {
        for (uri, prefixes) in [
            ("ticket://4711", vec![]),
            ("ticket://4711/notes/1", vec!["ticket://4711", "ticket://4711/notes"]),
            ("file:///etc/hosts", vec!["file://", "file:///etc"]),
            ("crm://a/b?c=d/e", vec!["crm://a", "crm://a/b"]),
            ("urn:isbn:1/2", vec![]),
        ] {
            assert_eq!(uri_prefixes(uri).collect::<Vec<_>>(), prefixes, "{uri}");
        }
    }
}
