//! Who is calling. Turns what the proxy vouched for into an [`Identity`].
//!
//! Knows: peer certificates' SPIFFE ids, `x-forwarded-client-cert`, verified JWT claims, key sets in memory.
//! Must not know: policies, entities, the network. Pure and synchronous.
//!
//! Sources are asked in the configured order. Only [`Outcome::NotPresented`] passes the turn:
//! a credential that is present and bad ends the search, so that a broken certificate can
//! never fall back to a weaker header.

pub mod spiffe_id;

use std::collections::BTreeSet;

use crate::call::UnixMillis;
use crate::failure::Failure;
pub use spiffe_id::SpiffeId;

/// What one source of identity says.
#[derive(Debug, Clone)]
pub enum Outcome<T> {
    /// No credential of this kind came with the call.
    NotPresented,
    /// A credential came and is good.
    Accepted(T),
    /// A credential came and is bad: the search ends here.
    Rejected(Failure),
}

/// Who is calling.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The workload, where one is proven.
    pub workload: Option<Workload>,
    /// The token beside it, where one was presented and is good.
    pub token: Option<Token>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// What a verified token says; fields as the type `Token` of the schema.
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

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// An OAuth access token.
    Access,
    /// A JWT-SVID.
    JwtSvid,
    /// A Kubernetes service-account token.
    Kubernetes,
    /// A transaction token.
    Transaction,
}

impl TokenKind {
    /// The text policies compare with.
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
