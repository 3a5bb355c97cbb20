//! Rejects a call with a second credential that differs from the verified token.
//!
//! Knows: the judged token's claims, what `authorization` presents, credentials at other places. Must not know: where
//! services look for tokens.
//!
//! Which credential a service takes is its own affair, so none that it could take may say anything else.

use serde_json::Value;

use super::authorization::{Presented, jwt_within};
use super::jwt::{self, Bearer};
use super::key_ring::KeyRing;
use super::places::SentCredential;
use super::settings::{ForeignTokens, OtherCredentials, Settings, Source};
use super::{Proven, SpiffeId, binding, json};
use crate::failure::{Code, Failure};

/// Longest scheme before a token.
const SCHEME_MAX: usize = 24;

fn rejected(detail: impl Into<String>) -> Failure {
    Failure::new(Code::TokenRejected, detail)
}

/// Checks what `authorization` presents against the claims that were judged.
///
/// # Errors
/// `token_rejected` where it presents anything but the judged token or the proven workload's own JWT-SVID;
/// `token_not_bound` where that is bound to somebody else.
pub(super) fn check_bearer(
    bearer: &Bearer,
    judged: Option<&Value>,
    peer: Option<&Proven>,
    settings: &Settings,
) -> Result<(), Failure> {
    match (bearer, judged) {
        (Bearer::Absent, _) | (Bearer::Other, None) => Ok(()),
        (Bearer::Other, Some(_)) => match settings.other_credentials {
            OtherCredentials::Refused => Err(rejected(
                "`authorization` presents a credential other than the verified token; if services check it themselves, set `other_credentials: passed`",
            )),
            OtherCredentials::Passed => Ok(()),
        },
        (Bearer::ForProxy { .. } | Bearer::Verified { .. }, Some(_)) if is_judged(bearer, judged) => Ok(()),
        (Bearer::ForProxy { .. }, _) => {
            Err(rejected("a token arrived that the proxy should have verified, and did not"))
        }
        (Bearer::Verified { issuer, claims, .. }, _) => {
            let names = |peer: &&Proven| {
                is_svid_issuer(issuer, settings)
                    && SpiffeId::parse(&claims.token.subject).is_ok_and(|id| id == peer.workload.id)
            };
            if peer.filter(names).is_none() {
                return Err(rejected("`authorization` presents a token other than the verified one"));
            }
            binding::compare_all(&claims.bound_to, peer, settings).map(drop)
        }
    }
}

/// Whether `authorization` presents the token that was judged.
fn is_judged(bearer: &Bearer, judged: Option<&Value>) -> bool {
    match bearer {
        Bearer::ForProxy { payload } | Bearer::Verified { payload, .. } => {
            judged.is_some_and(|judged| json::is_same(payload, judged))
        }
        Bearer::Absent | Bearer::Other => false,
    }
}

fn is_svid_issuer(name: &str, settings: &Settings) -> bool {
    settings.sources.iter().any(|source| match source {
        Source::JwtSvid(svid) => svid.issuer == name,
        Source::Peer | Source::Xfcc(_) => false,
    })
}

/// Checks the credentials at other places: each is the judged token, and they are one text.
///
/// # Errors
/// `token_repeated` for more than one of RFC 6750's methods; `token_rejected` for a credential that nobody verified.
pub(super) fn check_others(
    sent: &[SentCredential<'_>],
    (presented, bearer): (Presented<'_>, &Bearer),
    judged: Option<&Value>,
    settings: &Settings,
    ring: &KeyRing,
) -> Result<(), Failure> {
    let is_alone = sent.len() == 1 && presented == Presented::Nothing;
    if let Some(exclusive) = sent.iter().find(|sent| sent.place.is_exclusive())
        && !is_alone
    {
        let detail = format!("{} is a second credential", exclusive.place.as_str());
        return Err(Failure::new(Code::TokenRepeated, detail));
    }
    let mut first = match presented {
        Presented::Jwt(token) if is_judged(bearer, judged) => Some(token),
        Presented::Jwt(_) | Presented::Nothing | Presented::Other | Presented::OddJwt(_) => None,
    };
    for sent in sent {
        let token = only_jwt(&sent.text);
        let is_the_judged_one = match (judged, token) {
            (Some(judged), Some(token)) => is_token_of(token, judged),
            (None, _) | (_, None) => false,
        };
        if is_the_judged_one && (first.is_none() || first == token) {
            first = first.or(token);
            continue;
        }
        let is_for_services = match settings.foreign_tokens {
            ForeignTokens::Rejected => false,
            ForeignTokens::Absent => judged.is_none() && jwt::is_foreign(&sent.text, settings, ring),
        };
        if !is_for_services {
            let detail = format!("{} has a credential other than the verified token", sent.place.as_str());
            return Err(rejected(detail));
        }
    }
    Ok(())
}

/// The JWT that a text consists of, but for a scheme before it: whatever else stands there could be a credential too.
fn only_jwt(text: &str) -> Option<&str> {
    let text = text.trim();
    let token = jwt_within(text)?;
    let scheme = text.strip_suffix(token)?.trim_end_matches([' ', '\t', ':', '=']);
    let is_word = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || byte == b'-';
    (scheme.len() <= SCHEME_MAX && scheme.bytes().all(is_word)).then_some(token)
}

/// Whether a token says what was judged. Its signature is the affair of whoever verified the claims.
fn is_token_of(token: &str, judged: &Value) -> bool {
    jwt::JwtParts::split(token)
        .and_then(jwt::JwtParts::signed_payload)
        .is_ok_and(|payload| json::is_same(&payload, judged))
}

#[cfg(test)]
mod tests;
