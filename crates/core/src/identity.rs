//! Identifies the caller: turns the credentials that the proxy vouched for into an [`Identity`].
//!
//! Knows: peer certificates' SPIFFE ids, `x-forwarded-client-cert`, verified JWT claims, task tokens, key sets in memory.
//! Must not know: policies, entities, the network. Pure and synchronous.
//!
//! Sources are asked in the configured order. Only [`SourceResult::NotPresented`] passes the turn:
//! a credential that is present and bad ends the search, so that a broken certificate can
//! never fall back to a weaker header. One token a call: what stands beside it is the same one, or refused.

pub mod asserted;
mod authorization;
mod beside;
mod binding;
mod form;
mod grants;
mod json;
mod jwt;
pub mod key_ring;
mod peer;
mod places;
pub mod proxy;
pub mod rules;
pub mod settings;
pub mod spiffe_id;
mod task;
mod token;
pub mod xfcc;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::{Call, UnixMillis};
use crate::failure::{Code, Failure};
use jwt::Bearer;
pub use key_ring::{KeyRing, KeySet};
pub use settings::Settings;
use settings::{Source, TokenSource};
pub use spiffe_id::SpiffeId;
pub use task::Task;
use token::Claims;

/// The result of one source of identity.
#[derive(Debug, Clone)]
pub enum SourceResult<T> {
    /// No credential of this kind came with the call.
    NotPresented,
    /// A credential came and is good.
    Accepted(T),
    /// A credential came and is bad: the search ends here.
    Rejected(Failure),
}

/// Why no caller is identified.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{failure}")]
pub struct Rejection {
    /// The refusal.
    pub failure: Failure,
    /// Name of the issuer with the missing key, if the cached keys may be outdated:
    /// pass it to `Keys::hint_unknown_key` of the server.
    pub unknown_key_of: Option<String>,
}

impl From<Failure> for Rejection {
    fn from(failure: Failure) -> Self {
        Self { failure, unknown_key_of: None }
    }
}

/// Finds out who is calling, by the sources that `settings` names, in their order.
///
/// Time is `call.received_at`. Nobody presenting anything is an [`Identity`] without workload and token.
///
/// # Errors
/// [`Rejection`] for a credential that is present and not provably good.
pub fn identify(call: &Call, settings: &Settings, keys: &KeyRing) -> Result<Identity, Rejection> {
    let presented = authorization::read(call, settings);
    let verdict = OnceCell::new();
    let judge = || jwt::judge(presented.clone()?, settings, keys, call.received_at);
    let bearer = || verdict.get_or_init(judge).as_ref().map_err(Rejection::clone);
    let peer = workload(call, settings, &bearer)?;
    let token = if settings.looks_at_tokens() {
        // Whatever source wins: a service may read the others.
        let (presented, bearer) = (presented.clone()?, bearer()?);
        let others = places::read(call, settings)?;
        let judged = judged(call, settings, bearer)?;
        let payload = judged.as_ref().map(|judged| judged.payload);
        beside::check_others(&others, (presented, bearer), payload, settings, keys)?;
        beside::check_bearer(bearer, payload, peer.as_ref(), settings)?;
        judged.map(|judged| binding::bind(judged.claims, peer.as_ref(), settings)).transpose()?
    } else {
        None
    };
    let task = task::read(call, settings, keys, peer.as_ref(), token.as_ref())?;
    Ok(Identity { workload: peer.map(|peer| peer.workload), token: token.map(Box::new), task: task.map(Box::new) })
}

/// Whether the identity may change with time: it depends on a certificate or a token, and both have a validity and
/// keys.
#[must_use]
pub fn is_momentary(call: &Call, settings: &Settings) -> bool {
    let tokens = settings.looks_at_tokens() && places::is_any(call, settings);
    let is_task = |(name, _): (&str, &[u8])| crate::call::headers::folded(name) == task::HEADER;
    let task = !settings.task.issuers.is_empty() && call.headers.iter().any(is_task);
    tokens || task || call.peer.certificate.is_some()
}

/// Whether [`identify`] reads the body: a form may hold a token.
#[must_use]
pub fn reads_body(call: &Call, settings: &Settings) -> bool {
    settings.looks_at_tokens() && form::may_hold_one(call, settings)
}

/// The headers by which [`identify`] finds out who calls where that is not [momentary](is_momentary).
#[must_use]
pub fn headers(settings: &Settings) -> &'static [&'static str] {
    let is_xfcc = |source: &Source| match source {
        Source::Xfcc(_) => true,
        Source::Peer | Source::JwtSvid(_) => false,
    };
    // A body's type says whether it can be a form, and with it a place of tokens.
    match (settings.sources.iter().any(is_xfcc), settings.looks_at_tokens()) {
        (true, true) => &[xfcc::HEADER, "content-type"],
        (true, false) => &[xfcc::HEADER],
        (false, true) => &["content-type"],
        (false, false) => &[],
    }
}

/// A proven workload, with what tokens can be compared to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Proven {
    workload: Workload,
    /// SHA-256 of its certificate, where it was sent.
    thumbprint: Option<[u8; 32]>,
}

fn workload<'a>(
    call: &Call,
    settings: &Settings,
    bearer: &impl Fn() -> Result<&'a Bearer, Rejection>,
) -> Result<Option<Proven>, Rejection> {
    for source in &settings.sources {
        let outcome = match source {
            Source::Peer => peer::read(call, settings.certificate),
            Source::Xfcc(xfcc) => xfcc::read(call, xfcc, settings.certificate),
            Source::JwtSvid(svid) => svid_holder(bearer()?, &svid.issuer, settings)?,
        };
        match outcome {
            SourceResult::NotPresented => {}
            SourceResult::Rejected(failure) => return Err(failure.into()),
            SourceResult::Accepted(peer) if settings.trusts(peer.workload.id.trust_domain()) => return Ok(Some(peer)),
            SourceResult::Accepted(peer) => {
                let detail = format!("trust domain `{}` is not allowed", peer.workload.id.trust_domain());
                return Err(Failure::new(Code::TrustDomainRefused, detail).into());
            }
        }
    }
    Ok(None)
}

