//! An upstream that writes HTTP/1.1 by hand: its answer is named by the path.
//!
//! Words in capitals are what must not leave.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The pause between two pieces, so that Envoy passes each on by itself.
const PAUSE: Duration = Duration::from_millis(30);
/// A body with everything that a replacement has to look out for: the word, twice in a row, and its beginning.
pub const DOCUMENT: &str = "data: the code is SECRET, not SECRE nor SESECRET\n\ndata: SECRETSECRET\n\n";

/// Serves on a free port as long as `tasks` lives; gives the port.
pub async fn serve(tasks: &mut JoinSet<()>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(async move {
                // A client that has gone needs no answer.
                drop(answer(stream).await);
            });
        }
    });
    port
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut got = Vec::new();
    while !got.windows(4).any(|window| window == b"\r\n\r\n") {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            length => got.extend_from_slice(&buffer[..length]),
        }
    }
    let head = String::from_utf8_lossy(&got).into_owned();
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut parts = target.split('/').skip(1);
    let (name, first, second) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let number = || first.and_then(|text| text.parse::<usize>().ok()).unwrap_or_default();
    let mut to = Writer { stream };
    match name {
        "json" => to.whole("200 OK", "content-type: application/json\r\netag: \"v1\"\r\n", br#"{"a":"SECRET"}"#).await,
        "forbidden" => to.whole("200 OK", "content-type: application/json\r\n", br#"{"a":"FORBIDDEN"}"#).await,
        "large" => {
            let mut body = vec![b'a'; number()];
            body[..6].copy_from_slice(b"SECRET");
            to.whole("200 OK", "content-type: application/octet-stream\r\n", &body).await
        }
        "stream" => to.pieces(&["data: one SEC", "RET\n\n", "data: two SECRET\n\n"], "").await,
        "refused-stream" => to.pieces(&["data: one\n\n", "data: FORBIDDEN\n\n", "data: SECRET\n\n"], "").await,
        "trailers" => to.pieces(&["data: one SECRET\n\n", "data: two SEC"], "x-note: SECRET\r\n").await,
        "empty" => to.whole("200 OK", "content-type: text/plain\r\n", b"").await,
        "empty-chunked" => to.pieces(&[], "").await,
        "empty-trailers" => to.pieces(&[], "x-note: SECRET\r\n").await,
        "204" => to.head("204 No Content", "").await,
        "304" => to.head("304 Not Modified", "content-length: 14\r\netag: \"v1\"\r\n").await,
        "head" => to.head("200 OK", "content-length: 14\r\netag: \"v1\"\r\n").await,
        "206" => to.whole("206 Partial Content", "content-range: bytes 6-19/20\r\n", br#"{"a":"SECRET"}"#).await,
        "hints" => {
            to.write(b"HTTP/1.1 103 Early Hints\r\nlink: <SECRET>\r\n\r\n").await?;
            tokio::time::sleep(PAUSE).await;
            to.whole("200 OK", "content-type: application/json\r\n", br#"{"a":"SECRET"}"#).await
        }
        "cut" => {
            to.head("200 OK", "content-type: text/plain\r\ntransfer-encoding: chunked\r\n").await?;
            to.piece("data: one SECRET\n\n").await
        }
        "until-close" => {
            to.head("200 OK", "content-type: text/plain\r\n").await?;
            to.write(b"SECRET until close").await
        }
        "cut-at" => {
            let (one, two) = DOCUMENT.split_at(number());
            to.pieces(&[one, two], "").await
        }
        "bytes" => {
            let pieces: Vec<&str> = DOCUMENT.split("").filter(|piece| !piece.is_empty()).collect();
            to.pieces(&pieces, "").await
        }
        "fault" => {
            let fault = format!("{}/{}", first.unwrap_or_default(), second.unwrap_or_default());
            to.faulty(&fault).await
        }
        _ => to.whole("404 Not Found", "", b"").await,
    }
}

struct Writer {
    stream: TcpStream,
}

impl Writer {
    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    async fn head(&mut self, status: &str, headers: &str) -> std::io::Result<()> {
        self.write(format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}\r\n").as_bytes()).await
    }

    async fn whole(&mut self, status: &str, headers: &str, body: &[u8]) -> std::io::Result<()> {
        self.head(status, &format!("{headers}content-length: {}\r\n", body.len())).await?;
        self.write(body).await
    }

    async fn piece(&mut self, piece: &str) -> std::io::Result<()> {
        self.write(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes()).await?;
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    async fn pieces(&mut self, pieces: &[&str], trailers: &str) -> std::io::Result<()> {
        self.head("200 OK", "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n").await?;
        tokio::time::sleep(PAUSE).await;
        // A chunk without bytes would be the end.
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            self.piece(piece).await?;
        }
        self.write(format!("0\r\n{trailers}\r\n").as_bytes()).await
    }

    /// Three pieces; the head names the fault that the processor is to have. A `large` one is too much for it.
    async fn faulty(&mut self, fault: &str) -> std::io::Result<()> {
        let filler = "a".repeat(4096);
        let large = |point: &str| if fault == format!("error/{point}") { filler.as_str() } else { "" };
        let head = format!(
            "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\nx-fault: {fault}\r\nx-filler: {}\r\n",
            large("head")
        );
        self.head("200 OK", &head).await?;
        tokio::time::sleep(PAUSE).await;
        for piece in [
            "one SECRET\n".to_owned(),
            format!("two SECRET{}\n", large("middle")),
            format!("three SECRET{}\n", large("last")),
        ] {
            self.piece(&piece).await?;
        }
        if fault.starts_with("timeout") || fault.starts_with("kill") {
            // Not the end of the body is to end the wait.
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        self.write(b"0\r\n\r\n").await
    }
}
