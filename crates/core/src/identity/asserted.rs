//! Asserted callers for policy tests and explanations, which have no connection and no signature.
//!
//! Knows: what a profile makes of a workload and of verified claims. Must not know: calls, key material.
//! Nothing here is reached from a proxy's call.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::TokenKind;
use super::rules::{ClaimRules, IssuerRules};
use super::settings::{ForeignTokens, Settings, TokenSource};
use super::{Identity, Proof, Proven, SpiffeId, Task, Token, Workload, binding, task, token};
use crate::call::UnixMillis;
use crate::failure::{Code, Failure};

/// How long a token without `exp` is good for, in seconds.
const LIFETIME_SECONDS: i64 = 300;

/// The rules for an asserted token.
#[derive(Debug, Clone, Copy)]
pub enum TokenRules<'a> {
    /// The issuers of the profile's token sources; the profile decides about others.
    Profile(&'a [IssuerRules]),
    /// Any issuer and audience in the claims; the tokens are of this kind and may represent persons.
    AnyIssuer(TokenKind),
}

/// The asserted facts of a caller.
#[derive(Debug, Clone, Copy, Default)]
pub struct AssertedCaller<'a> {
    /// SPIFFE id of the workload.
    pub spiffe: Option<&'a str>,
    /// The proof of the workload. Default: the connection's certificate.
    pub proof: Option<Proof>,
    /// Claims of its token.
    pub token: Option<&'a Map<String, Value>>,
    /// Claims of its task token.
    pub task: Option<&'a Map<String, Value>>,
}

/// The identity of a caller that is taken at its word.
///
/// Claims that every token has (`iss`, `aud`, `iat`, `exp`) are filled in where they are missing; of a task token
/// also `txn`, `req_wl` (the workload) and `sub` (the token's).
///
/// # Errors
/// What a proxy's call with this caller would be refused for: `peer_rejected`, `trust_domain_refused`,
/// `token_rejected`, `token_expired`, `token_not_bound`, `task_rejected`, `task_expired`, `task_not_bound`.
pub fn identify_asserted(
    said: AssertedCaller<'_>,
    rules: TokenRules<'_>,
    settings: &Settings,
    now: UnixMillis,
) -> Result<Identity, Failure> {
    let peer = said.spiffe.map(|id| proven(id, said.proof, settings)).transpose()?;
    let token = match said.token {
        Some(claims) => good_token(claims, rules, settings, now)?
            .map(|claims| binding::bind(claims, peer.as_ref(), settings))
            .transpose()?,
        None => None,
    };
    let task = match said.task {
        Some(claims) => good_task(claims, rules, settings, now, peer.as_ref(), token.as_ref())?,
        None => None,
    };
    Ok(Identity { workload: peer.map(|peer| peer.workload), token: token.map(Box::new), task: task.map(Box::new) })
}

/// The task by its issuer's rules; `None` where the profile would not look at it.
fn good_task(
    claims: &Map<String, Value>,
    rules: TokenRules<'_>,
    settings: &Settings,
    now: UnixMillis,
    peer: Option<&Proven>,
    token: Option<&Token>,
) -> Result<Option<Task>, Failure> {
    let issuer = claims.get("iss").and_then(Value::as_str);
    let rules = match rules {
        TokenRules::AnyIssuer(_) => as_claimed(claims, TokenKind::Transaction),
        TokenRules::Profile(_) if settings.task.issuers.is_empty() => return Ok(None),
        TokenRules::Profile(issuers) => issuers
            .iter()
            .filter(|rules| settings.task.issuers.contains(&rules.name))
            .map(|rules| &rules.claims)
            .find(|rules| issuer.is_none_or(|issuer| issuer == rules.issuer))
            .ok_or_else(|| Failure::new(Code::TaskRejected, "the task token's issuer is not configured"))?
            .clone(),
    };
    let mut claims = filled(claims, &rules, now);
    let subject = token.map_or("nobody", |token| &token.subject);
    let workload = peer.map_or("none", |peer| peer.workload.id.as_str());
    if let Some(claims) = claims.as_object_mut() {
        for (name, text) in [("sub", subject), ("req_wl", workload), ("txn", "said")] {
            claims.entry(name).or_insert_with(|| Value::from(text));
        }
    }
    task::task(&claims, &rules, now, settings, peer, token).map(Some).map_err(task::of_task)
}