fn svid_holder(bearer: &Bearer, issuer: &str, settings: &Settings) -> Result<SourceResult<Proven>, Failure> {
    match bearer {
        Bearer::Verified { issuer: by, claims, .. } if by == issuer && claims.token.kind == TokenKind::JwtSvid => {
            let token = binding::bind((**claims).clone(), None, settings)?;
            let id = SpiffeId::parse(&token.subject)
                .map_err(|problem| Failure::new(Code::TokenRejected, format!("`sub` is not a SPIFFE id: {problem}")))?;
            let workload = Workload { id, proof: Proof::JwtSvid };
            Ok(SourceResult::Accepted(Proven { workload, thumbprint: None }))
        }
        Bearer::Absent | Bearer::Other | Bearer::ForProxy { .. } | Bearer::Verified { .. } => {
            Ok(SourceResult::NotPresented)
        }
    }
}

/// A good token, and its claims as its issuer wrote them.
struct Judged<'a> {
    claims: Claims,
    payload: &'a Value,
}

/// The token of the first source that has one. Every source is asked: two tokens are refused.
fn judged<'a>(call: &'a Call, settings: &Settings, bearer: &'a Bearer) -> Result<Option<Judged<'a>>, Failure> {
    let mut first: Option<Judged<'a>> = None;
    for source in &settings.tokens {
        let found = match source {
            TokenSource::Metadata(metadata) => match call.verified_tokens.get(&metadata.key) {
                Some(payload) => Judged { claims: token::read(payload, &metadata.claims, call.received_at)?, payload },
                None => continue,
            },
            TokenSource::Verified(verified) => match bearer {
                Bearer::Verified { issuer, claims, payload } if verified.issuers.contains(issuer) => {
                    Judged { claims: (**claims).clone(), payload }
                }
                Bearer::Verified { .. } | Bearer::Absent | Bearer::Other | Bearer::ForProxy { .. } => continue,
            },
        };
        match &first {
            None => first = Some(found),
            Some(first) if json::is_same(first.payload, found.payload) => {}
            Some(_) => return Err(Failure::new(Code::TokenRepeated, "two tokens came, and both are good")),
        }
    }
    Ok(first)
}

/// The caller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The workload, where one is proven.
    pub workload: Option<Workload>,
    /// The verified token, if one was presented.
    pub token: Option<Box<Token>>,
    /// The task it works for, where a task token was presented and is good.
    pub task: Option<Box<Task>>,
}

/// A proven workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Its SPIFFE id.
    pub id: SpiffeId,
    /// How it was proven.
    pub proof: Proof,
}

/// How a workload's identity was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// The connection's own certificate.
    Mtls,
    /// A trusted proxy's `x-forwarded-client-cert`.
    Xfcc,
    /// A JWT-SVID.
    JwtSvid,
}

impl Proof {
    /// The text policies compare with.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mtls => "mtls",
            Self::Xfcc => "xfcc",
            Self::JwtSvid => "jwt_svid",
        }
    }
}

/// The claims of a verified token; fields as the type `Token` of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `access`, `jwt_svid`, `kubernetes` or `transaction`.
    pub kind: TokenKind,
    /// `aud`.
    pub audiences: BTreeSet<String>,
    /// Every scope that any claim grants.
    pub scopes_claimed: BTreeSet<String>,
    /// The scopes that every scope claim present grants.
    pub scopes_proven: BTreeSet<String>,
    /// `roles`.
    pub roles: BTreeSet<String>,
    /// Whether it is bound to the peer.
    pub binding: Binding,
    /// A person logged in: the issuer may say so, and the subject is not the client.
    pub is_user: bool,
    /// `client_id` or `azp`.
    pub client_id: Option<String>,
    /// `jti`.
    pub token_id: Option<String>,
    /// `acr`.
    pub acr: Option<String>,
    /// `amr`.
    pub amr: Option<BTreeSet<String>>,
    /// `auth_time`.
    pub auth_time: Option<UnixMillis>,
    /// `iat`.
    pub issued_at: Option<UnixMillis>,
    /// `exp`.
    pub expires_at: UnixMillis,
    /// `act.sub`.
    pub actor: Option<String>,
    /// How deep `act` nests; 0 without one.
    pub actor_depth: u32,
}

/// The purpose of a token, and of an issuer's tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// An OAuth access token.
    #[default]
    Access,
    /// A SPIFFE JWT-SVID: `sub` is a SPIFFE id.
    JwtSvid,
    /// A Kubernetes service-account token: `sub` is `system:serviceaccount:<namespace>:<account>`.
    Kubernetes,
    /// A transaction token: what a task allows, for one workload. Good in `txn-token` only.
    Transaction,
}

impl TokenKind {
    /// The text that policies compare with, and in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::JwtSvid => "jwt_svid",
            Self::Kubernetes => "kubernetes",
            Self::Transaction => "transaction",
        }
    }
}

/// Whether a token is bound to the peer that presents it. A mismatch is refused before any policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Binding {
    /// Bound, and compared with the peer.
    Bound,
    /// The token names no binding.
    Unbound,
    /// Bound, but the profile lets it pass without comparison.
    Unchecked,
}

impl Binding {
    /// The text policies compare with.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::Unbound => "unbound",
            Self::Unchecked => "unchecked",
        }
    }
}
