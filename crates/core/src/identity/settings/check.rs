//! Checks of a profile's identity settings, alone and against the issuers that are configured.
//!
//! Knows: bounds, and what contradicts what. Must not know: calls, key material, the network.

use std::collections::BTreeSet;

use super::{MetadataSource, Places, Settings, Source, TokenSource, VerifiedSource, XfccSource};
use crate::call::headers::folded;
use crate::identity::TokenKind;
use crate::identity::rules::IssuerRules;
use crate::identity::spiffe_id::{SpiffeId, is_trust_domain};
use crate::setting::{CheckSettings, SettingProblem, of_parts};

const HOPS_MAX: u8 = 8;

impl CheckSettings for Settings {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self {
            sources,
            certificate: _,
            tokens,
            task: _,
            strict: _,
            foreign_tokens: _,
            other_credentials: _,
            form_tokens: _,
            bindings: _,
            home_trust_domain,
            allowed_trust_domains,
        } = self;
        let mut found = of_parts(&[("sources", sources), ("tokens", tokens)]);
        let home = std::iter::once(("home_trust_domain", home_trust_domain));
        let allowed = allowed_trust_domains.iter().map(|domain| ("allowed_trust_domains", domain));
        for (key, domain) in home.chain(allowed).filter(|(_, domain)| !is_trust_domain(domain)) {
            let message = format!("`{domain}` is not a valid trust domain (a-z, 0-9, `.`, `-`, `_`)");
            found.push(SettingProblem::error(key, message));
        }
        for (index, source) in sources.iter().enumerate() {
            if sources.iter().take(index).any(|earlier| earlier == source) {
                found.push(SettingProblem::error(format!("sources.{index}"), "repeats an earlier source; drop one"));
            }
        }
        found.extend(repeated_tokens(tokens));
        found
    }
}

/// Token sources that repeat a metadata key or an issuer.
fn repeated_tokens(tokens: &[TokenSource]) -> Vec<SettingProblem> {
    let (mut keys, mut names) = (BTreeSet::new(), BTreeSet::new());
    let mut found = Vec::new();
    for (index, source) in tokens.iter().enumerate() {
        match source {
            TokenSource::Metadata(metadata) => {
                if !keys.insert(&metadata.key) {
                    let key = format!("tokens.{index}.metadata.key");
                    let message = format!("`{}` is the key of an earlier source too; drop one", metadata.key);
                    found.push(SettingProblem::error(key, message));
                }
            }
            TokenSource::Verified(verified) => {
                for name in verified.issuers.iter().filter(|name| !names.insert(*name)) {
                    let key = format!("tokens.{index}.verified.issuers");
                    found.push(SettingProblem::error(key, format!("issuer `{name}` is named twice; drop one")));
                }
            }
        }
    }
    found
}

impl CheckSettings for Source {
    fn problems(&self) -> Vec<SettingProblem> {
        match self {
            // The issuer of a `jwt_svid` is checked against those that are configured.
            Self::Peer | Self::JwtSvid(_) => Vec::new(),
            Self::Xfcc(xfcc) => of_parts(&[("xfcc", xfcc)]),
        }
    }
}

impl CheckSettings for XfccSource {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { hops, proxies } = self;
        let mut found = Vec::new();
        if !(1..=HOPS_MAX).contains(hops) {
            found.push(SettingProblem::error("hops", format!("{hops} is out of range; give 1 to {HOPS_MAX}")));
        }
        if *hops > 1 && proxies.is_empty() {
            let message = "more than one hop needs the proxies' SPIFFE ids; name them here";
            found.push(SettingProblem::error("proxies", message));
        }
        for proxy in proxies {
            if let Err(problem) = SpiffeId::parse(proxy) {
                found.push(SettingProblem::error("proxies", format!("`{proxy}` is not a SPIFFE id: {problem}")));
            }
        }
        found
    }
}

impl CheckSettings for TokenSource {
    fn problems(&self) -> Vec<SettingProblem> {
        match self {
            Self::Metadata(metadata) => of_parts(&[("metadata", &**metadata)]),
            Self::Verified(verified) => of_parts(&[("verified", verified)]),
        }
    }
}

impl CheckSettings for MetadataSource {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { key, claims, from } = self;
        let mut found = of_parts(&[("claims", claims), ("from", from)]);
        if key.is_empty() {
            found.push(SettingProblem::error("key", "is empty; name the filter's `payload_in_metadata`"));
        }
        if claims.kind == TokenKind::Transaction {
            let message = "kind `transaction` is only for `task`; name its issuer there";
            found.push(SettingProblem::error("claims.kind", message));
        }
        found
    }
}

