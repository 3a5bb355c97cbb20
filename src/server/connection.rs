//! One connection, from its handshake to its end.
//!
//! Knows: when a connection must end. Must not know: what is asked over it.

use std::future::poll_fn;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::accept::{Connections, Served};
use super::limits::Settings;
use super::socket::{BoxIo, Peer};
use super::stats::Closed;
use super::tls::Acceptor;
use super::turn::{Calls, Socket, Turns};

/// An HTTP/2 client begins with a preface of this many bytes (RFC 9113, section 3.4).
const PREFACE_BYTES: u64 = 24;

/// How HTTP is spoken on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/2 only: gRPC.
    Http2,
    /// HTTP/1.1 only: for people and scrapers.
    Http1,
}

impl Wire {
    /// Bytes without which a peer has said nothing yet.
    fn opening_bytes(self) -> u64 {
        match self {
            Self::Http2 => PREFACE_BYTES,
            Self::Http1 => 1,
        }
    }
}

/// Serves one connection until it ends, and says why it did.
pub(super) async fn serve(io: BoxIo, peer: Peer, served: &Served, group: &Connections) -> Closed {
    match &served.tls {
        None => speak(io, peer, served, group).await,
        Some(acceptor) => match secure(io, acceptor, &served.limits, &group.stop).await {
            Ok((io, peer)) => speak(io, peer, served, group).await,
            Err(reason) => reason,
        },
    }
}

/// Does the TLS handshake and finds out who the peer is.
async fn secure(
    io: BoxIo,
    acceptor: &Acceptor,
    limits: &Settings,
    stop: &CancellationToken,
) -> Result<(BoxIo, Peer), Closed> {
    let handshake = tokio::time::timeout(limits.handshake_timeout, acceptor.accept(io));
    // Nothing was asked yet, so a drain loses nothing by ending a handshake.
    let done = stop.run_until_cancelled(handshake).await.ok_or(Closed::Drain)?;
    let stream = done.map_err(|_elapsed| Closed::Silent)?.map_err(|error| {
        tracing::debug!(%error, "TLS handshake failed");
        Closed::Handshake
    })?;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let id = acceptor.peers().admit(certificates).map_err(|refusal| {
        tracing::warn!(%refusal, "refused a peer");
        Closed::Refused
    })?;
    Ok((Box::new(stream), Peer::Workload(id)))
}

/// Speaks HTTP over an open stream.
async fn speak(io: BoxIo, peer: Peer, served: &Served, group: &Connections) -> Closed {
    let (calls, socket) = (Calls::default(), Socket::new(io));
    let router = served.routers.of(&peer).clone();
    let service = hyper::service::service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.clone().oneshot(request.map(axum::body::Body::new))
    });
    let limits = &served.limits;
    let builder = builder(served.wire, limits, calls.clone());
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(socket.clone()), service));
    let mut turns = Turns::new(socket.clone(), calls, group.tracker.clone(), group.abort.clone());

    let mut stage = Stage::Opening;
    let mut opened = std::pin::pin!(tokio::time::sleep(limits.handshake_timeout));
    let mut aged = std::pin::pin!(tokio::time::sleep(jittered(limits.age_max)));
    let mut cut = std::pin::pin!(tokio::time::sleep(Duration::MAX));
    let mut leaving = None;
    loop {
        tokio::select! {
            ended = poll_fn(|cx| turns.poll(connection.as_mut(), cx)) => return match (ended, leaving) {
                (Ok(()), None) => Closed::Peer,
                (_, Some(reason)) => reason,
                (Err(error), None) => {
                    tracing::debug!(listener = %served.name, %error, "connection broke");
                    Closed::Protocol
                }
            },
            // A graceful shutdown only sets a flag while the preface is missing: without this arm a peer that
            // says nothing would hold a drain for as long as it likes.
            () = &mut opened, if stage == Stage::Opening => {
                if socket.heard() < served.wire.opening_bytes() {
                    return Closed::Silent;
                }
                stage = Stage::Open;
            }
            () = &mut aged, if leaving.is_none() => {
                leaving = Some(Closed::Age);
                cut.as_mut().reset(tokio::time::Instant::now() + limits.age_grace);
                connection.as_mut().graceful_shutdown();
            }
            () = group.stop.cancelled(), if leaving.is_none() => {
                leaving = Some(Closed::Drain);
                connection.as_mut().graceful_shutdown();
            }
            () = &mut cut, if leaving == Some(Closed::Age) => return Closed::Age,
        }
    }
}

/// Whether a peer has opened the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Opening,
    Open,
}

fn builder(wire: Wire, limits: &Settings, calls: Calls) -> auto::Builder<Calls> {
    match wire {
        Wire::Http1 => {
            let mut builder = auto::Builder::new(calls).http1_only();
            builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.keepalive_interval);
            builder
        }
        Wire::Http2 => {
            let mut builder = auto::Builder::new(calls).http2_only();
            let resets = usize::try_from(limits.streams_max).unwrap_or(usize::MAX);
            builder
                .http2()
                .timer(TokioTimer::new())
                .max_concurrent_streams(limits.streams_max)
                // A proxy resets each call that it gave up on. With the library's 20, a short stall of ours
                // would end the proxy's whole connection, and every call on it.
                .max_pending_accept_reset_streams(resets)
                .max_local_error_reset_streams(resets)
                .max_header_list_size(limits.header_bytes_max)
                .keep_alive_interval(limits.keepalive_interval)
                .keep_alive_timeout(limits.keepalive_timeout);
            builder
        }
    }
}

/// `age` give or take a tenth, so that connections that came together do not leave together.
fn jittered(age: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8) % 201;
    let per_mille = u32::try_from(random).unwrap_or(100) + 900;
    age.checked_mul(per_mille).map_or(age, |scaled| scaled / 1000)
}
