//! Challenges: how the caller can get a yes.

use std::collections::BTreeSet;

/// A remedy the caller must carry out before the call can go on; merged over all forbids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// No token was presented and one could help: a plain Bearer challenge without `error`.
    Login {
        /// Scopes the call needs.
        scopes: BTreeSet<String>,
    },
    /// Log in again, stronger or fresher (RFC 9470).
    StepUp {
        /// Acceptable `acr` value.
        acr: Option<String>,
        /// Most seconds since the login.
        max_age_seconds: Option<u64>,
    },
    /// Get a token with more scopes (RFC 6750).
    AddScope {
        /// All scopes the call needs.
        scopes: BTreeSet<String>,
    },
    /// Get a token with fewer scopes.
    NarrowToken {
        /// Scopes that would be acceptable.
        scopes: BTreeSet<String>,
        /// Whether a person stands behind the token.
        is_user: bool,
    },
    /// Get an approval.
    Approve {
        /// Which kind, where the policy names one.
        kind: Option<String>,
    },
}
