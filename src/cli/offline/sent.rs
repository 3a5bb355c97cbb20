//! The flags of a response with its body in a file.
//!
//! Knows: content types of bodies. Must not know: calls, policies.

use std::io::Read as _;
use std::path::Path;

use super::response::SentResponse;

/// A response without its body.
#[derive(Debug, Clone, clap::Args)]
pub struct ResponseArgs {
    /// Content type of the response. Default: an event stream, JSON or plain text, by its first bytes.
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Content coding of the response, such as gzip.
    #[arg(long, value_name = "CODING")]
    content_encoding: Option<String>,
    /// HTTP status of the response.
    #[arg(long, value_name = "STATUS", default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..600))]
    status: u16,
}

impl ResponseArgs {
    /// Reads the body; `-` is standard input.
    ///
    /// # Errors
    /// A message that names the file.
    pub fn read(&self, file: &Path) -> Result<SentResponse, String> {
        let mut body = Vec::new();
        let read = if file.as_os_str() == "-" {
            std::io::stdin().read_to_end(&mut body).map(|_| ())
        } else {
            std::fs::read(file).map(|read| body = read)
        };
        read.map_err(|error| format!("could not read `{}`: {error}", file.display()))?;
        let content_type = self.content_type.as_deref().unwrap_or_else(|| guessed(&body));
        let mut headers = vec![("content-type".to_owned(), content_type.into())];
        let coding = self.content_encoding.iter().map(|coding| ("content-encoding".to_owned(), coding.as_str().into()));
        headers.extend(coding);
        Ok(SentResponse { status: self.status, headers, body })
    }
}

/// The content type of a body that names none, by its first bytes.
fn guessed(body: &[u8]) -> &'static str {
    let body = body.trim_ascii_start();
    match body.first() {
        Some(b'{' | b'[') => "application/json",
        Some(_) if [&b"data:"[..], b"event:", b"id:", b":"].iter().any(|start| body.starts_with(start)) => {
            "text/event-stream"
        }
        Some(_) | None => "text/plain",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_follows_from_the_first_bytes() {
        for (body, expected) in [
            (" {\"a\": 1}", "application/json"),
            ("[1]", "application/json"),
            ("data: {}\n\n", "text/event-stream"),
            ("event: a\n", "text/event-stream"),
            (": comment\n", "text/event-stream"),
            ("database", "text/plain"),
            ("", "text/plain"),
        ] {
            assert_eq!(guessed(body.as_bytes()), expected, "{body}");
        }
    }
}
