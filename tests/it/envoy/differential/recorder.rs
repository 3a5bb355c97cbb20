//! An upstream that keeps what it got, by the number in the request's `x-case` header.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::super::upstream::{Seen, is_complete};

/// Requests that arrived, by their numbers.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<HashMap<u64, Vec<u8>>>>);

impl Recorder {
    /// The request with this number, if it arrived.
    pub fn take(&self, number: u64) -> Option<Vec<u8>> {
        self.0.lock().unwrap().remove(&number)
    }

    /// Serves on a free port as long as `tasks` lives; gives the port.
    pub async fn serve(&self, tasks: &mut JoinSet<()>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let recorder = self.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(recorder.clone().answer(stream));
                while connections.try_join_next().is_some() {}
            }
        });
        port
    }

    async fn answer(self, mut stream: TcpStream) {
        let mut got = Vec::new();
        while !is_complete(&got) {
            let mut buffer = [0; 4096];
            match stream.read(&mut buffer).await {
                // Even a request that was cut in the middle has arrived.
                Ok(0) | Err(_) => break,
                Ok(length) => got.extend_from_slice(&buffer[..length]),
            }
        }
        let seen = Seen::parse(&String::from_utf8_lossy(&got));
        let number = seen.values("x-case").first().and_then(|number| number.parse().ok());
        if let Some(number) = number {
            self.0.lock().unwrap().insert(number, got);
        }
        drop(stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await);
    }
}
