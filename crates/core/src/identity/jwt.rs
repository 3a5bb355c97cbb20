//! Verifies signed tokens against cached keys, and reads the Bearer.
//!
//! Knows: the JWS header, which issuer a token belongs to, signatures. Must not know: what claims mean
//! (`token` reads them), peers, the network.
//!
//! Nothing is read from a token before its signature is verified but what is needed to find the key:
//! the issuer's name, the key's id, and an algorithm that the issuer must have pinned.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::TokenKind;
use super::authorization::{Presented, is_jwt_shaped, jwt_within};
use super::key_ring::{Issuer, KeyRing, KeySet};
use super::rules::{IssuerRules, SignatureAlgorithm};
use super::settings::{ForeignTokens, Settings, Source, TokenSource};
use super::token::{self, Claims};
use super::{Rejection, json};
use crate::call::UnixMillis;
use crate::failure::{Code, Failure};

/// Longest token read.
const BYTES_MAX: usize = 16 * 1024;

/// What the Bearer is to this profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bearer {
    /// There is no header.
    Absent,
    /// There is one that presents no token that counts: another scheme, an opaque Bearer, a foreign token where
    /// such tokens count as absent.
    Other,
    /// A valid token of an issuer that Picket verifies.
    Verified {
        /// The issuer's name in the settings.
        issuer: String,
        /// Its claims.
        claims: Box<Claims>,
        /// The same as its issuer wrote it.
        payload: Value,
    },
    /// A token of an issuer that the proxy verifies: worth nothing by itself.
    ForProxy {
        /// Its claims, which Picket did not verify.
        payload: Value,
    },
}

/// The part of a JWS header that matters here; a repeated member is an error.
#[derive(serde::Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    #[serde(default)]
    crit: Value,
}

fn rejected(detail: impl Into<String>) -> Rejection {
    Rejection::from(Failure::new(Code::TokenRejected, detail))
}

/// Judges what `authorization` presents.
pub(super) fn judge(
    presented: Presented<'_>,
    settings: &Settings,
    ring: &KeyRing,
    now: UnixMillis,
) -> Result<Bearer, Rejection> {
    let (token, is_bearer) = match presented {
        Presented::Nothing => return Ok(Bearer::Absent),
        Presented::Other => return Ok(Bearer::Other),
        Presented::Jwt(token) => (token, true),
        Presented::OddJwt(token) => (token, false),
    };
    let parts = JwtParts::split(token)?;
    let name = parts.issuer()?;
    let verifier = verified_issuer(name, settings, ring);
    if verifier.is_none() && !proxy_verifies(name, settings) {
        return match settings.foreign_tokens {
            ForeignTokens::Rejected => Err(rejected("the token's issuer is not configured")),
            ForeignTokens::Absent => Ok(Bearer::Other),
        };
    }
    if !is_bearer {
        return Err(rejected("`authorization` has a token that is not a Bearer"));
    }
    match verifier {
        Some(issuer) => {
            let rules = &issuer.rules;
            let claims = Box::new(token::read(parts.verified_by(issuer)?, &rules.claims, now)?);
            Ok(Bearer::Verified { issuer: rules.name.clone(), claims, payload: parts.payload })
        }
        None => Ok(Bearer::ForProxy { payload: parts.signed_payload()? }),
    }
}

/// Whether a text outside `authorization` is a token of an issuer that the profile does not know, or no JWT at all:
/// one for the service to check, where such tokens count as absent.
pub(super) fn is_foreign(text: &str, settings: &Settings, ring: &KeyRing) -> bool {
    let Some(token) = jwt_within(text) else { return !is_jwt_shaped(text) };
    match JwtParts::split(token).and_then(|parts| parts.issuer().map(str::to_owned)) {
        Ok(name) => verified_issuer(&name, settings, ring).is_none() && !proxy_verifies(&name, settings),
        Err(_) => false,
    }
}

fn verified_issuer<'a>(issuer: &str, settings: &Settings, ring: &'a KeyRing) -> Option<&'a Issuer> {
    let svids = settings.sources.iter().filter_map(|source| match source {
        Source::JwtSvid(svid) => Some(&svid.issuer),
        Source::Peer | Source::Xfcc(_) => None,
    });
    let none = BTreeSet::new();
    let tokens = settings.tokens.iter().flat_map(|source| match source {
        TokenSource::Verified(verified) => verified.issuers.iter(),
        TokenSource::Metadata(_) => none.iter(),
    });
    find_issuer(issuer, svids.chain(tokens), ring)
}

/// The issuer among these names whose tokens carry this `iss`.
pub(super) fn find_issuer<'a>(
    issuer: &str,
    names: impl Iterator<Item = impl AsRef<str>>,
    ring: &'a KeyRing,
) -> Option<&'a Issuer> {
    names.filter_map(|name| ring.issuer(name.as_ref())).find(|candidate| candidate.rules.claims.issuer == issuer)
}

fn proxy_verifies(issuer: &str, settings: &Settings) -> bool {
    settings.tokens.iter().any(|source| match source {
        TokenSource::Metadata(metadata) => metadata.claims.issuer == issuer,
        TokenSource::Verified(_) => false,
    })
}

