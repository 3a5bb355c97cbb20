//! The state tokens of MCP elicitations: Picket seals one when it sends a client to an approval page, and checks it
//! when the client comes back.
//!
//! Knows: which call a token is bound to, and when a client is sent away. Must not know: how a token is sealed, whether
//! anything was approved.
//!
//! A token allows nothing: it ends a call that it is not bound to, and changes nothing else.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use picket_core::body::mcp::Ask;
use picket_core::call::UnixMillis;
use picket_core::decision::verdict::{Effect, Verdict};
use picket_core::denial_format::DenialFormat;
use picket_core::failure::{Code, Failure};
use picket_core::identity::Identity;
use picket_core::mapping::action::{Asked, What};
use picket_core::obligation::challenge::Challenge;
use picket_core::obligation::elicit::{self, BoundTo, StateKey};
use picket_core::query::Uid;

/// Seals state tokens and checks them.
#[derive(Debug, Clone)]
pub struct StateTokens {
    key: StateKey,
    ttl_millis: i64,
}

/// The call that a token is bound to.
pub(super) struct BoundCall<'a> {
    pub identity: &'a Identity,
    /// Id of the called service.
    pub service: &'a str,
    pub asked: &'a Asked,
    /// The call's own time.
    pub now: UnixMillis,
}

impl StateTokens {
    /// Seals tokens with this key; each is valid for `ttl`.
    #[must_use]
    pub fn new(key: StateKey, ttl: Duration) -> Self {
        Self { key, ttl_millis: i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX) }
    }

    /// Checks the tokens that came back with a call. Tokens of the server behind are not Picket's and are ignored.
    ///
    /// # Errors
    /// `message_refused`: a token of ours that is bound to another call, or has expired.
    pub(super) fn check(&self, answers: &[String], call: &BoundCall<'_>, principal: &Uid) -> Result<(), Failure> {
        if answers.is_empty() {
            return Ok(());
        }
        let problem = call.bound(principal, |bound| {
            answers.iter().find_map(|answer| elicit::check(&self.key, answer, bound, call.now).err())
        });
        problem.map_or(Ok(()), |problem| Err(Failure::new(Code::MessageRefused, problem.to_string())))
    }

    /// Adds a token to the denial if it sends its client to an approval page.
    pub(super) fn seal(&self, verdict: &Verdict, call: &BoundCall<'_>, principal: &Uid, reply: &mut DenialFormat) {
        let (DenialFormat::Mcp(reply), true) = (reply, wants_approval(verdict)) else { return };
        if reply.can_ask() {
            let end = UnixMillis(call.now.0.saturating_add(self.ttl_millis));
            reply.note = Some(call.bound(principal, |bound| elicit::seal(&self.key, bound, end)));
        }
    }
}

impl BoundCall<'_> {
    /// The binding of a token for this call. Messages that never need an approval have a name of their own here as
    /// well, so that no token is valid for them.
    fn bound<T>(&self, principal: &Uid, of: impl FnOnce(&BoundTo<'_>) -> T) -> T {
        let (method, name) = match &self.asked.what {
            What::Mcp(Ask::CallTool { name, .. }) => ("tools/call", name.as_str()),
            What::Mcp(Ask::ReadResource { uri }) => ("resources/read", uri.as_str()),
            What::Mcp(Ask::SubscribeResource { uri }) => ("subscriptions/listen", uri.as_str()),
            What::Mcp(Ask::GetPrompt { name, .. }) => ("prompts/get", name.as_str()),
            What::Mcp(Ask::UseServer { method }) => (method.as_str(), ""),
            What::Http { .. } | What::Grpc { .. } | What::A2a(_) | What::Llm(_) => ("", ""),
        };
        let arguments = self.asked.arguments().map(|arguments| arguments.node().canonical());
        let arguments = Sha256::digest(arguments.unwrap_or_default());
        let principal = principal.to_string();
        let (issuer, subject) = match &self.identity.token {
            Some(token) => (token.issuer.as_str(), token.subject.as_str()),
            None => ("", ""),
        };
        of(&BoundTo {
            principal: &principal,
            issuer,
            subject,
            service: self.service,
            method,
            name,
            arguments: &arguments,
        })
    }
}

fn wants_approval(verdict: &Verdict) -> bool {
    match &verdict.effect {
        Effect::Challenge(Challenge::Approve { .. }, _) => true,
        Effect::Challenge(
            Challenge::Login { .. }
            | Challenge::StepUp { .. }
            | Challenge::AddScope { .. }
            | Challenge::NarrowToken { .. },
            _,
        )
        | Effect::Allow(_)
        | Effect::Deny(_) => false,
    }
}
