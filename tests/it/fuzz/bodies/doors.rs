//! Every way in for a body: the calls that carry one, and the readers behind them.

use std::collections::BTreeMap;

use picket::body::json::{self, Json, Limits};
use picket::body::mcp::{self, Ask, uri};
use picket::body::{a2a, document, llm};
use picket::call::{Body, Call};
use picket::catalog::a2a::A2a;
use picket::catalog::mcp::{Mcp, ProtocolVersion, Tool};
use picket::catalog::{BodyRules, Catalog, Protocol};
use picket::failure::Failure;
use picket::identity;
use picket::identity::TokenKind;
use picket::identity::asserted::{AssertedCaller, TokenRules, identify_asserted};

use crate::support::{CallBuilder, NOW, call as nobody};

const CATALOG: &str = "services:
- {id: t/mcp, hosts: [mcp.t], protocol: mcp, mcp: {batches: each}, tools: {x: {headers: {t: T}}}}
- {id: t/a2a, hosts: [a2a.t], protocol: a2a, a2a: {endpoint: /a2a, versions: ['0.3', '1.0'], bindings: [jsonrpc, rest]}}
";

/// The reader of an entry point.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    Document,
    Mcp,
    A2a,
    Llm(Protocol),
    Token(TokenKind),
    Task,
}

/// A call without its body, and its reader.
pub struct Door {
    pub name: String,
    reader: Reader,
    call: Call,
}

/// All doors, and what the catalogue says of what is behind them.
pub struct Doors {
    pub all: Vec<Door>,
    mcp: Mcp,
    tools: BTreeMap<String, Tool>,
    a2a: A2a,
    identity: identity::Settings,
}

impl Doors {
    pub fn new() -> Self {
        let catalog = Catalog::parse("catalog.yaml", CATALOG).unwrap();
        let service = catalog.service("t/mcp").unwrap();
        let agent = catalog.service("t/a2a").unwrap();
        Self {
            all: mcp_doors().into_iter().chain(other_doors()).collect(),
            mcp: service.mcp.clone().unwrap(),
            tools: service.tools.clone(),
            a2a: agent.a2a.clone().unwrap(),
            identity: identity::Settings::default(),
        }
    }

    /// Has a body read by this entry point. Panics if an accepted body is not exact.
    pub fn read(&mut self, at: usize, body: &mut Vec<u8>) -> Result<(), Failure> {
        let Door { reader, call, .. } = &mut self.all[at];
        let reader = *reader;
        call.body = Body::Complete(std::mem::take(body).into());
        let call = &self.all[at].call;
        let read = match reader {
            Reader::Document => document(call, &BodyRules::default(), Limits::default()).map(drop),
            Reader::Mcp => self.messages(call),
            Reader::A2a => a2a::read(call, opened(call)?.as_ref(), &self.a2a).map(drop),
            Reader::Llm(protocol) => llm::read(call, opened(call)?.as_ref(), protocol).map(drop),
            Reader::Token(kind) => self.caller(call, kind, false),
            Reader::Task => self.caller(call, TokenKind::Access, true),
        };
        self.given_back(at, body);
        read
    }

    /// The body that [`Doors::read`] had when it panicked or failed.
    pub fn given_back(&mut self, at: usize, body: &mut Vec<u8>) {
        if let Body::Complete(bytes) = &mut self.all[at].call.body
            && body.is_empty()
        {
            *body = std::mem::take(bytes).into();
        }
    }

    fn messages(&self, call: &Call) -> Result<(), Failure> {
        let messages = mcp::read(call, &self.mcp, &self.tools, &BodyRules::default(), Limits::default())?;
        assert!(!messages.is_empty(), "a call without a message would be judged by nothing");
        messages.iter().for_each(|message| assert_exact(&message.ask));
        Ok(())
    }

