//! The called resource as an entity, with all its ancestors.

use std::collections::BTreeSet;

use smol_str::{SmolStr, SmolStrBuilder};

use crate::catalog::Service;
use crate::catalog::routes::Scopes;
use crate::query::{Node, Uid, Value};

use super::action::{Asked, What};
use super::{a2a, grpc, http, llm, mcp};

/// The resource of a query; its ancestors are listed flat.
#[must_use]
pub fn resource(service: &Service, asked: &Asked, home: &str) -> Node {
    let mut node = match &asked.what {
        What::Http { method, .. } => http::resource(service, method, &asked.path),
        What::Grpc { service: name, method, .. } => grpc::resource(service, name, method),
        What::Mcp(ask) => mcp::resource(service, ask),
        What::A2a(_) => a2a::resource(service),
        What::Llm(request) => llm::resource(service, &request.model),
    };
    node.ancestors.extend(around(service, home));
    node
}

/// What every resource of a service lies in.
pub(super) fn around<'a>(service: &'a Service, home: &str) -> impl Iterator<Item = Uid> + use<'a> {
    let around = [
        Uid::new("Service", service.id.as_str()),
        Uid::new("Namespace", service.namespace()),
        Uid::new("TrustDomain", home),
    ];
    around.into_iter().chain(groups(&service.groups))
}

/// The catalogue's groups of these names.
pub(super) fn groups(names: &BTreeSet<String>) -> impl Iterator<Item = Uid> + '_ {
    names.iter().map(|name| Uid::new("Group", name.as_str()))
}

/// One text of several.
pub(super) fn joined<const N: usize>(parts: [&str; N]) -> SmolStr {
    let mut text = SmolStrBuilder::new();
    parts.into_iter().for_each(|part| text.push_str(part));
    text.finish()
}

/// Id of what a service has under this name.
pub(super) fn within(service: &Service, name: &str) -> SmolStr {
    joined([&service.id, "/", name])
}

/// An `id` that ends with `name`, cut so that it ends with this `prefix` of the name.
pub(super) fn cut_to<'a>(prefix: &str, name: &str, id: &'a str) -> &'a str {
    name.strip_prefix(prefix).and_then(|rest| id.strip_suffix(rest)).unwrap_or(id)
}

/// The required and the acceptable scopes, as far as the catalogue names any.
pub(super) fn scope_facts(scopes: &Scopes) -> impl Iterator<Item = (SmolStr, Value)> {
    let required = scopes.required.iter().map(|scopes| ("requiredScopes", Value::texts(scopes)));
    let acceptable = scopes.all_acceptable().map(|scopes| ("acceptableScopes", Value::texts(scopes)));
    required.chain(acceptable).map(|(name, scopes)| (SmolStr::new_static(name), scopes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::CanonicalPath;

    #[test]
    fn scopes_of_a_tool_and_a_method_are_those_of_the_catalogue() {
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
            for node in [mcp::tool_node(&service, "t"), grpc::resource(&service, "p.S", "M")] {
                let found = |name: &str| node.attributes.get(name).cloned();
                assert_eq!(found("requiredScopes"), required.clone().map(Value::texts));
                assert_eq!(found("acceptableScopes"), tolerated.clone().map(Value::texts));
            }
        }
    }

    #[test]
    fn a_path_and_a_uri_lie_in_what_the_beginnings_of_their_ids_name() {
        let service = Service { id: "a/b".to_owned(), ..Service::default() };
        let path = |path: &str| http::resource(&service, "GET", &CanonicalPath::parse(path).unwrap());
        let beyond_23_bytes = ["a/b/", "a/b/v1", "a/b/v1/orders", "a/b/v1/orders/4711-4712"];
        for (node, kind, id, above) in [
            (path("/"), "Path", "a/b/", &[][..]),
            (path("/v1"), "Path", "a/b/v1", &["a/b/"]),
            (path("/v1/v1"), "Path", "a/b/v1/v1", &["a/b/", "a/b/v1"]),
            (path("/v1/orders/4711-4712/v1"), "Path", "a/b/v1/orders/4711-4712/v1", &beyond_23_bytes),
            (
                mcp::resource_node(&service, "crm://a/b?c"),
                "McpResource",
                "a/b/crm://a/b?c",
                &["a/b/crm://a", "a/b/crm://a/b"],
            ),
            (mcp::resource_node(&service, "urn:1/2"), "McpResource", "a/b/urn:1/2", &[]),
        ] {
            assert_eq!(node.uid, Uid::new(kind, id));
            assert_eq!(node.ancestors, above.iter().map(|id| Uid::new(kind, *id)).collect(), "{id}");
        }
    }
}
