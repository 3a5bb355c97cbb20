//! What is called, as an entity with everything it lies in.

use std::collections::BTreeSet;

use crate::call::CanonicalPath;
use crate::catalog::Service;
use crate::catalog::routes::{self, Scopes};
use crate::query::{Node, Uid, Value};

use super::action::{Asked, What};
use crate::body::mcp;

/// The resource of a query; its ancestors are listed flat.
#[must_use]
pub fn resource(service: &Service, asked: &Asked, home: &str) -> Node {
    let mut node = match &asked.what {
        What::Http { method, .. } => path_node(service, method, &asked.path),
        What::Grpc { service: name, method, .. } => method_node(service, name, method),
        What::Mcp(ask) => mcp_node(service, ask),
        What::A2a(_) => Node::new(Uid::new("Peer", service.id.as_str())),
        What::Llm(request) => model_node(service, &request.model),
    };
    node.ancestors.insert(Uid::new("Service", service.id.as_str()));
    node.ancestors.insert(Uid::new("Namespace", service.namespace()));
    node.ancestors.insert(Uid::new("TrustDomain", home));
    node.ancestors.extend(groups(&service.groups));
    node
}

fn groups(names: &BTreeSet<String>) -> impl Iterator<Item = Uid> + '_ {
    names.iter().map(|name| Uid::new("Group", name.as_str()))
}

/// `Path::"shop/orders/v1/orders/42"`: inside its prefixes, the routes that match, and their groups.
fn path_node(service: &Service, method: &str, path: &CanonicalPath) -> Node {
    let id = |prefix: &str| Uid::new("Path", format!("{}{prefix}", service.id));
    let mut node = Node::new(id(path.as_str()));
    let prefixes = path.prefixes().filter(|prefix| *prefix != path.as_str());
    node.ancestors.extend(prefixes.map(id));
    let found = routes::matching(&service.routes, method, path);
    node.ancestors.extend(found.routes.iter().map(|name| Uid::new("Route", format!("{}/{name}", service.id))));
    node.ancestors.extend(groups(&found.groups));
    let labels = service.labels.union(&found.labels).cloned();
    node.attributes.insert("labels".to_owned(), Value::texts(labels));
    for (name, scopes) in [("requiredScopes", found.required), ("acceptableScopes", found.acceptable)] {
        if let Some(scopes) = scopes {
            node.attributes.insert(name.to_owned(), Value::texts(scopes));
        }
    }
    node.tags = found.captures.into_iter().map(|(name, text)| (name, Value::String(text))).collect();
    node
}

/// `Method::"shop/inventory/shop.v1.Inventory/Get"` inside `Method::"shop/inventory/shop.v1.Inventory"`.
fn method_node(service: &Service, grpc_service: &str, method: &str) -> Node {
    let whole = format!("{}/{grpc_service}", service.id);
    let mut node = Node::new(Uid::new("Method", format!("{whole}/{method}")));
    node.ancestors.insert(Uid::new("Method", whole));
    node.attributes.insert("labels".to_owned(), Value::texts(service.labels.iter().cloned()));
    let exact = service.methods.get(&format!("{grpc_service}/{method}"));
    let scopes: Option<&Scopes> = exact.or_else(|| service.methods.get(grpc_service));
    node.attributes.extend(scopes.into_iter().flat_map(scope_facts));
    node
}

/// What is needed, and what may be there beside it; as far as the catalogue says.
fn scope_facts(scopes: &Scopes) -> impl Iterator<Item = (String, Value)> {
    let needed = scopes.required.iter().map(|required| ("requiredScopes", Value::texts(required.iter().cloned())));
    let tolerated = scopes.acceptable().map(|scopes| ("acceptableScopes", Value::texts(scopes)));
    needed.chain(tolerated).map(|(name, scopes)| (name.to_owned(), scopes))
}

fn mcp_node(service: &Service, ask: &mcp::Ask) -> Node {
    let server = Uid::new("McpServer", service.id.as_str());
    let mut node = match ask {
        mcp::Ask::CallTool { name, .. } => tool_node(service, name),
        mcp::Ask::ReadResource { uri } | mcp::Ask::SubscribeResource { uri } => resource_node(service, uri),
        mcp::Ask::GetPrompt { name, .. } => {
            let mut node = Node::new(Uid::new("Prompt", format!("{}/{name}", service.id)));
            node.attributes.insert("name".to_owned(), name.as_str().into());
            node
        }
        mcp::Ask::UseServer { .. } => return Node::new(server),
    };
    node.ancestors.insert(server);
    node
}

