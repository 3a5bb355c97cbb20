//! The identity settings of a profile: its sources, their order, and their strictness.
//!
//! Knows: the keys an operator writes, their defaults and what contradicts what.
//! Must not know: calls, key material, the network.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::TokenKind;
use super::rules::{ClaimRules, IssuerRules};
use super::spiffe_id::{SpiffeId, is_trust_domain};
use crate::call::headers::folded;

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

impl Places {
    fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        let is_name = |name: &String| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        for name in self.headers.iter().chain(&self.cookies).chain(&self.query).filter(|name| !is_name(name)) {
            found.push(format!("from: `{}` is not the name of a header, a cookie or a query key", name.escape_debug()));
        }
        for name in self.headers.iter().filter(|name| matches!(folded(name).as_str(), "authorization" | "cookie")) {
            found.push(format!("from: header `{name}` is always read; name a cookie under `cookies`"));
        }
        found
    }
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

const HOPS_MAX: u8 = 8;

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

    /// Everything that is wrong with these settings, given the issuers that are configured.
    #[must_use]
    pub fn problems(&self, issuers: &[IssuerRules]) -> Vec<String> {
        let mut found = Vec::new();
        for domain in std::iter::once(&self.home_trust_domain).chain(&self.allowed_trust_domains) {
            if !is_trust_domain(domain) {
                found.push(format!("`{domain}` is not a valid trust domain (a-z, 0-9, `.`, `-`, `_`)"));
            }
        }
        for (index, source) in self.sources.iter().enumerate() {
            if self.sources.iter().take(index).any(|earlier| earlier == source) {
                found.push(format!("sources: entry {} repeats an earlier one", index + 1));
            }
            self.source_problems(source, issuers, &mut found);
        }
        self.token_problems(issuers, &mut found);
        self.task_problems(issuers, &mut found);
        found
    }

    fn source_problems(&self, source: &Source, issuers: &[IssuerRules], found: &mut Vec<String>) {
        match source {
            Source::Peer => {}
            Source::Xfcc(xfcc) => {
                if xfcc.hops == 0 || xfcc.hops > HOPS_MAX {
                    found.push(format!("xfcc: hops is {}, and must be 1 to {HOPS_MAX}", xfcc.hops));
                }
                if xfcc.hops > 1 && xfcc.proxies.is_empty() {
                    found.push("xfcc: more than one hop needs the proxies' SPIFFE ids in `proxies`".to_owned());
                }
                for proxy in &xfcc.proxies {
                    if let Err(problem) = SpiffeId::parse(proxy) {
                        found.push(format!("xfcc: proxy `{proxy}` is not a SPIFFE id: {problem}"));
                    }
                }
            }
            Source::JwtSvid(svid) => match issuers.iter().find(|issuer| issuer.name == svid.issuer) {
                None => found.push(format!("jwt_svid: no issuer is named `{}`", svid.issuer)),
                Some(issuer) => match (issuer.claims.kind, &issuer.claims.trust_domain) {
                    (TokenKind::JwtSvid, Some(domain)) if !self.trusts(domain) => found.push(format!(
                        "jwt_svid: issuer `{}` signs for trust domain `{domain}`, which is not allowed here",
                        svid.issuer
                    )),
                    (TokenKind::JwtSvid, Some(_) | None) => {}
                    (TokenKind::Access | TokenKind::Kubernetes | TokenKind::Transaction, _) => {
                        found.push(format!("jwt_svid: issuer `{}` is not of kind `jwt_svid`", svid.issuer));
                    }
                },
            },
        }
    }

    fn token_problems(&self, issuers: &[IssuerRules], found: &mut Vec<String>) {
        let mut keys = BTreeSet::new();
        let mut names = BTreeSet::new();
        let mut spellings = BTreeSet::new();
        for source in &self.tokens {
            match source {
                TokenSource::Metadata(metadata) => {
                    if metadata.key.is_empty() {
                        found.push("metadata: `key` is empty; name the filter's payload_in_metadata".to_owned());
                    }
                    if !keys.insert(&metadata.key) {
                        found.push(format!("metadata: key `{}` is named twice", metadata.key));
                    }
                    let place = format!("metadata `{}`", metadata.key);
                    if metadata.claims.kind == TokenKind::Transaction {
                        found.push(format!("{place}: kind `transaction` is only for `task`"));
                    }
                    found.extend(metadata.from.problems().into_iter().map(|problem| format!("{place}: {problem}")));
                    found.extend(metadata.claims.problems().into_iter().map(|problem| format!("{place}: {problem}")));
                }
                TokenSource::Verified(verified) => {
                    if verified.issuers.is_empty() {
                        found.push("verified: `issuers` is empty; name at least one".to_owned());
                    }
                    for name in &verified.issuers {
                        match issuers.iter().find(|issuer| &issuer.name == name) {
                            None => found.push(format!("verified: no issuer is named `{name}`")),
                            Some(issuer) if issuer.claims.kind == TokenKind::Transaction => found.push(format!(
                                "verified: issuer `{name}` is of kind `transaction`; name it under `task`"
                            )),
                            Some(issuer) if !spellings.insert(&issuer.claims.issuer) => found.push(format!(
                                "verified: issuer `{name}` has the same `iss` as another, so its tokens have two rules"
                            )),
                            Some(_) => {}
                        }
                        if !names.insert(name) {
                            found.push(format!("verified: issuer `{name}` is named twice"));
                        }
                    }
                }
            }
        }
    }

    fn task_problems(&self, issuers: &[IssuerRules], found: &mut Vec<String>) {
        let mut spellings = BTreeSet::new();
        for name in &self.task.issuers {
            match issuers.iter().find(|issuer| &issuer.name == name) {
                None => found.push(format!("task: no issuer is named `{name}`")),
                Some(issuer) if issuer.claims.kind != TokenKind::Transaction => {
                    let kind = issuer.claims.kind.as_str();
                    found.push(format!("task: issuer `{name}` is of kind `{kind}`, and must be of kind `transaction`"));
                }
                Some(issuer) if !spellings.insert(&issuer.claims.issuer) => found
                    .push(format!("task: issuer `{name}` has the same `iss` as another, so its tokens have two rules")),
                Some(_) => {}
            }
        }
    }
}
