//! Accepts connections and ends them: our own loop, because connections must stop and age gracefully.
//!
//! Knows: sockets, limits, when to stop. Must not know: what is served over the connections.
//!
//! A stock server loop does not bound its drain, sends no GOAWAY on an old connection, and does not back off if
//! descriptors run out. Each of these turns a slow authorization server into an outage.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::by_client::ByClient;
use super::connection::{self, Wire};
use super::heard::ActivityIo;
use super::limits::Settings;
use super::requests::Streamed;
use super::seldom::PeerLog;
use super::slots::{Entered, Origin, Place, Slots};
use super::socket::{Accept, BoxIo, Peer};
use super::stats::{Closed, ConnStats};
use super::tls::Acceptor;
use crate::incomplete::Budget;

/// First and longest pause after an accept that failed for lack of a resource.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));
/// How long aborted tasks may take to stop; they stop at their next await.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// The service of one listener, and the limits of its connections.
#[derive(Clone)]
pub struct Served {
    /// The listener's name, for logs.
    pub name: Arc<str>,
    /// The service, by client: a tonic `Routes` as its router, or plain HTTP.
    pub routers: Arc<ByClient<axum::Router>>,
    /// The HTTP version.
    pub wire: Wire,
    /// The limits of each connection.
    pub limits: Settings,
    /// TLS, if the listener has it.
    pub tls: Option<Arc<Acceptor>>,
    /// The limit of incomplete requests, of all connections together.
    pub unfinished: Arc<Budget>,
    /// The method with streams of messages, if there is one.
    pub streamed: Option<Streamed>,
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Served").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Result of a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every connection ended by itself.
    Clean,
    /// The deadline came first; the remaining connections were aborted.
    Cut,
}

/// Listeners and connections that live and drain together.
#[derive(Debug, Clone)]
pub struct Connections {
    pub(super) stop: CancellationToken,
    pub(super) abort: CancellationToken,
    pub(super) tracker: TaskTracker,
    pub(super) stats: Arc<ConnStats>,
}

impl Connections {
    /// A group without listeners.
    #[must_use]
    pub fn new(stats: Arc<ConnStats>) -> Self {
        Self { stop: CancellationToken::new(), abort: CancellationToken::new(), tracker: TaskTracker::new(), stats }
    }

    /// Serves every connection that `listener` accepts, until the drain begins.
    pub fn serve(&self, listener: impl Accept, served: Served) {
        let group = self.clone();
        self.tracker.spawn(async move {
            let stop = group.stop.clone();
            stop.run_until_cancelled_owned(group.accept_all(listener, served)).await;
        });
    }

    /// Stops accepting, sends GOAWAY on every connection, and aborts the remaining ones at `deadline`.
    pub async fn drain(&self, deadline: Instant) -> Drained {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout_at(deadline, self.tracker.wait()).await.is_ok() {
            return Drained::Clean;
        }
        self.abort_all().await;
        Drained::Cut
    }

    /// Aborts all connections now.
    pub async fn abort_all(&self) {
        self.stop.cancel();
        self.abort.cancel();
        self.tracker.close();
        // A task that never awaits cannot be ended; it must not delay the exit either.
        if tokio::time::timeout(ABORT_GRACE, self.tracker.wait()).await.is_err() {
            tracing::warn!(tasks = self.tracker.len(), "aborted tasks did not stop in time; they are abandoned");
        }
    }

    async fn accept_all(self, mut listener: impl Accept, served: Served) {
        let slots = Slots::new(served.limits.handshakes_max, served.limits.connections_max);
        let lines = Arc::<PeerLog>::default();
        let mut pause = BACK_OFF.0;
        while let Some(place) = slots.place().await {
            match listener.accept().await {
                Ok((io, peer)) => {
                    pause = BACK_OFF.0;
                    self.admit(&slots, place, (io, peer), &served, &lines);
                }
                // The peer closed the connection before it was accepted: no reason to back off.
                Err(error) if is_the_peers(&error) => self.stats.accept_failed(),
                Err(error) => {
                    self.stats.accept_failed();
                    if let Some(withheld) = lines.accept.due() {
                        tracing::error!(listener = %served.name, %error, withheld, "could not accept a connection");
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(BACK_OFF.1);
                }
            }
        }
    }

    fn admit(
        &self,
        slots: &Arc<Slots>,
        place: Place,
        (io, peer): (BoxIo, Peer),
        served: &Served,
        lines: &Arc<PeerLog>,
    ) {
        let open = self.stats.opened();
        let (slot, entered) = slots.enter(Origin::of(&peer), place);
        if entered == Entered::InsteadOfAnother
            && let Some(withheld) = lines.evicted.due()
        {
            let name = &served.name;
            tracing::warn!(
                listener = %name, withheld,
                "too many peers connect to `{name}` at once; silent ones are closed"
            );
        }
        let (group, served, lines, slot) = (self.clone(), served.clone(), Arc::clone(lines), Arc::new(slot));
        let io = Box::new(ActivityIo::new(io, Arc::clone(slot.activity())));
        self.tracker.spawn(async move {
            let ended = tokio::select! {
                ended = connection::serve(io, peer, &served, &group, &slot, &lines) => ended,
                () = group.abort.cancelled() => Closed::Aborted,
                () = slot.evicted() => Closed::Limit,
            };
            open.close(ended);
        });
    }
}

/// Returns whether an accept failed because of that one peer.
fn is_the_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
