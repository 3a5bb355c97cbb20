//! A ticket system for the tests.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value as Json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::{ticket, written};
use crate::approval::{Approvals, Settings, Store};

/// A ticket system on a port of its own: `/CHG1` is the ticket, everything else is what it is told to be.
pub struct Tickets {
    address: std::net::SocketAddr,
    pub reply: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
    pub tasks: TaskTracker,
    _stop: DropGuard,
}

/// An answer of a source.
pub fn http(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

impl Tickets {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let reply = Arc::new(Mutex::new(Some(http("200 OK", &ticket().to_string()))));
        let (asked, tasks, stop) = (Arc::<AtomicUsize>::default(), TaskTracker::new(), CancellationToken::new());
        let shared = (Arc::clone(&reply), Arc::clone(&asked), tasks.clone(), stop.clone());
        tasks.spawn(async move {
            let (reply, asked, tasks, stop) = shared;
            while let Some(Ok((mut stream, _))) = stop.run_until_cancelled(listener.accept()).await {
                let (reply, asked, stop) = (Arc::clone(&reply), Arc::clone(&asked), stop.clone());
                tasks.spawn(async move {
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        request.push(byte);
                    }
                    asked.fetch_add(1, Ordering::SeqCst);
                    let known = request.starts_with(b"GET /CHG1 ");
                    let bytes = if known { reply.lock().unwrap().clone() } else { Some(http("404 No", "{}")) };
                    match bytes {
                        Some(bytes) => drop(stream.write_all(bytes.as_bytes()).await),
                        None => stop.cancelled().await,
                    }
                });
            }
        });
        Self { address, reply, asked, tasks, _stop: stop.drop_guard() }
    }

    pub fn says(&self, pointer: &str, value: Json) {
        let mut answer = ticket();
        *answer.pointer_mut(pointer).unwrap() = value;
        *self.reply.lock().unwrap() = Some(http("200 OK", &answer.to_string()));
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub fn settings(&self, reference: &str, more: &str) -> Settings {
        let yaml = written(reference, &format!("http://{}/${{reference}}", self.address));
        serde_saphyr::from_str(&format!("{yaml}{more}")).unwrap()
    }

    pub fn approvals(&self, store: Option<&Path>) -> Approvals {
        let store = Store { file: store.map(Path::to_owned) };
        let settings = self.settings("{argument: /ticket}", "");
        Approvals::new(&[settings], &store, "config.yaml", &self.tasks).unwrap()
    }
}
