//! Callers that are said, not proven: for policy tests and explanations, where no connection and no signature exists.
//!
//! Knows: what a profile makes of a workload and of verified claims. Must not know: calls, key material.
//! Nothing here is reached from a proxy's call.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::rules::{ClaimRules, IssuerRules, Kind};
use super::settings::{ForeignTokens, Settings, TokenSource};
use super::{Identity, Proof, Proven, SpiffeId, Workload, binding, token};
use crate::call::UnixMillis;
use crate::failure::{Code, Failure};

/// How long a token without `exp` is good for, in seconds.
const LIFETIME_SECONDS: i64 = 300;

/// By whose rules a said token is read.
#[derive(Debug, Clone, Copy)]
pub enum TokenRules<'a> {
    /// The issuers of the profile's token sources; the profile decides what becomes of others.
    Profile(&'a [IssuerRules]),
    /// Any issuer and audience that the claims name; the tokens are of this kind and may stand for persons.
    AnyIssuer(Kind),
}

/// The identity of a caller that is taken at its word.
///
/// Claims that every token has (`iss`, `aud`, `iat`, `exp`) are filled in where they are missing.
///
/// # Errors
/// What a proxy's call with this caller would be refused for: `peer_rejected`, `trust_domain_refused`,
/// `token_rejected`, `token_expired`, `token_not_bound`.
pub fn offline(
    spiffe: Option<&str>,
    claims: Option<&Map<String, Value>>,
    rules: TokenRules<'_>,
    settings: &Settings,
    now: UnixMillis,
) -> Result<Identity, Failure> {
    let peer = spiffe.map(|id| proven(id, settings)).transpose()?;
    let token = match claims {
        Some(claims) => good_token(claims, rules, settings, now)?
            .map(|claims| binding::bind(claims, peer.as_ref(), settings))
            .transpose()?,
        None => None,
    };
    Ok(Identity { workload: peer.map(|peer| peer.workload), token, task: None })
}

fn proven(id: &str, settings: &Settings) -> Result<Proven, Failure> {
    let id = SpiffeId::parse(id)
        .map_err(|problem| Failure::new(Code::PeerRejected, format!("`{id}` is not a SPIFFE id: {problem}")))?;
    if !settings.trusts(id.trust_domain()) {
        let detail = format!("trust domain `{}` is not allowed", id.trust_domain());
        return Err(Failure::new(Code::TrustDomainRefused, detail));
    }
    Ok(Proven { workload: Workload { id, proof: Proof::Mtls }, thumbprint: None })
}

/// The claims by their issuer's rules; `None` where the profile would not look at the token.
fn good_token(
    claims: &Map<String, Value>,
    rules: TokenRules<'_>,
    settings: &Settings,
    now: UnixMillis,
) -> Result<Option<token::Claims>, Failure> {
    let issuer = claims.get("iss").and_then(Value::as_str);
    let rules = match rules {
        TokenRules::AnyIssuer(kind) => as_claimed(claims, kind),
        TokenRules::Profile(issuers) => {
            let known = configured(settings, issuers);
            let found = known.iter().find(|rules| issuer.is_none_or(|issuer| issuer == rules.issuer));
            match (found, settings.foreign_tokens) {
                (Some(rules), _) => (*rules).clone(),
                (None, _) if settings.tokens.is_empty() => return Ok(None),
                (None, ForeignTokens::Absent) => return Ok(None),
                (None, ForeignTokens::Rejected) => {
                    return Err(Failure::new(Code::TokenRejected, "the token's issuer is not configured"));
                }
            }
        }
    };
    token::read(&filled(claims, &rules, now), &rules, now).map(Some)
}

fn configured<'a>(settings: &'a Settings, issuers: &'a [IssuerRules]) -> Vec<&'a ClaimRules> {
    let of = |source: &'a TokenSource| -> Vec<&'a ClaimRules> {
        match source {
            TokenSource::Metadata(metadata) => vec![&metadata.claims],
            TokenSource::Verified(verified) => issuers
                .iter()
                .filter(|issuer| verified.issuers.contains(&issuer.name))
                .map(|issuer| &issuer.claims)
                .collect(),
        }
    };
    settings.tokens.iter().flat_map(of).collect()
}

