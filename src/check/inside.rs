//! From a call to what it asks: its body is opened by its service's protocol, and by no other.
//!
//! Knows: which reader belongs to which protocol, and in whose language a refusal is put. Must not know: who is
//! calling, policies.

use crate::body::{self, Inside, a2a, json, llm, mcp};
use crate::call::{Call, CanonicalPath};
use crate::catalog::mcp::{Era, Mcp};
use crate::catalog::{Protocol, Service};
use crate::failure::Failure;
use crate::mapping;
use crate::mapping::action::{self, Asked, Spoken};
use crate::query::Reads;
use crate::reply::{A2aReply, Awaits, Echo, McpReply, Reply};

/// Everything a call asks: one thing, or each message of a batch in its order.
///
/// `reply` is set as far as the call was read, also where it is refused.
///
/// # Errors
/// As [`action::spoken`] and the protocol's reader.
pub(super) fn asked(
    call: &Call,
    service: &Service,
    settings: &mapping::Settings,
    reads: &Reads,
    reply: &mut Reply,
) -> Result<Vec<Asked>, Failure> {
    let spoken = action::spoken(call, service, settings)?;
    let inside = match &spoken {
        Spoken::Known(_) => {
            // Judged on its path, so refused as such calls are.
            *reply = Reply::Plain;
            vec![Inside::Nothing]
        }
        Spoken::ByBody(Protocol::Http, _) => vec![document(call, service, reads)?],
        Spoken::ByBody(Protocol::Mcp, _) => messages(call, service, reply)?,
        Spoken::ByBody(Protocol::A2a, _) => vec![agent(call, service, reply)?],
        Spoken::ByBody(Protocol::Openai | Protocol::Anthropic, path) => {
            let api = api(service, path);
            *reply = if api == Protocol::Anthropic { Reply::Anthropic } else { Reply::Openai };
            vec![Inside::Llm(llm::read(call, opened(call, service)?.as_ref(), api)?)]
        }
        Spoken::ByBody(Protocol::Grpc, _) => vec![Inside::Nothing],
    };
    inside.into_iter().map(|inside| action::asked(call, spoken.clone(), inside)).collect()
}

/// In whose language a refusal is put before anything of the call was read.
pub(super) fn reply_of(service: &Service) -> Reply {
    match service.protocol {
        Protocol::Http | Protocol::Grpc => Reply::Plain,
        Protocol::Mcp => Reply::Mcp(McpReply {
            form: service.mcp.as_ref().map(|mcp| mcp.denial).unwrap_or_default(),
            era: None,
            id: Echo::Unread,
            asked: crate::reply::Asked::Server,
            requested: None,
            elicitation: None,
            request_state: None,
        }),
        Protocol::A2a => Reply::A2a(A2aReply {
            version: None,
            id: Echo::Unread,
            awaits: Awaits::Other,
            requested: None,
            context_id: None,
            task_id: None,
        }),
        Protocol::Openai => Reply::Openai,
        Protocol::Anthropic => Reply::Anthropic,
    }
}

/// The whole body as a document; `None` where there provably is none.
fn opened(call: &Call, service: &Service) -> Result<Option<json::Json>, Failure> {
    let bytes = body::bytes(call, &service.body)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    Ok(Some(json::parse(&bytes, json::Limits::default())?))
}

/// The document of a plain HTTP call whose service says that its bodies are JSON, where a policy reads it.
fn document(call: &Call, service: &Service, reads: &Reads) -> Result<Inside, Failure> {
    if !reads.body {
        return Ok(Inside::Nothing);
    }
    body::document(call, &service.body, json::Limits::default())
}

/// Whose API a request to a model speaks: a gateway may offer both, on paths that tell them apart.
fn api(service: &Service, path: &CanonicalPath) -> Protocol {
    let is_anthropic = path.as_str() == llm::MESSAGES_PATH;
    match service.protocol {
        Protocol::Openai if is_anthropic && service.both_apis => Protocol::Anthropic,
        Protocol::Anthropic if !is_anthropic && service.both_apis => Protocol::Openai,
        protocol => protocol,
    }
}

/// The call to an agent; reading its public card is plain HTTP.
fn agent(call: &Call, service: &Service, reply: &mut Reply) -> Result<Inside, Failure> {
    let Some(rules) = &service.a2a else { return Ok(Inside::Nothing) };
    let document = match call.method.as_str() {
        "GET" | "HEAD" | "DELETE" => None,
        _ => opened(call, service)?,
    };
    match a2a::read(call, document.as_ref(), rules)? {
        a2a::Reading::Card => {
            *reply = Reply::Plain;
            Ok(Inside::Nothing)
        }
        a2a::Reading::Message(message) => {
            *reply = match &message.id {
                None => Reply::Plain,
                Some(id) => Reply::A2a(A2aReply {
                    version: Some(message.version),
                    id: Echo::Id(id.to_json()),
                    awaits: if message.ask == a2a::Ask::Send { Awaits::Task } else { Awaits::Other },
                    requested: None,
                    context_id: message.context_id.clone(),
                    task_id: message.task_id.clone(),
                }),
            };
            Ok(Inside::A2a(message))
        }
    }
}

/// The messages to an MCP server.
fn messages(call: &Call, service: &Service, reply: &mut Reply) -> Result<Vec<Inside>, Failure> {
    let Some(rules) = &service.mcp else { return Ok(vec![Inside::Nothing]) };
    let read = mcp::read(call, rules, &service.tools, &service.body, json::Limits::default());
    let Reply::Mcp(reply) = reply else { return Ok(vec![Inside::Nothing]) };
    let messages = match read {
        Ok(messages) => messages,
        Err(failure) => {
            glimpse(call, service, rules, reply);
            return Err(failure);
        }
    };
    if let [message] = messages.as_slice() {
        in_era(message.era, rules, reply);
        reply.id = message.id.as_ref().map_or(Echo::Nothing, |id| Echo::Id(id.to_json()));
        reply.asked = match &message.ask {
            mcp::Ask::CallTool { name, .. } => crate::reply::Asked::Tool(name.clone()),
            mcp::Ask::ReadResource { uri } | mcp::Ask::SubscribeResource { uri } => {
                crate::reply::Asked::Resource(uri.clone())
            }
            mcp::Ask::GetPrompt { name, .. } => crate::reply::Asked::Prompt(name.clone()),
            mcp::Ask::UseServer { .. } => crate::reply::Asked::Server,
        };
        reply.elicitation = rules.elicitation.clone().filter(|_| message.can_elicit_url);
    }
    Ok(messages.into_iter().map(Inside::Mcp).collect())
}

fn in_era(era: Era, rules: &Mcp, reply: &mut McpReply) {
    reply.era = Some(era);
    reply.form = rules.denial_by_era.get(&era).copied().unwrap_or(rules.denial);
}

/// What a refused message lets itself be answered by. Nothing is decided on it.
fn glimpse(call: &Call, service: &Service, rules: &Mcp, reply: &mut McpReply) {
    if let Ok(Some(version)) = call.headers.single("mcp-protocol-version") {
        reply.requested = Some(version.to_owned());
        if let Some(era) = Era::ALL.into_iter().find(|era| era.as_str() == version) {
            in_era(era, rules, reply);
        }
    }
    let id = match opened(call, service) {
        Ok(Some(document)) => document.node().get("id").map(mcp::RpcId::of),
        Ok(None) | Err(_) => None,
    };
    if let Some(Ok(id)) = id {
        reply.id = Echo::Id(id.to_json());
    }
}
