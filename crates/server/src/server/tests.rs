//! Promises of the server about connections, without a network: streams in memory and a paused clock.

mod files;
mod mutual_tls;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Extension;
use http_body_util::Empty;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::accept::{Connections, Drained, Served};
use super::connection::Wire;
use super::limits::Settings;
use super::requests::Streamed;
use super::socket::{Accept, BoxIo, Peer};
use super::stats::{Closed, ConnStats};
use crate::incomplete::Budget;
use crate::lanes::Lane;
use picket_core::identity::proxy::ProxyIdentity;

/// A listener with connections that the test makes.
struct Fake(mpsc::UnboundedReceiver<io::Result<BoxIo>>);

impl Accept for Fake {
    async fn accept(&mut self) -> io::Result<(BoxIo, Peer)> {
        match self.0.recv().await {
            Some(next) => next.map(|io| (io, Peer::Unix)),
            None => std::future::pending().await,
        }
    }
}

/// A served group; the gate holds calls of `/wait` until it has permits.
struct House {
    group: Connections,
    stats: Arc<ConnStats>,
    gate: Arc<Semaphore>,
    /// The lanes of all calls of `/lane`.
    lanes: Arc<Mutex<Vec<Lane>>>,
    /// The proxies of all streams, as their services see them.
    proxies: Arc<Mutex<Vec<Option<ProxyIdentity>>>>,
    door: mpsc::UnboundedSender<io::Result<BoxIo>>,
    clients: JoinSet<()>,
}

impl House {
    fn new(limits: Settings) -> Self {
        Self::with_tls(limits, None)
    }

    fn with_tls(limits: Settings, tls: Option<Arc<super::tls::Acceptor>>) -> Self {
        let (stats, gate) = (Arc::<ConnStats>::default(), Arc::new(Semaphore::new(0)));
        let waiting = Arc::clone(&gate);
        let wait = move || async move { waiting.acquire().await.map_or("closed", |_permit| "done") };
        let streaming = Arc::clone(&gate);
        let proxies = Arc::<Mutex<Vec<Option<ProxyIdentity>>>>::default();
        let shown = Arc::clone(&proxies);
        let stream = move |request: axum::extract::Request| async move {
            shown.lock().unwrap().push(request.extensions().get().cloned());
            let open = streaming.acquire().await.map_or("closed", |_permit| "done");
            drop(request);
            open
        };
        let lanes = Arc::<Mutex<Vec<Lane>>>::default();
        let told = Arc::clone(&lanes);
        let tell = move |Extension(lane): Extension<Lane>| async move { told.lock().unwrap().push(lane) };
        let router = axum::Router::new()
            .route("/quick", axum::routing::get(|| async { "done" }))
            .route("/wait", axum::routing::get(wait))
            .route("/stream", axum::routing::get(stream))
            .route("/lane", axum::routing::get(tell));
        let group = Connections::new(Arc::clone(&stats));
        let (door, fake) = mpsc::unbounded_channel();
        let (routers, unfinished) = (Arc::new(router.into()), Budget::new(limits.unfinished_bytes_max));
        let streamed = Some(Streamed { path: "/stream", budget: Budget::new(limits.unfinished_bytes_max) });
        let (name, wire) = ("test".into(), Wire::Http2);
        group.serve(Fake(fake), Served { name, routers, wire, limits, tls, unfinished, streamed });
        Self { group, stats, gate, lanes, proxies, door, clients: JoinSet::new() }
    }

    /// A new connection, on which nothing was sent yet.
    fn connect(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        assert!(self.door.send(Ok(Box::new(theirs))).is_ok(), "the listener is gone");
        ours
    }

    /// An HTTP/2 connection.
    async fn client(&mut self) -> SendRequest<Empty<&'static [u8]>> {
        let io = TokioIo::new(self.connect());
        let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new()).timer(TokioTimer::new()).clone();
        let (sender, connection) = builder.handshake(io).await.unwrap();
        self.clients.spawn(async move { drop(connection.await) });
        sender
    }

    fn closed(&self, reason: Closed) -> u64 {
        self.stats.closed(reason)
    }
}

fn get(path: &str) -> http::Request<Empty<&'static [u8]>> {
    http::Request::get(format!("http://test{path}")).body(Empty::new()).unwrap()
}

