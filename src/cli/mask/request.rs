//! The request that the flags of `picket mask` name.
//!
//! Knows: services of the catalogue, requests of each protocol. Must not know: policies.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Api;
use crate::cli::offline::form::{Mcp, Request, RequestSpec};
use picket_core::catalog::{Catalog, Protocol, Service};
use picket_core::problem::nearest;

/// The call, as the flags name it.
pub(super) struct Named<'a> {
    /// Id of the service.
    pub service: &'a str,
    /// The action.
    pub action: Option<&'a str>,
    /// The path, model, tool, resource, prompt or method.
    pub resource: Option<&'a str>,
    /// The API of a call of a model.
    pub api: Option<Api>,
}

/// A request with this action and resource; `body` is that of its response.
///
/// # Errors
/// The service does not exist, its protocol has no such action, or its calls need more than a resource.
pub(super) fn of(named: &Named<'_>, catalog: &Catalog, body: &[u8]) -> Result<RequestSpec, String> {
    let Named { service: id, action, resource, api } = *named;
    let Some(service) = catalog.service(id) else {
        let near = nearest(id, catalog.services().map(|service| service.id.as_str()));
        let hint = near.map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
        return Err(format!("there is no service `{id}` in the catalogue{hint}"));
    };
    let is_model = match service.protocol {
        Protocol::Openai | Protocol::Anthropic => true,
        Protocol::Http | Protocol::Grpc | Protocol::Mcp | Protocol::A2a => false,
    };
    if api.is_some() && !is_model {
        return Err(format!("--api is for services with models, and `{id}` is not one"));
    }
    match service.protocol {
        Protocol::Openai => model(service, action, resource, api.unwrap_or(Api::Chat)),
        Protocol::Anthropic => model(service, action, resource, api.unwrap_or(Api::Messages)),
        Protocol::Mcp => mcp(service, action, resource, body),
        Protocol::Http => http(service, action, resource),
        Protocol::Grpc | Protocol::A2a => {
            Err(format!("a call of `{id}` has a message: write it into a file, and name it with --call"))
        }
    }
}

fn unknown(action: &str, known: &[&str]) -> String {
    let near = nearest(action, known.iter().copied());
    let hint =
        near.map_or_else(|| format!(" (known: {})", known.join(", ")), |near| format!(" (did you mean `{near}`?)"));
    format!("the service has no action `{action}`{hint}")
}

fn model(service: &Service, action: Option<&str>, resource: Option<&str>, api: Api) -> Result<RequestSpec, String> {
    const GENERATE: &str = "llm.generate";
    if let Some(action) = action.filter(|action| *action != GENERATE) {
        return Err(unknown(action, &[GENERATE]));
    }
    let model = resource.or_else(|| service.models.keys().next().map(String::as_str));
    let model = model.ok_or("the catalogue has no model of the service: name one with --resource")?;
    let messages = json!([{"role": "user", "content": ""}]);
    let (path, body) = match api {
        Api::Chat => ("/v1/chat/completions", json!({"model": model, "messages": messages})),
        Api::Responses => ("/v1/responses", json!({"model": model, "input": ""})),
        Api::Messages => ("/v1/messages", json!({"model": model, "max_tokens": 1, "messages": messages})),
    };
    Ok(posted(service, "POST", path, body))
}

fn posted(service: &Service, method: &str, path: &str, body: Value) -> RequestSpec {
    RequestSpec::Http(Request {
        service: Some(service.id.clone()),
        method: Some(method.to_owned()),
        path: Some(path.to_owned()),
        headers: BTreeMap::from([("content-type".to_owned(), "application/json".into())]),
        body: Some(body),
        ..Request::default()
    })
}

fn http(service: &Service, action: Option<&str>, resource: Option<&str>) -> Result<RequestSpec, String> {
    const METHODS: [&str; 7] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
    let method = action.unwrap_or("GET");
    if !METHODS.contains(&method) {
        return Err(unknown(method, &METHODS));
    }
    let path = resource.unwrap_or("/");
    if service.body.is_json && ["PATCH", "POST", "PUT"].contains(&method) {
        return Ok(posted(service, method, path, json!({})));
    }
    Ok(RequestSpec::Http(Request {
        service: Some(service.id.clone()),
        method: Some(method.to_owned()),
        path: Some(path.to_owned()),
        ..Request::default()
    }))
}

