//! Settings of the issuers, their key sets and the refresh.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use picket_core::identity::rules::{ClaimRules, IssuerRules, SignatureAlgorithm};
use picket_core::setting::{CheckSettings, SettingProblem, of_parts};

/// The issuers of tokens that Picket verifies itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How often key sets at URLs are fetched again. Default 10m; 10s to 24h. A key that an issuer
    /// withdraws is accepted for at most this long. Files are read again every 10 s. Units: `s`, `m`, `h`.
    #[serde(with = "humantime_serde")]
    pub refresh: Duration,
    /// Least time between two fetches of one key set, regardless of the trigger. Default 30s; 1s or more,
    /// and at most `refresh`. A new key that an issuer uses at once is unknown for at most this long.
    #[serde(with = "humantime_serde")]
    pub min_interval: Duration,
    /// How long one fetch may take. Default 5s; 100ms to 60s. Start-up waits for at most this long.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// How long Picket is not ready for want of keys that it never had. Default 2m; afterwards it is ready without
    /// them, and refuses those issuers' tokens. `0s` waits for none.
    #[serde(with = "humantime_serde")]
    pub ready_wait: Duration,
    /// The issuers. Default `[]`.
    pub issuers: Vec<IssuerSettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(600),
            min_interval: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            ready_wait: Duration::from_secs(120),
            issuers: Vec::new(),
        }
    }
}

/// One issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// The name that profiles and metrics use. No default; unique.
    pub name: String,
    /// Where its key set is: `file: <path>` or `url: {address: https://…}`. No default.
    pub jwks: Jwks,
    /// The only signature algorithms accepted. Default `[RS256, ES256]`.
    #[serde(default = "default_algorithms")]
    pub algorithms: BTreeSet<SignatureAlgorithm>,
    /// Whether access tokens with `typ: JWT` or none are accepted. Default `false`: only `at+jwt`, since
    /// an ID token must not pass as an access token. Many issuers need `true`; then let no audience be a
    /// client's id.
    #[serde(default)]
    pub allow_untyped: bool,
    /// The rules for the claims.
    pub claims: ClaimRules,
}

fn default_algorithms() -> BTreeSet<SignatureAlgorithm> {
    BTreeSet::from([SignatureAlgorithm::Rs256, SignatureAlgorithm::Es256])
}

/// Where a key set is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Jwks {
    /// A file, relative to the configuration's folder.
    File(PathBuf),
    /// A URL.
    Url(UrlSource),
}

/// A key set behind a URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UrlSource {
    /// `https://…`; plain `http` only to a loopback address. Redirects are not followed.
    pub address: String,
    /// PEM file of an authority that may sign the server's certificate, besides the system's own.
    /// Default: none.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

impl IssuerSettings {
    fn rules(&self) -> IssuerRules {
        IssuerRules {
            name: self.name.clone(),
            algorithms: self.algorithms.clone(),
            allow_untyped: self.allow_untyped,
            claims: self.claims.clone(),
        }
    }
}

impl Settings {
    /// How each issuer's tokens are verified; what profiles are checked against.
    #[must_use]
    pub fn rules(&self) -> Vec<IssuerRules> {
        self.issuers.iter().map(IssuerSettings::rules).collect()
    }
}

impl CheckSettings for Settings {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { refresh, min_interval, timeout, ready_wait, issuers } = self;
        let mut found = of_parts(&[("issuers", issuers)]);
        let mut wrong = |key: &str, message: &str| found.push(SettingProblem::error(key, message));
        let seconds = Duration::from_secs;
        if !(seconds(10)..=seconds(86_400)).contains(refresh) {
            wrong("refresh", "must be 10s to 24h");
        }
        if !(seconds(1)..=*refresh).contains(min_interval) {
            wrong("min_interval", "must be 1s or more, and at most `refresh`");
        }
        if !(Duration::from_millis(100)..=seconds(60)).contains(timeout) {
            wrong("timeout", "must be 100ms to 60s");
        }
        if *ready_wait > seconds(3600) {
            wrong("ready_wait", "must be at most 1h");
        }
        let mut names = BTreeSet::new();
        for (index, issuer) in issuers.iter().enumerate().filter(|(_, issuer)| !names.insert(&issuer.name)) {
            let message = format!("two issuers are named `{}`; give each a name of its own", issuer.name);
            wrong(&format!("issuers.{index}.name"), &message);
        }
        found
    }
}

impl CheckSettings for IssuerSettings {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { jwks, name: _, algorithms: _, allow_untyped: _, claims: _ } = self;
        // The rules have the other keys, by the same names.
        let mut found = self.rules().problems();
        match jwks {
            Jwks::Url(url) if !is_private(&url.address) => {
                let message = format!("`{}` is not an https URL, nor http to a loopback address", url.address);
                found.push(SettingProblem::error("jwks.url.address", message));
            }
            Jwks::Url(_) | Jwks::File(_) => {}
        }
        found
    }
}

/// Whoever can change a key set on its way can sign tokens, so it must not travel in the clear.
fn is_private(address: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(address) else { return false };
    let loopback = match url.host_str().map(|host| host.trim_start_matches('[').trim_end_matches(']')) {
        Some("localhost") => true,
        Some(host) => host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}
