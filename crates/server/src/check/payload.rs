//! Reads the payload of a call: only the reader of its service's protocol parses the body.
//!
//! Knows: which reader belongs to which protocol, and the response format of a denial. Must not know: who is calling,
//! policies.

use smol_str::SmolStr;

use picket_core::body::{self, a2a, grpc, json, llm, mcp};
use picket_core::call::{Body, Call, CanonicalPath};
use picket_core::catalog::mcp::{Mcp, ProtocolVersion};
use picket_core::catalog::{Protocol, Service};
use picket_core::denial_format::{A2aFormat, DenialFormat, IdEcho, McpFormat, ResponseMode};
use picket_core::failure::{Code, Failure};
use picket_core::inspection::{Message, Sealed};
use picket_core::mapping;
use picket_core::mapping::action::{self, Asked, Spoken, What};
use picket_core::query::Reads;

/// The request in a call.
pub(super) struct Requested {
    /// The requested operations: one, or one for each message of a batch in its order.
    pub asked: Vec<Asked>,
    /// The elicitation answers of an MCP client.
    pub answers: Vec<String>,
    /// The messages, each next to its operation; or one that all operations have in common.
    pub messages: Vec<Message>,
    /// The ids of JSON-RPC requests, as JSON: one for each operation, or none at all.
    pub ids: Vec<Option<SmolStr>>,
}

/// Reads the request in a call.
///
/// `reply` is set as far as the call was read, also if the call is rejected.
///
/// # Errors
/// As [`action::spoken`] and the protocol's reader.
pub(super) fn read(
    call: &Call,
    service: &Service,
    settings: &mapping::Settings,
    reads: &Reads,
    reply: &mut DenialFormat,
) -> Result<Requested, Failure> {
    let (mut answers, mut ids) = (Vec::new(), Vec::new());
    let (asked, messages) = match action::spoken(call, service, settings)? {
        Spoken::Plain(asked) => {
            // The call is evaluated by its path, so a denial has the format of such calls.
            *reply = DenialFormat::Plain;
            if service.opens_bodies() && action::family(call, service).hides_body() {
                body::refuse(call)?;
            }
            (vec![asked], vec![unread(call)])
        }
        Spoken::Json(path) => {
            let document = document(call, service, reads)?;
            let message =
                document.clone().map_or_else(|| unread(call), |document| json_message(document, Sealed::None));
            (vec![mapping::http::asked(call, path, document)], vec![message])
        }
        Spoken::Grpc { path, service: name, method } => {
            let message = message(call, service, [&name, &method], reads)?;
            (vec![Asked { path, what: What::Grpc { service: name, method, message } }], vec![unread(call)])
        }
        Spoken::Mcp(path) => {
            let messages = messages(call, service, reply)?;
            // If one message counts as several, each of them has the same answers.
            answers = messages.first().map(|message| message.answers.clone()).unwrap_or_default();
            ids = messages.iter().map(|message| message.id.as_ref().map(|id| id.to_json().into())).collect();
            // The last one moves the path; nearly always there is only one.
            let paths = std::iter::repeat_n(path, messages.len());
            let each = paths.zip(messages).map(|(path, message)| {
                let also = message.id.as_ref().map(mcp::RpcId::to_json);
                let whole = Message::Json { document: message.params, also, sealed: Sealed::None };
                (Asked { path, what: What::Mcp(message.ask) }, whole)
            });
            each.unzip()
        }
        Spoken::A2a(path) => {
            let (asked, document) = agent(call, service, path, reply)?;
            if let What::A2a(message) = &asked.what {
                ids = vec![message.id.as_ref().map(|id| id.to_json().into())];
            }
            (vec![asked], vec![document.map_or(Message::Empty, |document| json_message(document, Sealed::None))])
        }
        Spoken::Llm(path) => {
            let api = api(service, &path);
            *reply = if api == Protocol::Anthropic { DenialFormat::Anthropic } else { DenialFormat::Openai };
            let document = opened(call, service)?;
            let asked = models(path, llm::read(call, document.as_ref(), api)?);
            let message = document.map_or(Message::Empty, |document| json_message(document, Sealed::OfModels));
            (asked, vec![message])
        }
    };
    Ok(Requested { asked, answers, messages, ids })
}

fn json_message(document: json::Json, sealed: Sealed) -> Message {
    Message::Json { document, also: None, sealed }
}

