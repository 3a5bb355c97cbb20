//! Converts verified claims into a [`Token`].
//!
//! Knows: what each claim means, which are required, and time. Must not know: signatures, headers, peers.
//!
//! A claim of the wrong type refuses the token: passing over it could hide what a policy forbids.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::rules::ClaimRules;
use super::{Binding, SpiffeId, Token, TokenKind, grants};
use crate::call::UnixMillis;
use crate::failure::{Code, Failure};

/// Deepest nesting of `act`.
const ACTORS_MAX: u32 = 8;

/// A good token, and what it is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claims {
    /// The token, with binding [`Binding::Unbound`] until it is compared.
    pub token: Token,
    /// The bindings to compare with the peer.
    pub bound_to: Vec<BoundTo>,
}

/// What a token says its bearer must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BoundTo {
    /// The holder of the certificate with this SHA-256 (`cnf.x5t#S256`).
    Certificate([u8; 32]),
    /// The workload that acts (`act.sub`).
    Actor(SpiffeId),
    /// An actor without a known workload.
    UnknownActor,
    /// A Kubernetes service account of the home trust domain.
    Account {
        /// Its namespace.
        namespace: String,
        /// Its name.
        account: String,
    },
    /// Something this build cannot compare, such as a DPoP key.
    Unknown,
}

pub(super) fn rejected(detail: impl Into<String>) -> Failure {
    Failure::new(Code::TokenRejected, detail)
}

/// Reads claims whose signature somebody trusted has verified, by one issuer's rules.
pub(super) fn read(payload: &Value, rules: &ClaimRules, now: UnixMillis) -> Result<Claims, Failure> {
    let claims = ClaimReader::of(payload)?;
    let Common { issuer, audiences, subject, issued_at, expires_at } = common(&claims, rules, now)?;
    let (actor, actor_depth) = actor(&claims)?;
    let mut bound_to = confirmations(&claims)?;
    bound_to.extend(actor_binding(&claims, actor.as_deref(), rules)?);
    bound_to.extend(account_binding(&claims, &subject, rules.kind)?);
    let scopes = [claims.words("scope")?, claims.words("scp")?];
    let client_id = claims.text("client_id")?;
    let authorized_party = claims.text("azp")?;
    let token = Token {
        is_user: rules.users && is_person(&subject, client_id.as_deref(), authorized_party.as_deref()),
        issuer,
        kind: kind(&subject, rules)?,
        subject,
        audiences,
        scopes_claimed: scopes.iter().flatten().flatten().cloned().chain(grants::granted(&claims)?).collect(),
        scopes_proven: scopes.into_iter().flatten().reduce(|a, b| &a & &b).unwrap_or_default(),
        roles: claims.list("roles")?.unwrap_or_default(),
        binding: Binding::Unbound,
        client_id: client_id.or(authorized_party),
        token_id: claims.text("jti")?,
        // An issuer without persons has seen no login, whatever its tokens say.
        acr: claims.text("acr")?.filter(|_| rules.users),
        amr: claims.list("amr")?.filter(|_| rules.users),
        auth_time: claims.time("auth_time")?.filter(|_| rules.users),
        issued_at,
        expires_at,
        actor,
        actor_depth,
    };
    Ok(Claims { token, bound_to })
}

/// What every token says, whatever its kind.
pub(super) struct Common {
    pub issuer: String,
    pub audiences: BTreeSet<String>,
    pub subject: String,
    pub issued_at: Option<UnixMillis>,
    pub expires_at: UnixMillis,
}

/// Checks issuer, audience and times.
pub(super) fn common(claims: &ClaimReader<'_>, rules: &ClaimRules, now: UnixMillis) -> Result<Common, Failure> {
    let issuer = claims.required_text("iss")?;
    if issuer != rules.issuer {
        return Err(rejected("`iss` is not the configured issuer"));
    }
    let audiences = claims.list("aud")?.ok_or_else(|| rejected("`aud` is missing"))?;
    if audiences.is_disjoint(&rules.audiences) {
        return Err(rejected("`aud` names none of the configured audiences"));
    }
    let expires_at = check_time(claims, rules, now)?;
    let issued_at = claims.time("iat")?;
    check_lifetime(issued_at, expires_at, rules)?;
    Ok(Common { issuer, audiences, subject: claims.required_text("sub")?, issued_at, expires_at })
}

fn check_lifetime(issued_at: Option<UnixMillis>, expires_at: UnixMillis, rules: &ClaimRules) -> Result<(), Failure> {
    let Some(longest) = rules.longest_life() else { return Ok(()) };
    let issued_at = issued_at.ok_or_else(|| rejected("`iat` is missing, so its lifetime is unknown"))?;
    let life = expires_at.0.saturating_sub(issued_at.0);
    if i64::try_from(longest.as_millis()).is_ok_and(|longest| life > longest) {
        return Err(rejected(format!("it lives longer than {} s", longest.as_secs())));
    }
    Ok(())
}

