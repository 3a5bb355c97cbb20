//! One connection, from its handshake to its end.
//!
//! Knows: when a connection must end. Must not know: what is requested over it.

use std::future::poll_fn;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio_util::sync::CancellationToken;

use super::accept::{Connections, Served};
use super::limits::Settings;
use super::requests::Requests;
use super::seldom::PeerLog;
use super::slots::Slot;
use super::socket::{BoxIo, Peer};
use super::stats::Closed;
use super::tls::Acceptor;
use super::turn::{Calls, InlineExecutor, Socket};

/// An HTTP/2 client begins with a preface of this many bytes (RFC 9113, section 3.4).
const PREFACE_BYTES: u64 = 24;
/// Bytes of one request that a peer may send before they are read: the protocol's own default (RFC 9113, section
/// 6.9.2).
const STREAM_WINDOW_BYTES: u32 = 65_535;
/// The same for all requests of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// Longest header of HTTP/1.1; scrapers and probes send some hundred bytes.
const HTTP1_HEADER_BYTES_MAX: usize = 16 * 1024;

/// The HTTP version of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/2 only: gRPC.
    Http2,
    /// HTTP/1.1 only: for people and scrapers.
    Http1,
}

impl Wire {
    /// With fewer bytes than this a peer has not opened the connection.
    fn opening_bytes(self) -> u64 {
        match self {
            Self::Http2 => PREFACE_BYTES,
            Self::Http1 => 1,
        }
    }
}

/// Serves one connection until it ends, and returns why it ended.
pub(super) async fn serve(
    io: BoxIo,
    peer: Peer,
    served: &Served,
    group: &Connections,
    slot: &Arc<Slot>,
    lines: &PeerLog,
) -> Closed {
    match &served.tls {
        None => serve_http(io, peer, served, group, slot).await,
        Some(acceptor) => match secure(io, acceptor, &served.limits, &group.stop).await {
            Ok((io, workload)) => {
                slot.admit();
                serve_http(io, workload, served, group, slot).await
            }
            Err(refused) => {
                refused.warn(&served.name, &peer, lines);
                refused.reason
            }
        },
    }
}

/// A failed TLS handshake or a rejected certificate: how the connection ended, and why if the log needs it.
struct TlsFailure {
    reason: Closed,
    why: Option<String>,
}

impl TlsFailure {
    /// Logs a warning: a proxy that cannot connect only reports that its call failed. The peer's name is the only text
    /// from the peer in the line.
    fn warn(&self, listener: &str, peer: &Peer, lines: &PeerLog) {
        if let Some(why) = &self.why
            && let Some(withheld) = lines.handshake.due()
        {
            tracing::warn!(listener, %peer, withheld, "rejected `{peer}` on `{listener}`: {why}");
        }
    }
}

/// Does the TLS handshake and identifies the peer.
async fn secure(
    io: BoxIo,
    acceptor: &Acceptor,
    limits: &Settings,
    stop: &CancellationToken,
) -> Result<(BoxIo, Peer), TlsFailure> {
    let handshake = tokio::time::timeout(limits.handshake_timeout, acceptor.accept(io));
    // No request was sent yet, so a drain loses nothing by ending a handshake.
    let done = stop.run_until_cancelled(handshake).await.ok_or(TlsFailure { reason: Closed::Drain, why: None })?;
    let failed = |reason, why: String| TlsFailure { reason, why: Some(why) };
    let silent = |_elapsed| failed(Closed::Silent, "the TLS handshake did not finish in time".to_owned());
    let stream = done.map_err(silent)?;
    let stream = stream.map_err(|error| failed(Closed::Handshake, format!("the TLS handshake failed: {error}")))?;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let id = acceptor.peers().admit(certificates).map_err(|refusal| failed(Closed::Refused, refusal.to_string()))?;
    Ok((Box::new(stream), Peer::Workload(id)))
}

/// Serves HTTP over an open stream.
async fn serve_http(io: BoxIo, peer: Peer, served: &Served, group: &Connections, slot: &Arc<Slot>) -> Closed {
    let (calls, socket, limits) = (Calls::default(), Socket::new(io), &served.limits);
    let requests = Requests::new(peer, served, Arc::clone(slot));
    let streams = requests.streams();
    let service = hyper::service::service_fn(move |request| requests.route(request));
    let builder = builder(served.wire, limits, calls.clone());
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(socket.clone()), service));
    let mut executor = InlineExecutor::new(socket.clone(), calls, group.tracker.clone(), group.abort.clone());

    let mut stage = Stage::Opening;
    let mut opened = std::pin::pin!(tokio::time::sleep(limits.handshake_timeout));
    let mut aged = std::pin::pin!(tokio::time::sleep(jittered(limits.age_max)));
    let mut cut = std::pin::pin!(tokio::time::sleep(Duration::MAX));
    let mut leaving = None;
    let mut streams_end = None;
    loop {
        tokio::select! {
            ended = poll_fn(|cx| executor.poll(connection.as_mut(), cx)) => return match (ended, leaving) {
                (Ok(()), None) => Closed::Peer,
                (_, Some(reason)) => reason,
                (Err(error), None) => {
                    tracing::debug!(listener = %served.name, %error, "connection failed");
                    Closed::Protocol
                }
            },
            // A graceful shutdown only sets a flag while the preface is missing. Without this arm a silent peer could
            // delay a drain for any time.
            () = &mut opened, if stage == Stage::Opening => {
                if socket.received() < served.wire.opening_bytes() {
                    return Closed::Silent;
                }
                stage = Stage::Open;
            }
            () = &mut aged, if leaving.is_none() => {
                leaving = Some(Closed::Age);
                streams_end = tokio::time::Instant::now().checked_add(limits.age_max);
                cut.as_mut().reset(tokio::time::Instant::now() + limits.age_grace);
                connection.as_mut().graceful_shutdown();
            }
            () = group.stop.cancelled(), if leaving.is_none() => {
                leaving = Some(Closed::Drain);
                connection.as_mut().graceful_shutdown();
            }
            () = &mut cut, if leaving == Some(Closed::Age) => {
                let now = tokio::time::Instant::now();
                if !streams.are_open() || streams_end.is_none_or(|end| end <= now) {
                    return Closed::Age;
                }
                // A response on its way would be truncated for the client: it may end first.
                cut.as_mut().reset(now + limits.age_grace.max(Duration::from_millis(100)));
            }
        }
    }
}

/// The state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Opening,
    Open,
}

fn builder(wire: Wire, limits: &Settings, calls: Calls) -> auto::Builder<Calls> {
    match wire {
        Wire::Http1 => {
            let mut builder = auto::Builder::new(calls).http1_only();
            builder
                .http1()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.handshake_timeout)
                .max_buf_size(HTTP1_HEADER_BYTES_MAX);
            builder
        }
        Wire::Http2 => {
            let mut builder = auto::Builder::new(calls).http2_only();
            let resets = usize::try_from(limits.streams_max).unwrap_or(usize::MAX);
            builder
                .http2()
                .timer(TokioTimer::new())
                .max_concurrent_streams(limits.streams_max)
                .initial_stream_window_size(STREAM_WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                // A proxy resets each call that it gave up on. With the library's limit of 20, a short stall of Picket
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

/// `age` plus or minus a tenth, so that connections that began together do not end together.
fn jittered(age: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8) % 201;
    let per_mille = u32::try_from(random).unwrap_or(100) + 900;
    age.checked_mul(per_mille).map_or(age, |scaled| scaled / 1000)
}
