//! Requests drawn by a seed: near to lawful ones, with the spellings, framings and credentials that servers read differently.

use std::io::Write as _;

use crate::fuzz::mutate::Random;

use super::scene::{LISTENERS, SIZE_MAX, Tokens};

/// How a request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Http1,
    Http2,
}

impl Wire {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// How a body is delimited in HTTP/1.1; HTTP/2 needs neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length,
    Chunked,
    /// Nothing announces it; in HTTP/1.1 such a request has no body.
    Unannounced,
}

/// One request.
pub struct Drawn {
    pub listener: &'static str,
    pub wire: Wire,
    pub method: &'static str,
    pub target: String,
    pub body: Vec<u8>,
    headers: Vec<(String, String)>,
    framing: Framing,
    number: u64,
}

impl Drawn {
    /// Its headers, with those that frame its body.
    pub fn all_headers(&self) -> Vec<(String, String)> {
        let mut all = vec![("x-case".to_owned(), self.number.to_string())];
        all.extend(self.headers.iter().cloned());
        match self.framing {
            Framing::Length => all.push(("content-length".to_owned(), self.body.len().to_string())),
            Framing::Chunked => all.push(("transfer-encoding".to_owned(), "chunked".to_owned())),
            Framing::Unannounced => {}
        }
        all
    }

    /// The request as HTTP/1.1.
    pub fn bytes(&self) -> Vec<u8> {
        let lines: String = self.all_headers().iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!(
            "{} {} HTTP/1.1\r\nhost: edge.example\r\nconnection: close\r\n{lines}\r\n",
            self.method, self.target
        );
        let mut bytes = head.into_bytes();
        match self.framing {
            Framing::Length => bytes.extend_from_slice(&self.body),
            Framing::Chunked => {
                for chunk in self.body.chunks(50) {
                    write!(bytes, "{:x}\r\n", chunk.len()).unwrap();
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
            Framing::Unannounced => {}
        }
        bytes
    }

    /// The request for people.
    pub fn shown(&self) -> String {
        let lines: String = self.all_headers().iter().map(|(name, value)| format!("    {name}: {value}\n")).collect();
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(200)]).escape_debug().to_string();
        format!("    {} {}\n{lines}    {} bytes: {body}", self.method, self.target.escape_debug(), self.body.len())
    }
}

fn pick<T: Copy>(random: &mut Random, of: &[T]) -> T {
    of[random.below(of.len())]
}

fn one_in(random: &mut Random, odds: usize) -> bool {
    random.below(odds) == 0
}

/// Draws the request of this number.
pub fn request(random: &mut Random, number: u64, tokens: &Tokens) -> Drawn {
    let listener = pick(random, &LISTENERS);
    let wire = pick(random, &[Wire::Http1, Wire::Http1, Wire::Http2]);
    let method = pick(
        random,
        &["GET", "GET", "HEAD", "OPTIONS", "POST", "POST", "PUT", "PATCH", "DELETE", "QUERY", "PROPFIND", "get"],
    );
    let framing = match wire {
        Wire::Http1 => pick(random, &[Framing::Length, Framing::Chunked]),
        Wire::Http2 => pick(random, &[Framing::Length, Framing::Unannounced]),
    };
    let mut drawn = Drawn {
        listener,
        wire,
        method,
        target: "/x".to_owned(),
        body: Vec::new(),
        headers: Vec::new(),
        framing,
        number,
    };
    match listener {
        "plain" | "plain-as-sent" => plain(random, &mut drawn),
        "sized" | "sized-cut" | "sized-unsent" => sized(random, &mut drawn),
        "json" => json(random, &mut drawn),
        _ => credentials(random, &mut drawn, tokens),
    }
    // Where the filter sends no body, only a body that is declared empty passes.
    let declared_odds = if listener == "sized-unsent" { 1 } else { 4 };
    if drawn.body.is_empty() && !one_in(random, declared_odds) {
        drawn.framing = Framing::Unannounced;
    }
    drawn
}

