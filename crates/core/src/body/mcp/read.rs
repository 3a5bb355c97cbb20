//! Parses a call to an MCP service into its messages.
//!
//! Knows: the endpoint, versions, batches, what each message must carry. Must not know: who calls, what is allowed.

use std::collections::BTreeMap;

use super::methods::{self, Shape};
use super::mirrored::{self, BodyFacts, Name};
use super::{Ask, Message, ask};
use crate::body::json::{self, Json, Limits, Node, Value};
use crate::body::json_rpc::{Envelope, RpcId, envelope};
use crate::body::members::refused;
use crate::body::{bytes, case_variants, content_type, header, refuse as refuse_body, shown};
use crate::call::{Call, Target};
use crate::catalog::BodyRules;
use crate::catalog::mcp::{Batches, Mcp, ProtocolVersion, Tool};
use crate::failure::{Code, Failure};

/// Most messages of a batch.
const BATCH_MAX: usize = 32;
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// Parses the messages of a call: at least one, each to be evaluated.
///
/// # Errors
/// `protocol_mismatch` off the endpoint, `method_not_allowed`, `version_refused`, `header_mismatch`, `rpc_method_unknown`,
/// `message_refused` for what is no message of the version, and those of [`bytes()`] and [`json::parse`].
pub fn read(
    call: &Call,
    rules: &Mcp,
    tools: &BTreeMap<String, Tool>,
    body: &BodyRules,
    limits: Limits,
) -> Result<Vec<Message>, Failure> {
    let is_endpoint = match &call.target {
        Target::Path { path, .. } => *path == rules.endpoint,
        Target::Authority => false,
    };
    if !is_endpoint {
        return Err(Failure::new(Code::ProtocolMismatch, "the path is not the service's MCP endpoint"));
    }
    let reader = MessageReader { call, rules, tools };
    match call.method.as_str() {
        "POST" => {
            content_type::require(call, &["application/json"])?;
            reader.posted(json::parse(&bytes(call, body)?, limits)?.node())
        }
        "GET" | "DELETE" => reader.session().map(|message| vec![message]),
        _ => Err(Failure::new(
            Code::MethodNotAllowed,
            "an MCP endpoint accepts POST, and in older versions GET and DELETE",
        )),
    }
}

/// What all messages of a call share.
struct MessageReader<'a> {
    call: &'a Call,
    rules: &'a Mcp,
    tools: &'a BTreeMap<String, Tool>,
}

impl MessageReader<'_> {
    /// The version that the header names.
    fn declared(&self) -> Result<Option<ProtocolVersion>, Failure> {
        let Some(text) = header(self.call, "mcp-protocol-version")? else { return Ok(None) };
        match ProtocolVersion::parse(text) {
            Some(version) => Ok(Some(version)),
            None => Err(Failure::new(Code::VersionRefused, format!("`{}` is not a version of MCP", shown(text)))),
        }
    }

    fn listed(&self, version: ProtocolVersion) -> Result<ProtocolVersion, Failure> {
        if self.rules.versions.contains(&version) {
            return Ok(version);
        }
        Err(Failure::new(Code::VersionRefused, format!("the service does not accept version {}", version.as_str())))
    }

    /// GET opens a stream, DELETE ends a session.
    fn session(&self) -> Result<Message, Failure> {
        let version = self.listed(self.declared()?.unwrap_or(ProtocolVersion::March2025))?;
        if version == ProtocolVersion::July2026 {
            let detail = format!("version {} accepts POST only", version.as_str());
            return Err(Failure::new(Code::MethodNotAllowed, detail));
        }
        refuse_body(self.call)?;
        let said = BodyFacts { version, method: None, name: Name::None, is_request: false, arguments: None };
        mirrored::check(self.call, &said)?;
        Ok(plain(version, self.call.method.clone()))
    }

    fn posted(&self, json: Node<'_>) -> Result<Vec<Message>, Failure> {
        let declared = self.declared()?;
        let Some(items) = json.as_list() else { return self.message(envelope(json)?, declared) };
        let version = self.listed(declared.unwrap_or(ProtocolVersion::March2025))?;
        if version != ProtocolVersion::March2025 || self.rules.batches != Batches::Each {
            return Err(refused("the service does not accept batches"));
        }
        if items.is_empty() || items.len() > BATCH_MAX {
            return Err(refused(format!("a batch has 1 to {BATCH_MAX} messages")));
        }
        let mut messages = Vec::with_capacity(items.len());
        for item in items.iter() {
            let envelope = envelope(item)?;
            if matches!(&envelope, Envelope::Request { method, .. } if method == "initialize") {
                return Err(refused("`initialize` is not allowed in a batch"));
            }
            messages.extend(self.message(envelope, Some(version))?);
        }
        Ok(messages)
    }

    /// Reads one message; several come out where it subscribes to several resources.
    fn message(&self, envelope: Envelope, declared: Option<ProtocolVersion>) -> Result<Vec<Message>, Failure> {
        let (id, method, document) = match envelope {
            Envelope::Request { id, method, params } => (Some(id), method, params),
            Envelope::Notification { method, params } => (None, method, params),
            Envelope::Response => return self.response(declared).map(|message| vec![message]),
        };
        let params = document.node();
        let version = self.listed(declared.unwrap_or_else(|| undeclared(&method, params)))?;
        ask::check_spelling(params)?;
        let meta = meta(params, version)?;
        let Some(shape) = methods::shape(&method, version) else {
            let detail = format!("version {} has no method `{}`", version.as_str(), shown(&method));
            return Err(Failure::new(Code::RpcMethodUnknown, detail));
        };
        check_id(id.as_ref(), shape)?;
        let can_elicit_url = match (version, id.is_some()) {
            (ProtocolVersion::July2026, true) => capabilities(meta)?,
            (ProtocolVersion::July2026, false)
            | (ProtocolVersion::March2025 | ProtocolVersion::June2025 | ProtocolVersion::November2025, _) => false,
        };
        let answers = answers(params, version)?;
        let asks = ask::asks(shape, &method, params)?;
        self.check_mirrored(version, shape, &method, params, &asks)?;
        let message = |ask| {
            let (id, answers, params) = (id.clone(), answers.clone(), document.clone());
            Message { version, id, ask, can_elicit_url, answers, params }
        };
        Ok(asks.into_iter().map(message).collect())
    }

    fn check_mirrored(
        &self,
        version: ProtocolVersion,
        shape: Shape,
        method: &str,
        params: Node<'_>,
        asks: &[Ask],
    ) -> Result<(), Failure> {
        let text = |key| params.get(key).and_then(Node::as_text).unwrap_or_default();
        let name = match shape {
            Shape::CallTool | Shape::GetPrompt => Name::Must(text("name")),
            Shape::ReadResource => Name::Must(text("uri")),
            Shape::SubscribeResource => Name::May(text("uri")),
            Shape::Task => Name::May(text("taskId")),
            Shape::Listen | Shape::Server | Shape::Notification => Name::None,
        };
        let arguments = match asks {
            [Ask::CallTool { name, arguments }] => Some((arguments.node(), self.tools.get(name))),
            _ => None,
        };
        let is_request = shape != Shape::Notification;
        mirrored::check(self.call, &BodyFacts { version, method: Some(method), name, is_request, arguments })
    }

    /// An answer to a request of the server's, in the versions that have those.
    fn response(&self, declared: Option<ProtocolVersion>) -> Result<Message, Failure> {
        let version = self.listed(declared.unwrap_or(ProtocolVersion::March2025))?;
        if version == ProtocolVersion::July2026 {
            return Err(refused(format!("clients must not send responses in version {}", version.as_str())));
        }
        let said = BodyFacts { version, method: None, name: Name::None, is_request: false, arguments: None };
        mirrored::check(self.call, &said)?;
        Ok(plain(version, "response".to_owned()))
    }
}

