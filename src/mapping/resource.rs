//! The called resource as an entity, with all its ancestors.

use std::collections::BTreeSet;

use smol_str::{SmolStr, SmolStrBuilder, format_smolstr};

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
        What::A2a(_) => Node::new(Uid::new("Agent", service.id.as_str())),
        What::Llm(request) => model_node(service, &request.model),
    };
    let around = [
        Uid::new("Service", service.id.as_str()),
        Uid::new("Namespace", service.namespace()),
        Uid::new("TrustDomain", home),
    ];
    node.ancestors.extend(around.into_iter().chain(groups(&service.groups)));
    node
}

fn groups(names: &BTreeSet<String>) -> impl Iterator<Item = Uid> + '_ {
    names.iter().map(|name| Uid::new("Group", name.as_str()))
}

fn joined<const N: usize>(parts: [&str; N]) -> SmolStr {
    let mut text = SmolStrBuilder::new();
    parts.into_iter().for_each(|part| text.push_str(part));
    text.finish()
}

/// Id of what a service has under this name.
pub(super) fn within(service: &Service, name: &str) -> SmolStr {
    joined([&service.id, "/", name])
}

/// An `id` that ends with `name`, cut so that it ends with this `prefix` of the name.
fn cut_to<'a>(prefix: &str, name: &str, id: &'a str) -> &'a str {
    name.strip_prefix(prefix).and_then(|rest| id.strip_suffix(rest)).unwrap_or(id)
}

/// `Path::"shop/orders/v1/orders/42"`: inside its prefixes, the routes that match, and their groups.
fn path_node(service: &Service, method: &str, path: &CanonicalPath) -> Node {
    let id = joined([&service.id, path.as_str()]);
    let mut node = Node::new(Uid::new("Path", id.clone()));
    let prefixes = path.prefixes().filter(|prefix| *prefix != path.as_str());
    node.ancestors.extend(prefixes.map(|prefix| Uid::new("Path", cut_to(prefix, path.as_str(), &id))));
    let found = routes::matching(&service.routes, method, path);
    node.ancestors.extend(found.routes.iter().map(|name| Uid::new("Route", within(service, name))));
    node.ancestors.extend(groups(&found.groups));
    node.set("labels", Value::texts(service.labels.union(&found.labels)));
    for (name, scopes) in [("requiredScopes", found.required), ("acceptableScopes", found.acceptable)] {
        if let Some(scopes) = scopes {
            node.set(name, Value::texts(scopes));
        }
    }
    node.tags = found.captures.into_iter().map(|(name, text)| (name.into(), text.into())).collect();
    node
}

/// `Method::"shop/inventory/shop.v1.Inventory/Get"` inside `Method::"shop/inventory/shop.v1.Inventory"`.
fn method_node(service: &Service, grpc_service: &str, method: &str) -> Node {
    let whole = within(service, grpc_service);
    let mut node = Node::new(Uid::new("Method", format_smolstr!("{whole}/{method}")));
    node.ancestors.insert(Uid::new("Method", whole));
    node.set("labels", Value::texts(&service.labels));
    let exact = service.methods.get(&format!("{grpc_service}/{method}"));
    let scopes: Option<&Scopes> = exact.or_else(|| service.methods.get(grpc_service));
    node.attributes.extend(scopes.into_iter().flat_map(scope_facts));
    node
}

/// The required and the acceptable scopes, as far as the catalogue names any.
fn scope_facts(scopes: &Scopes) -> impl Iterator<Item = (SmolStr, Value)> {
    let required = scopes.required.iter().map(|scopes| ("requiredScopes", Value::texts(scopes)));
    let acceptable = scopes.all_acceptable().map(|scopes| ("acceptableScopes", Value::texts(scopes)));
    required.chain(acceptable).map(|(name, scopes)| (SmolStr::new_static(name), scopes))
}

fn mcp_node(service: &Service, ask: &mcp::Ask) -> Node {
    let server = Uid::new("McpServer", service.id.as_str());
    let mut node = match ask {
        mcp::Ask::CallTool { name, .. } => tool_node(service, name),
        mcp::Ask::ReadResource { uri } | mcp::Ask::SubscribeResource { uri } => resource_node(service, uri),
        mcp::Ask::GetPrompt { name, .. } => {
            let mut node = Node::new(Uid::new("Prompt", within(service, name)));
            node.set("name", name.as_str());
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
fn resource_node(service: &Service, uri: &str) -> Node {
    let id = within(service, uri);
    let mut node = Node::new(Uid::new("McpResource", id.clone()));
    node.set("uri", uri);
    node.set("labels", Value::texts(&service.labels));
    node.ancestors.extend(uri_prefixes(uri).map(|prefix| Uid::new("McpResource", cut_to(prefix, uri, &id))));
    node
}

/// The ancestors of a resource's URI: its prefixes by whole segments, from `scheme://authority` on. A URI without
/// `//` has no segments that all readers agree on, so its only ancestor is its server.
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
    let mut node = Node::new(Uid::new("Model", within(service, name)));
    let unknown = Default::default();
    let model = service.models.get(name).unwrap_or(&unknown);
    node.set("name", name);
    node.set("labels", Value::texts(service.labels.union(&model.labels)));
    node.ancestors.extend(groups(&model.groups));
    node
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_and_a_method_need_and_tolerate_what_the_catalogue_says() {
        let set = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>());
        for (required, acceptable, tolerated) in [
            (None, None, None),
            (set(&["a"]), None, Some(vec!["a"])),
            (set(&["a"]), set(&["b"]), Some(vec!["a", "b"])),
            (None, set(&["b"]), Some(vec!["b"])),
        ] {
            let scopes = Scopes { required: required.clone(), acceptable };
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
    fn a_path_and_a_uri_lie_in_what_the_beginnings_of_their_ids_name() {
        let service = Service { id: "a/b".to_owned(), ..Service::default() };
        let path = |path: &str| path_node(&service, "GET", &CanonicalPath::parse(path).unwrap());
        let beyond_23_bytes = ["a/b/", "a/b/v1", "a/b/v1/orders", "a/b/v1/orders/4711-4712"];
        for (node, kind, id, above) in [
            (path("/"), "Path", "a/b/", &[][..]),
            (path("/v1"), "Path", "a/b/v1", &["a/b/"]),
            (path("/v1/v1"), "Path", "a/b/v1/v1", &["a/b/", "a/b/v1"]),
            (path("/v1/orders/4711-4712/v1"), "Path", "a/b/v1/orders/4711-4712/v1", &beyond_23_bytes),
            (
                resource_node(&service, "crm://a/b?c"),
                "McpResource",
                "a/b/crm://a/b?c",
                &["a/b/crm://a", "a/b/crm://a/b"],
            ),
            (resource_node(&service, "urn:1/2"), "McpResource", "a/b/urn:1/2", &[]),
        ] {
            assert_eq!(node.uid, Uid::new(kind, id));
            assert_eq!(node.ancestors, above.iter().map(|id| Uid::new(kind, *id)).collect(), "{id}");
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