/// Paths, query keys and headers.
fn plain(random: &mut Random, drawn: &mut Drawn) {
    drawn.target = path(random);
    let pairs = random.below(4);
    for number in 0..pairs {
        drawn.target.push(if number == 0 { '?' } else { '&' });
        let key = pick(random, &["role", "tenant", "debug", "page"]);
        let value = pick(random, &["admin", "user", "evil", "1", ""]);
        let separator = if one_in(random, 30) { ";" } else { "" };
        drawn.target.push_str(&format!("{}={}{separator}", spelt_key(random, key), escaped(random, value)));
    }
    for _ in 0..random.below(3) {
        let name = pick(random, &["x-debug", "x_debug", "X-Debug", "x-caller", "x_caller", "X_Caller", "x-page"]);
        drawn.headers.push((name.to_owned(), pick(random, &["1", "root", ""]).to_owned()));
    }
}

fn path(random: &mut Random) -> String {
    const ODD: [&str; 22] = [
        "..",
        ".",
        "",
        "%2e%2e",
        "%252e%252e",
        "%25%32%65%25%32%65",
        "%c0%ae%c0%ae",
        "%e0%80%ae%e0%80%ae",
        "%ef%bc%8e%ef%bc%8e",
        "..;",
        "..%00",
        "%2e%2e%2fsecret",
        "..%5csecret",
        "..\\secret",
        "x%2f..%2f..%2fsecret",
        "x%252f..%252f..%252fsecret",
        "x%c0%af..%c0%afsecret",
        "%252e%252e%252fsecret",
        "..%25%32%66secret",
        "secret;x",
        "secret%3bx",
        "x%25%35%63..",
    ];
    let mut path = String::new();
    for _ in 0..=random.below(4) {
        path.push('/');
        match random.below(5) {
            0 => path.push_str(pick(random, &ODD)),
            _ => {
                let word = pick(random, &["public", "secret", "terms", "terms", "a"]);
                path.push_str(&if one_in(random, 3) { escaped(random, word) } else { word.to_owned() });
            }
        }
    }
    if one_in(random, 6) {
        path.push('/');
    }
    path
}

/// The text with some letters as escapes, a few of them escaped again.
fn escaped(random: &mut Random, text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match random.below(12) {
            0 => out.push_str(&format!("%{byte:02x}")),
            1 if one_in(random, 3) => out.push_str(&format!("%25{byte:02x}")),
            2 if one_in(random, 5) => {
                let hex = format!("{byte:02x}");
                out.push_str(&hex.bytes().fold("%25".to_owned(), |out, digit| format!("{out}%{digit:02x}")));
            }
            _ => out.push(char::from(byte)),
        }
    }
    out
}

/// A key as some server reads it, though it is spelt otherwise.
fn spelt_key(random: &mut Random, key: &str) -> String {
    let key = escaped(random, key);
    match random.below(16) {
        0 => key.to_uppercase(),
        1 => format!("{}{}", key[..1].to_uppercase(), &key[1..]),
        2 => format!("{key}[]"),
        3 => format!("{key}[0]"),
        4 => format!("+{key}"),
        5 => format!("{key}+"),
        6 => format!("%20{key}"),
        7 => format!("{key}%5b%5d"),
        8 => format!("{key}."),
        9 => format!("{key}%00"),
        10 => format!("?{key}"),
        11 => format!("amp;{key}"),
        _ => key,
    }
}

/// Bodies around the size that policies allow, and around what the filter sends.
fn sized(random: &mut Random, drawn: &mut Drawn) {
    let length = pick(random, &[0, 1, SIZE_MAX - 1, SIZE_MAX, SIZE_MAX + 1, 100, 255, 256, 257, 300, 5000, 70_000]);
    // Else some two of this listener's 330 requests in a run of 3,000 pass, and some runs have none.
    let is_empty = drawn.listener == "sized-unsent" && one_in(random, 2);
    drawn.body = vec![b'a'; if is_empty { 0 } else { length }];
    encode(random, drawn);
    if one_in(random, 4) {
        drawn.headers.push(("content-type".to_owned(), "text/plain".to_owned()));
    }
}

