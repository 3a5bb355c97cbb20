//! Random requests through the real Envoy, and what the upstream got of them, read a second time.
//!
//! The readers here share no code with Picket, and each reads as some server does: decoding twice, folding case,
//! resolving dots. No reading of an allowed request may hold what a policy forbids, and no reading may lack what a
//! policy sets. [`scene`] has the policies, [`draw`] the requests, [`readings`] the readers.
//!
//! `cargo test` tries [`REQUESTS`] of them and prints its seed. `DIFF_SEED` repeats a run, `DIFF_REQUESTS` sets how many;
//! `docs/fuzzing.md` has the last figures.

mod draw;
mod readings;
mod recorder;
mod scene;

use std::collections::BTreeMap;

use bytes::Bytes;
use draw::{Drawn, Wire};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::fuzz::mutate::Random;
use picket_demo::client;
use recorder::Recorder;
use scene::World;

/// Requests of a run without `DIFF_REQUESTS`: some ten seconds of a debug build.
const REQUESTS: u64 = 3000;
/// Requests under way at a time.
const AT_ONCE: u64 = 8;

type Http2Body = StreamBody<futures_util::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, std::io::Error>>>>;

/// Findings of a run.
#[derive(Default)]
struct Findings {
    /// Requests that reached the upstream, by listener.
    allowed: BTreeMap<&'static str, u64>,
    /// Requests that did not, by listener.
    stopped: BTreeMap<&'static str, u64>,
    /// Evasions by their kind: how many, and the first requests.
    evasions: BTreeMap<&'static str, (u64, Vec<String>)>,
}

impl Findings {
    fn add(&mut self, drawn: &Drawn, seen: Option<&[u8]>) {
        let Some(seen) = seen else {
            *self.stopped.entry(drawn.listener).or_default() += 1;
            return;
        };
        *self.allowed.entry(drawn.listener).or_default() += 1;
        for (kind, why) in readings::evasions(drawn.listener, seen) {
            let (count, examples) = self.evasions.entry(kind).or_default();
            *count += 1;
            if examples.len() < 3 {
                examples.push(format!("{} {}: {why}\n{}", drawn.listener, drawn.wire.as_str(), drawn.shown()));
            }
        }
    }

    fn join(&mut self, other: Self) {
        for (mine, theirs) in [(&mut self.allowed, other.allowed), (&mut self.stopped, other.stopped)] {
            theirs.into_iter().for_each(|(listener, count)| *mine.entry(listener).or_default() += count);
        }
        for (kind, (count, examples)) in other.evasions {
            let mine = self.evasions.entry(kind).or_default();
            mine.0 += count;
            mine.1.extend(examples);
            mine.1.truncate(3);
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}

/// Sends the requests with numbers that have the remainder `first` when divided by [`AT_ONCE`].
async fn send_share(world: std::sync::Arc<World>, seed: u64, first: u64, requests: u64) -> Findings {
    let mut findings = Findings::default();
    let mut connections = JoinSet::new();
    let mut http2: BTreeMap<&'static str, SendRequest<Http2Body>> = BTreeMap::new();
    for number in (first..requests).step_by(usize::try_from(AT_ONCE).unwrap()) {
        // Each request has a seed of its own, so that one of them can be drawn again alone.
        let mut random = Random::new(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let drawn = draw::request(&mut random, number, &world.tokens);
        let address = world.envoy.listener(drawn.listener).unwrap();
        match drawn.wire {
            Wire::Http1 => drop(client::exchange(TcpStream::connect(address).await.unwrap(), &drawn.bytes()).await),
            Wire::Http2 => {
                let is_open = http2.get(drawn.listener).is_some_and(|sender| !sender.is_closed());
                if !is_open {
                    http2.insert(drawn.listener, connect(address, &mut connections).await);
                }
                if let Some(sender) = http2.get_mut(drawn.listener) {
                    send_http2(sender, &drawn).await;
                }
            }
        }
        findings.add(&drawn, world.recorder.take(number).as_deref());
    }
    findings
}

async fn connect(address: std::net::SocketAddr, connections: &mut JoinSet<()>) -> SendRequest<Http2Body> {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    connections.spawn(async move { drop(connection.await) });
    sender
}

/// Sends a request with a body of undeclared length unless a header line declares it.
async fn send_http2(sender: &mut SendRequest<Http2Body>, drawn: &Drawn) {
    let frames: Vec<_> = drawn.body.chunks(1 << 14).map(|part| Ok(Frame::data(Bytes::copy_from_slice(part)))).collect();
    let target = format!("http://edge.example{}", drawn.target);
    let mut request = http::Request::builder().method(drawn.method).uri(target);
    for (name, value) in drawn.all_headers() {
        // The connection's own headers do not exist in HTTP/2.
        if !matches!(name.as_str(), "transfer-encoding" | "connection" | "host") {
            request = request.header(name, value);
        }
    }
    // Requests that the client's types cannot represent use HTTP/1.1, which is sent byte by byte.
    let Ok(request) = request.body(StreamBody::new(futures_util::stream::iter(frames))) else { return };
    if sender.ready().await.is_err() {
        return;
    }
    if let Ok(answer) = sender.send_request(request).await {
        drop(answer.into_body().collect().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reading_of_an_allowed_request_is_forbidden_by_a_policy() {
    let seed = number("DIFF_SEED").unwrap_or_else(|| uuid::Uuid::now_v7().as_u64_pair().1);
    let requests = number("DIFF_REQUESTS").unwrap_or(REQUESTS);
    println!("DIFF_SEED={seed} DIFF_REQUESTS={requests}");
    let world = std::sync::Arc::new(World::start().await);
    let mut shares = JoinSet::new();
    for first in 0..AT_ONCE {
        shares.spawn(send_share(std::sync::Arc::clone(&world), seed, first, requests));
    }
    let mut findings = Findings::default();
    while let Some(share) = shares.join_next().await {
        findings.join(share.unwrap());
    }
    println!("reached the upstream: {:?}; were stopped: {:?}", findings.allowed, findings.stopped);
    let mut report = String::new();
    for (kind, (count, examples)) in &findings.evasions {
        report.push_str(&format!("{kind}: {count}\n{}\n", examples.join("\n")));
    }
    assert!(report.is_empty(), "DIFF_SEED={seed} DIFF_REQUESTS={requests}\n{report}");
    for listener in scene::LISTENERS {
        // A listener with only one kind of result shows nothing.
        assert!(findings.allowed.get(listener).is_some_and(|count| *count > 0), "{listener} let nothing through");
        assert!(findings.stopped.get(listener).is_some_and(|count| *count > 0), "{listener} stopped nothing");
    }
}
