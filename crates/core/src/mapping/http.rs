//! Maps a plain HTTP call: the action is its method, the resource its path.
//!
//! Knows: methods, paths, routes. Must not know: other protocols.

use super::Settings;
use super::action::{Asked, What};
use super::context::ContextParts;
use super::resource::{cut_to, groups, joined, within};
use super::values;
use crate::body::json::Json;
use crate::call::{Call, CanonicalPath};
use crate::catalog::routes;
use crate::catalog::{Protocol, Service};
use crate::failure::{Code, Failure};
use crate::query::{Node, Reads, Uid, Value};

/// The schema's action for a method; methods are case-sensitive, so `get` is `other`.
pub(super) fn action(method: &str) -> &'static str {
    match method {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

/// Adds the values of the document as arguments.
///
/// # Errors
/// As [`values::add_arguments`].
pub(super) fn context(document: &Json, reads: &Reads, parts: &mut ContextParts) -> Result<(), Failure> {
    values::add_arguments(document.node(), reads, parts)
}

/// `Path::"shop/orders/v1/orders/42"`: inside its prefixes, the routes that match, and their groups.
pub(super) fn resource(service: &Service, method: &str, path: &CanonicalPath) -> Node {
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

/// The request for a path, with the document of its body.
#[must_use]
pub fn asked(call: &Call, path: CanonicalPath, document: Option<Json>) -> Asked {
    let action = action(&call.method);
    Asked { path, what: What::Http { action, method: call.method.clone(), document } }
}

/// The CONNECT, if the listener allows it.
///
/// # Errors
/// `connect_refused`.
pub(super) fn connect(settings: &Settings) -> Result<Asked, Failure> {
    if !settings.allow_connect {
        return Err(Failure::new(Code::ConnectRefused, "CONNECT is off on this listener"));
    }
    let root = CanonicalPath::parse("/").map_err(|problem| Failure::new(Code::PathRefused, problem.to_string()))?;
    let what = What::Http { action: "connect", method: "CONNECT".to_owned(), document: None };
    Ok(Asked { path: root, what })
}

/// The upgrade, if the listener allows it and the service speaks HTTP.
///
/// # Errors
/// `upgrade_refused`.
pub(super) fn upgrade(
    protocol: &str,
    call: &Call,
    path: CanonicalPath,
    service: &Service,
    settings: &Settings,
) -> Result<Asked, Failure> {
    let allowed = settings.allow_upgrades.iter().any(|name| name == protocol);
    if !allowed {
        return Err(Failure::new(Code::UpgradeRefused, format!("upgrades to `{protocol}` are off on this listener")));
    }
    if service.protocol != Protocol::Http {
        let detail = format!("service `{}` uses {}, which has no upgrades", service.id, service.protocol.as_str());
        return Err(Failure::new(Code::UpgradeRefused, detail));
    }
    Ok(Asked { path, what: What::Http { action: "upgrade", method: call.method.clone(), document: None } })
}

/// A CORS preflight: OPTIONS with an origin and an asked-for method, and nothing that shows a body.
pub(super) fn is_preflight(call: &Call) -> bool {
    call.method == "OPTIONS"
        && call.headers.has("origin")
        && call.headers.has("access-control-request-method")
        && call.shows_no_body()
}

/// Refuses a path that is not spelt canonically, and one whose escapes are no text: whoever stores things under names
/// may read them by another rule.
///
/// # Errors
/// `path_refused`.
pub(super) fn check_exact(call: &Call, path: &CanonicalPath) -> Result<(), Failure> {
    let sent = call.path_sent.split('?').next().unwrap_or_default();
    if sent != path.as_str() || !sent.is_ascii() {
        return Err(Failure::new(
            Code::PathRefused,
            "the service accepts paths in plain ASCII and their canonical spelling only",
        ));
    }
    match percent_encoding::percent_decode_str(sent).decode_utf8() {
        Ok(_) => Ok(()),
        Err(_) => Err(Failure::new(Code::PathRefused, "the path's escapes are not UTF-8")),
    }
}