impl CheckSettings for VerifiedSource {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { issuers } = self;
        match issuers.is_empty() {
            true => vec![SettingProblem::error("issuers", "is empty; name at least one issuer of section `keys`")],
            false => Vec::new(),
        }
    }
}

impl CheckSettings for Places {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { headers, cookies, query } = self;
        let mut found = Vec::new();
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        for (key, names) in [("headers", headers), ("cookies", cookies), ("query", query)] {
            for name in names.iter().filter(|name| !is_name(name)) {
                let message =
                    format!("`{}` is not a name; give visible characters without blanks", name.escape_debug());
                found.push(SettingProblem::error(key, message));
            }
        }
        for name in headers.iter().filter(|name| matches!(folded(name).as_str(), "authorization" | "cookie")) {
            let message = format!("header `{name}` is always read; name a cookie under `cookies`");
            found.push(SettingProblem::error("headers", message));
        }
        found
    }
}

impl Settings {
    /// Every reference to an issuer that does not exist or does not fit, given the rules of all issuers.
    #[must_use]
    pub fn issuer_problems(&self, issuers: &[IssuerRules]) -> Vec<SettingProblem> {
        let mut found = Vec::new();
        for (index, source) in self.sources.iter().enumerate() {
            match source {
                Source::Peer | Source::Xfcc(_) => {}
                Source::JwtSvid(svid) => {
                    let message = self.svid_problem(&svid.issuer, issuers);
                    let key = format!("sources.{index}.jwt_svid.issuer");
                    found.extend(message.map(|message| SettingProblem::error(key, message)));
                }
            }
        }
        let mut spellings = BTreeSet::new();
        for (index, source) in self.tokens.iter().enumerate() {
            match source {
                TokenSource::Metadata(_) => {}
                TokenSource::Verified(verified) => {
                    let key = format!("tokens.{index}.verified.issuers");
                    let messages = verified.issuers.iter().filter_map(|name| {
                        let issuer = match named(name, issuers) {
                            Ok(issuer) => issuer,
                            Err(message) => return Some(message),
                        };
                        if issuer.claims.kind == TokenKind::Transaction {
                            return Some(format!("issuer `{name}` is of kind `transaction`; name it under `task`"));
                        }
                        repeated_spelling(issuer, &mut spellings)
                    });
                    found.extend(messages.map(|message| SettingProblem::error(&key, message)));
                }
            }
        }
        let mut spellings = BTreeSet::new();
        let messages = self.task.issuers.iter().filter_map(|name| {
            let issuer = match named(name, issuers) {
                Ok(issuer) => issuer,
                Err(message) => return Some(message),
            };
            if issuer.claims.kind != TokenKind::Transaction {
                let kind = issuer.claims.kind.as_str();
                return Some(format!("issuer `{name}` is of kind `{kind}`, and must be of kind `transaction`"));
            }
            repeated_spelling(issuer, &mut spellings)
        });
        found.extend(messages.map(|message| SettingProblem::error("task.issuers", message)));
        found
    }

    fn svid_problem(&self, name: &str, issuers: &[IssuerRules]) -> Option<String> {
        let issuer = match named(name, issuers) {
            Ok(issuer) => issuer,
            Err(message) => return Some(message),
        };
        match (issuer.claims.kind, &issuer.claims.trust_domain) {
            (TokenKind::JwtSvid, Some(domain)) if !self.trusts(domain) => Some(format!(
                "issuer `{name}` signs for trust domain `{domain}`; allow it under `allowed_trust_domains`"
            )),
            (TokenKind::JwtSvid, Some(_) | None) => None,
            (TokenKind::Access | TokenKind::Kubernetes | TokenKind::Transaction, _) => {
                Some(format!("issuer `{name}` is not of kind `jwt_svid`"))
            }
        }
    }
}

fn named<'a>(name: &str, issuers: &'a [IssuerRules]) -> Result<&'a IssuerRules, String> {
    let found = issuers.iter().find(|issuer| issuer.name == name);
    found.ok_or_else(|| format!("no issuer is named `{name}`; add it to `keys.issuers`"))
}

fn repeated_spelling<'a>(issuer: &'a IssuerRules, spellings: &mut BTreeSet<&'a str>) -> Option<String> {
    let is_new = spellings.insert(&issuer.claims.issuer);
    let message = || format!("issuer `{}` has the same `iss` as another, so its tokens have two rules", issuer.name);
    (!is_new).then(message)
}
