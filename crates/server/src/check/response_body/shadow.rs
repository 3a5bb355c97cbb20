//! Reads a copy of a body for the policies in shadow mode.
//!
//! Knows: the copy, the room for all copies. Must not know: what leaves.
//!
//! The bytes that leave never depend on it: its output is dropped, and a copy that would hold too much, or that panics, is given
//! up. A response that no enforced policy reads is watched: each piece leaves before its copy is read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::check::response::{GuardedResponse, ShadowResponse};
use crate::check::response_phase::{BodyCopy, QUICK_BYTES_MAX};
use picket_core::response::inflate::{Inflater, Step};
use picket_core::response::ruling::{Body, End, Progress, Summary};

/// The room for the copies of this process.
pub(super) static ROOM: Room = Room::new(64 << 20);

/// Bytes that copies may hold together.
#[derive(Debug)]
pub(super) struct Room {
    bytes_max: usize,
    bytes: AtomicUsize,
}

impl Room {
    pub const fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: AtomicUsize::new(0) }
    }
}

/// A copy of one body.
pub(super) struct ShadowBody {
    response: ShadowResponse,
    /// `None` once it has ended.
    body: Option<Box<dyn Body>>,
    share: Share,
}

/// The bytes of the room that one copy takes; given back at its end.
struct Share {
    room: &'static Room,
    bytes: usize,
}

impl Share {
    /// Takes so many bytes; whether they fit.
    fn set(&mut self, bytes: usize) -> bool {
        self.clear();
        let before = self.room.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes = bytes;
        before.saturating_add(bytes) <= self.room.bytes_max
    }

    fn clear(&mut self) {
        self.room.bytes.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.clear();
    }
}

impl ShadowBody {
    /// A copy of which nothing was read.
    pub fn new(mut response: ShadowResponse, body: Box<dyn Body>, room: &'static Room) -> Self {
        response.begin_body();
        Self { response, body: Some(body), share: Share { room, bytes: 0 } }
    }

    /// Reads inflated bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.read(|body, response, out| body.push(bytes, &mut |seen| response.rule(seen), out));
    }

    /// Reads the end.
    pub fn finish(&mut self) {
        self.read(|body, response, out| body.finish(&mut |seen| response.rule(seen), out));
    }

    fn read(&mut self, read: impl FnOnce(&mut dyn Body, &mut ShadowResponse, &mut Vec<u8>) -> Progress) {
        let Some(mut body) = self.body.take() else { return };
        let response = &mut self.response;
        let mut dropped = Vec::new();
        match catch_unwind(AssertUnwindSafe(|| read(body.as_mut(), response, &mut dropped))) {
            Err(_panic) => self.give_up("panic"),
            Ok(Progress::Ended(end)) => self.end(end, body.summary()),
            Ok(Progress::More) if self.share.set(body.held_bytes()) => self.body = Some(body),
            Ok(Progress::More) => self.give_up("overload"),
        }
    }

    fn end(&mut self, end: End, summary: Summary) {
        self.response.end_body(end, summary);
        self.share.clear();
    }

    /// Ends the copy without a result.
    pub fn give_up(&mut self, reason: &'static str) {
        self.response.give_up(reason);
        self.body = None;
        self.share.clear();
    }

    /// Bytes that the copy holds now.
    pub fn held_bytes(&self) -> usize {
        self.share.bytes
    }

    /// The result so far.
    pub fn into_response(self) -> ShadowResponse {
        self.response
    }
}

/// Reads the copy of a body that passes unread.
pub(super) struct Watcher {
    /// `None` once the outcome was reported.
    watched: Option<(GuardedResponse, ShadowBody)>,
    inflater: Option<Inflater>,
}

impl Watcher {
    pub fn new(response: GuardedResponse, shadow: ShadowBody, inflater: Option<Inflater>) -> Self {
        Self { watched: Some((response, shadow)), inflater }
    }

    fn report(&mut self, end: End) {
        let Some((mut response, shadow)) = self.watched.take() else { return };
        response.return_shadow(shadow.into_response());
        response.finish(end, Summary::default(), Duration::ZERO);
    }
}

impl BodyCopy for Watcher {
    fn push(&mut self, mut bytes: &[u8]) {
        let Some((_, shadow)) = &mut self.watched else { return };
        let Some(inflater) = &mut self.inflater else { return shadow.push(bytes) };
        let mut inflated = Vec::new();
        loop {
            inflated.clear();
            match inflater.step(&mut bytes, &mut inflated) {
                Err(_) => return shadow.give_up(End::Undecodable.as_str()),
                Ok(Step::Idle) => return,
                Ok(Step::Again) => shadow.push(&inflated),
            }
        }
    }

    fn finish(&mut self) {
        let is_cut = self.inflater.as_ref().is_some_and(|inflater| inflater.finish().is_err());
        if let Some((_, shadow)) = &mut self.watched {
            if is_cut {
                shadow.give_up(End::Undecodable.as_str());
            }
            shadow.finish();
        }
        self.report(End::Complete);
    }

    fn takes_long(&self, bytes: usize) -> bool {
        let held = self.watched.as_ref().map_or(0, |(_, shadow)| shadow.held_bytes());
        bytes.max(held) > QUICK_BYTES_MAX
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.report(End::Abandoned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_hold_no_more_than_their_room_and_give_everything_back() {
        static SMALL: Room = Room::new(10);
        let (mut one, mut two) = (Share { room: &SMALL, bytes: 0 }, Share { room: &SMALL, bytes: 0 });
        assert_eq!((one.set(6), two.set(5)), (true, false));
        two.clear();
        assert_eq!((two.set(4), one.set(7)), (true, false));
        drop((one, two));
        assert_eq!(SMALL.bytes.load(Ordering::Relaxed), 0);
    }
}
