//! Maps an entry of a list to the queries of the calls that could use it.
//!
//! Knows: kinds of lists, the catalogue's tools. Must not know: policies, results of lists, what a call would send.
//!
//! The context of such a query is empty: no call was made. Only evaluations that treat the context as unknown may use it.

use smol_str::SmolStr;

use super::mcp;
use super::resource::around;
use crate::body::mcp::{Ask, ListKind};
use crate::catalog::Service;
use crate::query::{Node, Query, Record, action};

/// The queries of the calls that an entry with this name stands for. It is of use if one of them can be allowed. Without any,
/// every such call is refused before a policy is evaluated.
///
/// The resource of a template is unknown, but for its type and its ancestors. `home` is the home trust domain.
#[must_use]
pub fn queries(principal: &Node, service: &Service, kind: ListKind, name: &str, home: &str) -> Vec<Query> {
    let query = |ask: Ask| Query {
        principal: principal.clone(),
        action: action_of(service, &ask),
        resource: resource(service, &ask, home),
        context: Record::new(),
        bags: Vec::new(),
        namespace: service.namespace().into(),
    };
    kind.asks(name).into_iter().map(query).collect()
}

/// The action of a call; a tool with typed arguments has one of its own.
fn action_of(service: &Service, ask: &Ask) -> SmolStr {
    match ask {
        Ask::CallTool { name, .. } if service.tools.get(name).is_some_and(|tool| tool.input.is_some()) => {
            action::of_tool(&service.id, name).into()
        }
        Ask::CallTool { .. }
        | Ask::ReadResource { .. }
        | Ask::SubscribeResource { .. }
        | Ask::GetPrompt { .. }
        | Ask::UseServer { .. } => SmolStr::new_static(mcp::action(ask)),
    }
}

fn resource(service: &Service, ask: &Ask, home: &str) -> Node {
    let mut node = mcp::resource(service, ask);
    node.ancestors.extend(around(service, home));
    node
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::query::Uid;

    const CATALOG: &str = "services: [{id: agents/tickets, protocol: mcp, mcp: {versions: ['2025-06-18']}, groups: [guarded], \
        tools: {read: {effect: read, groups: [readers]}, \
        typed: {input_schema: {type: object, properties: {id: {type: string}}, required: [id]}}}}]";

    fn of(kind: ListKind, name: &str) -> Vec<Query> {
        let catalog = Catalog::parse("catalog.yaml", CATALOG).unwrap();
        let principal = Node::new(Uid::new("Unauthenticated", "unauthenticated"));
        queries(&principal, catalog.service("agents/tickets").unwrap(), kind, name, "cluster.local")
    }

    fn shown(queries: &[Query]) -> Vec<String> {
        queries.iter().map(|query| format!("{} {}", query.action, query.resource.uid)).collect()
    }

    #[test]
    fn an_entry_is_mapped_as_its_call_is() {
        for (kind, name, expected) in [
            (ListKind::Tools, "read", &["mcp.tools.call Tool::\"agents/tickets/read\""][..]),
            (ListKind::Tools, "typed", &["mcp.tools.call/agents/tickets/typed Tool::\"agents/tickets/typed\""]),
            (ListKind::Tools, "other", &["mcp.tools.call Tool::\"agents/tickets/other\""]),
            (ListKind::Tools, "no tool", &[]),
            (ListKind::Prompts, "p", &["mcp.prompts.get Prompt::\"agents/tickets/p\""]),
            (
                ListKind::Resources,
                "ticket://1/",
                &[
                    "mcp.resources.read McpResource::\"agents/tickets/ticket://1\"",
                    "mcp.resources.subscribe McpResource::\"agents/tickets/ticket://1\"",
                ],
            ),
        ] {
            assert_eq!(shown(&of(kind, name)), expected, "{name}");
        }
    }

    #[test]
    fn an_entry_lies_where_its_call_lies() {
        let read = &of(ListKind::Tools, "read")[0];
        let ancestors = [
            Uid::new("McpServer", "agents/tickets"),
            Uid::new("Service", "agents/tickets"),
            Uid::new("Namespace", "agents"),
            Uid::new("TrustDomain", "cluster.local"),
            Uid::new("Group", "guarded"),
            Uid::new("Group", "readers"),
        ];
        assert_eq!(read.resource.ancestors, ancestors.into());
        assert_eq!(read.resource.attributes.get("effect"), Some(&"read".into()));
        // Nothing is known of a tool that the catalogue does not list.
        assert_eq!(of(ListKind::Tools, "other")[0].resource.attributes.get("effect"), Some(&"unknown".into()));
    }

    #[test]
    fn a_template_lies_in_the_resources_that_all_of_its_uris_lie_in() {
        for (template, within) in [
            ("ticket://1/{x}/notes", &["ticket://1"][..]),
            ("ticket://1/a{x}", &["ticket://1"]),
            ("ticket://{x}", &[]),
            ("{+uri}", &[]),
        ] {
            let query = &of(ListKind::ResourceTemplates, template)[0];
            let ancestors = query.resource.ancestors.iter().filter(|uid| uid.kind == "McpResource");
            let ids: Vec<&str> = ancestors.map(|uid| uid.id.strip_prefix("agents/tickets/").unwrap()).collect();
            assert_eq!(ids, within, "{template}");
        }
    }
}