fn mcp(service: &Service, action: Option<&str>, resource: Option<&str>, body: &[u8]) -> Result<RequestSpec, String> {
    const ACTIONS: [&str; 4] = ["mcp.prompts.get", "mcp.resources.read", "mcp.server.use", "mcp.tools.call"];
    let version = service.mcp.as_ref().and_then(|mcp| mcp.versions.last().copied());
    let mut message = Mcp { service: Some(service.id.clone()), id: answered(body), ..Mcp::default() };
    message.version = version.unwrap_or(message.version);
    let named = |what: &str| resource.map(str::to_owned).ok_or_else(|| format!("name the {what} with --resource"));
    match action.unwrap_or("mcp.tools.call") {
        "mcp.tools.call" => {
            let first = service.tools.keys().next().cloned();
            message.tool = Some(named("tool").or_else(|missing| first.ok_or(missing))?);
        }
        "mcp.resources.read" => message.resource = Some(named("resource")?),
        "mcp.prompts.get" => message.prompt = Some(named("prompt")?),
        "mcp.server.use" => message.method = Some(named("method")?),
        other => return Err(unknown(other, &ACTIONS)),
    }
    Ok(RequestSpec::Mcp(message))
}

/// The id of the request that a response answers: that of its first message with a result or an error. 1 without one.
fn answered(body: &[u8]) -> Value {
    let text = String::from_utf8_lossy(body);
    let documents = std::iter::once(text.as_ref()).chain(text.lines().filter_map(|line| line.strip_prefix("data:")));
    let id = |document: &str| {
        let message: Value = serde_json::from_str(document).ok()?;
        let first = message.as_array().map_or(Some(&message), |batch| batch.first())?;
        let is_answer = first.get("result").or_else(|| first.get("error")).is_some();
        first.get("id").filter(|id| is_answer && !id.is_null()).cloned()
    };
    documents.filter_map(id).next().unwrap_or_else(|| Value::from(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        let text = "services: [{id: m/gateway, protocol: openai, models: {small-1: {}}}, {id: a/tools, protocol: mcp, mcp: {versions: ['2025-06-18']}, tools: {read: {}}}, {id: s/web}, {id: s/peer, protocol: a2a}]";
        Catalog::parse("catalog.yaml", text).unwrap()
    }

    fn wrong(service: &str, action: Option<&str>, api: Option<Api>) -> String {
        of(&Named { service, action, resource: None, api }, &catalog(), b"").unwrap_err()
    }

    #[test]
    fn a_call_that_cannot_be_meant_is_an_error_with_a_hint() {
        assert!(wrong("m/gatway", None, None).contains("did you mean `m/gateway`?"));
        assert!(wrong("m/gateway", Some("GET"), None).contains("known: llm.generate"));
        assert!(wrong("a/tools", Some("mcp.tool.call"), None).contains("did you mean `mcp.tools.call`?"));
        assert!(wrong("a/tools", Some("mcp.prompts.get"), None).contains("--resource"));
        assert!(wrong("s/web", Some("get"), None).contains("no action `get`"));
        assert!(wrong("s/web", None, Some(Api::Chat)).contains("--api is for services with models"));
        assert!(wrong("s/peer", None, None).contains("--call"));
    }

    #[test]
    fn the_request_has_the_id_that_the_response_answers() {
        for (body, id) in [
            (r#"{"jsonrpc": "2.0", "id": "a7", "result": {}}"#, json!("a7")),
            ("data: {\"method\": \"notifications/progress\"}\n\ndata: {\"id\": 9, \"error\": {}}\n\n", json!(9)),
            (r#"[{"id": 4, "result": {}}]"#, json!(4)),
            (r#"{"id": 5, "method": "sampling/createMessage"}"#, json!(1)),
            ("text", json!(1)),
        ] {
            assert_eq!(answered(body.as_bytes()), id, "{body}");
        }
    }

    #[test]
    fn a_call_has_the_first_resource_of_the_catalogue_unless_one_is_named() {
        let of =
            |service, resource| of(&Named { service, action: None, resource, api: None }, &catalog(), b"").unwrap();
        let RequestSpec::Http(request) = of("m/gateway", None) else { panic!("not a call of a model") };
        assert_eq!(request.body.unwrap()["model"], "small-1");
        let RequestSpec::Mcp(message) = of("a/tools", Some("write")) else { panic!("not a message") };
        assert_eq!((message.tool.as_deref(), message.version.as_str()), (Some("write"), "2025-06-18"));
        let RequestSpec::Http(request) = of("s/web", Some("/a")) else { panic!("not a request") };
        assert_eq!((request.method.as_deref(), request.path.as_deref()), (Some("GET"), Some("/a")));
    }
}
