//! The operation that an MCP message requests, from its method and parameters.
//!
//! Knows: the parameters of each method that are judged. Must not know: headers, versions, what is allowed.

use super::methods::Shape;
use super::{Ask, uri};
use crate::body::json::{Json, Node};
use crate::body::members::refused;
use crate::body::{case_variants, shown};
use crate::failure::Failure;

/// Longest name of a prompt and id of a task, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// Most resources in one subscription.
const RESOURCES_MAX: usize = 32;

/// Members of `params` that are judged, here or by a server's reader; in another case they are refused.
const KNOWN: &[&str] = &[
    "_meta",
    "name",
    "arguments",
    "uri",
    "taskId",
    "notifications",
    "ref",
    "argument",
    "inputResponses",
    "requestState",
    "protocolVersion",
    "capabilities",
    "cursor",
    "task",
];

/// Checks what all parameters have in common: no member in disguise.
pub(super) fn check_spelling(params: Node<'_>) -> Result<(), Failure> {
    match case_variants::disguised(params, KNOWN) {
        Some(key) => Err(refused(format!("`{}` differs only by case from a parameter's name", shown(key)))),
        None => Ok(()),
    }
}

/// What the message asks for; a subscription to several things asks for each of them.
pub(super) fn asks(shape: Shape, method: &str, params: Node<'_>) -> Result<Vec<Ask>, Failure> {
    let server = || Ask::UseServer { method: method.to_owned() };
    Ok(match shape {
        Shape::CallTool => vec![call_tool(params)?],
        Shape::ReadResource => vec![Ask::ReadResource { uri: resource(params.get("uri"))? }],
        Shape::SubscribeResource => vec![Ask::SubscribeResource { uri: resource(params.get("uri"))? }],
        Shape::GetPrompt => vec![get_prompt(params)?],
        Shape::Task => {
            name(params.get("taskId"), "taskId")?;
            vec![server()]
        }
        Shape::Listen => {
            let mut asks = vec![server()];
            asks.extend(listened(params)?);
            asks
        }
        Shape::Server | Shape::Notification => vec![server()],
    })
}

fn call_tool(params: Node<'_>) -> Result<Ask, Failure> {
    let arguments = arguments(params)?;
    let name = tool_name(text(params.get("name"), "name")?)?;
    Ok(Ask::CallTool { name: name.to_owned(), arguments })
}

/// A name that a tool can be called by.
pub(super) fn tool_name(name: &str) -> Result<&str, Failure> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if !(1..=128).contains(&name.len()) || !name.bytes().all(legal) {
        return Err(refused(format!("`{}` cannot be a tool: 1 to 128 of A-Z a-z 0-9 _ - .", shown(name))));
    }
    Ok(name)
}

fn get_prompt(params: Node<'_>) -> Result<Ask, Failure> {
    let arguments = arguments(params)?;
    let name = name(params.get("name"), "name")?.to_owned();
    let other = |(_, value): &(&str, Node<'_>)| value.as_text().is_none();
    if let Some((key, _)) = arguments.node().as_object().and_then(|members| members.iter().find(other)) {
        return Err(refused(format!("argument `{}` of a prompt is not a text", shown(key))));
    }
    Ok(Ask::GetPrompt { name, arguments })
}

fn arguments(params: Node<'_>) -> Result<Json, Failure> {
    let Some(arguments) = params.get("arguments") else { return Ok(Json::empty()) };
    if arguments.as_object().is_none() {
        return Err(refused("`arguments` is not an object"));
    }
    match case_variants::doubled(arguments) {
        Some(key) => Err(refused(format!("`{}` and another argument differ only by case", shown(key)))),
        None => Ok(arguments.to_json()),
    }
}

/// The resources among what a client wants to hear about.
fn listened(params: Node<'_>) -> Result<Vec<Ask>, Failure> {
    let Some(notifications) = params.get("notifications") else { return Ok(Vec::new()) };
    if notifications.as_object().is_none() {
        return Err(refused("`notifications` is not an object"));
    }
    if let Some(key) = case_variants::disguised(notifications, &["resourceSubscriptions"]) {
        return Err(refused(format!("`{}` differs only by case from `resourceSubscriptions`", shown(key))));
    }
    let Some(uris) = notifications.get("resourceSubscriptions") else { return Ok(Vec::new()) };
    let uris = uris.as_list().ok_or_else(|| refused("`resourceSubscriptions` is not a list"))?;
    if uris.len() > RESOURCES_MAX {
        return Err(refused(format!("`resourceSubscriptions` names more than {RESOURCES_MAX} resources")));
    }
    uris.iter().map(|uri| Ok(Ask::SubscribeResource { uri: resource(Some(uri))? })).collect()
}

fn resource(uri: Option<Node<'_>>) -> Result<String, Failure> {
    uri::canonical(text(uri, "uri")?).map_err(|problem| refused(problem.to_string()))
}

/// A prompt's name or a task's id: not empty, short, without controls.
fn name<'a>(value: Option<Node<'a>>, key: &str) -> Result<&'a str, Failure> {
    legal_name(text(value, key)?, key)
}

/// A name that a prompt can be requested by.
pub(super) fn prompt_name(name: &str) -> Result<&str, Failure> {
    legal_name(name, "name")
}

fn legal_name<'a>(name: &'a str, key: &str) -> Result<&'a str, Failure> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(char::is_control) {
        return Err(refused(format!("`{key}` is empty, longer than {NAME_BYTES_MAX} bytes, or has controls")));
    }
    Ok(name)
}

fn text<'a>(value: Option<Node<'a>>, key: &str) -> Result<&'a str, Failure> {
    value.and_then(Node::as_text).ok_or_else(|| refused(format!("`{key}` is missing or not a text")))
}
