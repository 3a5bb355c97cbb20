//! The denied response: its format, with the status and headers of that format.
//!
//! Knows: which form goes with which status, and what of a refusal its headers show. Must not know: why the call
//! was refused, how each form is written.
//!
//! Whatever the form and its status, 200 included, it is the body of a denial to Envoy: nothing here can make one
//! that goes on.

use envoy_types::pb::envoy::service::auth::v3::DeniedHttpResponse;
use envoy_types::pb::envoy::r#type::v3::HttpStatus;

use super::{Refusal, header};
use uuid::Uuid;

use crate::check::Judgement;
use crate::envoy::decode::Caller;
use picket_core::catalog::mcp::{DenialStyle, ProtocolVersion};
use picket_core::catalog::{Service, a2a::Version};
use picket_core::decision::verdict::{Effect, Reason};
use picket_core::denial_format::{A2aFormat, DenialFormat, IdEcho, McpFormat, McpTarget, ResponseMode};
use picket_core::failure::Code;
use picket_core::obligation::challenge::Challenge;
use picket_core::obligation::deny::{Notice, Versions, a2a, llm, mcp};
use picket_core::obligation::metadata::Document;

/// How long a metadata document may be reused; a change of the catalogue shows after at most this.
const DOCUMENT_CACHE: &str = "public, max-age=300";

/// What the caller gets.
pub(super) struct RenderedDenial {
    /// Its HTTP status.
    pub status: u16,
    /// The same for Envoy.
    pub response: DeniedHttpResponse,
}

/// A refusal put into words.
struct Worded {
    status: u16,
    media: Media,
    body: String,
    shown: Shown,
}

/// The type of a body.
#[derive(Clone, Copy)]
enum Media {
    /// None of ours: there is no body, or Envoy says what it is.
    None,
    Problem,
    Json,
    Events,
}

impl Media {
    fn as_str(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Problem => Some("application/problem+json"),
            Self::Json => Some("application/json"),
            Self::Events => Some("text/event-stream"),
        }
    }
}

/// Whether headers may show that it is a refusal of ours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Openly,
    Hidden,
}

impl Worded {
    fn json(status: u16, body: String) -> Self {
        let media = if body.is_empty() { Media::None } else { Media::Json };
        Self { status, media, body, shown: Shown::Openly }
    }
}

/// Writes a refusal for a caller.
pub(super) fn denied(
    judgement: &Judgement,
    decision_id: Uuid,
    refusal: &Refusal<'_>,
    caller: Caller,
) -> RenderedDenial {
    if let (Some(document), Caller::Http) = (answered(judgement), caller) {
        return served(decision_id, document);
    }
    let status = refusal.status_for(caller);
    let refused = Refused { judgement, decision_id, refusal, status };
    let worded = match (caller, &judgement.reply) {
        // Envoy writes the gRPC content type itself; another one would make the answer unreadable.
        (Caller::Grpc, _) => {
            Worded { status, media: Media::None, body: refused.notice().message(), shown: Shown::Openly }
        }
        (Caller::Http, DenialFormat::Plain) => refused.problem(),
        (Caller::Http, DenialFormat::Mcp(reply)) => refused.mcp(reply),
        (Caller::Http, DenialFormat::A2a(reply)) => refused.a2a(reply),
        (Caller::Http, DenialFormat::Openai) => Worded::json(status, llm::openai(&refused.notice(), class(status))),
        (Caller::Http, DenialFormat::Anthropic) => {
            Worded::json(status, llm::anthropic(&refused.notice(), class(status)))
        }
    };
    refused.written(worded)
}

/// The document that Picket answers with itself. One without the verdict that belongs to it is not sent.
fn answered(judgement: &Judgement) -> Option<&Document> {
    let is_answered = match &judgement.result {
        Ok(verdict) => match &verdict.effect {
            Effect::Deny(denial) => denial.reason == Reason::Metadata,
            Effect::Allow(_) | Effect::Challenge(..) => false,
        },
        Err(_) => false,
    };
    judgement.document.as_ref().filter(|_| is_answered)
}

fn served(decision_id: Uuid, document: &Document) -> RenderedDenial {
    let headers = vec![
        header("cache-control", DOCUMENT_CACHE.to_owned()),
        header("x-picket-decision-id", decision_id.to_string()),
        header("content-type", "application/json".to_owned()),
        // The document is public, and clients in browsers look for it too.
        header("access-control-allow-origin", "*".to_owned()),
    ];
    let response = DeniedHttpResponse { status: Some(HttpStatus { code: 200 }), headers, body: document.json.clone() };
    RenderedDenial { status: 200, response }
}

/// A refusal and what it is about.
#[derive(Clone, Copy)]
struct Refused<'a> {
    judgement: &'a Judgement,
    decision_id: Uuid,
    refusal: &'a Refusal<'a>,
    status: u16,
}