fn encode(random: &mut Random, drawn: &mut Drawn) {
    match random.below(10) {
        0 => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(&drawn.body).unwrap();
            drawn.body = encoder.finish().unwrap();
            drawn.headers.push((pick(random, &["content-encoding", "Content-Encoding"]).to_owned(), "gzip".to_owned()));
        }
        1 => drawn.headers.push(("content-encoding".to_owned(), pick(random, &["identity", "br", ""]).to_owned())),
        _ => {}
    }
}

/// JSON documents with an index that must not be the payroll.
fn json(random: &mut Random, drawn: &mut Drawn) {
    let mut members = Vec::new();
    for _ in 0..=random.below(2) {
        // Only what a server may take for the index is the payroll.
        members.push(if one_in(random, 3) {
            format!("\"{}\":\"catalog\"", pick(random, &["note", "/index", "index ", "index/"]))
        } else {
            let key = pick(random, &["index", "index", "Index", "\\u0069ndex", "inde\\u0078", "INDEX"]);
            let value = pick(random, &["\"catalog\"", "\"catalog\"", "\"payroll\"", "\"pay\\u0072oll\"", "null", "1"]);
            format!("\"{key}\":{value}")
        });
    }
    let document = format!("{{{}}}", members.join(","));
    let document = match random.below(13) {
        0 => format!("\u{feff}{document}"),
        1 => format!("{document}\n{document}"),
        3 => "index=payroll".to_owned(),
        4 => format!("{}{document}", " ".repeat(300)),
        5 => String::new(),
        _ => document,
    };
    drawn.body = document.into_bytes();
    encode(random, drawn);
    let types: &[&str] = pick(
        random,
        &[
            &["application/json"],
            &["application/json"],
            &["application/json"],
            &["Application/JSON; charset=utf-8"],
            &["text/plain"],
            &["application/json", "text/plain"],
            &["application/x-www-form-urlencoded"],
            &[],
        ],
    );
    drawn.headers.extend(types.iter().map(|value| ("content-type".to_owned(), (*value).to_owned())));
}

/// One to three credentials, in places where servers look for them.
fn credentials(random: &mut Random, drawn: &mut Drawn, tokens: &Tokens) {
    let mut form = Vec::new();
    for number in 0..=random.below(3) {
        // The first is often the good one at the listener's own place.
        let good = number == 0 && !one_in(random, 4);
        let all: [&str; 6] =
            [&tokens.alice, &tokens.alice_again, &tokens.bob, &tokens.bound, &tokens.unsigned, &tokens.foreign];
        let token = if good { all[0] } else { pick(random, &all) };
        let place = match (good, drawn.listener) {
            (true, "tokens-by-header") => 1,
            (true, "tokens-by-cookie") => 2,
            (true, _) => 0,
            (false, _) => random.below(5),
        };
        let header = |name: &str, value: String| (name.to_owned(), value);
        match place {
            0 => {
                let scheme = pick(random, &["Bearer", "Bearer", "bearer", "BEARER"]);
                drawn.headers.push(header("authorization", format!("{scheme} {token}")));
            }
            1 => drawn.headers.push(header("x-token", token.to_owned())),
            2 => drawn.headers.push(header("cookie", format!("a=b; session={token}"))),
            3 => {
                let separator = if drawn.target.contains('?') { '&' } else { '?' };
                let key = spelt_key(random, "access_token");
                drawn.target.push_str(&format!("{separator}{key}={token}"));
            }
            _ => form.push(format!("{}={token}", spelt_key(random, "access_token"))),
        }
    }
    if !form.is_empty() {
        drawn.body = form.join("&").into_bytes();
        let content_type = pick(
            random,
            &[
                "application/x-www-form-urlencoded",
                "application/x-www-form-urlencoded; charset=utf-8",
                "Application/X-WWW-Form-Urlencoded",
            ],
        );
        drawn.headers.push(("content-type".to_owned(), content_type.to_owned()));
    }
}
