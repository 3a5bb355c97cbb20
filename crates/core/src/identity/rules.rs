//! Validation rules for tokens, by issuer: required claims and accepted signatures.
//!
//! Knows: claim rules and pinned algorithms. Must not know: calls, key material, the network.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::TokenKind;
use super::spiffe_id::{SpiffeId, is_trust_domain};
use crate::setting::{CheckSettings, SettingProblem, of_parts};

/// The rules for the claims of one issuer's tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimRules {
    /// `iss`, compared byte by byte. No default.
    pub issuer: String,
    /// A token must name at least one of these in `aud`. No default; must not be empty, since a token
    /// for somebody else is no token for us. For `transaction`: the mesh's trust domain.
    pub audiences: BTreeSet<String>,
    /// The kind of the tokens: `access` (default), `jwt_svid`, `kubernetes` or `transaction`.
    #[serde(default)]
    pub kind: TokenKind,
    /// Whether tokens may represent persons: `isUser` is true where `client_id` or `azp` is present and
    /// differs from `sub`. Default `false`: no subject is a user, and `acr`, `amr` and `auth_time` are ignored,
    /// since no user has logged in. Leave it off for issuers of service accounts with subjects of their own.
    #[serde(default)]
    pub users: bool,
    /// How far clocks may differ when `exp`, `nbf` and `iat` are compared. Default 30s, at most 5m.
    /// `0s`: not at all. Units: `ms`, `s`, `m`.
    #[serde(default = "default_leeway", with = "humantime_serde")]
    pub leeway: Duration,
    /// For `jwt_svid`, where it is required: the one trust domain that this issuer may sign ids of.
    #[serde(default)]
    pub trust_domain: Option<String>,
    /// Longest time from `iat` to `exp`; a token that lives longer is refused, and so is one without `iat`.
    /// Default: 10m for `transaction`, no bound for the others. 1s to 24h. Units: `s`, `m`, `h`.
    #[serde(default, with = "humantime_serde")]
    pub lifetime_max: Option<Duration>,
    /// Workloads by their names in `act.sub`, as SPIFFE ids. Default `{}`: an actor that is not a SPIFFE id
    /// cannot be compared with the peer, so its token is refused unless `bindings` is `unchecked`.
    #[serde(default)]
    pub actors: BTreeMap<String, String>,
}

fn default_leeway() -> Duration {
    Duration::from_secs(30)
}

const LEEWAY_MAX: Duration = Duration::from_secs(300);
const LIFETIME_MAX: Duration = Duration::from_secs(86_400);

/// Longest life of a transaction token, where nothing else is set: drafts of the standard speak of minutes.
const TASK_LIFETIME: Duration = Duration::from_secs(600);

impl ClaimRules {
    /// Longest time from `iat` to `exp`, where there is a bound.
    #[must_use]
    pub fn longest_life(&self) -> Option<Duration> {
        match self.kind {
            TokenKind::Transaction => Some(self.lifetime_max.unwrap_or(TASK_LIFETIME)),
            TokenKind::Access | TokenKind::JwtSvid | TokenKind::Kubernetes => self.lifetime_max,
        }
    }
}

impl CheckSettings for ClaimRules {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { issuer, audiences, kind, users: _, leeway, trust_domain, lifetime_max, actors } = self;
        let mut found = Vec::new();
        let mut wrong = |key: &str, message: &str| found.push(SettingProblem::error(key, message));
        if issuer.is_empty() {
            wrong("issuer", "is empty; it must be the tokens' `iss`");
        }
        if audiences.is_empty() || audiences.contains("") {
            wrong("audiences", "must hold at least one audience, and none that is empty");
        }
        if *leeway > LEEWAY_MAX {
            wrong("leeway", "is more than 5m; give at most that");
        }
        if lifetime_max.is_some_and(|life| !(Duration::from_secs(1)..=LIFETIME_MAX).contains(&life)) {
            wrong("lifetime_max", "must be 1s to 24h");
        }
        for (name, id) in actors {
            if SpiffeId::parse(name).is_ok() {
                let message = format!("`{name}` is a SPIFFE id and is compared as it is; only other names go here");
                wrong("actors", &message);
            }
            if let Err(problem) = SpiffeId::parse(id) {
                wrong("actors", &format!("`{id}` for `{name}` is not a SPIFFE id: {problem}"));
            }
        }
        if *kind == TokenKind::Transaction && !actors.is_empty() {
            wrong("actors", "is not for kind `transaction`: `req_wl` must be the peer's own id");
        }
        match (kind, trust_domain) {
            (TokenKind::JwtSvid, None) => {
                wrong("trust_domain", "kind `jwt_svid` needs it: the domain that this issuer may sign ids for");
            }
            (TokenKind::JwtSvid, Some(domain)) if !is_trust_domain(domain) => {
                let message = format!("`{domain}` is not a valid trust domain (a-z, 0-9, `.`, `-`, `_`)");
                wrong("trust_domain", &message);
            }
            (TokenKind::Access | TokenKind::Kubernetes | TokenKind::Transaction, Some(_)) => {
                wrong("trust_domain", "is only for kind `jwt_svid`; drop it");
            }
            (TokenKind::JwtSvid, Some(_))
            | (TokenKind::Access | TokenKind::Kubernetes | TokenKind::Transaction, None) => {}
        }
        found
    }
}