fn as_claimed(claims: &Map<String, Value>, kind: Kind) -> ClaimRules {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        Some(_) | None => vec![text("aud").unwrap_or("picket")],
    };
    let subject = text("sub").map(SpiffeId::parse);
    ClaimRules {
        issuer: text("iss").unwrap_or("https://issuer.test").to_owned(),
        audiences: audiences.into_iter().map(str::to_owned).collect(),
        kind,
        users: true,
        leeway: Duration::ZERO,
        trust_domain: match subject {
            Some(Ok(id)) if kind == Kind::JwtSvid => Some(id.trust_domain().to_owned()),
            Some(_) | None => None,
        },
        lifetime_max: None,
        actors: BTreeMap::new(),
    }
}

fn filled(claims: &Map<String, Value>, rules: &ClaimRules, now: UnixMillis) -> Value {
    let mut claims = claims.clone();
    let mut fill = |name: &str, value: Value| {
        claims.entry(name).or_insert(value);
    };
    fill("iss", Value::from(rules.issuer.as_str()));
    fill("aud", rules.audiences.iter().next().map_or(Value::Null, |audience| Value::from(audience.as_str())));
    fill("iat", Value::from(now.seconds()));
    fill("exp", Value::from(now.seconds().saturating_add(LIFETIME_SECONDS)));
    Value::Object(claims)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_795_392_000_000);

    fn with(spiffe: Option<&str>, claims: Value, rules: TokenRules<'_>, settings: &Settings) -> Result<Identity, Code> {
        let claims = claims.as_object().filter(|claims| !claims.is_empty());
        offline(spiffe, claims, rules, settings, NOW).map_err(|failure| failure.code)
    }

    fn any(spiffe: Option<&str>, claims: Value) -> Result<Identity, Code> {
        with(spiffe, claims, TokenRules::AnyIssuer(Kind::Access), &Settings::default())
    }

    #[test]
    fn a_said_workload_obeys_the_profiles_trust_domains() {
        let at_home = any(Some("spiffe://cluster.local/ns/a/sa/b"), json!({})).unwrap();
        assert_eq!(at_home.workload.unwrap().proof, Proof::Mtls);
        assert_eq!(any(Some("spiffe://other.example/ns/a/sa/b"), json!({})), Err(Code::TrustDomainRefused));
        assert_eq!(any(Some("web/frontend"), json!({})), Err(Code::PeerRejected));
    }

    #[test]
    fn said_claims_are_read_as_verified_ones() {
        let token = any(None, json!({"sub": "alice", "scope": "a b", "client_id": "c"})).unwrap().token.unwrap();
        assert!(token.is_user && token.scopes_proven.contains("b"));
        assert_eq!(token.expires_at, UnixMillis(NOW.0 + 300_000));
        assert_eq!(any(None, json!({"scope": "a"})), Err(Code::TokenRejected), "no `sub`");
        assert_eq!(any(None, json!({"sub": "a", "exp": NOW.seconds()})), Err(Code::TokenExpired));
        let bound = json!({"sub": "a", "act": {"sub": "spiffe://cluster.local/ns/a/sa/other"}});
        assert_eq!(any(Some("spiffe://cluster.local/ns/a/sa/b"), bound), Err(Code::TokenNotBound));
    }

    #[test]
    fn a_profile_looks_at_tokens_of_its_issuers_only() {
        let claims = json!({"sub": "alice", "iss": "https://b.example"});
        let none = Settings::default();
        assert_eq!(with(None, claims.clone(), TokenRules::Profile(&[]), &none).unwrap().token, None);
        let settings: Settings = serde_json::from_value(json!({
            "tokens": [{"metadata": {"key": "jwt", "claims": {"issuer": "https://a.example", "audiences": ["shop"]}}}]
        }))
        .unwrap();
        assert_eq!(with(None, claims, TokenRules::Profile(&[]), &settings), Err(Code::TokenRejected));
        let filled = with(None, json!({"sub": "alice"}), TokenRules::Profile(&[]), &settings).unwrap().token.unwrap();
        assert_eq!(filled.issuer, "https://a.example");
    }
}
