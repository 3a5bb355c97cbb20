//! A small HTTP/1.1 client that sends exactly the bytes it is given.
//!
//! Ordinary clients repair what they send: they resolve `..`, fold slashes and refuse odd headers. To show what a
//! proxy makes of such requests they must arrive as they are.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// How long one exchange may take.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Most bytes of one read.
const READ_BYTES: usize = 16_384;

/// An answer, read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body without its framing.
    pub body: Vec<u8>,
}

impl Answer {
    /// Every value of a header, in order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The body as text; bytes that are none become `\u{fffd}`.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Bytes of an answer, framing included, as one read returned them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Time since the request was sent.
    pub at: Duration,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Requests a path without TLS.
///
/// # Errors
/// As [`exchange`].
pub async fn get(address: SocketAddr, target: &str) -> io::Result<Answer> {
    let request = format!("GET {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    exchange(TcpStream::connect(address).await?, request.as_bytes()).await
}

/// Sends `request` as it is and reads until the other side closes; so the request should say `connection: close`.
///
/// # Errors
/// What the connection says; `InvalidData` if the answer is no HTTP/1.1; `TimedOut` after 15 s.
pub async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(stream: S, request: &[u8]) -> io::Result<Answer> {
    exchange_in_pieces(stream, request).await.map(|(answer, _)| answer)
}

/// The same, with the pieces in which the answer arrived.
///
/// # Errors
/// As [`exchange`].
pub async fn exchange_in_pieces<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    request: &[u8],
) -> io::Result<(Answer, Vec<Piece>)> {
    let exchanged = async {
        stream.write_all(request).await?;
        stream.flush().await?;
        read_to_close(&mut stream).await
    };
    let pieces = tokio::time::timeout(TIMEOUT, exchanged).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.iter().copied()).collect();
    let answer = parse(&bytes);
    let answer =
        answer.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not complete HTTP/1.1"))?;
    Ok((answer, pieces))
}

/// Reads what is left. A close without TLS's goodbye counts as one: framing tells whether something is missing.
async fn read_to_close<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Vec<Piece>> {
    let (begin, mut pieces) = (Instant::now(), Vec::new());
    loop {
        let mut bytes = Vec::with_capacity(READ_BYTES);
        match stream.read_buf(&mut bytes).await {
            Ok(0) => return Ok(pieces),
            Ok(_) => pieces.push(Piece { at: begin.elapsed(), bytes }),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof || !pieces.is_empty() => return Ok(pieces),
            Err(error) => return Err(error),
        }
    }
}

/// Parses the final response from a closed connection's bytes; interim responses (1xx) are skipped.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(bytes.get(..end)?).into_owned();
    let rest = bytes.get(end + 4..)?;
    let mut lines = head.split("\r\n");
    let status: u16 = lines.next()?.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    if (100..200).contains(&status) && status != 101 {
        return parse(rest);
    }
    let pairs = lines.filter_map(|line| line.split_once(':'));
    let headers: Vec<_> =
        pairs.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned())).collect();
    let is_chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if is_chunked { unchunk(rest)? } else { rest.to_vec() };
    let answer = Answer { status, headers, body };
    let length = answer.values("content-length").next().and_then(|value| value.parse::<usize>().ok());
    length.is_none_or(|length| length == answer.body.len()).then_some(answer)
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = str::from_utf8(rest.get(..line)?).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(line + 2..)?.get(..size)?);
        rest = rest.get(line + 2 + size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn show(text: &str) -> String {
        match parse(text.as_bytes()) {
            Some(answer) => format!("{} {:?} {}", answer.status, answer.headers.len(), answer.text()),
            None => "refused".to_owned(),
        }
    }

    #[test]
    fn answers_are_read_whole_or_refused() {
        let cases = [
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody", "200 1 body"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody", "200 1 body"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nbody", "refused"),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden\r\n\r\n", "403 0 "),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nbo\r\n2;x\r\ndy\r\n0\r\n\r\n", "200 1 body"),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nbo\r\n", "refused"),
            ("HTTP/1.1 200 OK\r\n", "refused"),
            ("SSH-2.0\r\n\r\n", "refused"),
        ];
        for (text, expected) in cases {
            assert_eq!(show(text), expected, "{text:?}");
        }
    }
}