/// `Tool::"agents/deploy-mcp/deploy.production"`, with what the catalogue knows of it.
///
/// About a tool that the catalogue does not list nothing is known: its effect is `unknown`, and it may reach
/// anywhere, so it counts as external.
fn tool_node(service: &Service, name: &str) -> Node {
    let mut node = Node::new(Uid::new("Tool", format!("{}/{name}", service.id)));
    let known = service.tools.get(name);
    let tool = known.cloned().unwrap_or_default();
    node.attributes.insert("name".to_owned(), name.into());
    node.attributes.insert("effect".to_owned(), tool.effect.as_str().into());
    node.attributes.insert("external".to_owned(), Value::Bool(tool.external || known.is_none()));
    node.attributes.insert("labels".to_owned(), Value::texts(service.labels.union(&tool.labels).cloned()));
    node.attributes.extend(tool.scopes.iter().flat_map(scope_facts));
    node.ancestors.extend(groups(&tool.groups));
    node
}

/// `McpResource::"agents/tickets/ticket://4711/notes"` inside its prefixes by whole segments.
fn resource_node(service: &Service, uri: &str) -> Node {
    let id = |uri: &str| Uid::new("McpResource", format!("{}/{uri}", service.id));
    let mut node = Node::new(id(uri));
    node.attributes.insert("uri".to_owned(), uri.into());
    node.attributes.insert("labels".to_owned(), Value::texts(service.labels.iter().cloned()));
    node.ancestors.extend(uri_prefixes(uri).map(id));
    node
}

/// What a resource's URI lies in: its prefixes by whole segments, from `scheme://authority` on. A URI without
/// `//` has no segments that everybody reads alike, and lies in nothing but its server.
pub fn uri_prefixes(uri: &str) -> impl Iterator<Item = &str> {
    let path = uri.find(['?', '#']).unwrap_or(uri.len());
    let begin = uri.find("://").map_or(path, |at| at + 3);
    let inner = uri.get(begin..path).unwrap_or_default();
    let slashes = inner.char_indices().filter(|(_, c)| *c == '/').map(move |(at, _)| begin + at);
    // A query hangs below the resource without it.
    let whole = (path < uri.len() && begin < path).then_some(path);
    slashes.chain(whole).filter_map(move |end| uri.get(..end))
}

fn model_node(service: &Service, name: &str) -> Node {
    let mut node = Node::new(Uid::new("Model", format!("{}/{name}", service.id)));
    let model = service.models.get(name).cloned().unwrap_or_default();
    node.attributes.insert("name".to_owned(), name.into());
    node.attributes.insert("labels".to_owned(), Value::texts(service.labels.union(&model.labels).cloned()));
    node.ancestors.extend(groups(&model.groups));
    node
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_and_a_method_need_and_tolerate_what_the_catalogue_says() {
        let set = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>());
        for (required, harmless, tolerated) in [
            (None, None, None),
            (set(&["a"]), None, Some(vec!["a"])),
            (set(&["a"]), set(&["b"]), Some(vec!["a", "b"])),
            (None, set(&["b"]), Some(vec!["b"])),
        ] {
            let scopes = Scopes { required: required.clone(), harmless };
            let tool = crate::catalog::mcp::Tool { scopes: Some(scopes.clone()), ..Default::default() };
            let service = Service {
                id: "a/b".to_owned(),
                tools: [("t".to_owned(), tool)].into(),
                methods: [("p.S/M".to_owned(), scopes)].into(),
                ..Service::default()
            };
            for node in [tool_node(&service, "t"), method_node(&service, "p.S", "M")] {
                let found = |name: &str| node.attributes.get(name).cloned();
                assert_eq!(found("requiredScopes"), required.clone().map(Value::texts));
                assert_eq!(found("acceptableScopes"), tolerated.clone().map(Value::texts));
            }
        }
    }

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
