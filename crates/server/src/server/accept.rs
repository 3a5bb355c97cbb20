//! Accepts connections and ends them: our own loop, because decisions must stop and age in good order.
//!
//! Knows: sockets, limits, when to stop. Must not know: what is served over the connections.
//!
//! A stock server loop neither bounds its drain, nor says GOAWAY to a connection that grew old, nor
//! backs off when descriptors run out. All three turn a slow authorization server into an outage.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::by_client::ByClient;
use super::connection::{self, Wire};
use super::heard::Heard;
use super::limits::Settings;
use super::seldom::Lines;
use super::slots::{Entered, Origin, Place, Slots};
use super::socket::{Accept, BoxIo, Peer};
use super::stats::{Closed, ConnStats};
use super::tls::Acceptor;
use crate::incomplete::Account;

/// First and longest pause after an accept that failed for lack of something.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));
/// How long aborted tasks may take to notice; they notice at their next await.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// What is served, and how, on one listener.
#[derive(Clone)]
pub struct Served {
    /// The listener's name, for logs.
    pub name: Arc<str>,
    /// The service, by who asks: a tonic `Routes` as its router, or plain HTTP.
    pub routers: Arc<ByClient<axum::Router>>,
    /// How HTTP is spoken.
    pub wire: Wire,
    /// The limits of each connection.
    pub limits: Settings,
    /// Where the listener speaks TLS.
    pub tls: Option<Arc<Acceptor>>,
    /// What all connections may hold of requests that are not whole.
    pub unfinished: Arc<Account>,
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Served").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Whether a drain let everything finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every connection ended by itself.
    Clean,
    /// The deadline came first; what was left was cut.
    Cut,
}

/// The listeners and connections that live and drain together.
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

    /// Serves everything that `listener` accepts, until the drain begins.
    pub fn serve(&self, listener: impl Accept, served: Served) {
        let group = self.clone();
        self.tracker.spawn(async move {
            let stop = group.stop.clone();
            stop.run_until_cancelled_owned(group.accept_all(listener, served)).await;
        });
    }

    /// Stops accepting, says GOAWAY on every connection, and cuts what is left at `deadline`.
    pub async fn drain(&self, deadline: Instant) -> Drained {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout_at(deadline, self.tracker.wait()).await.is_ok() {
            return Drained::Clean;
        }
        self.cut().await;
        Drained::Cut
    }

    /// Ends everything now.
    pub async fn cut(&self) {
        self.stop.cancel();
        self.abort.cancel();
        self.tracker.close();
        // A task that never awaits cannot be ended; it must not hold the exit either.
        if tokio::time::timeout(ABORT_GRACE, self.tracker.wait()).await.is_err() {
            tracing::warn!(tasks = self.tracker.len(), "left tasks behind that do not notice their end");
        }
    }

    async fn accept_all(self, mut listener: impl Accept, served: Served) {
        let slots = Slots::new(served.limits.handshakes_max, served.limits.connections_max);
        let lines = Arc::<Lines>::default();
        let mut pause = BACK_OFF.0;
        while let Some(place) = slots.place().await {
            match listener.accept().await {
                Ok((io, peer)) => {
                    pause = BACK_OFF.0;
                    self.admit(&slots, place, (io, peer), &served, &lines);
                }
                // The peer went away before we took its connection: no reason to wait.
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

    fn admit(&self, slots: &Arc<Slots>, place: Place, (io, peer): (BoxIo, Peer), served: &Served, lines: &Arc<Lines>) {
        let open = self.stats.opened();
        let (slot, entered) = slots.enter(Origin::of(&peer), place);
        if entered == Entered::InsteadOfAnother
            && let Some(withheld) = lines.crowd.due()
        {
            let name = &served.name;
            tracing::warn!(
                listener = %name, withheld,
                "more peers connect to `{name}` at once than there is room for; those that say nothing are closed"
            );
        }
        let (group, served, lines, slot) = (self.clone(), served.clone(), Arc::clone(lines), Arc::new(slot));
        let io = Box::new(Heard::new(io, Arc::clone(slot.sign())));
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

/// Whether an accept failed for a reason that lies with that one peer.
fn is_the_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
