//! Attacks by clients that reach a port and never send a request: the effect is bounded, and others get their answers.

use std::os::unix::fs::PermissionsExt as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use picket::approval::redemption::Embedded;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::Code;

use crate::harness::server::Server;
use crate::harness::{PERMIT_ALL, Said, orders, said};

const SHOP: &[(&str, &str)] = &[("namespaces/shop/a.cedar", PERMIT_ALL)];
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// A body in pieces that the test sends; it ends when the sender is dropped.
pub struct Fed(mpsc::UnboundedReceiver<Bytes>);

impl Body for Fed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|data| data.map(|data| Ok(Frame::data(data))))
    }
}

/// A connection on which requests may stay unfinished.
pub struct Open {
    sender: SendRequest<Fed>,
    tasks: JoinSet<()>,
}

/// The answer: `grpc-status` of the head or of the trailers, and the message.
#[derive(Debug)]
struct Back {
    code: Option<i32>,
    message: Bytes,
}

impl Back {
    #[track_caller]
    fn said(&self) -> Said {
        assert_eq!(self.code, Some(0), "a gRPC error leaves the decision to the proxy: {self:?}");
        said(&envoy_types::pb::envoy::service::auth::v3::CheckResponse::decode(&self.message[5..]).unwrap())
    }
}

impl Open {
    pub async fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream)).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(connection.await) });
        Self { sender, tasks }
    }

    /// Begins a request; what is sent into the sender is its body.
    pub fn begin(
        &mut self,
        path: &str,
    ) -> (
        mpsc::UnboundedSender<Bytes>,
        impl Future<Output = hyper::Result<http::Response<hyper::body::Incoming>>> + use<>,
    ) {
        let (feed, fed) = mpsc::unbounded_channel();
        let request = http::Request::post(format!("http://localhost{path}")).header("content-type", "application/grpc");
        (feed, self.sender.send_request(request.body(Fed(fed)).unwrap()))
    }

    /// Sends these pieces, with a pause before each but the first, and then nothing more; `ends` says how.
    async fn send(&mut self, path: &str, pieces: &[&[u8]], ends: Ends) -> Back {
        let (feed, answer) = self.begin(path);
        for (at, piece) in pieces.iter().enumerate() {
            if at > 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let _the_server_may_have_had_enough = feed.send(Bytes::copy_from_slice(piece));
        }
        let held = match ends {
            Ends::Never => Some(feed),
            Ends::AfterThem => {
                drop(feed);
                None
            }
        };
        let answer = tokio::time::timeout(Duration::from_secs(20), answer).await.expect("no answer").unwrap();
        let in_head = answer.headers().get("grpc-status").cloned();
        let all = answer.into_body().collect().await.unwrap();
        let code = in_head.or_else(|| all.trailers().and_then(|trailers| trailers.get("grpc-status").cloned()));
        drop(held);
        Back { code: code.and_then(|code| code.to_str().unwrap().parse().ok()), message: all.to_bytes() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Never,
    AfterThem,
}

/// The input, in pieces and with or without an end, and the reason of the denial after at least this time.
type Row<'a> = (&'a str, &'a [&'a [u8]], Ends, (&'a str, Duration));

fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flag], &length[..], message].concat()
}

#[expect(clippy::disallowed_methods, reason = "sockets need the real clock")]
fn now() -> Instant {
    Instant::now()
}

