//! The identity settings of a profile: its sources, their order, and their strictness.
//!
//! Knows: the keys an operator writes and their defaults; `settings/check.rs` knows what contradicts what.
//! Must not know: calls, key material, the network.

mod check;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::rules::ClaimRules;

/// The identity part of a listener's profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Sources of a workload's identity, in order. Default `[peer]`. Empty: every
    /// caller is unauthenticated.
    pub sources: Vec<Source>,
    /// Whether the proxy must send the peer's certificate (`include_peer_certificate: true`), for the
    /// sources `peer` and `xfcc`. `checked` (default): checked where sent. `required`: a principal
    /// without it is refused.
    pub certificate: Certificate,
    /// Sources of tokens, in order. Default `[]`: tokens are ignored.
    pub tokens: Vec<TokenSource>,
    /// Issuers of task tokens. Default `{issuers: []}`: the header `txn-token` is ignored.
    pub task: TaskSource,
    /// `true`: an `authorization` header that is not a JWT Bearer is rejected, not ignored. Default `false`.
    /// Without effect where neither `tokens` nor a source `jwt_svid` reads it.
    pub strict: bool,
    /// Handling of a token from an issuer that is not configured. `rejected` (default), or `absent`: it
    /// counts as no token, for services that check such tokens themselves.
    pub foreign_tokens: ForeignTokens,
    /// Handling of an `authorization` header next to the verified token without a token of a configured
    /// issuer: another scheme, an opaque Bearer, a foreign token that counts as absent.
    /// `refused` (default), or `passed`, for services that check it themselves.
    pub other_credentials: OtherCredentials,
    /// Whether the service behind reads `access_token` from form bodies (RFC 6750, section 2.2).
    /// `judged` (default): a form that was not seen whole is refused, and one that holds a token as
    /// any second token is. `not_read`: forms are not looked at. Without effect where tokens are not
    /// looked at.
    pub form_tokens: FormTokens,
    /// Handling of a token with a binding that cannot be compared. `checked` (default): rejected.
    /// `unchecked`: accepted with binding `unchecked`; a mismatch is always rejected.
    pub bindings: Bindings,
    /// The home trust domain. Default `cluster.local`.
    pub home_trust_domain: String,
    /// Further trust domains with workloads that may call. Default `[]`: only the home one.
    pub allowed_trust_domains: BTreeSet<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sources: vec![Source::Peer],
            certificate: Certificate::Checked,
            tokens: Vec::new(),
            task: TaskSource::default(),
            strict: false,
            foreign_tokens: ForeignTokens::Rejected,
            other_credentials: OtherCredentials::Refused,
            form_tokens: FormTokens::Judged,
            bindings: Bindings::Checked,
            home_trust_domain: "cluster.local".to_owned(),
            allowed_trust_domains: BTreeSet::new(),
        }
    }
}

/// One source of a workload's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The connection's own certificate, as the proxy describes it.
    Peer,
    /// `x-forwarded-client-cert`.
    Xfcc(XfccSource),
    /// A JWT-SVID in `authorization`.
    JwtSvid(JwtSvidSource),
}

/// The elements of `x-forwarded-client-cert` that trusted proxies wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct XfccSource {
    /// Number of proxies, counted from the calling one, that added an element. 1 to 8; no default.
    /// Too high a number lets the client write the identity, so count what is deployed.
    pub hops: u8,
    /// SPIFFE ids of those proxies. Default `[]`: only the calling proxy itself, by `destination.principal`.
    #[serde(default)]
    pub proxies: BTreeSet<String>,
}

/// An issuer of JWT-SVIDs that are accepted as an identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtSvidSource {
    /// Name of an issuer in the `keys` settings, of kind `jwt_svid`.
    pub issuer: String,
}

/// One source of tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenSource {
    /// Claims that Envoy's jwt_authn filter verified.
    Metadata(Box<MetadataSource>),
    /// The Bearer in `authorization`, verified by Picket.
    Verified(VerifiedSource),
}

/// Claims in the dynamic metadata of Envoy's jwt_authn filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetadataSource {
    /// The filter's `payload_in_metadata`.
    pub key: String,
    /// The rules for the claims.
    pub claims: ClaimRules,
    /// Where else than in `authorization` and `access_token` the filter takes the token from. What
    /// stands there is then judged in every call. Default `{}`.
    #[serde(default)]
    pub from: Places,
}

/// Places of a token by their names, as in the filter's `from_headers`, `from_cookies` and `from_params`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Places {
    /// Names of headers.
    pub headers: BTreeSet<String>,
    /// Names of cookies.
    pub cookies: BTreeSet<String>,
    /// Keys of the query.
    pub query: BTreeSet<String>,
}

/// Issuers of tokens that Picket verifies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifiedSource {
    /// Names of issuers in the `keys` settings.
    pub issuers: BTreeSet<String>,
}

/// Issuers of transaction tokens, which limit a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TaskSource {
    /// Names of issuers in the `keys` settings, of kind `transaction`.
    pub issuers: BTreeSet<String>,
}

/// Whether the peer's certificate must be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certificate {
    /// Checked where sent.
    Checked,
    /// A principal without a certificate is refused.
    Required,
}

/// Handling of a token from an issuer that is not configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForeignTokens {
    /// It is refused.
    Rejected,
    /// It counts as no token.
    Absent,
}

/// Handling of an `authorization` header next to the verified token that is not from a configured issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OtherCredentials {
    /// The call is refused.
    Refused,
    /// The call continues: the service checks it itself.
    Passed,
}

/// Whether tokens in form bodies count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FormTokens {
    /// Forms are read, and one that cannot be read is refused.
    Judged,
    /// No service behind the listener reads them.
    NotRead,
}

/// Handling of a binding that cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bindings {
    /// The token is refused.
    Checked,
    /// The token passes, marked `unchecked`.
    Unchecked,
}

impl Settings {
    /// Whether `domain` is the home trust domain or an allowed one.
    #[must_use]
    pub fn trusts(&self, domain: &str) -> bool {
        domain == self.home_trust_domain || self.allowed_trust_domains.contains(domain)
    }

    /// Whether a token can make a difference to a call.
    #[must_use]
    pub fn looks_at_tokens(&self) -> bool {
        let is_svid = |source: &Source| match source {
            Source::JwtSvid(_) => true,
            Source::Peer | Source::Xfcc(_) => false,
        };
        !self.tokens.is_empty() || self.sources.iter().any(is_svid)
    }

    /// The places of tokens that sources name, beside `authorization` and `access_token`.
    pub(super) fn places(&self) -> impl Iterator<Item = &Places> {
        self.tokens.iter().filter_map(|source| match source {
            TokenSource::Metadata(metadata) => Some(&metadata.from),
            TokenSource::Verified(_) => None,
        })
    }
}
