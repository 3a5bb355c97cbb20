//! The requests of one connection: counts what has not arrived yet, and passes them to the service.
//!
//! Knows: the peer, and which method is a stream of messages. Must not know: what is requested.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use tower::ServiceExt as _;

use super::accept::Served;
use super::slots::Slot;
use super::socket::Peer;
use crate::incomplete::{Budget, CaughtUp, Counted, Share};
use crate::lanes::Lane;
use picket_core::identity::proxy::ProxyIdentity;

/// Overhead of a header field in addition to its name and value (RFC 9113, section 10.5.1).
const FIELD_BYTES: usize = 32;
/// Memory of a waiting request in addition to its headers and body, about: its stream, its future, its timer. The
/// memory of an optimised build grew by 13 KiB for each of 1,000 requests that had sent their headers, most of it the
/// allocator's first pages of each size.
const REQUEST_BYTES: usize = 4 * 1024;

/// A method with requests that are streams of messages, which are open for as long as their sender needs.
#[derive(Debug, Clone)]
pub struct Streamed {
    /// The method's path.
    pub path: &'static str,
    /// The limit of its incomplete messages. They are larger than checks, and have a limit of their own so that they leave
    /// room for checks.
    pub budget: Arc<Budget>,
}

/// Serves the requests of one connection.
pub(super) struct Requests {
    peer: Peer,
    slot: Arc<Slot>,
    router: axum::Router,
    /// What comes over one connection has its part of the threads for long work.
    lane: Lane,
    timeout: Duration,
    share: Arc<Share>,
    streamed: Option<(&'static str, Arc<Share>)>,
}

/// The streams of one connection.
pub(super) struct Streams(Option<Arc<Share>>);

impl Streams {
    /// Whether one of them is open.
    pub fn are_open(&self) -> bool {
        // The other two owners are this one and the connection's requests; each open stream is one more.
        self.0.as_ref().is_some_and(|share| Arc::strong_count(share) > 2)
    }
}

impl Requests {
    pub fn new(peer: Peer, served: &Served, slot: Arc<Slot>) -> Self {
        Self {
            router: served.routers.of(&peer).clone(),
            peer,
            slot,
            lane: Lane::new(),
            timeout: served.limits.handshake_timeout,
            share: served.unfinished.share(),
            streamed: served.streamed.as_ref().map(|streamed| (streamed.path, streamed.budget.share())),
        }
    }

    /// The streams among the requests.
    pub fn streams(&self) -> Streams {
        Streams(self.streamed.as_ref().map(|(_, share)| Arc::clone(share)))
    }

    /// Passes a request to the service.
    pub fn route(
        &self,
        mut request: http::Request<Incoming>,
    ) -> tower::util::Oneshot<axum::Router, http::Request<axum::body::Body>> {
        self.slot.record_request();
        if let Peer::Workload(id) = &self.peer {
            request.extensions_mut().insert(ProxyIdentity(id.clone()));
        }
        request.extensions_mut().insert(self.peer.clone());
        request.extensions_mut().insert(self.lane.clone());
        let head_bytes = REQUEST_BYTES + head_bytes(request.headers());
        let streamed = self.streamed.as_ref().filter(|(path, _)| request.uri().path() == *path);
        let Some((_, share)) = streamed else {
            let count = |body| Counted::new(body, head_bytes, self.timeout, Arc::clone(&self.share));
            return self.router.clone().oneshot(request.map(|body| axum::body::Body::new(count(body))));
        };
        let caught_up = CaughtUp::default();
        request.extensions_mut().insert(caught_up.clone());
        let count = |body| Counted::new(body, head_bytes, self.timeout, Arc::clone(share)).streamed(caught_up);
        self.router.clone().oneshot(request.map(|body| axum::body::Body::new(count(body))))
    }
}

/// Size of a request's headers.
fn head_bytes(headers: &http::HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES).sum()
}
