//! The cache of whole results: calls with equal relevant parts get the same answer.
//!
//! Knows: keys and judgements. Must not know: which parts of a call are relevant ([`CacheKeyParts`] does), or how a
//! call is evaluated.

pub mod key;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::sync::Cache;

use super::judgement::Judgement;
use key::CacheKeyParts;

use picket_core::call::Call;
use picket_core::decision::verdict::{Effect, Verdict};
use picket_core::doorkeeper::{self, BuildPrehashed, Doorkeeper};
use picket_core::obligation::Mutations;

/// Most bytes of cached judgements and their keys together, approximately.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest key of a cached judgement.
const KEY_BYTES_MAX: usize = 4096;
/// Overhead of an entry in the cache: its place in the hash table and in the queues, and the allocator's headers.
const ENTRY_BYTES: usize = 352;
/// Size of a cached judgement without its texts: fixed parts, and bytes that edges prepare for it.
const FIXED_BYTES: usize = 2048;

/// The cached judgements of all listeners.
#[derive(Debug)]
pub struct CheckCache {
    entries: Cache<doorkeeper::Key, Entry, BuildPrehashed>,
    admission: Admission,
    doorkeeper: Doorkeeper,
    /// The generation of the newest snapshot; judgements of older ones are dropped.
    generation: AtomicU64,
    listeners: AtomicU64,
    stats: Stats,
}

/// The calls with judgements that are cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Admission {
    /// Calls that come again: each is evaluated once as it came, and once for all that follow.
    #[default]
    SecondSight,
    /// All calls, from the first one on; for tests.
    FirstSight,
}

/// The cached result for the calls with one key.
#[derive(Debug, Clone)]
pub enum Entry {
    /// All these calls have this judgement.
    Judgement(Arc<Judgement>),
    /// Each call has to be evaluated as it came: a part outside the key may matter.
    Uncacheable,
}

/// The counters of the cache; every scrape reads them.
#[derive(Debug, Default)]
pub struct Stats {
    /// Calls answered from the cache.
    pub hits: AtomicU64,
    /// Calls evaluated with a judgement that is cached, at once or when the call comes again.
    pub misses: AtomicU64,
    /// Calls evaluated with a judgement that must not be cached.
    pub skips: AtomicU64,
}

/// One listener's part of the cache: no judgement passes from one listener to another.
#[derive(Debug, Clone)]
pub struct ListenerCache {
    shared: Arc<CheckCache>,
    number: u64,
}

/// Versions of the policies and keys that evaluate a call. No number is given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// The version of the snapshot.
    pub snapshot: u64,
    /// The version of the key ring.
    pub keys: u64,
}

/// The key of a cached judgement.
#[derive(Debug)]
pub struct CacheKey {
    key: doorkeeper::Key,
    generation: u64,
}

impl Default for CheckCache {
    fn default() -> Self {
        Self::new(Admission::default())
    }
}

impl CheckCache {
    /// An empty cache.
    #[must_use]
    pub fn new(admission: Admission) -> Self {
        let weight = |key: &doorkeeper::Key, entry: &Entry| {
            let bytes = match entry {
                Entry::Judgement(judgement) => FIXED_BYTES + bytes(judgement),
                Entry::Uncacheable => 0,
            };
            u32::try_from(key.size_bytes() + bytes + ENTRY_BYTES).unwrap_or(u32::MAX)
        };
        Self {
            entries: Cache::builder().weigher(weight).max_capacity(BYTES_MAX).build_with_hasher(BuildPrehashed),
            admission,
            doorkeeper: Doorkeeper::default(),
            generation: AtomicU64::new(0),
            listeners: AtomicU64::new(0),
            stats: Stats::default(),
        }
    }

    /// Its counters.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The number of cached judgements, for the metrics.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries.entry_count()
    }

    /// The number of cached judgements and their bytes by weight, after all pending work.
    #[must_use]
    pub fn settled(&self) -> (u64, u64) {
        self.entries.run_pending_tasks();
        (self.entries.entry_count(), self.entries.weighted_size())
    }

    /// Drops the judgements of older snapshots: no call looks up their keys again, and they would stay in memory.
    fn invalidate_older(&self, generation: u64) {
        if self.generation.load(Ordering::Relaxed) < generation
            && self.generation.fetch_max(generation, Ordering::Relaxed) < generation
        {
            self.entries.invalidate_all();
        }
    }
}

