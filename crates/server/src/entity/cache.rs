//! A cache of look-ups, with one request in flight for all callers of a key.
//!
//! Knows: ages, limits, requests in flight. Must not know: what is asked or how.
//!
//! moka gives the bound on entries; ages are counted here, on tokio's clock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::notification::RemovalCause;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::unavailable;
use picket_core::failure::Failure;
use picket_core::query::Value;
use picket_core::setting::{CheckSettings, SettingProblem};

/// Longest that one request to a source may take, whether or not a call still waits for it.
pub const FLIGHT_MAX: Duration = Duration::from_secs(5);
/// Longest `ttl`, and longest `max_stale`.
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long answers are cached.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How long a record may be reused; a negative result for a tenth of it. Default 30s. `0s`
    /// disables reuse; a revoked attribute keeps its old value for at most this long plus `max_stale`.
    #[serde(with = "humantime_serde")]
    pub ttl: Duration,
    /// How much longer an expired record may be used during its refresh. Default
    /// 0s, the safe value: a source that is down makes its facts unavailable as soon as `ttl` ends.
    #[serde(with = "humantime_serde")]
    pub max_stale: Duration,
    /// Most cached records. Default 10000; a record is at most 64 KiB of JSON.
    pub entries_max: u64,
    /// Most requests to the source at one time; beyond it, new questions are unavailable. Default 256.
    pub in_flight_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(30), max_stale: Duration::ZERO, entries_max: 10_000, in_flight_max: 256 }
    }
}

impl CheckSettings for Settings {
    fn problems(&self) -> Vec<SettingProblem> {
        let Self { ttl, max_stale, entries_max, in_flight_max } = self;
        let mut found = Vec::new();
        for (key, age) in [("ttl", ttl), ("max_stale", max_stale)] {
            if *age > AGE_MAX {
                found.push(SettingProblem::error(key, "is more than a day; give at most 24h"));
            }
        }
        if *entries_max == 0 {
            let message = "0 is too low; give at least 1, and `ttl: 0s` to turn the cache off";
            found.push(SettingProblem::error("entries_max", message));
        }
        if *in_flight_max == 0 {
            found.push(SettingProblem::error("in_flight_max", "0 makes every request fail; give at least 1"));
        }
        found
    }
}

/// The key of an answer. The source is not part of it: each has a cache of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CacheKey {
    /// The rendered question.
    pub url: String,
    /// Digest of the schema that the answer was checked by: another schema, another answer.
    pub schema: String,
}

/// The result of a source: `None` if the source has no record.
pub type CachedAnswer<V = Value> = Option<Arc<V>>;

/// Counts since the start; each call adds to exactly one of the first five.
#[derive(Debug, Default)]
pub struct Stats {
    /// Answered from a fresh record.
    pub hits: AtomicU64,
    /// Answered from a fresh negative record.
    pub negatives: AtomicU64,
    /// Answered from an expired record during its refresh.
    pub stale: AtomicU64,
    /// Answered by a request to the source.
    pub misses: AtomicU64,
    /// Not answered: the source failed, was too slow, or too much was in flight.
    pub errors: AtomicU64,
    /// Records dropped for want of room.
    pub evictions: AtomicU64,
}

/// The answers of one source.
#[derive(Debug)]
pub struct Cache<V: Send + Sync + 'static = Value> {
    settings: Settings,
    records: moka::future::Cache<CacheKey, Record<V>>,
    flights: Mutex<HashMap<CacheKey, Landing<V>>>,
    stats: Arc<Stats>,
    tasks: TaskTracker,
    keeps: Keeps,
}

/// Whether new answers are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeps {
    Answers,
    /// Explanations leave the cache unchanged for calls.
    Nothing,
}

#[derive(Debug)]
struct Record<V> {
    found: CachedAnswer<V>,
    /// When the question was sent: the answer may be as old as that.
    asked_at: Instant,
}

// Derived, it would ask the same of what is shared.
impl<V> Clone for Record<V> {
    fn clone(&self) -> Self {
        Self { found: self.found.clone(), asked_at: self.asked_at }
    }
}

/// Where the answer of a request in flight will appear.
type Landing<V> = watch::Receiver<Option<Result<CachedAnswer<V>, Failure>>>;

enum Freshness {
    Fresh,
    Stale,
    Over,
}

