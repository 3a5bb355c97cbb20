//! Judgements of whole calls, to be given again to calls that differ in nothing that was looked at.
//!
//! Knows: keys and judgements. Must not know: which parts of a call are in a key ([`Reduced`] does), or how one is
//! judged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use moka::sync::Cache;

use super::Judgement;
use super::reduced::Reduced;
use crate::call::Call;
use crate::decision::verdict::{Effect, Verdict};
use crate::obligation::Mutations;
use crate::sighted::{self, KeptHash, Sighted};

/// Most bytes of remembered judgements and their keys together, approximately.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest key under which a judgement is remembered.
const KEY_BYTES_MAX: usize = 4096;
/// What the cache itself takes for an entry: its place in the hash table and in the queues, and the allocator's headers.
const ENTRY_BYTES: usize = 352;
/// What a remembered judgement takes beside its texts: fixed parts, and what edges prepare for it.
const FIXED_BYTES: usize = 2048;

/// Judgements of all listeners.
#[derive(Debug)]
pub struct Memory {
    cache: Cache<sighted::Key, Remembered, KeptHash>,
    admission: Admission,
    sighted: Sighted,
    /// The newest snapshot's; judgements by older ones are forgotten.
    generation: AtomicU64,
    seats: AtomicU64,
    stats: Stats,
}

/// Which calls' judgements are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Admission {
    /// Those of calls that come again: each is judged once as it came, and once for all that follow.
    #[default]
    SecondSight,
    /// All, from the first call on; for tests.
    FirstSight,
}

/// What is remembered of the calls with one key.
#[derive(Debug, Clone)]
pub enum Remembered {
    /// They are all judged like this.
    Judgement(Arc<Judgement>),
    /// Each has to be judged as it came: something that is not in the key may have a say.
    Momentary,
}

/// What the memory counts; read at every scrape.
#[derive(Debug, Default)]
pub struct Stats {
    /// Calls answered from memory.
    pub hits: AtomicU64,
    /// Calls judged whose judgement is remembered, at once or when they come again.
    pub misses: AtomicU64,
    /// Calls judged whose judgement is not to be remembered.
    pub skips: AtomicU64,
}

/// One listener's part of the memory: judgements never pass from one seat to another.
#[derive(Debug, Clone)]
pub struct Seat {
    memory: Arc<Memory>,
    number: u64,
}

/// By what a call is judged, in numbers that are never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generations {
    /// Of the snapshot.
    pub snapshot: u64,
    /// Of the key ring.
    pub keys: u64,
}

/// Under what a judgement is remembered.
#[derive(Debug)]
pub struct Key {
    key: sighted::Key,
    generation: u64,
}

/// What edges prepared for a judgement that answers many calls; made by whoever needs it first.
#[derive(Debug, Default)]
pub struct Prepared {
    /// The answer in the proxy's protocol, one for each language it can be put in.
    pub answers: [OnceLock<Written>; 2],
    /// The judgement's part of a log record, cut where each call has something of its own.
    pub record: OnceLock<[Box<[u8]>; 2]>,
}

/// An answer in bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    /// The bytes, with some decision's id in them.
    pub bytes: Box<[u8]>,
    /// Where in the bytes the id stands.
    pub ids: Vec<usize>,
    /// The HTTP status that it tells.
    pub status: u16,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(Admission::default())
    }
}

impl Memory {
    /// An empty memory.
    #[must_use]
    pub fn new(admission: Admission) -> Self {
        let weight = |key: &sighted::Key, remembered: &Remembered| {
            let bytes = match remembered {
                Remembered::Judgement(judgement) => FIXED_BYTES + bytes(judgement),
                Remembered::Momentary => 0,
            };
            u32::try_from(key.len() + bytes + ENTRY_BYTES).unwrap_or(u32::MAX)
        };
        Self {
            cache: Cache::builder().weigher(weight).max_capacity(BYTES_MAX).build_with_hasher(KeptHash),
            admission,
            sighted: Sighted::default(),
            generation: AtomicU64::new(0),
            seats: AtomicU64::new(0),
            stats: Stats::default(),
        }
    }

    /// What it counts.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Remembered judgements, for the metrics.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.cache.entry_count()
    }

    /// What is remembered and how many bytes that takes by the weights, once all that is due was done.
    #[must_use]
    pub fn settled(&self) -> (u64, u64) {
        self.cache.run_pending_tasks();
        (self.cache.entry_count(), self.cache.weighted_size())
    }

    /// Forgets what older snapshots led to: their keys are never asked for again, and would keep them in memory.
    fn turn(&self, generation: u64) {
        if self.generation.load(Ordering::Relaxed) < generation
            && self.generation.fetch_max(generation, Ordering::Relaxed) < generation
        {
            self.cache.invalidate_all();
        }
    }
}

impl Seat {
    /// A seat of its own.
    #[must_use]
    pub fn in_memory(memory: &Arc<Memory>) -> Self {
        Self { memory: Arc::clone(memory), number: memory.seats.fetch_add(1, Ordering::Relaxed) }
    }

    /// The key of a call that is judged by these.
    #[must_use]
    pub fn key(&self, generations: Generations, reduced: &Reduced<'_>) -> Key {
        let mut bytes = Vec::with_capacity(512);
        for number in [self.number, generations.snapshot, generations.keys] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        reduced.write_key(&mut bytes);
        Key { key: self.memory.sighted.key(bytes), generation: generations.snapshot }
    }

    /// What is remembered of the calls with this key.
    #[must_use]
    pub fn recall(&self, key: &Key) -> Option<Remembered> {
        self.memory.turn(key.generation);
        self.memory.cache.get(&key.key)
    }

    /// Whether no call with this key was asked about before, so that remembering its judgement would likely help
    /// nobody; counts it then.
    #[must_use]
    pub fn is_first_sight(&self, key: &Key) -> bool {
        let is_first = match self.memory.admission {
            Admission::SecondSight => !self.memory.sighted.again(&key.key),
            Admission::FirstSight => false,
        };
        if is_first {
            self.memory.stats.misses.fetch_add(1, Ordering::Relaxed);
        }
        is_first
    }

    /// Remembers this of all calls with this key, unless the key is too long or a newer snapshot has come.
    pub fn remember(&self, key: Key, remembered: Remembered) {
        let counter = match remembered {
            Remembered::Judgement(_) => &self.memory.stats.misses,
            Remembered::Momentary => &self.memory.stats.skips,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let is_newest = self.memory.generation.load(Ordering::Relaxed) == key.generation;
        if is_newest && key.key.len() <= KEY_BYTES_MAX {
            self.memory.cache.insert(key.key.into_kept(), remembered);
        }
    }

    /// Counts a call that was answered from memory.
    pub fn hit(&self) {
        self.memory.stats.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a call whose judgement is not to be remembered.
    pub fn skip(&self) {
        self.memory.stats.skips.fetch_add(1, Ordering::Relaxed);
    }
}

/// The bytes of everything in a judgement whose size a caller or a policy chooses, and of the rest about.
fn bytes(judgement: &Judgement) -> usize {
    let verdict = judgement.result.as_ref().map_or(0, verdict_bytes);
    let query = judgement.query.as_ref().map_or(0, |query| {
        query.principal.uid.id.len() + query.resource.uid.id.len() + query.action.len() + query.namespace.len()
    });
    // A verdict and the query's names stand in both answers and in the record as well.
    4 * (verdict + query) + judgement.reduced.as_ref().map_or(0, call_bytes)
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
    // Path, query, host and identities stand in the key, which is never longer than this.
    KEY_BYTES_MAX.min(1024) + headers.chain(extensions).sum::<usize>()
}