impl<'a> Refused<'a> {
    fn notice(&self) -> Notice<'a> {
        Notice {
            decision_id: self.decision_id,
            title: super::title(self.status),
            reason: self.refusal.reason,
            remedy: self.refusal.remedy,
            authenticate: self.refusal.authenticate.as_deref(),
            retry_after_seconds: self.refusal.retry_after_seconds,
        }
    }

    fn problem(&self) -> Worded {
        let body = self.notice().problem_json();
        Worded { status: self.status, media: Media::Problem, body, shown: Shown::Openly }
    }

    fn mcp(mut self, reply: &McpFormat) -> Worded {
        self.status = mcp_status(reply.version, self.refusal.failure, self.status);
        // A status of success would tell a client that its notification was taken, and no message waits for an answer.
        if reply.id == IdEcho::Nothing {
            return self.problem();
        }
        if let (Some(Challenge::Approve { .. }), Some(elicitation), Some(note)) =
            (self.refusal.remedy, &reply.elicitation, &reply.note)
            && reply.can_ask()
        {
            return Worded::json(200, mcp::input_required(reply, elicitation, note, &self.notice()));
        }
        match (reply.form, &reply.asked) {
            (DenialStyle::HttpProblem, _) => self.problem(),
            (DenialStyle::Hidden, asked) if self.is_hidden() => {
                let body = mcp::hidden(reply);
                Worded { shown: Shown::Hidden, ..Worded::json(hidden_status(reply.version, asked), body) }
            }
            (DenialStyle::HttpJsonrpc | DenialStyle::Hidden, _) => Worded::json(self.status, self.mcp_error(reply)),
            (DenialStyle::ToolError200, McpTarget::Tool(_)) => {
                Worded::json(200, mcp::tool_error(reply, &self.notice()))
            }
            (DenialStyle::RpcError200, _)
            | (DenialStyle::ToolError200, McpTarget::Resource(_) | McpTarget::Prompt(_) | McpTarget::Server) => {
                Worded::json(200, self.mcp_error(reply))
            }
        }
    }

    fn mcp_error(&self, reply: &McpFormat) -> String {
        let versions = self.service().and_then(|service| service.mcp.as_ref()).map(|mcp| &mcp.versions);
        let supported: Vec<&str> = versions.into_iter().flatten().map(|version| version.as_str()).collect();
        let versions = Versions { supported: &supported, requested: reply.requested.as_deref() };
        mcp::error(reply, &self.notice(), self.refusal.failure, versions)
    }

    fn a2a(&self, reply: &A2aFormat) -> Worded {
        let is_request = reply.id != IdEcho::Nothing;
        if let (Some(Challenge::Approve { .. }), true) = (self.refusal.remedy, is_request)
            && let Some(body) = a2a::auth_required(reply, &self.notice())
        {
            let media = match reply.awaits {
                ResponseMode::TaskStream => Media::Events,
                ResponseMode::Task | ResponseMode::Other => Media::Json,
            };
            return Worded { status: 200, media, body, shown: Shown::Openly };
        }
        let versions = self.service().and_then(|service| service.a2a.as_ref()).map(|a2a| &a2a.versions);
        let supported: Vec<&str> = versions.into_iter().flatten().copied().map(version).collect();
        let versions = Versions { supported: &supported, requested: reply.requested.as_deref() };
        Worded::json(self.status, a2a::error(reply, &self.notice(), self.refusal.failure, versions))
    }

    fn service(&self) -> Option<&'a Service> {
        super::service(self.judgement)
    }

    /// Whether the refusal would tell that the thing asked for exists. What is wrong with the message itself, our own
    /// trouble, and that a login is missing, are the same for things that do not exist.
    fn is_hidden(&self) -> bool {
        let is_about_it = match self.refusal.failure {
            None => true,
            Some(code) => code == Code::ApprovalUsed,
        };
        is_about_it && !matches!(self.refusal.remedy, Some(Challenge::Login { .. }))
    }

    fn written(&self, worded: Worded) -> RenderedDenial {
        let refusal = self.refusal;
        let mut headers = Vec::new();
        if worded.shown == Shown::Openly {
            headers.push(header("cache-control", "no-store".to_owned()));
            headers.push(header("x-picket-decision-id", self.decision_id.to_string()));
        }
        headers.extend(worded.media.as_str().map(|media| header("content-type", media.to_owned())));
        if worded.shown == Shown::Openly {
            headers.extend(refusal.authenticate.clone().map(|value| header("www-authenticate", value)));
            headers.extend(refusal.retry_after_seconds.map(|seconds| header("retry-after", seconds.to_string())));
        }
        let status = Some(HttpStatus { code: i32::from(worded.status) });
        RenderedDenial { status: worded.status, response: DeniedHttpResponse { status, headers, body: worded.body } }
    }
}

/// In the session versions 404 says that the session is over, and a client would begin another.
fn mcp_status(version: Option<ProtocolVersion>, failure: Option<Code>, status: u16) -> u16 {
    match version {
        Some(ProtocolVersion::March2025 | ProtocolVersion::June2025 | ProtocolVersion::November2025)
            if failure == Some(Code::RpcMethodUnknown) =>
        {
            400
        }
        Some(
            ProtocolVersion::March2025
            | ProtocolVersion::June2025
            | ProtocolVersion::November2025
            | ProtocolVersion::July2026,
        )
        | None => status,
    }
}

/// What servers send with an error of their own: 200, but for an unknown method since version 2026-07-28.
fn hidden_status(version: Option<ProtocolVersion>, asked: &McpTarget) -> u16 {
    match (version, asked) {
        (Some(ProtocolVersion::July2026), McpTarget::Server) => 404,
        (_, McpTarget::Tool(_) | McpTarget::Resource(_) | McpTarget::Prompt(_) | McpTarget::Server) => 200,
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::V03 => "0.3",
        Version::V10 => "1.0",
    }
}

/// What a status means to clients of model APIs.
fn class(status: u16) -> llm::Class {
    match status {
        401 => llm::Class::Unauthenticated,
        403 => llm::Class::Forbidden,
        404 => llm::Class::NotFound,
        413 | 431 => llm::Class::TooLarge,
        429 => llm::Class::Limited,
        500..=599 => llm::Class::Trouble,
        _ => llm::Class::Invalid,
    }
}