/// A token without a client proves no person: the subject may be the client.
fn is_person(subject: &str, client_id: Option<&str>, authorized_party: Option<&str>) -> bool {
    let clients = [client_id, authorized_party];
    clients.iter().any(Option::is_some) && clients.iter().flatten().all(|client| *client != subject)
}

fn check_time(claims: &ClaimReader<'_>, rules: &ClaimRules, now: UnixMillis) -> Result<UnixMillis, Failure> {
    let leeway = i64::try_from(rules.leeway.as_millis()).map_err(|_| rejected("the configured leeway is too long"))?;
    let expires_at = claims.time("exp")?.ok_or_else(|| rejected("`exp` is missing"))?;
    if now.0 >= expires_at.0.saturating_add(leeway) {
        return Err(Failure::new(Code::TokenExpired, "`exp` is past"));
    }
    for name in ["nbf", "iat"] {
        if claims.time(name)?.is_some_and(|start| now.0 < start.0.saturating_sub(leeway)) {
            return Err(Failure::new(Code::TokenExpired, format!("`{name}` is in the future")));
        }
    }
    Ok(expires_at)
}

fn kind(subject: &str, rules: &ClaimRules) -> Result<TokenKind, Failure> {
    match rules.kind {
        TokenKind::Access | TokenKind::Kubernetes => Ok(rules.kind),
        TokenKind::JwtSvid => {
            let id = SpiffeId::parse(subject)
                .map_err(|problem| rejected(format!("`sub` of a JWT-SVID is not a SPIFFE id: {problem}")))?;
            if rules.trust_domain.as_deref() != Some(id.trust_domain()) {
                return Err(Failure::new(
                    Code::TrustDomainRefused,
                    format!("the issuer may not sign for trust domain `{}`", id.trust_domain()),
                ));
            }
            Ok(rules.kind)
        }
        TokenKind::Transaction => Err(rejected("a transaction token is presented in `txn-token` only")),
    }
}

/// The current actor and how many actors there are; the earlier ones are history.
fn actor(claims: &ClaimReader<'_>) -> Result<(Option<String>, u32), Failure> {
    let mut current = None;
    let mut depth = 0;
    let mut next = claims.object("act")?;
    while let Some(act) = next {
        depth += 1;
        if depth > ACTORS_MAX {
            return Err(rejected(format!("`act` nests deeper than {ACTORS_MAX}")));
        }
        let subject = act.required_text("sub")?;
        current = current.or(Some(subject));
        next = act.object("act")?;
    }
    Ok((current, depth))
}

/// Whom the current actor must be. A SPIFFE id speaks for itself; any other name is one that the issuer gave,
/// so it means what the settings of that very issuer say.
fn actor_binding(
    claims: &ClaimReader<'_>,
    actor: Option<&str>,
    rules: &ClaimRules,
) -> Result<Option<BoundTo>, Failure> {
    let Some(actor) = actor else { return Ok(None) };
    if actor.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("spiffe:")) {
        return SpiffeId::parse(actor)
            .map(|id| Some(BoundTo::Actor(id)))
            .map_err(|problem| rejected(format!("`act.sub` is not a SPIFFE id: {problem}")));
    }
    let named_by = match claims.object("act")? {
        Some(act) => act.text("iss")?,
        None => None,
    };
    let ours = named_by.is_none_or(|issuer| issuer == rules.issuer);
    let known = rules.actors.get(actor).filter(|_| ours).map(|id| SpiffeId::parse(id));
    match known {
        Some(Ok(id)) => Ok(Some(BoundTo::Actor(id))),
        // Settings with such an id do not load.
        Some(Err(_)) | None => Ok(Some(BoundTo::UnknownActor)),
    }
}

const ACCOUNT_PREFIX: &str = "system:serviceaccount:";

fn account_binding(claims: &ClaimReader<'_>, subject: &str, kind: TokenKind) -> Result<Option<BoundTo>, Failure> {
    let named = subject.strip_prefix(ACCOUNT_PREFIX);
    match (kind, named) {
        (TokenKind::Kubernetes, Some(named)) => {
            let (namespace, account) = named
                .split_once(':')
                .filter(|(namespace, account)| !namespace.is_empty() && !account.is_empty() && !account.contains(':'))
                .ok_or_else(|| rejected("`sub` is not `system:serviceaccount:<namespace>:<account>`"))?;
            check_private_claims(claims, namespace, account)?;
            Ok(Some(BoundTo::Account { namespace: namespace.to_owned(), account: account.to_owned() }))
        }
        (TokenKind::Kubernetes, None) => Err(rejected("`sub` is not `system:serviceaccount:<namespace>:<account>`")),
        // Read as an access token it would escape the comparison with its workload.
        (TokenKind::Access | TokenKind::JwtSvid | TokenKind::Transaction, Some(_)) => {
            Err(rejected("`sub` is a Kubernetes service account, and the issuer is not of kind `kubernetes`"))
        }
        (TokenKind::Access | TokenKind::JwtSvid | TokenKind::Transaction, None) => Ok(None),
    }
}

