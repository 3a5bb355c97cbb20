//! Names with values that are never logged.
//!
//! Must not know: what the values are.

use std::collections::HashSet;

/// Names that hold or describe credentials without giving it away.
const ALWAYS: [&str; 2] = ["x-forwarded-client-cert", "www-authenticate"];

/// Parts of names that give a credential away, wherever they stand.
const PARTS: [&str; 8] = ["authorization", "cookie", "token", "secret", "password", "credential", "apikey", "api-key"];

/// What is written instead of a masked value.
pub(super) const MASKED: &str = "***";

/// Names whose values are never written: the built-in ones, which cannot be lifted, and configured ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Mask {
    configured: HashSet<String>,
}

impl Mask {
    /// The built-in names and these.
    pub fn new(configured: &[String]) -> Self {
        Self { configured: configured.iter().map(|name| plain(name)).collect() }
    }

    /// Whether the value under `name` must not be written. Case does not count, and `_` reads as `-`.
    pub fn hides(&self, name: &str) -> bool {
        let name = plain(name);
        ALWAYS.contains(&name.as_str())
            || PARTS.iter().any(|part| name.contains(part))
            || self.configured.contains(&name)
    }
}

fn plain(name: &str) -> String {
    name.trim().to_ascii_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_a_secret_name_escapes() {
        let mask = Mask::new(&["X_Ticket".to_owned()]);
        for name in [
            "authorization",
            "Authorization",
            "COOKIE",
            "set_cookie",
            "proxy-authorization",
            "x-forwarded-authorization",
            "x-forwarded-client-cert",
            "X-API-Key",
            "x-csrf-token",
            "clientSecret",
            "x-ticket",
        ] {
            assert!(mask.hides(name), "{name}");
        }
        for name in ["user-agent", "accept", "x-request-id", "author"] {
            assert!(!mask.hides(name), "{name}");
        }
    }
}
