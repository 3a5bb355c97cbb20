//! The SPIFFE id grammar, strictly: `spiffe://<trust domain>/<path>`.

/// A valid SPIFFE id of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId {
    text: String,
    domain_bytes: usize,
}

/// Why a text is not a SPIFFE id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpiffeIdProblem {
    /// Longer than 2048 bytes, or a trust domain longer than 255.
    #[error("it is longer than a SPIFFE id may be")]
    TooLong,
    /// It does not begin with `spiffe://`.
    #[error("it does not begin with `spiffe://`")]
    Scheme,
    /// The trust domain is empty or holds something else than `a-z0-9.-_`.
    #[error("its trust domain is empty or holds a character that is not one of a-z 0-9 . - _")]
    TrustDomain,
    /// There is no path, so it names no workload.
    #[error("it has no path")]
    NoPath,
    /// An empty or dot segment, or a character other than `a-zA-Z0-9.-_`.
    #[error("its path has an empty segment, a dot segment or a character that is not one of a-z A-Z 0-9 . - _")]
    Path,
}

const SCHEME: &str = "spiffe://";

impl SpiffeId {
    /// Reads a SPIFFE id.
    ///
    /// # Errors
    /// [`SpiffeIdProblem`]; nothing is repaired, so that two spellings never mean one workload.
    pub fn parse(text: &str) -> Result<Self, SpiffeIdProblem> {
        if text.len() > 2048 {
            return Err(SpiffeIdProblem::TooLong);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(SpiffeIdProblem::Scheme)?;
        let (domain, path) = rest.split_once('/').ok_or(SpiffeIdProblem::NoPath)?;
        if domain.len() > 255 {
            return Err(SpiffeIdProblem::TooLong);
        }
        if !is_trust_domain(domain) {
            return Err(SpiffeIdProblem::TrustDomain);
        }
        let legal = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_');
        let good = |segment: &[u8]| !matches!(segment, b"" | b"." | b"..") && segment.iter().copied().all(legal);
        if !path.as_bytes().split(|byte| *byte == b'/').all(good) {
            return Err(SpiffeIdProblem::Path);
        }
        Ok(Self { text: text.to_owned(), domain_bytes: domain.len() })
    }

    /// The whole id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        self.text.get(SCHEME.len()..SCHEME.len() + self.domain_bytes).unwrap_or_default()
    }

    /// Namespace and service account, where the path is `/ns/<ns>/sa/<sa>`.
    #[must_use]
    pub fn account(&self) -> Option<(&str, &str)> {
        let path = self.text.get(SCHEME.len() + self.domain_bytes..)?;
        let (namespace, rest) = path.strip_prefix("/ns/")?.split_once('/')?;
        let account = rest.strip_prefix("sa/")?;
        (!account.contains('/')).then_some((namespace, account))
    }
}

/// Whether `text` can be a trust domain.
#[must_use]
pub fn is_trust_domain(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'.' | b'-' | b'_'))
}

impl std::fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::{SpiffeId, SpiffeIdProblem as Problem};

    fn long(domain: usize, path: usize) -> String {
        format!("spiffe://{}/{}", "d".repeat(domain), "p".repeat(path))
    }

    #[test]
    fn ids_within_the_grammar_are_read_as_they_are() {
        for (text, domain, account) in [
            ("spiffe://cluster.local/ns/shop/sa/orders", "cluster.local", Some(("shop", "orders"))),
            ("spiffe://a/b", "a", None),
            ("spiffe://a-b_c.1/X/y-Z_0.9", "a-b_c.1", None),
            ("spiffe://a/...", "a", None),
            ("spiffe://a/.b", "a", None),
            ("spiffe://a/ns/shop/sa/Orders", "a", Some(("shop", "Orders"))),
            ("spiffe://a/ns/shop/sa/orders/x", "a", None),
            ("spiffe://a/ns/shop/x/sa/orders", "a", None),
            ("spiffe://a/NS/shop/sa/orders", "a", None),
            ("spiffe://a/x/ns/shop/sa/orders", "a", None),
            ("spiffe://a/ns/sa/sa/sa", "a", Some(("sa", "sa"))),
            ("spiffe://1.2.3.4/x", "1.2.3.4", None),
        ] {
            let id = SpiffeId::parse(text).expect(text);
            assert_eq!((id.as_str(), id.trust_domain(), id.account()), (text, domain, account));
            assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn p23_anything_else_is_refused_and_nothing_repaired() {
        for (text, problem) in [
            ("", Problem::Scheme),
            ("spiffe:/a/b", Problem::Scheme),
            ("SPIFFE://a/b", Problem::Scheme),
            (" spiffe://a/b", Problem::Scheme),
            ("https://a/b", Problem::Scheme),
            ("spiffe://a", Problem::NoPath),
            ("spiffe://", Problem::NoPath),
            ("spiffe:///b", Problem::TrustDomain),
            ("spiffe://A/b", Problem::TrustDomain),
            ("spiffe://a:443/b", Problem::TrustDomain),
            ("spiffe://u@a/b", Problem::TrustDomain),
            ("spiffe://a%2e/b", Problem::TrustDomain),
            ("spiffe://[::1]/b", Problem::TrustDomain),
            ("spiffe://a\0/b", Problem::TrustDomain),
            ("spiffe://ä/b", Problem::TrustDomain),
            ("spiffe://a?/b", Problem::TrustDomain),
            ("spiffe://a/", Problem::Path),
            ("spiffe://a//b", Problem::Path),
            ("spiffe://a/b/", Problem::Path),
            ("spiffe://a/.", Problem::Path),
            ("spiffe://a/../b", Problem::Path),
            ("spiffe://a/b/..", Problem::Path),
            ("spiffe://a/b%2fc", Problem::Path),
            ("spiffe://a/b?c", Problem::Path),
            ("spiffe://a/b#c", Problem::Path),
            ("spiffe://a/b,URI=spiffe://a/c", Problem::Path),
            ("spiffe://a/b;c", Problem::Path),
            ("spiffe://a/b=c", Problem::Path),
            ("spiffe://a/b\"", Problem::Path),
            ("spiffe://a/b c", Problem::Path),
            ("spiffe://a/b\n", Problem::Path),
            ("spiffe://a/b\0", Problem::Path),
            ("spiffe://a/ä", Problem::Path),
        ] {
            assert_eq!(SpiffeId::parse(text), Err(problem), "{text:?}");
        }
    }

    #[test]
    fn lengths_end_exactly_at_the_standards_limits() {
        assert!(SpiffeId::parse(&long(255, 10)).is_ok());
        assert_eq!(SpiffeId::parse(&long(256, 10)), Err(Problem::TooLong));
        assert!(SpiffeId::parse(&long(10, 2048 - 20)).is_ok());
        assert_eq!(SpiffeId::parse(&long(10, 2048 - 19)), Err(Problem::TooLong));
    }
}