/// Where Kubernetes repeats namespace and account, they must be the subject's.
fn check_private_claims(claims: &ClaimReader<'_>, namespace: &str, account: &str) -> Result<(), Failure> {
    let Some(private) = claims.object("kubernetes.io")? else { return Ok(()) };
    let named = match private.object("serviceaccount")? {
        Some(named) => named.text("name")?,
        None => None,
    };
    let agrees = |said: Option<String>, expected: &str| said.is_none_or(|said| said == expected);
    if agrees(private.text("namespace")?, namespace) && agrees(named, account) {
        Ok(())
    } else {
        Err(rejected("`kubernetes.io` names another account than `sub`"))
    }
}

/// What `cnf` binds the token to.
pub(super) fn confirmations(claims: &ClaimReader<'_>) -> Result<Vec<BoundTo>, Failure> {
    let Some(cnf) = claims.object("cnf")? else { return Ok(Vec::new()) };
    if cnf.0.is_empty() {
        return Ok(vec![BoundTo::Unknown]);
    }
    let read = |name: &String| match name.as_str() {
        "x5t#S256" => cnf.required_text(name).and_then(|text| thumbprint(&text)).map(BoundTo::Certificate),
        _ => Ok(BoundTo::Unknown),
    };
    cnf.0.keys().map(read).collect()
}

fn thumbprint(text: &str) -> Result<[u8; 32], Failure> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| rejected("`cnf.x5t#S256` is not base64url"))?
        .try_into()
        .map_err(|_| rejected("`cnf.x5t#S256` is not 32 bytes"))
}

/// Reads one object's members; `null` counts as absent, any other surprise refuses the token.
pub(super) struct ClaimReader<'a>(pub &'a Map<String, Value>);

impl<'a> ClaimReader<'a> {
    /// Reads claims.
    pub(super) fn of(payload: &'a Value) -> Result<Self, Failure> {
        payload.as_object().map(Self).ok_or_else(|| rejected("the claims are not a JSON object"))
    }

    /// Any member.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(rejected(format!("`{name}` is not a text"))),
        }
    }

    /// A text that must be there and hold something.
    pub(super) fn required_text(&self, name: &str) -> Result<String, Failure> {
        self.text(name)?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| rejected(format!("`{name}` is missing or empty")))
    }

    /// An object.
    pub(super) fn object(&self, name: &str) -> Result<Option<ClaimReader<'a>>, Failure> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(members)) => Ok(Some(ClaimReader(members))),
            Some(_) => Err(rejected(format!("`{name}` is not an object"))),
        }
    }

    /// One text, or a list of texts.
    pub(super) fn list(&self, name: &str) -> Result<Option<BTreeSet<String>>, Failure> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(BTreeSet::from([text.clone()]))),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect::<Option<_>>()
                .map(Some)
                .ok_or_else(|| rejected(format!("`{name}` holds something that is not a text"))),
            Some(_) => Err(rejected(format!("`{name}` is not a text or a list of texts"))),
        }
    }

    /// One text of words, or a list of texts of words.
    fn words(&self, name: &str) -> Result<Option<BTreeSet<String>>, Failure> {
        let split = |texts: BTreeSet<String>| {
            texts.iter().flat_map(|text| text.split_ascii_whitespace()).map(str::to_owned).collect()
        };
        Ok(self.list(name)?.map(split))
    }

    fn time(&self, name: &str) -> Result<Option<UnixMillis>, Failure> {
        let Some(value) = self.get(name) else { return Ok(None) };
        whole_number(value)
            .and_then(|seconds| seconds.checked_mul(1000))
            .map(|millis| Some(UnixMillis(millis)))
            .ok_or_else(|| rejected(format!("`{name}` is not a whole number of seconds")))
    }
}

/// Largest integer that a double cannot confuse with another: 2^53 - 1.
const EXACT_MAX: i64 = 9_007_199_254_740_991;

/// A number that is provably the one its issuer wrote. Claims in Envoy's metadata are doubles, where
/// integers from 2^53 on collapse; no time is that far off, so one rule serves both ways of verifying.
pub(super) fn whole_number(value: &Value) -> Option<i64> {
    let number = match (value.as_i64(), value.as_f64()) {
        (Some(number), _) => number,
        (None, Some(double)) if double.fract() == 0.0 => match format!("{double:.0}").parse() {
            Ok(number) => number,
            Err(_) => return None,
        },
        (None, Some(_) | None) => return None,
    };
    (-EXACT_MAX..=EXACT_MAX).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests;