    /// Claims come with a signature, which is checked before they are read: here they are taken at their word.
    fn caller(&self, call: &Call, kind: TokenKind, is_task: bool) -> Result<(), Failure> {
        let Body::Complete(bytes) = &call.body else { unreachable!("every door's body is complete") };
        let refused =
            |problem: serde_json::Error| Failure::new(picket::failure::Code::TokenRejected, problem.to_string());
        let claims = serde_json::from_slice(bytes).map_err(refused)?;
        let (token, task) = if is_task { (None, Some(&claims)) } else { (Some(&claims), None) };
        let said = AssertedCaller { spiffe: Some("spiffe://cluster.local/ns/a/sa/b"), proof: None, token, task };
        identify_asserted(said, TokenRules::AnyIssuer(kind), &self.identity, NOW).map(drop)
    }
}

fn opened(call: &Call) -> Result<Option<Json>, Failure> {
    match &call.body {
        Body::Complete(bytes) if bytes.is_empty() => Ok(None),
        Body::Complete(bytes) => Ok(Some(json::parse(bytes, Limits::default())?)),
        Body::NotSent | Body::Encoded { .. } | Body::Unproven(_) => unreachable!("every door's body is complete"),
    }
}

/// MCP: one door for each version, without and with its mirrored headers.
fn mcp_doors() -> Vec<Door> {
    let call = || nobody().method("POST").path("/mcp").header("content-type", "application/json");
    let newest = || call().header("mcp-protocol-version", ProtocolVersion::July2026.as_str());
    let door = |name: &str, CallBuilder(call)| Door { name: format!("mcp {name}"), reader: Reader::Mcp, call };
    let mut doors = vec![door("no version", call())];
    for version in ProtocolVersion::ALL {
        doors.push(door(version.as_str(), call().header("mcp-protocol-version", version.as_str())));
    }
    for (method, name) in [("tools/call", "x"), ("resources/read", "x:y"), ("prompts/get", "x")] {
        let mirrored = newest().header("mcp-method", method).header("mcp-name", name);
        let is_tool = method == "tools/call";
        let mirrored = if is_tool { mirrored.header("mcp-param-t", "1") } else { mirrored };
        doors.push(door(&format!("{method}, mirrored"), mirrored));
    }
    doors.push(door("subscriptions/listen", newest().header("mcp-method", "subscriptions/listen")));
    doors
}

fn other_doors() -> Vec<Door> {
    let call = |path| nobody().method("POST").path(path).header("content-type", "application/json");
    let version = |path, version| call(path).header("a2a-version", version);
    let rows = [
        ("json document", Reader::Document, call("/v1/things")),
        ("a2a 0.3", Reader::A2a, call("/a2a")),
        ("a2a 1.0", Reader::A2a, version("/a2a", "1.0")),
        ("a2a 1.0 rest", Reader::A2a, version("/a2a/message:send", "1.0")),
        ("openai chat", Reader::Llm(Protocol::Openai), call("/v1/chat/completions")),
        ("openai responses", Reader::Llm(Protocol::Openai), call("/v1/responses")),
        ("anthropic messages", Reader::Llm(Protocol::Anthropic), call("/v1/messages")),
        ("access token", Reader::Token(TokenKind::Access), call("/")),
        ("jwt svid", Reader::Token(TokenKind::JwtSvid), call("/")),
        ("kubernetes token", Reader::Token(TokenKind::Kubernetes), call("/")),
        ("task token", Reader::Task, call("/")),
    ];
    rows.into_iter().map(|(name, reader, CallBuilder(call))| Door { name: name.to_owned(), reader, call }).collect()
}

/// Properties of every request in a message.
fn assert_exact(ask: &Ask) {
    match ask {
        Ask::CallTool { name, arguments } => {
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b)), "{name}");
            assert!(arguments.node().as_object().is_some());
        }
        Ask::ReadResource { uri } | Ask::SubscribeResource { uri } => {
            assert_eq!(uri::canonical(uri).as_ref(), Ok(uri), "another spelling");
            assert!(!uri.contains("/../") && !uri.ends_with("/.."), "{uri}");
        }
        Ask::GetPrompt { name, arguments } => {
            assert!(!name.is_empty() && arguments.node().as_object().is_some());
        }
        Ask::UseServer { method } => assert!(!method.is_empty()),
    }
}
