//! Connection slots of one listener: chooses the connection to evict when a pool is full.
//!
//! Knows: where peers connect from, whether they have sent anything, when they last sent a request. Must not know: the
//! requests, TLS, HTTP.
//!
//! There are two pools. A newcomer has proven nothing yet: with TLS no certificate, without it no request. A peer that
//! has proven itself is admitted. Unknown clients can fill only the pool of newcomers, and only for a moment:
//! connecting is cheap, so a full pool lets the next one in and evicts the one with the least claim. A proxy that sends
//! its request at once is always admitted, however many clients connect and stay silent.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::socket::Peer;

/// Evicted connections that have not ended yet. While there are more, no connection is accepted.
pub(super) const ENDING_MAX: usize = 16;
/// With more than one in so many slots of a pool, an origin has more than its share.
const SHARE: usize = 8;

/// Where a peer connects from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// The first half of an IPv6 address: a client that has one address of it has them all.
    V6(u64),
    /// This machine, by a socket file.
    Unix,
}

impl Origin {
    /// The origin of a peer that has just connected.
    pub fn of(peer: &Peer) -> Self {
        match peer {
            Peer::Tcp(address) => match address.ip().to_canonical() {
                IpAddr::V4(ip) => Self::V4(ip),
                IpAddr::V6(ip) => Self::V6(u64::try_from(ip.to_bits() >> 64).unwrap_or_default()),
            },
            Peer::Unix | Peer::Workload(_) => Self::Unix,
        }
    }
}

/// The slots of one listener.
#[derive(Debug)]
pub(super) struct Slots {
    pools: Mutex<Pools>,
    connections: Arc<Semaphore>,
    began: Instant,
}

#[derive(Debug)]
struct Pools {
    newcomers: Pool,
    admitted: Pool,
    next_id: u64,
}

#[derive(Debug)]
struct Pool {
    max: usize,
    count: usize,
    origins: HashMap<Origin, BTreeMap<u64, Arc<Activity>>>,
}

/// The activity of one connection's peer.
#[derive(Debug, Default)]
pub(super) struct Activity {
    has_sent: AtomicBool,
    is_admitted: AtomicBool,
    /// Time of its last request, in milliseconds since the listener began.
    last_request_at: AtomicU64,
    evicted: CancellationToken,
}

impl Activity {
    /// Records that the peer has sent something.
    pub fn record_data(&self) {
        self.has_sent.store(true, Ordering::Relaxed);
    }
}

/// A permit for one more connection of the listener.
pub(super) struct Place(OwnedSemaphorePermit);

impl Slots {
    /// Pools of these sizes.
    pub fn new(newcomers_max: usize, admitted_max: usize) -> Arc<Self> {
        let room = |max| Pool { max, count: 0, origins: HashMap::new() };
        let pools = Pools { newcomers: room(newcomers_max), admitted: room(admitted_max), next_id: 0 };
        let all = newcomers_max.saturating_add(admitted_max).saturating_add(ENDING_MAX).min(Semaphore::MAX_PERMITS);
        let connections = Arc::new(Semaphore::new(all));
        Arc::new(Self { pools: Mutex::new(pools), connections, began: Instant::now() })
    }

    /// Waits until one more connection may be accepted. Evicted connections have to end first, so that descriptors are
    /// bounded at every moment.
    pub async fn place(&self) -> Option<Place> {
        // Never closed.
        Arc::clone(&self.connections).acquire_owned().await.ok().map(Place)
    }

    /// Lets a newcomer in; a full pool evicts another one for it.
    pub fn enter(self: &Arc<Self>, origin: Origin, place: Place) -> (Slot, Entered) {
        let activity = Arc::<Activity>::default();
        let mut pools = self.pools();
        let id = pools.next_id;
        pools.next_id += 1;
        let entered = pools.newcomers.enter(origin, id, Arc::clone(&activity));
        drop(pools);
        (Slot { slots: Arc::clone(self), origin, id, activity, _place: place.0 }, entered)
    }

    fn pools(&self) -> MutexGuard<'_, Pools> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a newcomer got its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entered {
    /// There was room.
    Free,
    /// Another one was evicted.
    InsteadOfAnother,
}

impl Pool {
    fn enter(&mut self, origin: Origin, id: u64, activity: Arc<Activity>) -> Entered {
        let is_full = self.count >= self.max;
        if is_full && let Some((origin, id, evicted)) = self.first_to_go() {
            self.leave(origin, id);
            evicted.evicted.cancel();
        }
        self.origins.entry(origin).or_default().insert(id, activity);
        self.count += 1;
        if is_full { Entered::InsteadOfAnother } else { Entered::Free }
    }

    /// The connection with the least claim: of the origin with most connections if it has more than its share, else of
    /// all. Silent peers go first, then the one with the oldest request.
    fn first_to_go(&self) -> Option<(Origin, u64, Arc<Activity>)> {
        let most = self.origins.values().map(BTreeMap::len).max()?;
        let least = if most > (self.max / SHARE).max(1) { most } else { 1 };
        let crowded = self.origins.iter().filter(|(_, members)| members.len() >= least);
        let all = crowded.flat_map(|(origin, members)| members.iter().map(|(id, activity)| (*origin, *id, activity)));
        let reason = |activity: &Activity| {
            (activity.has_sent.load(Ordering::Relaxed), activity.last_request_at.load(Ordering::Relaxed))
        };
        all.min_by_key(|(_, id, activity)| (reason(activity), *id))
            .map(|(origin, id, activity)| (origin, id, Arc::clone(activity)))
    }

    /// Removes a connection; returns whether it was in the pool.
    fn leave(&mut self, origin: Origin, id: u64) -> bool {
        let Some(members) = self.origins.get_mut(&origin) else { return false };
        let was_there = members.remove(&id).is_some();
        if members.is_empty() {
            self.origins.remove(&origin);
        }
        self.count -= usize::from(was_there);
        was_there
    }
}

/// One connection's slot, given back when it is dropped.
pub(super) struct Slot {
    slots: Arc<Slots>,
    origin: Origin,
    id: u64,
    activity: Arc<Activity>,
    _place: OwnedSemaphorePermit,
}

impl Slot {
    /// The activity of the connection's peer.
    pub fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Records that the peer has proven that it may send checks.
    pub fn admit(&self) {
        if self.activity.is_admitted.swap(true, Ordering::Relaxed) {
            return;
        }
        self.touch();
        let mut pools = self.slots.pools();
        // A connection that was evicted a moment ago has no slot any more.
        if pools.newcomers.leave(self.origin, self.id) {
            pools.admitted.enter(self.origin, self.id, Arc::clone(&self.activity));
        }
    }

    /// Records a request, which also admits a peer that has nothing else to prove.
    pub fn record_request(&self) {
        if !self.activity.is_admitted.load(Ordering::Relaxed) {
            self.admit();
        }
        self.touch();
    }

    fn touch(&self) {
        let millis = u64::try_from(self.slots.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.activity.last_request_at.store(millis, Ordering::Relaxed);
    }

    /// Ends when the connection is evicted.
    pub async fn evicted(&self) {
        self.activity.evicted.cancelled().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut pools = self.slots.pools();
        if !pools.newcomers.leave(self.origin, self.id) {
            pools.admitted.leave(self.origin, self.id);
        }
    }
}

#[cfg(test)]
mod tests;