/// Any input other than one whole message is denied by an answer, in time and with its own code.
#[tokio::test]
async fn a_check_that_does_not_come_whole_is_denied_in_time() {
    // It is the check's own time that ends the wait.
    let settings = [
        "limits.check.deadline=400ms",
        "limits.check.message_bytes_max=65536",
        "limits.connection.handshake_timeout=1h",
    ];
    let server = Server::start(SHOP, &settings).await;
    let message = orders().0.encode_to_vec();
    let good = framed(0, &message);
    let (half, twice) = (&good[..good.len() / 2], [good.as_slice(), good.as_slice()].concat());
    let dribbled: Vec<&[u8]> = good.chunks(1).take(300).collect();
    let (compressed, odd) = (framed(1, &message), framed(7, &message));
    let huge = [&[0][..], &u32::MAX.to_be_bytes(), b"x"].concat();
    let late: (&str, Duration) = ("deadline", Duration::from_millis(300));
    let at_once = |reason| (reason, Duration::ZERO);
    let mut short = framed(0, &message);
    short[4] += 2;
    let rows: [Row<'_>; 15] = [
        ("two bytes short of its length", &[&short], Ends::AfterThem, at_once("malformed_request")),
        ("nothing, and no end", &[], Ends::Never, late),
        ("nothing", &[], Ends::AfterThem, at_once("malformed_request")),
        ("part of the prefix, and no end", &[&good[..3]], Ends::Never, late),
        ("part of the prefix", &[&good[..3]], Ends::AfterThem, at_once("malformed_request")),
        ("half, and no end", &[half], Ends::Never, late),
        ("half", &[half], Ends::AfterThem, at_once("malformed_request")),
        ("all but the end", &[&good], Ends::Never, late),
        ("byte by byte", &dribbled, Ends::AfterThem, late),
        ("compressed", &[&compressed], Ends::AfterThem, at_once("malformed_request")),
        ("compressed, and no end", &[&compressed[..9]], Ends::Never, at_once("malformed_request")),
        ("another flag", &[&odd], Ends::AfterThem, at_once("malformed_request")),
        ("longer than may be, and no end", &[&huge], Ends::Never, at_once("too_large")),
        ("two messages", &[&twice], Ends::AfterThem, at_once("malformed_request")),
        ("two messages, and no end", &[&good, b"\0"], Ends::Never, at_once("malformed_request")),
    ];
    let mut open = Open::to(&server.port("ext_authz")).await;
    for (what, pieces, ends, (reason, least)) in rows {
        let start = now();
        let back = open.send(CHECK, pieces, ends).await.said();
        assert_eq!((back.status >= 400, back.reason.as_str()), (true, reason), "{what}");
        assert!(start.elapsed() >= least, "{what}: after {:?}", start.elapsed());
    }
    // In pieces, but in time.
    let pieces: Vec<&[u8]> = good.chunks(good.len() / 3).collect();
    assert_eq!(open.send(CHECK, &pieces, Ends::AfterThem).await.said().status, 200);
}

/// Health and the operators' service take no longer over a message that does not come, either.
#[tokio::test]
async fn other_services_give_up_a_message_that_does_not_come_whole() {
    let server = Server::start(SHOP, &["limits.connection.handshake_timeout=500ms"]).await;
    for (listener, path) in [
        ("ext_authz", "/grpc.health.v1.Health/Check"),
        ("ext_authz", "/grpc.health.v1.Health/Watch"),
        ("admin_grpc", "/picket.v1.Admin/Status"),
        ("admin_grpc", "/picket.v1.Admin/Explain"),
    ] {
        let mut open = Open::to(&server.port(listener)).await;
        for piece in [&b""[..], b"\0\0\0", b"\0\0\0\x01\0half"] {
            let back = open.send(path, &[piece], Ends::Never).await;
            assert!(back.code.is_some_and(|code| code != Code::Ok as i32), "{path} {piece:?}: {back:?}");
        }
        let large = framed(0, &vec![0; 3 << 20]);
        let back = open.send(path, &[&large[..100]], Ends::Never).await;
        assert!(back.code.is_some_and(|code| code != Code::Ok as i32), "{path}: {back:?}");
    }
}