/// The message of a call with a body that is not parsed. A body that nothing proves to be absent counts as present.
fn unread(call: &Call) -> Message {
    match &call.body {
        Body::Complete(bytes) if bytes.is_empty() => Message::Empty,
        Body::Complete(_) | Body::Encoded { .. } | Body::Unproven(_) | Body::NotSent => Message::Opaque,
    }
}

/// The response format of a denial before anything of the call is read.
pub(super) fn reply_of(service: &Service) -> DenialFormat {
    match service.protocol {
        Protocol::Http | Protocol::Grpc => DenialFormat::Plain,
        Protocol::Mcp => DenialFormat::Mcp(McpFormat {
            form: service.mcp.as_ref().map(|mcp| mcp.denial).unwrap_or_default(),
            version: None,
            id: IdEcho::Unread,
            asked: picket_core::denial_format::McpTarget::Server,
            requested: None,
            elicitation: None,
            note: None,
        }),
        Protocol::A2a => DenialFormat::A2a(A2aFormat {
            version: None,
            id: IdEcho::Unread,
            awaits: ResponseMode::Other,
            requested: None,
            context_id: None,
            task_id: None,
        }),
        Protocol::Openai => DenialFormat::Openai,
        Protocol::Anthropic => DenialFormat::Anthropic,
    }
}

/// The whole body as a document; `None` if it provably is empty.
fn opened(call: &Call, service: &Service) -> Result<Option<json::Json>, Failure> {
    let bytes = body::bytes(call, &service.body)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    Ok(Some(json::parse(&bytes, json::Limits::default())?))
}

/// The document of a plain HTTP call to a service with JSON bodies, if a policy reads it.
fn document(call: &Call, service: &Service, reads: &Reads) -> Result<Option<json::Json>, Failure> {
    if !reads.body {
        return Ok(None);
    }
    body::document(call, &service.body, json::Limits::default())
}

/// The message of a gRPC call to a service with a descriptor set, if a policy reads it.
fn message(
    call: &Call,
    service: &Service,
    [name, method]: [&String; 2],
    reads: &Reads,
) -> Result<Option<grpc::Message>, Failure> {
    let Some(rules) = service.grpc.as_ref().filter(|_| reads.message) else { return Ok(None) };
    let described = rules.descriptors.method(name, method).ok_or_else(|| {
        let detail = format!("a policy reads fields, but the descriptor set has no method `{name}/{method}`");
        Failure::new(Code::RpcMethodUnknown, detail)
    })?;
    grpc::read(call, described, rules.unknown_fields, &service.body, json::Limits::default()).map(Some)
}

/// The API of a request to a model: a gateway may offer both, on different paths.
fn api(service: &Service, path: &CanonicalPath) -> Protocol {
    let is_anthropic = path.as_str() == llm::MESSAGES_PATH;
    match service.protocol {
        Protocol::Openai if is_anthropic && service.both_apis => Protocol::Anthropic,
        Protocol::Anthropic if !is_anthropic && service.both_apis => Protocol::Openai,
        protocol => protocol,
    }
}

/// A request to a model, once for each model that may answer: all of them must be allowed. The model that the request
/// names comes last, because the last operation is the one that is logged and reported.
fn models(path: CanonicalPath, request: llm::Request) -> Vec<Asked> {
    let mut asked = Vec::with_capacity(1);
    for other in &request.other_models {
        let what = What::Llm(Box::new(llm::Request { model: other.clone(), ..request.clone() }));
        asked.push(Asked { path: path.clone(), what });
    }
    asked.push(Asked { path, what: What::Llm(Box::new(request)) });
    asked
}

/// The call to an agent, and its body; reading its public card is plain HTTP.
fn agent(
    call: &Call,
    service: &Service,
    path: CanonicalPath,
    reply: &mut DenialFormat,
) -> Result<(Asked, Option<json::Json>), Failure> {
    let Some(rules) = &service.a2a else { return Err(without_rules(service)) };
    let document = match call.method.as_str() {
        // Path and query hold the request.
        "GET" | "HEAD" | "DELETE" => body::refuse(call).map(|()| None)?,
        _ => opened(call, service)?,
    };
    match a2a::read(call, document.as_ref(), rules)? {
        a2a::Reading::Card => {
            *reply = DenialFormat::Plain;
            Ok((mapping::http::asked(call, path, None), None))
        }
        a2a::Reading::Message(message) => {
            *reply = match &message.id {
                None => DenialFormat::Plain,
                Some(id) => DenialFormat::A2a(A2aFormat {
                    version: Some(message.version),
                    id: IdEcho::Id(id.to_json()),
                    awaits: if message.ask == a2a::Ask::Send { ResponseMode::Task } else { ResponseMode::Other },
                    requested: None,
                    context_id: message.context_id.clone(),
                    task_id: message.task_id.clone(),
                }),
            };
            Ok((Asked { path, what: What::A2a(message) }, document))
        }
    }
}