fn proven(id: &str, proof: Option<Proof>, settings: &Settings) -> Result<Proven, Failure> {
    let id = SpiffeId::parse(id)
        .map_err(|problem| Failure::new(Code::PeerRejected, format!("`{id}` is not a SPIFFE id: {problem}")))?;
    if !settings.trusts(id.trust_domain()) {
        let detail = format!("trust domain `{}` is not allowed", id.trust_domain());
        return Err(Failure::new(Code::TrustDomainRefused, detail));
    }
    Ok(Proven { workload: Workload { id, proof: proof.unwrap_or(Proof::Mtls) }, thumbprint: None })
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

fn as_claimed(claims: &Map<String, Value>, kind: TokenKind) -> ClaimRules {
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
            Some(Ok(id)) if kind == TokenKind::JwtSvid => Some(id.trust_domain().to_owned()),
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
        let said = AssertedCaller { spiffe, token: claims, ..AssertedCaller::default() };
        identify_asserted(said, rules, settings, NOW).map_err(|failure| failure.code)
    }

    #[test]
    fn an_asserted_task_is_read_as_a_verified_one() {
        let spiffe = Some("spiffe://cluster.local/ns/a/sa/b");
        let alice = json!({"sub": "alice"});
        let any = TokenRules::AnyIssuer(TokenKind::Access);
        let said = |spiffe, task: Value, rules, settings: &Settings| {
            let said = AssertedCaller { spiffe, proof: None, token: alice.as_object(), task: task.as_object() };
            identify_asserted(said, rules, settings, NOW).map(|identity| identity.task).map_err(|failure| failure.code)
        };
        let task = || json!({"tctx": {"task_id": "T", "tools": ["x"]}});
        let none = Settings::default();
        let read = said(spiffe, task(), any, &none).unwrap().unwrap();
        assert_eq!((read.id.as_str(), read.subject.as_str()), ("T", "alice"));
        assert_eq!(said(None, task(), any, &none), Err(Code::TaskNotBound));
        assert_eq!(
            said(spiffe, json!({"req_wl": "spiffe://cluster.local/x", "tctx": {}}), any, &none),
            Err(Code::TaskNotBound)
        );
        assert_eq!(said(spiffe, json!({"sub": "bob", "tctx": {}}), any, &none), Err(Code::TaskRejected));
        assert_eq!(said(spiffe, json!({"exp": NOW.seconds(), "tctx": {}}), any, &none), Err(Code::TaskExpired));
        assert_eq!(said(spiffe, json!({}), any, &none), Err(Code::TaskRejected), "no `tctx`");

        let issuers = [crate::identity::fixtures::task_rules()];
        let profile = crate::identity::fixtures::tasks(Settings::default());
        let rules = TokenRules::Profile(&issuers);
        assert_eq!(said(spiffe, task(), rules, &none), Ok(None), "a profile without tasks");
        assert_eq!(said(spiffe, task(), rules, &profile).unwrap().unwrap().issuer, "https://txn.example");
        let foreign = json!({"iss": "https://other.example", "tctx": {}});
        assert_eq!(said(spiffe, foreign, rules, &profile), Err(Code::TaskRejected));
    }

    fn any(spiffe: Option<&str>, claims: Value) -> Result<Identity, Code> {
        with(spiffe, claims, TokenRules::AnyIssuer(TokenKind::Access), &Settings::default())
    }

    #[test]
    fn an_asserted_workload_obeys_the_profiles_trust_domains() {
        let at_home = any(Some("spiffe://cluster.local/ns/a/sa/b"), json!({})).unwrap();
        assert_eq!(at_home.workload.unwrap().proof, Proof::Mtls);
        let spiffe = Some("spiffe://cluster.local/ns/a/sa/b");
        let forwarded = AssertedCaller { spiffe, proof: Some(Proof::Xfcc), ..AssertedCaller::default() };
        let forwarded =
            identify_asserted(forwarded, TokenRules::AnyIssuer(TokenKind::Access), &Settings::default(), NOW).unwrap();
        assert_eq!(forwarded.workload.unwrap().proof, Proof::Xfcc);
        assert_eq!(any(Some("spiffe://other.example/ns/a/sa/b"), json!({})), Err(Code::TrustDomainRefused));
        assert_eq!(any(Some("web/frontend"), json!({})), Err(Code::PeerRejected));
    }

    #[test]
    fn asserted_claims_are_read_as_verified_ones() {
        let token = any(None, json!({"sub": "alice", "scope": "a b", "client_id": "c"})).unwrap().token.unwrap();
        assert!(token.is_user && token.scopes_proven.contains("b"));
        assert_eq!(token.expires_at, UnixMillis(NOW.0 + 300_000));
        assert_eq!(any(None, json!({"scope": "a"})), Err(Code::TokenRejected), "no `sub`");
        assert_eq!(any(None, json!({"sub": "a", "exp": NOW.seconds()})), Err(Code::TokenExpired));
        let bound = json!({"sub": "a", "act": {"sub": "spiffe://cluster.local/ns/a/sa/other"}});
        assert_eq!(any(Some("spiffe://cluster.local/ns/a/sa/b"), bound), Err(Code::TokenNotBound));
    }

    #[test]
    fn a_profile_reads_tokens_of_its_issuers_only() {
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