/// One connection holds no more than its part, all no more than the whole, and small checks of others go on.
#[tokio::test]
async fn unfinished_checks_are_bounded_and_small_ones_of_others_continue() {
    // The part of a connection is 64 KiB, the whole 256 KiB. What is begun stays begun until the test ends it.
    let patient = "limits.connection.handshake_timeout=60s";
    let settings = ["limits.check.message_bytes_max=65536", "limits.connection.unfinished_bytes_max=1", patient];
    let server = Server::start(SHOP, &settings).await;
    let mut greedy = Vec::new();
    let mut held = Vec::new();
    let begun = [&[0][..], &60_000_u32.to_be_bytes(), &[0; 25_000]].concat();
    // One after the other: of two that come at once, each could take half of the last room, and both be refused.
    while greedy.last().is_none_or(|(_, refused)| !refused) {
        assert!(greedy.len() < 12, "{} connections hold all they want", greedy.len());
        let mut open = Open::to(&server.port("ext_authz")).await;
        let mut is_refused = true;
        for _ in 0..2 {
            let (feed, answer) = open.begin(CHECK);
            let mut answer = Box::pin(answer);
            feed.send(Bytes::from(begun.clone())).unwrap();
            is_refused &= tokio::time::timeout(Duration::from_millis(200), &mut answer).await.is_ok();
            held.push((feed, answer));
        }
        if greedy.is_empty() {
            let refused = open.send(CHECK, &[&begun], Ends::Never).await.said();
            assert_eq!((refused.status, refused.reason.as_str()), (503, "overload"), "of one connection");
        }
        greedy.push((open, is_refused));
    }
    let (mut last, _) = greedy.pop().unwrap();
    let mut next = Open::to(&server.port("ext_authz")).await;
    let refused = next.send(CHECK, &[&begun], Ends::Never).await.said();
    assert_eq!((refused.status, refused.reason.as_str()), (503, "overload"), "of the process");
    let good = framed(0, &orders().0.encode_to_vec());
    let (first, second) = good.split_at(40);
    for open in [&mut next, &mut last, &mut Open::to(&server.port("ext_authz")).await] {
        assert_eq!(open.send(CHECK, &[first, second], Ends::AfterThem).await.said().status, 200);
    }
    drop((held, greedy, last));
    let start = now();
    loop {
        let mut open = Open::to(&server.port("ext_authz")).await;
        if open.send(CHECK, &[&begun, &[0; 35_005]], Ends::AfterThem).await.said().reason == "malformed_request" {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "the room does not come back");
    }
}

/// A request that has sent its headers and nothing else holds memory, too.
#[tokio::test]
async fn requests_that_sent_only_their_headers_are_bounded() {
    let patient = "limits.connection.handshake_timeout=60s";
    let settings = ["limits.check.message_bytes_max=65536", "limits.connection.unfinished_bytes_max=1", patient];
    let server = Server::start(SHOP, &[settings.as_slice(), &["limits.check.deadline=10s"]].concat()).await;
    let mut open = Open::to(&server.port("ext_authz")).await;
    let held: Vec<_> = (0..20).map(|_| open.begin(CHECK)).collect();
    let refused = open.send(CHECK, &[], Ends::Never).await.said();
    assert_eq!((refused.status, refused.reason.as_str()), (503, "overload"));
    drop(held);
}

/// One HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Silent peers are evicted for active ones, on every port.
#[tokio::test]
async fn silent_peers_take_nothing_from_an_active_one() {
    // No peer is closed for having been silent long enough.
    let patient = "limits.connection.handshake_timeout=1h";
    let settings = ["limits.connection.handshakes_max=8", "admin.connections_max=8", patient];
    let server = Server::start(SHOP, &settings).await;
    tokio::time::timeout(Duration::from_secs(60), crowd(&server)).await.expect("silent peers hold the ports");
}

