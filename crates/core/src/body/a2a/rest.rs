//! A2A over REST, version 1.0: paths below the endpoint.
//!
//! Knows: paths and their HTTP methods. Must not know: JSON-RPC.
//!
//! A path may begin with a tenant. Where it can be read both with and without one, it is refused.

use super::super::json::Json;
use super::super::members::{Members, refused, same_but_for_spelling};
use super::message::{Mentions, Operation};
use super::{Message, not_allowed, require_json};
use crate::call::Call;
use crate::catalog::a2a::Version;
use crate::failure::{Code, Failure};

/// One reading of a path.
struct PathMatch<'a> {
    /// HTTP methods it has, and what they do.
    methods: &'static [(&'static str, Operation)],
    task: Option<&'a str>,
    config: Option<&'a str>,
}

/// Reads a call of a path below the endpoint; `below` are the path's segments there.
///
/// # Errors
/// As [`super::read`].
pub fn read(call: &Call, below: &[&str], query: &[(String, String)], json: Option<&Json>) -> Result<Message, Failure> {
    let plain = place(below);
    let of_tenant = below.split_first().and_then(|(tenant, rest)| Some((*tenant, place(rest)?)));
    let (tenant, place) = match (plain, of_tenant) {
        (Some(_), Some(_)) => {
            return Err(Failure::new(Code::PathRefused, "the path can be read with and without a tenant"));
        }
        (Some(place), None) => (None, place),
        (None, Some((tenant, place))) => (Some(tenant), place),
        (None, None) => return Err(Failure::new(Code::ProtocolMismatch, "the path is not one of the protocol's")),
    };
    let operation = place.methods.iter().find(|(method, _)| *method == call.method);
    let Some((_, operation)) = operation else { return Err(not_allowed("the path does not have this HTTP method")) };
    let mut found = Mentions::default();
    let mut ids = [tenant, place.task, place.config].into_iter().flatten();
    if let Some(id) = ids.find(|id| id.contains('%')) {
        return Err(refused(format!("the id `{id}` in the path holds an escape")));
    }
    found.tenant(tenant)?;
    found.task(place.task)?;
    found.config(place.config)?;
    from_query(*operation, query, &mut found)?;
    match (call.method.as_str(), json) {
        ("POST", Some(json)) => {
            require_json(call)?;
            found.parameters(*operation, Version::V10, Members::of(json.node(), "the body")?)?;
        }
        ("POST", None) => match operation {
            Operation::CancelTask | Operation::Subscribe => {}
            Operation::Send
            | Operation::GetTask
            | Operation::ListTasks
            | Operation::CreatePush
            | Operation::GetPush
            | Operation::ListPush
            | Operation::DeletePush
            | Operation::ExtendedCard => return Err(refused("the call has no body")),
        },
        (_, Some(_)) => return Err(refused("only a POST may have a body")),
        (_, None) => {}
    }
    found.message(*operation, Version::V10)
}

/// What a path without tenant names.
fn place<'a>(below: &[&'a str]) -> Option<PathMatch<'a>> {
    let at = |methods, task, config| Some(PathMatch { methods, task, config });
    match *below {
        ["message:send" | "message:stream"] => at(&[("POST", Operation::Send)], None, None),
        ["extendedAgentCard"] => at(&[("GET", Operation::ExtendedCard)], None, None),
        ["tasks"] => at(&[("GET", Operation::ListTasks)], None, None),
        ["tasks", last] => match last.rsplit_once(':') {
            Some((task, "cancel")) => at(&[("POST", Operation::CancelTask)], Some(task), None),
            // The protocol's definition says GET, its text POST.
            Some((task, "subscribe")) => {
                at(&[("GET", Operation::Subscribe), ("POST", Operation::Subscribe)], Some(task), None)
            }
            Some(_) | None => at(&[("GET", Operation::GetTask)], Some(last), None),
        },
        ["tasks", task, "pushNotificationConfigs"] => {
            at(&[("GET", Operation::ListPush), ("POST", Operation::CreatePush)], Some(task), None)
        }
        ["tasks", task, "pushNotificationConfigs", config] => {
            at(&[("GET", Operation::GetPush), ("DELETE", Operation::DeletePush)], Some(task), Some(config))
        }
        _ => None,
    }
}

/// Takes what the query mentions. A parameter in another spelling is refused, as in a body.
fn from_query(operation: Operation, query: &[(String, String)], found: &mut Mentions) -> Result<(), Failure> {
    let known = operation.parameters(Version::V10);
    for (index, (key, value)) in query.iter().enumerate() {
        let Some(name) = known.iter().find(|name| same_but_for_spelling(name, key)) else { continue };
        if name != key || query.iter().take(index).any(|(earlier, _)| earlier == key) {
            let detail = format!("the query has the parameter `{name}` twice or in another spelling");
            return Err(Failure::new(Code::QueryRefused, detail));
        }
        match *name {
            "tenant" => found.tenant(Some(value))?,
            "contextId" => found.context(Some(value))?,
            _ if operation.task_parameter(Version::V10) == Some(*name) => found.task(Some(value))?,
            "id" => found.config(Some(value))?,
            _ => {}
        }
    }
    Ok(())
}