impl<V: Send + Sync + 'static> Cache<V> {
    /// An empty cache that runs its requests in `tasks`.
    #[must_use]
    pub fn new(settings: Settings, tasks: &TaskTracker) -> Arc<Self> {
        let stats = Arc::new(Stats::default());
        let counted = stats.clone();
        let records = moka::future::Cache::builder()
            .max_capacity(settings.entries_max)
            // Only to free memory: it counts from the end of the request and so never comes before ours.
            .time_to_live(settings.ttl + settings.max_stale)
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    counted.evictions.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build();
        let (tasks, keeps) = (tasks.clone(), Keeps::Answers);
        Arc::new(Self { settings, records, flights: Mutex::default(), stats, tasks, keeps })
    }

    /// The same cache for explanations: they read cached answers, and their own requests are not cached, counted or
    /// shared with calls.
    #[must_use]
    pub fn read_only(&self) -> Arc<Self> {
        Arc::new(Self {
            settings: self.settings.clone(),
            records: self.records.clone(),
            flights: Mutex::default(),
            stats: Arc::default(),
            tasks: self.tasks.clone(),
            keeps: Keeps::Nothing,
        })
    }

    /// Counts since the start.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Number of cached records, approximately.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.records.entry_count()
    }

    /// The answer for a key: cached, or from `ask`, or from a request that is already in flight.
    ///
    /// A request in flight goes on when its caller gives up, and its answer is remembered.
    ///
    /// # Errors
    /// `ask` failed, or did not answer by `deadline`; never remembered.
    pub async fn get<F, A>(
        self: &Arc<Self>,
        key: CacheKey,
        deadline: Instant,
        ask: F,
    ) -> Result<CachedAnswer<V>, Failure>
    where
        F: FnOnce() -> A,
        A: Future<Output = Result<CachedAnswer<V>, Failure>> + Send + 'static,
    {
        if let Some(record) = self.records.get(&key).await {
            match (self.freshness(&record), &record.found) {
                (Freshness::Fresh, Some(_)) => return Ok(self.count(&self.stats.hits, record.found)),
                (Freshness::Fresh, None) => return Ok(self.count(&self.stats.negatives, None)),
                (Freshness::Stale, Some(_)) => {
                    // Whether it succeeds is for a later call to see.
                    if self.keeps == Keeps::Answers {
                        let _ = self.take_off(&key, ask);
                    }
                    return Ok(self.count(&self.stats.stale, record.found));
                }
                // "There is none" is never stretched: it may have begun to exist.
                (Freshness::Stale, None) | (Freshness::Over, _) => {}
            }
        }
        let answer = match self.take_off(&key, ask) {
            Ok(landing) => landed(landing, deadline).await,
            Err(failure) => Err(failure),
        };
        match answer {
            Ok(found) => Ok(self.count(&self.stats.misses, found)),
            Err(failure) => Err(self.count(&self.stats.errors, failure)),
        }
    }

    fn count<T>(&self, counter: &AtomicU64, answer: T) -> T {
        counter.fetch_add(1, Ordering::Relaxed);
        answer
    }

    fn freshness(&self, record: &Record<V>) -> Freshness {
        // Negative answers live a tenth as long: what registers after its first call waits 3 s, not 30 s.
        let ttl = if record.found.is_some() { self.settings.ttl } else { self.settings.ttl / 10 };
        match record.asked_at.elapsed() {
            age if age < ttl => Freshness::Fresh,
            age if age < ttl + self.settings.max_stale => Freshness::Stale,
            _ => Freshness::Over,
        }
    }

    /// Joins the request in flight for this key, or starts one.
    fn take_off<F, A>(self: &Arc<Self>, key: &CacheKey, ask: F) -> Result<Landing<V>, Failure>
    where
        F: FnOnce() -> A,
        A: Future<Output = Result<CachedAnswer<V>, Failure>> + Send + 'static,
    {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(landing) = flights.get(key) {
            return Ok(landing.clone());
        }
        if flights.len() >= self.settings.in_flight_max {
            return Err(unavailable(format!("{} requests to the source are in flight", flights.len())));
        }
        let (answered, landing) = watch::channel(None);
        flights.insert(key.clone(), landing.clone());
        drop(flights);

        let flight = Flight { cache: self.clone(), key: key.clone() };
        let asking = ask();
        self.tasks.spawn(async move {
            let asked_at = Instant::now();
            let answer = match tokio::time::timeout_at(asked_at + FLIGHT_MAX, asking).await {
                Ok(answer) => answer,
                Err(_) => Err(unavailable("the source did not answer")),
            };
            if let (Ok(found), Keeps::Answers) = (&answer, flight.cache.keeps) {
                // Remembered before the flight ends, so that nobody falls between the two.
                let record = Record { found: found.clone(), asked_at };
                flight.cache.records.insert(flight.key.clone(), record).await;
            }
            drop(flight);
            answered.send_replace(Some(answer));
        });
        Ok(landing)
    }
}

/// A request in flight; its end, a panic's included, makes room for the next.
struct Flight<V: Send + Sync + 'static> {
    cache: Arc<Cache<V>>,
    key: CacheKey,
}

impl<V: Send + Sync + 'static> Drop for Flight<V> {
    fn drop(&mut self) {
        self.cache.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

async fn landed<V>(mut landing: Landing<V>, deadline: Instant) -> Result<CachedAnswer<V>, Failure> {
    match tokio::time::timeout_at(deadline, landing.wait_for(Option::is_some)).await {
        Ok(Ok(answer)) => match &*answer {
            Some(answer) => answer.clone(),
            None => Err(unavailable("the request to the source was interrupted")),
        },
        Ok(Err(_)) => Err(unavailable("the request to the source was interrupted")),
        Err(_) => Err(unavailable("the source did not answer in time")),
    }
}

#[cfg(test)]
mod tests;
