//! Maps a request to a model: the action is `llm.generate`, the resource the model.
//!
//! Knows: what a request asks a model for. Must not know: a provider's API, other protocols.

use super::context::ContextParts;
use super::resource::{groups, within};
use crate::body::llm::Request;
use crate::catalog::Service;
use crate::query::{Node, Uid, Value};

/// The schema's action for every request.
pub(super) fn action() -> &'static str {
    "llm.generate"
}

/// Adds what the request asks for beside its model.
pub(super) fn context(request: &Request, parts: &mut ContextParts) {
    parts.set("api", request.api);
    parts.set("stream", Value::Bool(request.stream));
    parts.set("stored", Value::Bool(request.stored));
    parts.set("hiddenHistory", Value::Bool(request.hidden_history));
    if let Some(bound) = request.max_output_tokens {
        parts.set("maxOutputTokens", Value::Long(bound));
    }
    for (name, set) in [
        ("toolNames", &request.tool_names),
        ("hostedTools", &request.hosted_tools),
        ("hostedServers", &request.hosted_servers),
        ("hostedOrigins", &request.hosted_origins),
        ("hostedDomains", &request.hosted_domains),
    ] {
        parts.set(name, Value::texts(set));
    }
    parts.set("otherModels", Value::texts(request.other_models.union(&request.checkers)));
}

/// The model, with what the catalogue knows of it.
pub(super) fn resource(service: &Service, name: &str) -> Node {
    let mut node = Node::new(Uid::new("Model", within(service, name)));
    let unknown = Default::default();
    let model = service.models.get(name).unwrap_or(&unknown);
    node.set("name", name);
    node.set("labels", Value::texts(service.labels.union(&model.labels)));
    node.ancestors.extend(groups(&model.groups));
    node
}
