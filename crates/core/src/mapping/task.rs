//! The lists of a task as entities of the called service and of the catalogue.
//!
//! Knows: verified tasks, the called service, the catalogue's hosts. Must not know: tokens, policies.
//!
//! A name that is not understood, or that names nothing catalogued, is left out: a list that is shorter than
//! its issuer meant narrows the task, and never widens it.

use std::collections::BTreeSet;

use smol_str::{SmolStr, format_smolstr};

use super::address::Address;
use super::resource::within;
use crate::call::CanonicalPath;
use crate::catalog::{Catalog, Protocol, Service};
use crate::identity::Task;
use crate::query::{Uid, Value, record};

/// The schema's `Task`.
///
/// It is `active` as far as its token says; whether it was ended since, a look-up says (`context.env.facts`).
#[must_use]
pub fn task_record(task: &Task, service: &Service, catalog: &Catalog) -> Value {
    Value::Record(record([
        ("id", task.id.as_str().into()),
        ("active", Value::Bool(true)),
        ("expiresAt", Value::Time(task.expires_at.0)),
        ("subject", task.subject.as_str().into()),
        ("tools", entities("Tool", &task.tools, |name| tool(name, service, catalog))),
        ("resources", entities("McpResource", &task.resources, |uri| resource(uri, service))),
        ("paths", entities("Path", &task.paths, |text| path(text, catalog))),
        ("agents", entities("Agent", &task.agents, |text| agent(text, catalog))),
        ("models", entities("Model", &task.models, |name| Some(within(service, name)))),
        ("servers", Value::texts(servers(task))),
    ]))
}

fn entities(kind: &'static str, names: &BTreeSet<String>, id: impl Fn(&str) -> Option<SmolStr>) -> Value {
    let named = names.iter().filter(|name| !name.is_empty());
    Value::Set(named.filter_map(|name| id(name)).map(|id| Value::Entity(Uid::new(kind, id))).collect())
}

/// `tickets.get` is the called service's; `agents/tickets/tickets.get` the named service's, and so is
/// `https://tickets.example/mcp/tickets.get` or `tickets.example/tickets.get`, for a host of an MCP server.
///
/// A name with `/` is never the called service's own: it could be meant for a service that the catalogue no longer has.
fn tool(name: &str, called: &Service, catalog: &Catalog) -> Option<SmolStr> {
    if !name.contains('/') {
        return Some(within(called, name));
    }
    if let Some((service, tool)) = of_service(name, catalog) {
        let tool = tool.strip_prefix('/').filter(|tool| !tool.is_empty())?;
        return Some(within(service, tool));
    }
    let address = Address::read(name)?;
    let service = catalog.service_by_host(address.host()).filter(|service| service.protocol == Protocol::Mcp)?;
    let path = address.path.as_ref()?.as_str();
    let endpoint = service.mcp.as_ref().map_or("/", |mcp| mcp.endpoint.as_str());
    let below = |parent: &str| path.strip_prefix(parent).and_then(|rest| rest.strip_prefix('/'));
    // The endpoint or the host alone is a server, and no tool.
    let tool = if path == endpoint { None } else { below(endpoint.trim_end_matches('/')).or_else(|| below("")) };
    let tool = tool.filter(|tool| !tool.is_empty())?;
    Some(within(service, tool))
}

/// The service whose id the text begins with, and what follows it: nothing, or `/` and more.
fn of_service<'a, 'c>(text: &'a str, catalog: &'c Catalog) -> Option<(&'c Service, &'a str)> {
    let end = text.match_indices('/').nth(1).map_or(text.len(), |(at, _)| at);
    let (id, rest) = text.split_at_checked(end)?;
    catalog.service(id).map(|service| (service, rest))
}

/// A URI with everything below it, spelt as the ancestors of a resource are: without the slash at its end.
fn resource(uri: &str, called: &Service) -> Option<SmolStr> {
    let uri = uri.strip_suffix('/').unwrap_or(uri);
    let (scheme, rest) = uri.split_once(':')?;
    // `ticket://` alone would be every ticket.
    let names_something = !scheme.is_empty() && !rest.trim_start_matches('/').is_empty();
    names_something.then(|| within(called, uri))
}

/// `shop/orders/v1` or `https://orders.example/v1`, with everything below it. A path alone names no service.
fn path(text: &str, catalog: &Catalog) -> Option<SmolStr> {
    let (service, path) = match of_service(text, catalog) {
        Some((service, "")) => (service, CanonicalPath::parse("/")),
        Some((_, rest)) if rest.contains(['?', '#']) => return None,
        Some((service, rest)) => (service, CanonicalPath::parse(rest)),
        None => {
            let address = Address::read(text).filter(|_| text.contains("://"))?;
            let service = catalog.service_by_host(address.host())?;
            (service, address.path.map_or_else(|| CanonicalPath::parse("/"), Ok))
        }
    };
    match path {
        Ok(path) => Some(format_smolstr!("{}{path}", service.id)),
        Err(_) => None,
    }
}

/// An agent by its service's id, its host or any URL of that host.
fn agent(text: &str, catalog: &Catalog) -> Option<SmolStr> {
    let service = match of_service(text, catalog) {
        Some((service, "")) => Some(service),
        Some(_) => None,
        None => catalog.service_by_host(Address::read(text)?.host()),
    };
    service.map(|service| service.id.as_str().into())
}

/// Canonical URLs of servers; the origin of each agent, and of each server that is named by its origin alone;
/// and connectors, which have no URL.
fn servers(task: &Task) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for text in &task.servers {
        match Address::read(text) {
            Some(address) if address.path.is_none() => found.extend([address.origin(), address.url()]),
            Some(address) => {
                found.insert(address.url());
            }
            None if text.starts_with("connector:") => {
                found.insert(text.clone());
            }
            None => {}
        }
    }
    found.extend(
        task.agents
            .iter()
            .filter(|text| text.contains("://"))
            .filter_map(|text| Address::read(text))
            .map(|a| a.origin()),
    );
    found
}

#[cfg(test)]
mod tests;
