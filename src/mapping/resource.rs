//! What is called, as an entity with everything it lies in.

use std::collections::BTreeSet;

use crate::call::CanonicalPath;
use crate::catalog::Service;
use crate::catalog::routes::{self, Scopes};
use crate::query::{Node, Uid, Value};

use super::Asked;

/// The resource of a query; its ancestors are listed flat.
#[must_use]
pub fn resource(service: &Service, asked: &Asked, home: &str) -> Node {
    let mut node = match asked {
        Asked::Http { method, path, .. } => path_node(service, method, path),
        Asked::Grpc { service: name, method, .. } => method_node(service, name, method),
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
    if let Some(required) = scopes.and_then(|scopes| scopes.required.as_ref()) {
        node.attributes.insert("requiredScopes".to_owned(), Value::texts(required.iter().cloned()));
    }
    node
}