/// The messages to an MCP server.
fn messages(call: &Call, service: &Service, reply: &mut DenialFormat) -> Result<Vec<mcp::Message>, Failure> {
    let (Some(rules), DenialFormat::Mcp(reply)) = (&service.mcp, reply) else { return Err(without_rules(service)) };
    let read = mcp::read(call, rules, &service.tools, &service.body, json::Limits::default());
    let messages = match read {
        Ok(messages) => messages,
        Err(failure) => {
            error_context(call, service, rules, reply);
            return Err(failure);
        }
    };
    let Some((first, others)) = messages.split_first() else { return Ok(Vec::new()) };
    in_version(first.version, rules, reply);
    // A subscription to several resources is several messages with one id; a batch of requests has several ids.
    let is_one = others.iter().all(|message| message.id == first.id);
    reply.id = match &first.id {
        Some(id) if is_one => IdEcho::Id(id.to_json()),
        None if is_one => IdEcho::Nothing,
        Some(_) | None => IdEcho::Unread,
    };
    if others.is_empty() {
        reply.asked = match &first.ask {
            mcp::Ask::CallTool { name, .. } => picket_core::denial_format::McpTarget::Tool(name.clone()),
            mcp::Ask::ReadResource { uri } | mcp::Ask::SubscribeResource { uri } => {
                picket_core::denial_format::McpTarget::Resource(uri.clone())
            }
            mcp::Ask::GetPrompt { name, .. } => picket_core::denial_format::McpTarget::Prompt(name.clone()),
            mcp::Ask::UseServer { .. } => picket_core::denial_format::McpTarget::Server,
        };
        reply.elicitation = rules.elicitation.clone().filter(|_| first.can_elicit_url);
    }
    Ok(messages)
}

/// The loader gives every service the rules of its protocol; a service that was made in another way may have none.
fn without_rules(service: &Service) -> Failure {
    let protocol = service.protocol.as_str();
    let detail =
        format!("service `{}` has protocol {protocol}, but no settings for it under `{protocol}:`", service.id);
    Failure::new(Code::Unmapped, detail)
}

fn in_version(version: ProtocolVersion, rules: &Mcp, reply: &mut McpFormat) {
    reply.version = Some(version);
    reply.form = rules.denial_by_version.get(&version).copied().unwrap_or(rules.denial);
}

/// Finds the answer's id and version for a rejected message. No decision depends on it.
fn error_context(call: &Call, service: &Service, rules: &Mcp, reply: &mut McpFormat) {
    let version = call.headers.single("mcp-protocol-version");
    if let Ok(Some(version)) = version {
        reply.requested = Some(version.to_owned());
        if let Some(version) = ProtocolVersion::parse(version) {
            in_version(version, rules, reply);
        }
    }
    if matches!(call.method.as_str(), "GET" | "DELETE") {
        reply.id = IdEcho::Nothing;
        return;
    }
    let document = match (call.method.as_str(), opened(call, service)) {
        ("POST", Ok(document)) => document,
        (_, Ok(_) | Err(_)) => None,
    };
    if let Ok(None) = version {
        in_version(
            document.as_ref().map_or(ProtocolVersion::March2025, |document| mcp::presumed(document.node())),
            rules,
            reply,
        );
    }
    if let Some(document) = document {
        reply.id = echo(document.node());
    }
}

/// The id that the answer to a rejected document repeats; none if the document expects no answer.
fn echo(document: json::Node<'_>) -> IdEcho {
    let has = |name| document.get(name).is_some();
    match document.get("id").map(mcp::RpcId::of) {
        _ if has("result") || has("error") => IdEcho::Nothing,
        Some(Ok(id)) => IdEcho::Id(id.to_json()),
        None if has("method") => IdEcho::Nothing,
        Some(Err(_)) | None => IdEcho::Unread,
    }
}

#[cfg(test)]
mod tests;
