//! An HTTP service that answers well, badly, late or never, and counts its requests.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The reaction to a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// 200 with this JSON.
    Json(String),
    /// These bytes, then the connection is closed.
    Bytes(Vec<u8>),
    /// The same as JSON, but only after this time.
    Late(Duration, String),
    /// Nothing, for ever.
    Hang,
    /// The connection is closed at once.
    Close,
}

/// Requests seen, and the most that were in flight at one time, by path.
#[derive(Debug, Default)]
struct Counts {
    requests: u64,
    in_flight: BTreeMap<String, (u64, u64)>,
}

/// A service on a port of its own; it ends with this value.
pub struct FakeHttp {
    pub address: SocketAddr,
    reply: Arc<Mutex<Reply>>,
    counts: Arc<Mutex<Counts>>,
    _tasks: JoinSet<()>,
}

impl FakeHttp {
    pub async fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (reply, counts) = (Arc::new(Mutex::new(reply)), Arc::<Mutex<Counts>>::default());
        let mut tasks = JoinSet::new();
        let shared = (Arc::clone(&reply), Arc::clone(&counts));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(answer(stream, Arc::clone(&shared.0), Arc::clone(&shared.1)));
            }
        });
        Self { address, reply, counts, _tasks: tasks }
    }

    /// Replies so from now on.
    pub fn set(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    pub fn requests(&self) -> u64 {
        self.counts.lock().unwrap().requests
    }

    /// The most requests for one path that were in flight at one time.
    pub fn in_flight_max(&self) -> u64 {
        self.counts.lock().unwrap().in_flight.values().map(|(_, most)| *most).max().unwrap_or(0)
    }
}

async fn answer(mut stream: TcpStream, reply: Arc<Mutex<Reply>>, counts: Arc<Mutex<Counts>>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let line = String::from_utf8_lossy(&request);
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    {
        let mut counts = counts.lock().unwrap();
        counts.requests += 1;
        let (now, most) = counts.in_flight.entry(path.clone()).or_default();
        *now += 1;
        *most = (*most).max(*now);
    }
    let reply = reply.lock().unwrap().clone();
    let bytes = match reply {
        Reply::Json(body) => json(&body),
        Reply::Bytes(bytes) => bytes,
        Reply::Late(delay, body) => {
            tokio::time::sleep(delay).await;
            json(&body)
        }
        // Until the client gives up.
        Reply::Hang => {
            drop(stream.read_u8().await);
            Vec::new()
        }
        Reply::Close => Vec::new(),
    };
    counts.lock().unwrap().in_flight.entry(path).or_default().0 -= 1;
    drop(stream.write_all(&bytes).await);
}

/// 200 with a JSON body.
pub fn json(body: &str) -> Vec<u8> {
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length";
    format!("{head}: {length}\r\n\r\n{body}").into_bytes()
}
