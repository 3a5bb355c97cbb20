//! The issuers' key sets, cached and refreshed in the background.
//!
//! Knows: where key sets are, when to fetch them again, and the last good ones. Must not know: what
//! tokens say, or who is calling.
//!
//! No call ever waits for a fetch: calls read the [`KeyRing`] that is there. A failed fetch keeps the keys
//! that were had; a flood of tokens with unknown key ids costs one fetch per `min_interval`.

mod fetch;
mod settings;
mod stats;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use fetch::{Fetch, FetchProblem};
use picket_core::identity::{KeyRing, KeySet};
use picket_core::setting::CheckSettings as _;
pub use settings::{IssuerSettings, Jwks, Settings, UrlSource};
pub use stats::Stats;

/// How often a file is read again.
const FILE_PERIOD: Duration = Duration::from_secs(10);

/// The configured issuers and their keys.
pub struct Keys {
    ring: Arc<ArcSwap<KeyRing>>,
    issuers: Vec<Issuer>,
    timeout: Duration,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("generation", &self.ring.load().generation()).finish_non_exhaustive()
    }
}

struct Issuer {
    settings: IssuerSettings,
    source: Box<dyn Fetch>,
    period: Duration,
    min_interval: Duration,
    /// Requests an early fetch; holds one request, however many arrive.
    hint: Notify,
    /// When the last fetch ended and how; locked while one runs, so that there is never a second.
    last: Mutex<Option<Attempt>>,
    stats: Stats,
}

#[derive(Debug, Clone, Copy)]
struct Attempt {
    ended: Instant,
    good: bool,
}

impl Keys {
    /// Prepares to fetch; nothing is fetched yet. Paths in `settings` are relative to `base`.
    ///
    /// # Errors
    /// All problems of the settings, as text.
    pub fn new(settings: &Settings, base: &Path) -> Result<Self, Vec<String>> {
        let problems = settings.problems();
        if !problems.is_empty() {
            return Err(problems.into_iter().map(|problem| problem.below("keys").to_string()).collect());
        }
        let mut sources: Vec<Box<dyn Fetch>> = Vec::new();
        let mut problems = Vec::new();
        for issuer in &settings.issuers {
            match fetch::source(&issuer.jwks, base, settings.timeout) {
                Ok(source) => sources.push(source),
                Err(problem) => problems.push(format!("keys of issuer `{}`: {problem}", issuer.name)),
            }
        }
        if problems.is_empty() { Ok(Self::with_sources(settings, sources)) } else { Err(problems) }
    }

    /// No issuers: every token's key is unknown.
    #[must_use]
    pub fn none() -> Self {
        Self::with_sources(&Settings::default(), Vec::new())
    }

    /// The same keys for explanations: no token can trigger a fetch.
    #[must_use]
    pub fn read_only(&self) -> Self {
        Self { ring: Arc::clone(&self.ring), issuers: Vec::new(), timeout: self.timeout }
    }

    fn with_sources(settings: &Settings, sources: Vec<Box<dyn Fetch>>) -> Self {
        let issuer = |(issuer, source): (&IssuerSettings, Box<dyn Fetch>)| {
            let (period, min_interval) = match &issuer.jwks {
                Jwks::File(_) => (FILE_PERIOD.min(settings.refresh), settings.min_interval.min(FILE_PERIOD)),
                Jwks::Url(_) => (settings.refresh, settings.min_interval),
            };
            Issuer {
                settings: issuer.clone(),
                source,
                period,
                min_interval,
                hint: Notify::new(),
                last: Mutex::new(None),
                stats: Stats::default(),
            }
        };
        Self {
            ring: Arc::new(ArcSwap::from_pointee(KeyRing::new(settings.rules()))),
            issuers: settings.issuers.iter().zip(sources).map(issuer).collect(),
            timeout: settings.timeout,
        }
    }

    /// The keys there are now; take it once per call.
    #[must_use]
    pub fn ring(&self) -> Arc<KeyRing> {
        self.ring.load_full()
    }

    /// Says that a token named a key this issuer is not known to have. Cheap, and harmless in floods.
    pub fn hint_unknown_key(&self, issuer: &str) {
        if let Some(issuer) = self.issuers.iter().find(|candidate| candidate.settings.name == issuer) {
            issuer.hint.notify_one();
        }
    }

    /// Issuers with keys that were never fetched: their tokens are rejected.
    pub fn never_had(&self) -> impl Iterator<Item = &str> {
        self.stats().filter(|(_, stats)| stats.fetches_succeeded() == 0).map(|(name, _)| name)
    }

    /// The results of the fetches, by the issuers' names.
    pub fn stats(&self) -> impl Iterator<Item = (&str, &Stats)> {
        self.issuers.iter().map(|issuer| (issuer.settings.name.as_str(), &issuer.stats))
    }

    /// Fetches every key set once, all at the same time; returns within the timeout. What fails is
    /// logged and tried again by [`Keys::run`].
    pub async fn load(&self) {
        join_all(self.issuers.iter().map(|issuer| self.fetch(issuer))).await;
    }

    /// Keeps the keys fresh until cancelled.
    pub async fn run(self: Arc<Self>, cancel: CancellationToken) {
        let keep_all = join_all(self.issuers.iter().map(|issuer| self.keep(issuer)));
        // With no issuer there is nothing to keep, and this returns at once.
        cancel.run_until_cancelled(keep_all).await;
    }

    async fn keep(&self, issuer: &Issuer) {
        loop {
            issuer.due().await;
            self.fetch(issuer).await;
        }
    }

    async fn fetch(&self, issuer: &Issuer) {
        let mut last = issuer.last.lock().await;
        let fetched = match tokio::time::timeout(self.timeout, issuer.source.fetch()).await {
            Ok(result) => result,
            Err(_) => Err(FetchProblem::TimedOut),
        };
        let name = issuer.settings.name.as_str();
        let parsed = fetched.and_then(|json| Ok(KeySet::parse(&json, issuer.settings.claims.kind)?));
        let good = parsed.is_ok();
        match parsed {
            Ok(keys) => {
                issuer.stats.succeeded(keys.len());
                self.publish(name, &Arc::new(keys));
            }
            Err(problem) => {
                issuer.stats.failed();
                tracing::warn!(issuer = name, "could not fetch the keys of issuer `{name}`: {problem}");
            }
        }
        *last = Some(Attempt { ended: Instant::now(), good });
    }

    fn publish(&self, name: &str, keys: &Arc<KeySet>) {
        let before = self.ring.rcu(|ring| ring.with_keys(name, keys));
        if self.ring.load().generation() != before.generation() {
            tracing::info!(issuer = name, keys = keys.len(), "keys of issuer `{name}` changed");
        }
    }
}

impl Issuer {
    /// Returns when the next fetch is due: after the period, or earlier where asked for or after a
    /// failure, but never before `min_interval`.
    async fn due(&self) {
        let Some(last) = *self.last.lock().await else { return };
        tokio::time::sleep_until(last.ended + self.min_interval).await;
        if !last.good {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep_until(last.ended + self.period) => {}
            () = self.hint.notified() => {}
        }
    }
}