/// How one issuer's tokens are verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerRules {
    /// The name that profiles use.
    pub name: String,
    /// The only accepted algorithms, regardless of a token's header.
    pub algorithms: BTreeSet<SignatureAlgorithm>,
    /// Whether access tokens with `typ` `JWT` or none are accepted.
    pub allow_untyped: bool,
    /// The rules for the claims.
    pub claims: ClaimRules,
}

impl CheckSettings for IssuerRules {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { name, algorithms, allow_untyped: _, claims } = self;
        let mut found = of_parts(&[("claims", claims)]);
        if name.is_empty() {
            found.push(SettingProblem::error("name", "is empty; profiles and metrics need it"));
        }
        if algorithms.is_empty() {
            found.push(SettingProblem::error("algorithms", "is empty; name at least one"));
        }
        found
    }
}

/// A signature algorithm with a public key; shared secrets have no spelling here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256.
    Es256,
    /// ECDSA on P-384.
    Es384,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl SignatureAlgorithm {
    /// Those on RSA keys.
    pub const RSA: [Self; 6] = [Self::Rs256, Self::Rs384, Self::Rs512, Self::Ps256, Self::Ps384, Self::Ps512];

    /// The name in a token's header and in a key's `alg`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    pub(super) fn engine(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Rs384 => jsonwebtoken::Algorithm::RS384,
            Self::Rs512 => jsonwebtoken::Algorithm::RS512,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::Ps384 => jsonwebtoken::Algorithm::PS384,
            Self::Ps512 => jsonwebtoken::Algorithm::PS512,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Es384 => jsonwebtoken::Algorithm::ES384,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::fixtures::{WEB, claim_rules, task_rules};

    #[test]
    fn a_bound_or_an_actor_that_cannot_work_is_a_problem() {
        let life = |seconds| Some(Duration::from_secs(seconds));
        let actors = |name: &str, id: &str| [(name.to_owned(), id.to_owned())].into();
        let access = claim_rules;
        let task = || task_rules().claims;
        for (rules, expected) in [
            (ClaimRules { lifetime_max: life(0), ..access() }, "1s to 24h"),
            (ClaimRules { lifetime_max: life(86_401), ..task() }, "1s to 24h"),
            (ClaimRules { lifetime_max: life(86_400), ..task() }, ""),
            (ClaimRules { actors: actors("web", WEB), ..access() }, ""),
            (ClaimRules { actors: actors("web", "web"), ..access() }, "`web` is not a SPIFFE id"),
            (ClaimRules { actors: actors(WEB, WEB), ..access() }, "compared as it is"),
            (ClaimRules { actors: actors("web", WEB), ..task() }, "not for kind `transaction`"),
            (ClaimRules { trust_domain: Some("a.example".to_owned()), ..task() }, "only for kind `jwt_svid`"),
        ] {
            let found = rules.problems().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{expected}: {found}");
        }
    }

    #[test]
    fn only_task_tokens_have_a_longest_life_by_default() {
        assert_eq!(task_rules().claims.longest_life(), Some(Duration::from_secs(600)));
        assert_eq!(claim_rules().longest_life(), None);
    }
}