fn within(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

async fn until_closed(stream: &mut DuplexStream) {
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn p34_a_silent_peer_is_closed_after_the_handshake_timeout() {
    for said in ["", "PRI * HTTP/2.0\r\n"] {
        let (house, start) = (House::new(Settings::default()), Instant::now());
        let mut peer = house.connect();
        peer.write_all(said.as_bytes()).await.unwrap();
        until_closed(&mut peer).await;
        assert_eq!(start.elapsed().as_secs(), 5, "after `{said}`");
        house.group.drain(within(1)).await;
        assert_eq!(house.closed(Closed::Silent), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_cannot_hold_a_drain() {
    let (house, start) = (House::new(Settings::default()), Instant::now());
    let _peer = house.connect();
    tokio::task::yield_now().await;
    assert_eq!(house.group.drain(within(2)).await, Drained::Cut);
    assert_eq!((start.elapsed().as_secs(), house.closed(Closed::Aborted), house.stats.open()), (2, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn all_calls_of_a_connection_share_one_lane_and_those_of_another_have_their_own() {
    let mut house = House::new(Settings::default());
    for _ in 0..2 {
        let mut client = house.client().await;
        for _ in 0..2 {
            assert_eq!(client.send_request(get("/lane")).await.unwrap().status(), 200);
        }
    }
    let lanes = house.lanes.lock().unwrap();
    let [a, same, b, also] = lanes.as_slice() else { panic!("{lanes:?}") };
    assert!(a.is(same) && b.is(also) && !a.is(b));
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_idle_connections_at_once() {
    let (mut house, start) = (House::new(Settings::default()), Instant::now());
    let mut client = house.client().await;
    assert_eq!(client.send_request(get("/quick")).await.unwrap().status(), 200);
    assert_eq!(house.group.drain(within(20)).await, Drained::Clean);
    assert_eq!((start.elapsed().as_secs(), house.closed(Closed::Drain)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_calls_in_flight_finish_and_takes_no_new_ones() {
    let mut house = House::new(Settings::default());
    let mut client = house.client().await;
    assert_eq!(client.send_request(get("/quick")).await.unwrap().status(), 200);
    let group = house.group.clone();
    let (gate, door) = (Arc::clone(&house.gate), house.door.clone());
    let later = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let refused = door.is_closed();
        gate.add_permits(1);
        refused
    };
    let held = client.send_request(get("/wait"));
    // The call must be in flight before the drain begins.
    let drain = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        group.drain(within(20)).await
    };
    let (answer, drained, refused) = tokio::join!(held, drain, later);
    assert_eq!((answer.unwrap().status().as_u16(), drained, refused), (200, Drained::Clean, true));
    assert!(client.send_request(get("/quick")).await.is_err(), "a call after the GOAWAY was answered");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_ends_is_aborted_at_the_deadline() {
    let mut house = House::new(Settings::default());
    let mut client = house.client().await;
    let group = house.group.clone();
    let start = Instant::now();
    let drain = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        group.drain(within(7)).await
    };
    let (answer, drained) = tokio::join!(client.send_request(get("/wait")), drain);
    assert!(answer.is_err());
    assert_eq!((drained, start.elapsed().as_secs(), house.stats.open()), (Drained::Cut, 8, 0));
    assert_eq!(Arc::strong_count(&house.gate), 1, "the handler of the call still lives");
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_gets_its_goaway_and_finishes_its_calls() {
    let age = Settings { age_max: Duration::from_secs(100), age_grace: Duration::from_secs(60), ..Settings::default() };
    let (mut house, start) = (House::new(age), Instant::now());
    let mut client = house.client().await;
    let mut held = Box::pin(client.send_request(get("/wait")));
    // The GOAWAY comes after 90 s to 110 s; the call began before and ends after it.
    assert!(tokio::time::timeout(Duration::from_secs(115), &mut held).await.is_err());
    assert!(client.is_closed() || client.send_request(get("/quick")).await.is_err(), "a new call was taken");
    house.gate.add_permits(1);
    assert_eq!(held.await.unwrap().status(), 200);
    while house.clients.join_next().await.is_some() {}
    house.group.drain(within(1)).await;
    assert_eq!((start.elapsed().as_secs(), house.closed(Closed::Age)), (115, 1));
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_with_an_endless_call_is_aborted_after_the_grace() {
    let age = Settings { age_max: Duration::from_secs(100), ..Settings::default() };
    let (mut house, start) = (House::new(age), Instant::now());
    let mut client = house.client().await;
    assert!(client.send_request(get("/wait")).await.is_err());
    assert!((100..=120).contains(&start.elapsed().as_secs()), "cut after {:?}", start.elapsed());
    house.group.drain(within(1)).await;
    assert_eq!((house.closed(Closed::Age), house.stats.open()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_waits_for_its_streams_but_not_for_ever() {
    let age = Settings { age_max: Duration::from_secs(100), ..Settings::default() };
    let (mut house, start) = (House::new(age.clone()), Instant::now());
    let mut client = house.client().await;
    let mut held = Box::pin(client.send_request(get("/stream")));
    assert!(tokio::time::timeout(Duration::from_secs(170), &mut held).await.is_err());
    house.gate.add_permits(1);
    assert_eq!(held.await.unwrap().status(), 200);
    house.group.drain(within(1)).await;
    assert_eq!((start.elapsed().as_secs(), house.closed(Closed::Age)), (170, 1));

    let (mut house, start) = (House::new(age), Instant::now());
    let mut client = house.client().await;
    assert!(client.send_request(get("/stream")).await.is_err());
    assert!((190..=222).contains(&start.elapsed().as_secs()), "cut after {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_answering_pings_is_closed() {
    let (house, start) = (House::new(Settings::default()), Instant::now());
    let mut peer = house.connect();
    // The preface and an empty SETTINGS frame, and then nothing.
    peer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    until_closed(&mut peer).await;
    assert_eq!(start.elapsed().as_secs(), 40);
}

#[tokio::test(start_paused = true)]
async fn failing_accepts_back_off_and_recover() {
    let (mut house, start) = (House::new(Settings::default()), Instant::now());
    for _ in 0..50 {
        house.door.send(Err(io::Error::from_raw_os_error(24))).unwrap();
    }
    let mut client = house.client().await;
    assert_eq!(client.send_request(get("/quick")).await.unwrap().status(), 200);
    // 5, 10, 20, 40 and 80 ms, then 45 times 100 ms.
    assert_eq!((house.stats.accept_errors(), start.elapsed().as_millis() / 10), (50, 465));
}

#[tokio::test(start_paused = true)]
async fn connections_above_the_limit_evict_the_one_with_the_oldest_request() {
    let two = Settings { connections_max: 2, ..Settings::default() };
    let mut house = House::new(two);
    let mut clients = [house.client().await, house.client().await, house.client().await];
    for at in [0, 1, 0, 2] {
        assert_eq!(clients[at].send_request(get("/quick")).await.unwrap().status(), 200);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(house.closed(Closed::Limit), 1);
    assert!(clients[1].send_request(get("/quick")).await.is_err(), "the idle one was not closed");
    for at in [0, 2] {
        assert_eq!(clients[at].send_request(get("/quick")).await.unwrap().status(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn p34_silent_peers_shut_no_client_out() {
    let few = Settings { handshakes_max: 8, ..Settings::default() };
    let mut house = House::new(few);
    let mut client = house.client().await;
    assert_eq!(client.send_request(get("/quick")).await.unwrap().status(), 200);
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(house.connect());
        tokio::task::yield_now().await;
    }
    let mut next = house.client().await;
    for client in [&mut client, &mut next] {
        assert_eq!(client.send_request(get("/quick")).await.unwrap().status(), 200);
    }
    // The first connections were evicted first, at once and not after the handshake timeout.
    until_closed(&mut silent[0]).await;
    assert!(house.closed(Closed::Limit) >= 92 && house.stats.open() <= 10, "{} open", house.stats.open());
}

/// One HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test(start_paused = true)]
async fn p34_calls_given_up_in_a_burst_do_not_end_the_connection() {
    let [headers, reset, settings, ping, goaway] = [1, 3, 4, 6, 7];
    let house = House::new(Settings::default());
    let mut peer = house.connect();
    let mut said = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    said.extend(frame(settings, 0, 0, &[]));
    // The server reads them all before it accepts the first: with the library's limit of 20 it closes the connection.
    for stream in (1..400).step_by(2) {
        said.extend(frame(headers, 5, stream, b"\x82\x86\x84\x41\x04test"));
        said.extend(frame(reset, 0, stream, &8_u32.to_be_bytes()));
    }
    said.extend(frame(ping, 0, 0, b"whatever"));
    peer.write_all(&said).await.unwrap();
    loop {
        let mut head = [0; 9];
        peer.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        peer.read_exact(&mut payload).await.unwrap();
        assert_ne!(head[3], goaway, "{}", String::from_utf8_lossy(&payload));
        if head[3] == ping && payload == b"whatever" {
            break;
        }
    }
    assert_eq!(house.stats.open(), 1);
}