impl ListenerCache {
    /// A new listener's part.
    #[must_use]
    pub fn new(cache: &Arc<CheckCache>) -> Self {
        Self { shared: Arc::clone(cache), number: cache.listeners.fetch_add(1, Ordering::Relaxed) }
    }

    /// The key of a call under these versions.
    #[must_use]
    pub fn key(&self, versions: Versions, reduced: &CacheKeyParts<'_>) -> CacheKey {
        let mut bytes = Vec::with_capacity(512);
        for number in [self.number, versions.snapshot, versions.keys] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        reduced.write_key(&mut bytes);
        CacheKey { key: self.shared.doorkeeper.key(bytes), generation: versions.snapshot }
    }

    /// The cached result for the calls with this key.
    #[must_use]
    pub fn get(&self, key: &CacheKey) -> Option<Entry> {
        self.shared.invalidate_older(key.generation);
        self.shared.entries.get(&key.key)
    }

    /// Records the key and returns whether it is new. Caching a judgement at first sight would likely help no call.
    #[must_use]
    pub fn is_first_sight(&self, key: &CacheKey) -> bool {
        let is_first = match self.shared.admission {
            Admission::SecondSight => !self.shared.doorkeeper.seen_before(&key.key),
            Admission::FirstSight => false,
        };
        if is_first {
            self.shared.stats.misses.fetch_add(1, Ordering::Relaxed);
        }
        is_first
    }

    /// Caches the result for all calls with this key, unless the key is too long or a newer snapshot is loaded.
    pub fn insert(&self, key: CacheKey, entry: Entry) {
        let counter = match entry {
            Entry::Judgement(_) => &self.shared.stats.misses,
            Entry::Uncacheable => &self.shared.stats.skips,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let is_newest = self.shared.generation.load(Ordering::Relaxed) == key.generation;
        if is_newest && key.key.size_bytes() <= KEY_BYTES_MAX {
            self.shared.entries.insert(key.key.into_shrunk(), entry);
        }
    }

    /// Counts a call that was answered from the cache.
    pub fn hit(&self) {
        self.shared.stats.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a call with a judgement that must not be cached.
    pub fn skip(&self) {
        self.shared.stats.skips.fetch_add(1, Ordering::Relaxed);
    }
}

/// Size of a judgement: exact for texts that a caller or a policy chooses, approximate for the rest.
fn bytes(judgement: &Judgement) -> usize {
    let verdict = judgement.result.as_ref().map_or(0, verdict_bytes);
    let query = judgement.query.as_ref().map_or(0, |query| {
        query.principal.uid.id.len() + query.resource.uid.id.len() + query.action.len() + query.namespace.len()
    });
    // A verdict and the query's names are also in both answers and in the record.
    let release = judgement.release.as_ref().map_or(0, |drafted| drafted.bytes.size());
    4 * (verdict + query) + release + judgement.reduced.as_ref().map_or(0, call_bytes)
}

fn verdict_bytes(verdict: &Verdict) -> usize {
    let mutations = match &verdict.effect {
        Effect::Allow(mutations) => mutation_bytes(mutations),
        Effect::Deny(_) | Effect::Challenge(..) => 512,
    };
    let shadow = verdict.would_be.as_ref().map_or(&[][..], |would_be| would_be.determining.as_slice());
    mutations + verdict.determining.iter().chain(shadow).map(|id| id.len() + 48).sum::<usize>()
}

fn mutation_bytes(mutations: &Mutations) -> usize {
    let Mutations { set_headers, remove_headers, response_headers, set_query, remove_query, metadata, log_full: _ } =
        mutations;
    let pairs = [set_headers, response_headers, set_query, metadata].into_iter().flatten();
    let names = [remove_headers, remove_query].into_iter().flatten();
    pairs.map(|(name, value)| name.len() + value.len() + 96).chain(names.map(|name| name.len() + 48)).sum()
}

fn call_bytes(call: &Call) -> usize {
    let headers = call.headers.iter().map(|(name, value)| name.len() + value.len() + 96);
    let extensions = call.extensions.iter().map(|(name, value)| name.len() + value.len() + 96);
    // Path, query, host and identities are in the key, which is never longer than this.
    KEY_BYTES_MAX.min(1024) + headers.chain(extensions).sum::<usize>()
}
