//! An upstream that sends registered answers, in pieces: the request's `x-answer` header has the number.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::envoy::upstream::{Seen, is_complete};

/// The header with the number of an answer.
pub const HEADER: &str = "x-answer";
/// In an answer, as a JSON string: the id of the JSON-RPC request takes its place.
pub const RPC_ID: &str = "the id of the request";

/// What the upstream sends.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub status: u16,
    /// A `content-length` among them is sent as it is; without it the body is chunked.
    pub headers: Vec<(String, String)>,
    pub pieces: Vec<Vec<u8>>,
    /// The pause behind each piece.
    pub pause: Duration,
}

impl Answer {
    /// A body of this type, in one piece.
    pub fn new(content_type: &str, body: &[u8]) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status: 200, headers, pieces: vec![body.to_vec()], pause: Duration::ZERO }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The same bytes, cut behind each of these places.
    pub fn cut(mut self, places: &[usize], pause: Duration) -> Self {
        let body = self.pieces.concat();
        let ends = places.iter().copied().chain([body.len()]);
        let mut from = 0;
        self.pieces.clear();
        for end in ends.filter(|end| *end > 0) {
            if end > from {
                self.pieces.push(body[from..end].to_vec());
                from = end;
            }
        }
        self.pause = pause;
        self
    }
}

/// Every answer that was registered, and the requests that arrived.
#[derive(Debug, Default)]
pub struct Answers {
    answers: Mutex<Vec<Answer>>,
    requests: Mutex<Vec<Seen>>,
}

impl Answers {
    /// The number of a new answer.
    pub fn add(&self, answer: Answer) -> usize {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.push(answer);
        answers.len() - 1
    }

    /// The requests for an answer that the upstream got.
    pub fn requests(&self, number: usize) -> Vec<Seen> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.iter().filter(|seen| seen.values(HEADER) == [number.to_string()]).cloned().collect()
    }

    /// The request that arrived last.
    pub fn last_request(&self) -> Seen {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.last().cloned().expect("a request")
    }

    /// Serves on a free port as long as `tasks` lives; gives the port.
    pub async fn serve(self: &Arc<Self>, tasks: &mut JoinSet<()>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers = Arc::clone(self);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let answers = Arc::clone(&answers);
                connections.spawn(async move {
                    // A client that has gone needs no answer.
                    drop(answers.send(stream).await);
                });
            }
        });
        port
    }

    async fn send(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut got = Vec::new();
        while !is_complete(&got) {
            let mut buffer = [0; 4096];
            match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                length => got.extend_from_slice(&buffer[..length]),
            }
        }
        let seen = Seen::parse(&String::from_utf8_lossy(&got));
        let id = serde_json::from_str::<Value>(&seen.rest).map(|request| request["id"].to_string());
        let number = seen.values(HEADER).first().and_then(|number| number.parse::<usize>().ok());
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut answer = number.and_then(|number| answers.get(number).cloned()).unwrap_or_default();
        if let Ok(id) = id {
            answer.pieces.iter_mut().for_each(|piece| fill(piece, &id));
        }
        write(&mut stream, &answer).await
    }
}

/// Fills in the id of the request.
fn fill(piece: &mut Vec<u8>, id: &str) {
    let place = Value::from(RPC_ID).to_string();
    if let Ok(text) = std::str::from_utf8(piece)
        && text.contains(&place)
    {
        *piece = text.replace(&place, id).into_bytes();
    }
}

async fn write(stream: &mut TcpStream, answer: &Answer) -> std::io::Result<()> {
    let is_sized = answer.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let mut head = format!("HTTP/1.1 {} Answer\r\nconnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += if is_sized { "\r\n" } else { "transfer-encoding: chunked\r\n\r\n" };
    stream.write_all(head.as_bytes()).await?;
    for piece in &answer.pieces {
        // A chunk without bytes would be the end.
        if piece.is_empty() {
            continue;
        }
        let framed = if is_sized {
            piece.clone()
        } else {
            [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
        };
        stream.write_all(&framed).await?;
        if !answer.pause.is_zero() {
            tokio::time::sleep(answer.pause).await;
        }
    }
    if is_sized { Ok(()) } else { stream.write_all(b"0\r\n\r\n").await }
}
