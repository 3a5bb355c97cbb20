//! Small changes to checks, of their bytes and of their parts, by a seed.

use envoy_types::pb::envoy::config::core::v3::HeaderValue;
use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer};
use prost::Message as _;

/// Texts with a meaning for some reader.
const WORDS: &[&str] = &[
    "",
    "/",
    "//",
    "..",
    "%2e%2e",
    "%2f",
    "%5c",
    "%25",
    "%00",
    "\0",
    "\r\n",
    "\\",
    ";",
    "?",
    "#",
    "&",
    "=",
    "+",
    ",",
    "\"",
    "*",
    "@",
    ":",
    "é",
    "\u{202e}",
    "/v1/orders",
    "/healthz",
    "/admin/x",
    "/v1/refunds",
    "GET",
    "POST",
    "CONNECT",
    "OPTIONS",
    "shop/orders",
    "pay/billing",
    "shop/inventory",
    "web/storefront",
    "agents/tools",
    "spiffe://cluster.local/ns/web/sa/frontend",
    "spiffe://",
    "spiffe://other.example/ns/a/sa/b",
    "orders.shop",
    "service",
    "x-role",
    "admin",
    "x-caller",
    "x-picket-x",
    "authorization",
    "Bearer a.b.c",
    "x-forwarded-client-cert",
    "By=;URI=",
    "content-type",
    "application/grpc",
    "content-length",
    "0",
    "99999999999999999999",
    "-1",
    "upgrade",
    "websocket",
    "origin",
    "access-control-request-method",
    "x-envoy-auth-partial-body",
    "false",
    "host",
    ":path",
    ":authority",
    ":protocol",
    "x-http-method-override",
    "transfer-encoding",
    "chunked",
];

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same on every machine.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is above 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.bits() % u64::try_from(end).unwrap()).unwrap()
    }

    fn word(&mut self) -> String {
        WORDS[self.below(WORDS.len())].to_owned()
    }
}

/// Makes inputs from others.
pub struct Mutator {
    random: Random,
    bytes_max: usize,
}

impl Mutator {
    pub fn new(random: Random, bytes_max: usize) -> Self {
        Self { random, bytes_max }
    }

    /// The next input, from one of the pool's.
    pub fn next(&mut self, pool: &[Vec<u8>]) -> Vec<u8> {
        let mut input = pool[self.random.below(pool.len())].clone();
        for _ in 0..=self.random.below(4) {
            input = match CheckRequest::decode(input.as_slice()) {
                Ok(request) if self.random.below(4) > 0 => self.parts(request, pool).encode_to_vec(),
                Ok(_) | Err(_) => self.bytes(input),
            };
        }
        input.truncate(self.bytes_max);
        input
    }

    /// The next input, changed without knowing what its bytes mean; sometimes a wholly new one.
    pub fn blind(&mut self, pool: &[Vec<u8>]) -> Vec<u8> {
        if pool.is_empty() || self.random.below(3) == 0 {
            return (0..32 + self.random.below(128)).map(|_| self.random.bits().to_le_bytes()[0]).collect();
        }
        let mut input = pool[self.random.below(pool.len())].clone();
        for _ in 0..=self.random.below(8) {
            input = self.bytes(input);
        }
        input.truncate(self.bytes_max);
        input
    }

    /// Changes bytes, blind to what they mean.
    fn bytes(&mut self, mut input: Vec<u8>) -> Vec<u8> {
        let at = self.random.below(input.len() + 1);
        match self.random.below(5) {
            0 if at < input.len() => input[at] ^= 1 << self.random.below(8),
            1 if at < input.len() => input[at] = self.random.bits().to_le_bytes()[0],
            2 if at < input.len() => drop(input.remove(at)),
            3 => input.truncate(at),
            _ => input.insert(at, self.random.bits().to_le_bytes()[0]),
        }
        input
    }

    /// Changes one part of a check.
    fn parts(&mut self, mut request: CheckRequest, pool: &[Vec<u8>]) -> CheckRequest {
        let attributes = request.attributes.get_or_insert_default();
        match self.random.below(10) {
            0 => {
                let id = self.random.word();
                attributes.context_extensions.insert("service".to_owned(), id);
            }
            1 => {
                let peer = attributes.source.get_or_insert_with(Peer::default);
                peer.principal = self.text(&peer.principal);
            }
            2 => {
                let other = &pool[self.random.below(pool.len())];
                let other = CheckRequest::decode(other.as_slice()).ok().and_then(|other| other.attributes);
                if let Some(other) = other {
                    (attributes.metadata_context, attributes.source) = (other.metadata_context, other.source);
                }
            }
            3 => attributes.metadata_context = None,
            _ => {
                let http = attributes.request.get_or_insert_default().http.get_or_insert_default();
                self.http(http);
            }
        }
        request
    }

    fn http(&mut self, http: &mut HttpRequest) {
        match self.random.below(9) {
            0 => self.line(http, ":method"),
            1..=3 => self.line(http, ":path"),
            4 => self.line(http, ":authority"),
            5 => {
                // From raw headers to joined ones, and back.
                match http.header_map.take() {
                    Some(map) => http.headers.extend(
                        map.headers
                            .into_iter()
                            .map(|header| (header.key, String::from_utf8_lossy(&header.raw_value).into_owned())),
                    ),
                    None => http.header_map = Some(Default::default()),
                }
            }
            6 => http.raw_body = self.random.word().into_bytes(),
            _ => self.header(http),
        }
    }

    /// Changes a part of the request line, mostly in both places where the proxy names it.
    fn line(&mut self, http: &mut HttpRequest, name: &str) {
        let field = match name {
            ":method" => &mut http.method,
            ":path" => &mut http.path,
            _ => &mut http.host,
        };
        *field = self.text(&field.clone());
        let text = field.clone();
        if self.random.below(8) > 0 {
            let headers = http.header_map.iter_mut().flat_map(|map| &mut map.headers);
            headers.filter(|header| header.key == name).for_each(|header| header.raw_value = text.clone().into_bytes());
            if let Some(value) = http.headers.get_mut(name) {
                *value = text;
            }
        }
    }

    fn header(&mut self, http: &mut HttpRequest) {
        let (key, value) = (self.random.word(), self.random.word());
        let Some(map) = &mut http.header_map else {
            http.headers.insert(key, value);
            return;
        };
        let at = self.random.below(map.headers.len() + 1);
        match (self.random.below(4), map.headers.get_mut(at)) {
            (0, Some(_)) => drop(map.headers.remove(at)),
            (1, Some(header)) => header.raw_value = value.into_bytes(),
            _ => map.headers.insert(at, HeaderValue { key, raw_value: value.into_bytes(), ..HeaderValue::default() }),
        }
    }

    /// Another text: a word, or the old one with a word in it.
    fn text(&mut self, old: &str) -> String {
        let word = self.random.word();
        let at = self.random.below(old.chars().count() + 1);
        let (head, tail): (String, String) = (old.chars().take(at).collect(), old.chars().skip(at).collect());
        match self.random.below(4) {
            0 => word,
            1 => head,
            2 => format!("{head}{word}{tail}"),
            _ => format!("{head}{word}{}", tail.chars().skip(1).collect::<String>()),
        }
    }
}
