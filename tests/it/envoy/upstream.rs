//! An upstream that reads HTTP/1.1 by hand and answers with the text it got, so that nothing repairs it on the way.
//!
//! A request header `r-NAME` comes back as a response header. An upgrade or a tunnel echoes what follows.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A request that the upstream got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Method and target.
    pub line: String,
    pub headers: Vec<(String, String)>,
    /// Everything after the head, with chunk framing and trailers as they came.
    pub rest: String,
}

impl Seen {
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
    }

    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    /// Reads the text of the upstream's answer.
    pub fn parse(text: &str) -> Self {
        let (head, rest) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
        let headers = lines.filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_lowercase(), v.to_owned()));
        Self { line, headers: headers.collect(), rest: rest.to_owned() }
    }
}

/// Serves on a free port as long as `tasks` lives; gives the port.
pub async fn serve(tasks: &mut JoinSet<()>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(answer(stream));
        }
    });
    port
}

async fn answer(mut stream: TcpStream) {
    let mut got = Vec::new();
    while !is_complete(&got) {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => got.extend_from_slice(&buffer[..length]),
        }
    }
    let seen = Seen::parse(&String::from_utf8_lossy(&got));
    if seen.line.starts_with("CONNECT") {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await);
        return echo(stream).await;
    }
    if let Some(upgrade) = seen.values("upgrade").first() {
        let head = format!("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {upgrade}\r\n\r\n");
        drop(stream.write_all(head.as_bytes()).await);
        return echo(stream).await;
    }
    let back = seen.headers.iter().filter(|(name, _)| name.starts_with("r-"));
    let back: String = back.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = got.len();
    let head =
        format!("HTTP/1.1 200 OK\r\nx-upstream: yes\r\nconnection: close\r\ncontent-length: {length}\r\n{back}\r\n");
    drop(stream.write_all(&[head.as_bytes(), &got].concat()).await);
}

async fn echo(mut stream: TcpStream) {
    let (mut reader, mut writer) = stream.split();
    drop(tokio::io::copy(&mut reader, &mut writer).await);
}

pub(super) fn is_complete(got: &[u8]) -> bool {
    let Some(end) = got.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let seen = Seen::parse(&String::from_utf8_lossy(&got[..end + 4]));
    let rest = &got[end + 4..];
    if seen.line.starts_with("CONNECT") || !seen.values("upgrade").is_empty() {
        return true;
    }
    if seen.values("transfer-encoding").contains(&"chunked") {
        // A last chunk, then trailers up to an empty line.
        let text = String::from_utf8_lossy(rest).into_owned();
        return text.starts_with("0\r\n") && text.ends_with("\r\n\r\n")
            || text.find("\r\n0\r\n").is_some_and(|at| text[at + 2..].ends_with("\r\n\r\n"));
    }
    let length = seen.values("content-length").first().and_then(|value| value.parse().ok()).unwrap_or(0);
    rest.len() >= length
}
