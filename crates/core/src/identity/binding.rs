//! Checks that a token is bound to the peer that presents it.
//!
//! Knows: a proven workload, its certificate's hash, and what a token is bound to. Must not know:
//! signatures, headers, policies.

use super::settings::{Bindings, Settings};
use super::token::{BoundTo, Claims};
use super::{Binding, Proven, Token};
use crate::failure::{Code, Failure};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Different(&'static str),
    Impossible(&'static str),
}

/// Compares every binding of a token with the peer.
///
/// # Errors
/// `token_not_bound` for a mismatch, and for what cannot be compared unless the profile lets it pass.
pub(super) fn bind(claims: Claims, peer: Option<&Proven>, settings: &Settings) -> Result<Token, Failure> {
    let binding = compare_all(&claims.bound_to, peer, settings)?;
    Ok(Token { binding, ..claims.token })
}

/// Compares bindings with the peer; as [`bind`], for whatever is bound.
pub(super) fn compare_all(
    bound_to: &[BoundTo],
    peer: Option<&Proven>,
    settings: &Settings,
) -> Result<Binding, Failure> {
    let mut binding = Binding::Unbound;
    for bound_to in bound_to {
        match (compare(bound_to, peer, &settings.home_trust_domain), settings.bindings) {
            // One binding that was not compared leaves the token unchecked, however many others were.
            (Comparison::Equal, _) if binding == Binding::Unbound => binding = Binding::Bound,
            (Comparison::Equal, _) => {}
            (Comparison::Impossible(_), Bindings::Unchecked) => binding = Binding::Unchecked,
            (Comparison::Impossible(why), Bindings::Checked) | (Comparison::Different(why), _) => {
                return Err(Failure::new(Code::TokenNotBound, why));
            }
        }
    }
    Ok(binding)
}

fn compare(bound_to: &BoundTo, peer: Option<&Proven>, home: &str) -> Comparison {
    let equal = |same: bool, why| if same { Comparison::Equal } else { Comparison::Different(why) };
    match (bound_to, peer) {
        (BoundTo::Certificate(expected), Some(Proven { thumbprint: Some(actual), .. })) => {
            equal(expected == actual, "the token is bound to another certificate")
        }
        (BoundTo::Certificate(_), Some(_) | None) => {
            Comparison::Impossible("the token is bound to a certificate, and the peer's was not sent")
        }
        (BoundTo::Actor(expected), Some(peer)) => {
            equal(*expected == peer.workload.id, "the token's actor is another workload")
        }
        (BoundTo::Actor(_), None) => Comparison::Impossible("the token names its actor, and no workload is proven"),
        (BoundTo::UnknownActor, _) => {
            Comparison::Impossible("the token's actor is not a SPIFFE id, and the issuer's `actors` do not name it")
        }
        (BoundTo::Account { namespace, account }, Some(peer)) => {
            let id = &peer.workload.id;
            let same = id.trust_domain() == home && id.account() == Some((namespace.as_str(), account.as_str()));
            equal(same, "the token is another service account's")
        }
        (BoundTo::Account { .. }, None) => {
            Comparison::Impossible("the token is a service account's, and no workload is proven")
        }
        (BoundTo::Unknown, _) => Comparison::Impossible("the token is bound to something that cannot be compared"),
    }
}

#[cfg(test)]
mod tests;