fn plain(version: ProtocolVersion, method: String) -> Message {
    Message {
        version,
        id: None,
        ask: Ask::UseServer { method },
        can_elicit_url: false,
        answers: Vec::new(),
        params: Json::empty(),
    }
}

/// The version by which a message without the header is read, for the answer to a refused one.
///
/// A batch is of the oldest version, and so is what is no message at all.
#[must_use]
pub fn presumed(document: Node<'_>) -> ProtocolVersion {
    let method = document.get("method").and_then(Node::as_text).unwrap_or_default();
    document.get("params").map_or(ProtocolVersion::March2025, |params| undeclared(method, params))
}

/// The version of a message without the header: the oldest, but the first message may name another.
fn undeclared(method: &str, params: Node<'_>) -> ProtocolVersion {
    let proposed = params.get("protocolVersion").and_then(Node::as_text).and_then(ProtocolVersion::parse);
    proposed.filter(|_| method == "initialize").unwrap_or(ProtocolVersion::March2025)
}

/// `params._meta`, which must not speak of another version than the header: a server may believe either.
fn meta(params: Node<'_>, version: ProtocolVersion) -> Result<Option<Node<'_>>, Failure> {
    let Some(meta) = params.get("_meta") else { return Ok(None) };
    if meta.as_object().is_none() {
        return Err(refused("`_meta` is not an object"));
    }
    if let Some(key) = case_variants::disguised(meta, &[VERSION, CAPABILITIES]) {
        return Err(refused(format!("`{}` differs only by case from a key of `_meta`", shown(key))));
    }
    match meta.get(VERSION).map(Node::value) {
        None => Ok(Some(meta)),
        Some(Value::Text(text)) if text == version.as_str() => Ok(Some(meta)),
        Some(_) => Err(Failure::new(Code::HeaderMismatch, "`mcp-protocol-version` and `_meta` differ")),
    }
}

/// Checks what version 2026-07-28 wants in every request; says whether the client can be sent to a page.
fn capabilities(meta: Option<Node<'_>>) -> Result<bool, Failure> {
    let find = |wanted: &str| meta.and_then(|meta| meta.get(wanted));
    if find(VERSION).is_none() {
        return Err(refused(format!("`_meta` lacks `{VERSION}`")));
    }
    match find(CAPABILITIES) {
        Some(capabilities) if capabilities.as_object().is_some() => {
            Ok(capabilities.pointer("/elicitation/url").is_some_and(|url| url.as_object().is_some()))
        }
        Some(_) | None => Err(refused(format!("`_meta` lacks the object `{CAPABILITIES}`"))),
    }
}

fn check_id(id: Option<&RpcId>, shape: Shape) -> Result<(), Failure> {
    match (id, shape) {
        (Some(_), Shape::Notification) => Err(refused("a notification must not have an `id`")),
        (None, Shape::Notification) => Ok(()),
        (None, _) => Err(refused("a request must have an `id`")),
        (Some(_), _) => Ok(()),
    }
}

/// What the client comes back with: the keys of its answers. The state beside them is the server's to judge.
fn answers(params: Node<'_>, version: ProtocolVersion) -> Result<Vec<String>, Failure> {
    if version != ProtocolVersion::July2026 {
        return Ok(Vec::new());
    }
    if params.get("requestState").is_some_and(|state| state.as_text().is_none()) {
        return Err(refused("`requestState` is not a text"));
    }
    let Some(answers) = params.get("inputResponses") else { return Ok(Vec::new()) };
    let answers = answers.as_object().ok_or_else(|| refused("`inputResponses` is not an object"))?;
    Ok(answers.iter().map(|(key, _)| key.to_owned()).collect())
}
