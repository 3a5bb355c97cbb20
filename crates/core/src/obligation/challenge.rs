//! Challenges: what the caller must do to be allowed.
//!
//! Knows: the challenges of RFC 6750, RFC 9470 and RFC 9728. Must not know: who is asking, Envoy, HTTP status codes.

use std::collections::BTreeSet;

use super::metadata;
use crate::catalog::TokenMetadata;

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
        /// Whether the token represents a person.
        is_user: bool,
    },
    /// Get an approval.
    Approve {
        /// The kind, if the policy names one.
        kind: Option<String>,
    },
}

/// The fault of a token in a denial; RFC 6750, section 3.1, and RFC 9470, section 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFault {
    /// The token cannot be accepted.
    Rejected,
    /// The token is past its time, or before it.
    Expired,
    /// The call presents more than one.
    Repeated,
}

impl Challenge {
    /// The stable name, as in `@remedy`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Login { .. } => "login",
            Self::StepUp { .. } => "step_up",
            Self::AddScope { .. } => "add_scope",
            Self::NarrowToken { .. } => "narrow_token",
            Self::Approve { .. } => "approve",
        }
    }

    /// The value of `www-authenticate`, or `None` where no token could help.
    #[must_use]
    pub fn www_authenticate(&self, token: Option<&TokenMetadata>) -> Option<String> {
        let bearer = match self {
            // RFC 6750: a call without a token gets no `error`.
            Self::Login { scopes } => Bearer::new(token).scope(scopes),
            Self::StepUp { acr, max_age_seconds } => Bearer::new(token)
                .error("insufficient_user_authentication", "a stronger or more recent login is needed")
                .words("acr_values", acr.as_deref())
                .param("max_age", max_age_seconds.map(|seconds| seconds.to_string()).as_deref()),
            Self::AddScope { scopes } => Bearer::new(token)
                .error("insufficient_scope", "the token lacks a scope that the call needs")
                .scope(scopes),
            Self::NarrowToken { scopes, is_user: true } => Bearer::new(token)
                .error("insufficient_user_authentication", "the token exceeds the task; log in for a narrower one")
                .scope(scopes),
            Self::NarrowToken { scopes, is_user: false } => Bearer::new(token)
                .error("invalid_token", "the token exceeds the task; request a narrower one")
                .scope(scopes),
            Self::Approve { .. } => return None,
        };
        Some(bearer.finish())
    }
}

impl TokenFault {
    /// The value of `www-authenticate`.
    #[must_use]
    pub fn www_authenticate(self, token: Option<&TokenMetadata>) -> String {
        let (error, description) = match self {
            Self::Rejected => ("invalid_token", "the token is not acceptable"),
            Self::Expired => ("invalid_token", "the token is not within its time"),
            Self::Repeated => ("invalid_request", "the call presents more than one token"),
        };
        Bearer::new(token).error(error, description).finish()
    }
}

/// A Bearer challenge under construction. A parameter that the grammar cannot carry is left out: the answer stays a
/// denial either way, and a repaired value would send the client after something else.
struct Bearer {
    params: Vec<String>,
}

impl Bearer {
    fn new(token: Option<&TokenMetadata>) -> Self {
        let empty = Self { params: Vec::new() };
        let Some(token) = token else { return empty };
        let metadata = token.resource_metadata.clone().or_else(|| metadata::url(token));
        empty.param("realm", token.realm.as_deref()).param("resource_metadata", metadata.as_deref())
    }

    fn error(self, code: &str, description: &str) -> Self {
        self.param("error", Some(code)).param("error_description", Some(description))
    }

    /// All scopes at once, sorted, so that one round is enough.
    fn scope(self, scopes: &BTreeSet<String>) -> Self {
        self.param("scope", scope(scopes).as_deref())
    }

    fn words(self, name: &str, value: Option<&str>) -> Self {
        self.param(name, value.filter(|value| value.split(' ').all(is_word)))
    }

    /// Appends `name="value"`; the value is quoted as RFC 9110, section 5.6.4, says.
    fn param(mut self, name: &str, value: Option<&str>) -> Self {
        let printable = |value: &&str| value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if let Some(value) = value.filter(printable) {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            self.params.push(format!("{name}=\"{quoted}\""));
        }
        self
    }