/// A token taken apart, not verified yet.
pub(super) struct JwtParts<'a> {
    header: Header,
    payload: Value,
    signed: &'a str,
    signature: &'a str,
}

impl<'a> JwtParts<'a> {
    pub(super) fn split(token: &'a str) -> Result<Self, Rejection> {
        if token.len() > BYTES_MAX {
            return Err(rejected(format!("the token is longer than {BYTES_MAX} bytes")));
        }
        let (signed, signature) = token.rsplit_once('.').ok_or_else(|| rejected("the token is not a JWT"))?;
        let (header, payload) = signed
            .split_once('.')
            .filter(|(_, payload)| !payload.contains('.'))
            .ok_or_else(|| rejected("the token is not a signed JWT of three parts"))?;
        let header =
            serde_json::from_slice(&decode(header)?).map_err(|_| rejected("the token's header is not valid"))?;
        let payload = json::parse(&decode(payload)?)
            .map_err(|_| rejected("the token's claims are not JSON, or repeat a member"))?;
        Ok(Self { header, payload, signed, signature })
    }

    /// The issuer that the token claims to be of.
    pub(super) fn issuer(&self) -> Result<&str, Rejection> {
        self.payload.get("iss").and_then(Value::as_str).ok_or_else(|| rejected("`iss` is missing or not a text"))
    }

    /// The claims of a token that somebody else verified. One without a signature was verified by nobody.
    pub(super) fn signed_payload(self) -> Result<Value, Rejection> {
        let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !self.signature.bytes().all(is_base64url) {
            return Err(rejected("the token's signature is not base64url"));
        }
        if self.signature.is_empty() || self.header.alg.eq_ignore_ascii_case("none") {
            return Err(rejected("the token has no signature"));
        }
        Ok(self.payload)
    }

    /// The claims, once the issuer's keys have verified them.
    pub(super) fn verified_by(&self, issuer: &Issuer) -> Result<&Value, Rejection> {
        let rules = &issuer.rules;
        let keys = issuer.keys.as_deref().ok_or_else(|| {
            Rejection::from(Failure::new(
                Code::KeysUnavailable,
                format!("the keys of issuer `{}` have never been fetched", rules.name),
            ))
        })?;
        self.verify(rules, keys)?;
        Ok(&self.payload)
    }

    fn verify(&self, rules: &IssuerRules, keys: &KeySet) -> Result<(), Rejection> {
        if !self.header.crit.is_null() {
            return Err(rejected("the token's header has `crit` with unknown extensions"));
        }
        self.check_type(rules)?;
        let algorithm = self.algorithm(rules)?;
        if let Some(id) = &self.header.kid
            && !keys.knows(id)
        {
            let failure =
                Failure::new(Code::TokenRejected, format!("issuer `{}` has no key of that `kid`", rules.name));
            return Err(Rejection { failure, unknown_key_of: Some(rules.name.clone()) });
        }
        // The most costly step of a check, and always the same for the same token and the same keys.
        let token = KeySet::fingerprint(self.signed, self.signature);
        if keys.has_verified(&token) {
            return Ok(());
        }
        let good = keys.candidates(self.header.kid.as_deref(), algorithm).any(|key| {
            jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), key, algorithm.engine())
                .is_ok_and(|good| good)
        });
        if good {
            keys.remember(token);
            return Ok(());
        }
        let failure = Failure::new(Code::TokenRejected, format!("no key of issuer `{}` verifies it", rules.name));
        // A token without `kid` may be signed by a key that is newer than ours.
        let unknown_key_of = self.header.kid.is_none().then(|| rules.name.clone());
        Err(Rejection { failure, unknown_key_of })
    }

    fn algorithm(&self, rules: &IssuerRules) -> Result<SignatureAlgorithm, Rejection> {
        rules
            .algorithms
            .iter()
            .copied()
            .find(|algorithm| algorithm.as_str() == self.header.alg)
            .ok_or_else(|| rejected(format!("`alg` is not one that issuer `{}` pins", rules.name)))
    }

    /// An ID token or anything else the issuer signs must not pass as an access token.
    fn check_type(&self, rules: &IssuerRules) -> Result<(), Rejection> {
        let typ = self.header.typ.as_deref().map(str::to_ascii_lowercase);
        let good = match (rules.claims.kind, typ.as_deref()) {
            (TokenKind::Access, Some("at+jwt" | "application/at+jwt")) => true,
            (TokenKind::Access, Some("jwt") | None) => rules.allow_untyped,
            (TokenKind::JwtSvid, Some("jwt" | "jose") | None) | (TokenKind::Kubernetes, Some("jwt") | None) => true,
            (TokenKind::Transaction, Some("txntoken+jwt" | "application/txntoken+jwt")) => true,
            (TokenKind::Access | TokenKind::JwtSvid | TokenKind::Kubernetes, Some(_))
            | (TokenKind::Transaction, Some(_) | None) => false,
        };
        if good { Ok(()) } else { Err(rejected("`typ` is not that of a token of this kind")) }
    }
}

fn decode(part: &str) -> Result<Vec<u8>, Rejection> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| rejected("a part of the token is not base64url"))
}

#[cfg(test)]
mod tests;
