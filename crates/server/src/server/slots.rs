//! Who of the connected peers may stay, where more come than there is room for.
//!
//! Knows: where peers come from, what they have said, when they last asked. Must not know: what they ask, TLS, HTTP.
//!
//! There are two rooms. A newcomer has proven nothing yet: with TLS no certificate, without it no request. Whoever has is
//! admitted. Strangers can fill only the room of newcomers, and not even that for good: it costs nothing to connect, so
//! a full room lets the next one in and the one go that gives least reason to stay. A proxy that speaks at once is
//! always admitted, however many connect and stay silent.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::socket::Peer;

/// Connections that were told to end, and have not yet. Nobody is let in while there are more.
pub(super) const ENDING_MAX: usize = 16;
/// Above this part of a room, one origin has more than its share.
const SHARE: usize = 8;

/// Where a peer connects from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// The first half of an IPv6 address: who has one address of it has them all.
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
    rooms: Mutex<Rooms>,
    connections: Arc<Semaphore>,
    began: Instant,
}

#[derive(Debug)]
struct Rooms {
    newcomers: Room,
    admitted: Room,
    next_id: u64,
}

#[derive(Debug)]
struct Room {
    max: usize,
    count: usize,
    origins: HashMap<Origin, BTreeMap<u64, Arc<Sign>>>,
}

/// What is known of one connection.
#[derive(Debug, Default)]
pub(super) struct Sign {
    has_spoken: AtomicBool,
    is_admitted: AtomicBool,
    /// When it last asked, in milliseconds since the listener began.
    asked_at: AtomicU64,
    evicted: CancellationToken,
}

impl Sign {
    /// The peer has sent something.
    pub fn spoke(&self) {
        self.has_spoken.store(true, Ordering::Relaxed);
    }
}

/// Room for one more connection, in all.
pub(super) struct Place(OwnedSemaphorePermit);

impl Slots {
    /// Room for so many of each kind.
    pub fn new(newcomers_max: usize, admitted_max: usize) -> Arc<Self> {
        let room = |max| Room { max, count: 0, origins: HashMap::new() };
        let rooms = Rooms { newcomers: room(newcomers_max), admitted: room(admitted_max), next_id: 0 };
        let all = newcomers_max.saturating_add(admitted_max).saturating_add(ENDING_MAX).min(Semaphore::MAX_PERMITS);
        let connections = Arc::new(Semaphore::new(all));
        Arc::new(Self { rooms: Mutex::new(rooms), connections, began: Instant::now() })
    }

    /// Waits until one more connection may be accepted: those that were evicted have to be gone first, so that descriptors
    /// are bounded at every moment.
    pub async fn place(&self) -> Option<Place> {
        // Never closed.
        Arc::clone(&self.connections).acquire_owned().await.ok().map(Place)
    }

    /// Lets a newcomer in, in the stead of another where the room is full.
    pub fn enter(self: &Arc<Self>, origin: Origin, place: Place) -> (Slot, Entered) {
        let sign = Arc::<Sign>::default();
        let mut rooms = self.rooms();
        let id = rooms.next_id;
        rooms.next_id += 1;
        let entered = rooms.newcomers.enter(origin, id, Arc::clone(&sign));
        drop(rooms);
        (Slot { slots: Arc::clone(self), origin, id, sign, _place: place.0 }, entered)
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether another one had to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entered {
    /// There was room.
    Free,
    /// Another one was evicted.
    InsteadOfAnother,
}

impl Room {
    fn enter(&mut self, origin: Origin, id: u64, sign: Arc<Sign>) -> Entered {
        let is_full = self.count >= self.max;
        if is_full && let Some((origin, id, evicted)) = self.first_to_go() {
            self.leave(origin, id);
            evicted.evicted.cancel();
        }
        self.origins.entry(origin).or_default().insert(id, sign);
        self.count += 1;
        if is_full { Entered::InsteadOfAnother } else { Entered::Free }
    }

    /// Who gives least reason to stay: of the origin that has most, if it has more than its share, else of all. Who never
    /// said anything goes first, and then who has asked nothing for longest.
    fn first_to_go(&self) -> Option<(Origin, u64, Arc<Sign>)> {
        let most = self.origins.values().map(BTreeMap::len).max()?;
        let least = if most > (self.max / SHARE).max(1) { most } else { 1 };
        let crowded = self.origins.iter().filter(|(_, of_it)| of_it.len() >= least);
        let all = crowded.flat_map(|(origin, of_it)| of_it.iter().map(|(id, sign)| (*origin, *id, sign)));
        let reason = |sign: &Sign| (sign.has_spoken.load(Ordering::Relaxed), sign.asked_at.load(Ordering::Relaxed));
        all.min_by_key(|(_, id, sign)| (reason(sign), *id)).map(|(origin, id, sign)| (origin, id, Arc::clone(sign)))
    }

    /// Whether it was there.
    fn leave(&mut self, origin: Origin, id: u64) -> bool {
        let Some(of_it) = self.origins.get_mut(&origin) else { return false };
        let was_there = of_it.remove(&id).is_some();
        if of_it.is_empty() {
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
    sign: Arc<Sign>,
    _place: OwnedSemaphorePermit,
}

impl Slot {
    /// What the connection's stream tells of its peer.
    pub fn sign(&self) -> &Arc<Sign> {
        &self.sign
    }

    /// The peer has proven that it may ask.
    pub fn admit(&self) {
        if self.sign.is_admitted.swap(true, Ordering::Relaxed) {
            return;
        }
        self.asked();
        let mut rooms = self.slots.rooms();
        // Who was evicted a moment ago has lost its place.
        if rooms.newcomers.leave(self.origin, self.id) {
            rooms.admitted.enter(self.origin, self.id, Arc::clone(&self.sign));
        }
    }

    /// The peer asks something, which also admits a peer that has nothing else to prove.
    pub fn asks(&self) {
        if !self.sign.is_admitted.load(Ordering::Relaxed) {
            self.admit();
        }
        self.asked();
    }

    fn asked(&self) {
        let millis = u64::try_from(self.slots.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.sign.asked_at.store(millis, Ordering::Relaxed);
    }

    /// Ends when another one takes the slot.
    pub async fn evicted(&self) {
        self.sign.evicted.cancelled().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut rooms = self.slots.rooms();
        if !rooms.newcomers.leave(self.origin, self.id) {
            rooms.admitted.leave(self.origin, self.id);
        }
    }
}

#[cfg(test)]
mod tests;