    fn finish(mut self) -> String {
        if self.params.is_empty() {
            // RFC 6750, section 3: the scheme must be followed by at least one parameter.
            self = self.param("realm", Some("picket"));
        }
        format!("Bearer {}", self.params.join(", "))
    }
}

/// Scopes as one text, sorted; `None` where there are none, or one cannot stand in it.
pub(super) fn scope(scopes: &BTreeSet<String>) -> Option<String> {
    let joined = scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    Some(joined).filter(|joined| !joined.is_empty() && scopes.iter().all(|scope| is_word(scope)))
}

/// Whether a text is a scope-token (RFC 6749, section 3.3): visible ASCII without `"` and `\`.
pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(scopes: &[&str]) -> BTreeSet<String> {
        scopes.iter().map(|scope| (*scope).to_owned()).collect()
    }

    fn metadata() -> TokenMetadata {
        let url = "https://api.example/.well-known/oauth-protected-resource";
        let realm = Some(r#"a "b" \c"#.to_owned());
        TokenMetadata { resource_metadata: Some(url.to_owned()), realm, ..TokenMetadata::default() }
    }

    #[test]
    fn challenges_have_the_forms_of_their_rfcs() {
        let bare = [
            (Challenge::Login { scopes: scopes(&[]) }, r#"Bearer realm="picket""#),
            (Challenge::Login { scopes: scopes(&["files:read"]) }, r#"Bearer scope="files:read""#),
            (
                Challenge::StepUp { acr: Some("urn:example:phr".to_owned()), max_age_seconds: Some(300) },
                r#"Bearer error="insufficient_user_authentication", error_description="a stronger or more recent login is needed", acr_values="urn:example:phr", max_age="300""#,
            ),
            (
                Challenge::AddScope { scopes: scopes(&["b", "a"]) },
                r#"Bearer error="insufficient_scope", error_description="the token lacks a scope that the call needs", scope="a b""#,
            ),
            (
                Challenge::NarrowToken { scopes: scopes(&["a"]), is_user: true },
                r#"Bearer error="insufficient_user_authentication", error_description="the token exceeds the task; log in for a narrower one", scope="a""#,
            ),
            (
                Challenge::NarrowToken { scopes: scopes(&["a"]), is_user: false },
                r#"Bearer error="invalid_token", error_description="the token exceeds the task; request a narrower one", scope="a""#,
            ),
        ];
        for (challenge, header) in bare {
            assert_eq!(challenge.www_authenticate(None).as_deref(), Some(header));
        }
        assert_eq!(Challenge::Approve { kind: None }.www_authenticate(Some(&metadata())), None);
    }

    #[test]
    fn two_tokens_are_an_invalid_request() {
        let header = r#"Bearer error="invalid_request", error_description="the call presents more than one token""#;
        assert_eq!(TokenFault::Repeated.www_authenticate(None), header);
    }

    #[test]
    fn quotes_and_backslashes_cannot_end_a_parameter() {
        let header = TokenFault::Expired.www_authenticate(Some(&metadata()));
        assert_eq!(
            header,
            r#"Bearer realm="a \"b\" \\c", resource_metadata="https://api.example/.well-known/oauth-protected-resource", error="invalid_token", error_description="the token is not within its time""#
        );
    }

    #[test]
    fn p31_texts_outside_the_grammar_are_left_out() {
        for bad in ["a\r\nx: y", "a\"b", "a\\b", "a\0", "é", ""] {
            let challenge = Challenge::AddScope { scopes: scopes(&["good", bad]) };
            assert!(!challenge.www_authenticate(None).unwrap().contains("scope=\""), "{bad:?}");
            let challenge = Challenge::StepUp { acr: Some(bad.to_owned()), max_age_seconds: None };
            assert!(!challenge.www_authenticate(None).unwrap().contains("acr_values"), "{bad:?}");
        }
        let realm = TokenMetadata { realm: Some("a\r\nx: y".to_owned()), ..TokenMetadata::default() };
        assert_eq!(
            Challenge::Login { scopes: scopes(&[]) }.www_authenticate(Some(&realm)).unwrap(),
            r#"Bearer realm="picket""#
        );
    }
}