async fn crowd(server: &Server) {
    let mut client = server.client().await;
    assert_eq!(client.ask(orders()).await.status, 200);
    let mut speaks = TcpStream::connect(server.port("ext_authz")).await.unwrap();
    speaks.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    speaks.write_all(&frame(4, 0, 0, &[])).await.unwrap();
    // Its settings: it was heard.
    speaks.read_exact(&mut [0; 9]).await.unwrap();
    let mut silent = Vec::new();
    for listener in ["ext_authz", "admin_http", "admin_grpc"] {
        for _ in 0..200 {
            silent.push(TcpStream::connect(server.port(listener)).await.unwrap());
        }
    }
    // A gRPC call with headers that end it: any answer shows that the connection lives.
    speaks.write_all(&frame(6, 0, 0, b"whatever")).await.unwrap();
    let mut heard = Vec::new();
    while !heard.windows(8).any(|eight| eight == b"whatever") {
        let mut bytes = [0; 512];
        let read = speaks.read(&mut bytes).await.unwrap();
        assert!(read > 0, "a peer that spoke was closed for peers that did not");
        heard.extend_from_slice(&bytes[..read]);
    }
    assert_eq!(client.ask(orders()).await.status, 200);
    assert_eq!(server.client().await.ask(orders()).await.status, 200);
    assert!(server.http("/livez").await.ends_with("ok\n"));
    let metrics = server.http("/metrics").await;
    let open = metrics.lines().find_map(|line| line.strip_prefix("picket_connections ")).unwrap();
    // Newcomers, admitted peers, and those about to be closed.
    assert!(open.parse::<f64>().unwrap() <= 8.0 + 3.0 + 16.0, "{open} open");
}

/// Requests that never end make room for new ones on the port of the metrics, and hold little.
#[tokio::test]
async fn slow_requests_take_nothing_from_a_scrape() {
    let server = Server::start(SHOP, &["admin.connections_max=4"]).await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(server.port("admin_http")).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nx: ").await.unwrap();
        slow.push(stream);
    }
    assert!(server.http("/livez").await.ends_with("ok\n"));
    // A header that does not end is not held beyond 16 KiB.
    let mut long = TcpStream::connect(server.port("admin_http")).await.unwrap();
    let mut answer = Vec::new();
    let line = [b'x'; 1000];
    for _ in 0..40 {
        if long.write_all(&line).await.is_err() {
            break;
        }
    }
    // Closed, with or without words.
    let ended = tokio::time::timeout(Duration::from_secs(3), long.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "40 KB of a header are held");
}

#[tokio::test]
async fn operators_ports_answer_to_no_name_that_others_may_own() {
    let server = Server::start(SHOP, &["admin.hosts=[picket.system.svc]"]).await;
    for path in ["/livez", "/readyz", "/readyz?verbose", "/metrics", "/"] {
        for host in ["evil.example", "localhost.evil.example", "evil.example:9192", "", "127.0.0.1.evil.example"] {
            let answer = server.http_by(host, path).await;
            assert!(answer.starts_with("HTTP/1.1 421") && !answer.contains("picket_"), "{path} by `{host}`: {answer}");
        }
    }
    for host in ["localhost", "127.0.0.1:9192", "[::1]", "picket.system.svc:9192"] {
        assert!(server.http_by(host, "/livez").await.starts_with("HTTP/1.1 200"), "{host}");
    }
    let mut evil = Open::to(&server.port("admin_grpc")).await;
    for (host, expected) in [("evil.example", Code::PermissionDenied), ("localhost:1", Code::Ok)] {
        let (feed, fed) = mpsc::unbounded_channel();
        feed.send(Bytes::from(framed(0, b""))).unwrap();
        drop(feed);
        let request = http::Request::post(format!("http://{host}/picket.v1.Admin/Status"));
        let request = request.header("content-type", "application/grpc").body(Fed(fed)).unwrap();
        let answer = evil.sender.send_request(request).await.unwrap();
        let in_head = answer.headers().get("grpc-status").cloned();
        let trailers = answer.into_body().collect().await.unwrap().trailers().cloned();
        let code = in_head.or_else(|| trailers?.get("grpc-status").cloned()).unwrap();
        assert_eq!(Code::from_bytes(code.as_bytes()), expected, "{host}");
    }
    assert!(!evil.tasks.is_empty());
}

#[test]
fn the_file_of_used_approvals_is_its_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("uses");
    let tasks = tokio_util::task::TaskTracker::new();
    drop(Embedded::open(Some(&file), &tasks).unwrap());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    drop(Embedded::open(Some(&file), &tasks).unwrap());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
}
