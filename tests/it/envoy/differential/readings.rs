//! Readings that servers may have of a request that arrived. Nothing of Picket is used here: each reader is written for
//! this test.

use std::collections::BTreeSet;
use std::io::Read as _;

use base64::Engine as _;
use serde_json::Value;

use super::scene::SIZE_MAX;

/// A request as its bytes say.
struct Arrived {
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Parts of an allowed request that some server reads as forbidden, or as lacking a value that a policy sets: the kind,
/// and why.
pub fn evasions(listener: &str, bytes: &[u8]) -> Vec<(&'static str, String)> {
    let arrived = read(bytes);
    match listener {
        "plain" | "plain-as-sent" => [paths(&arrived), query(&arrived), headers(&arrived)].concat(),
        "sized" | "sized-cut" | "sized-unsent" => size(&arrived),
        "json" => payroll(&arrived),
        _ => credentials(listener, &arrived),
    }
}

fn read(bytes: &[u8]) -> Arrived {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(bytes.len());
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let target = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let rest = bytes.get(end + 4..).unwrap_or_default();
    let is_chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value.contains("chunked"));
    let body = if is_chunked { dechunked(rest) } else { rest.to_vec() };
    Arrived { target, headers, body }
}

fn dechunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(line) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = String::from_utf8_lossy(&rest[..line]).into_owned();
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).unwrap_or(0);
        let begin = line + 2;
        let end = (begin + size).min(rest.len());
        body.extend_from_slice(&rest[begin..end]);
        rest = rest.get(end + 2..).unwrap_or_default();
        if size == 0 {
            break;
        }
    }
    body
}

/// One round of decoding, as bytes; invalid escapes stay.
fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let hex = text.get(at + 1..at + 3).and_then(|pair| str::from_utf8(pair).ok());
        match (text[at], hex.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// Results of lenient decoders for overlong dots, slashes and backslashes, and for their wide forms.
fn lenient(text: &[u8]) -> Vec<u8> {
    const FOLDS: [(&[u8], u8); 9] = [
        (b"\xc0\xae", b'.'),
        (b"\xe0\x80\xae", b'.'),
        (b"\xef\xbc\x8e", b'.'),
        (b"\xc0\xaf", b'/'),
        (b"\xe0\x80\xaf", b'/'),
        (b"\xef\xbc\x8f", b'/'),
        (b"\xc1\x9c", b'\\'),
        (b"\xe0\x81\x9c", b'\\'),
        (b"\xef\xbc\xbc", b'\\'),
    ];
    let mut out = Vec::new();
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        match FOLDS.iter().find(|(long, _)| rest.starts_with(long)) {
            Some((long, short)) => {
                out.push(*short);
                rest = &rest[long.len()..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

/// The path's segments after dots are resolved, as one kind of server does it.
fn resolved(path: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(path).replace('\\', "/");
    let mut segments: Vec<String> = Vec::new();
    for segment in text.split('/') {
        // Parameters behind `;`, and the text after a NUL, do not belong to the name.
        let name = segment.split([';', '\0']).next().unwrap_or_default();
        match name {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name.to_owned()),
        }
    }
    segments
}

/// Every reading of the path.
fn path_readings(target: &str) -> BTreeSet<Vec<String>> {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let mut readings = BTreeSet::new();
    let mut text = path.as_bytes().to_vec();
    for _ in 0..4 {
        readings.insert(resolved(&text));
        readings.insert(resolved(&lenient(&text)));
        text = decode(&text);
    }
    readings
}

fn paths(arrived: &Arrived) -> Vec<(&'static str, String)> {
    let secret =
        path_readings(&arrived.target).into_iter().find(|path| path.first().is_some_and(|name| name == "secret"));
    secret.map(|path| ("path", format!("`{}` is {path:?}", arrived.target))).into_iter().collect()
}

/// The names under which servers know a query key.
fn key_readings(key: &[u8]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut text = key.to_vec();
    for _ in 0..3 {
        let plain = String::from_utf8_lossy(&text).replace('+', " ");
        let cut = plain.split(['[', '\0']).next().unwrap_or_default().to_owned();
        for name in [plain, cut] {
            let name = name.trim().trim_end_matches('.').to_lowercase();
            names.insert(name.replace(['-', '.', ' '], "_"));
            names.insert(name);
        }
        text = decode(&text);
    }
    names
}

fn value_readings(value: &[u8]) -> BTreeSet<String> {
    let rounds = std::iter::successors(Some(value.to_vec()), |text| Some(decode(text))).take(3);
    rounds.map(|text| String::from_utf8_lossy(&text).replace('+', " ")).collect()
}

/// Every pair of a query or a form, by all separators that servers take; names and values in all their readings.
fn pairs(text: &[u8]) -> Vec<(BTreeSet<String>, BTreeSet<String>)> {
    let text = String::from_utf8_lossy(text).replace("&amp;", "&");
    let pairs = text.split(['&', ';']).filter(|pair| !pair.is_empty());
    let split = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    split.map(|(key, value)| (key_readings(key.as_bytes()), value_readings(value.as_bytes()))).collect()
}

fn query_text(target: &str) -> &str {
    target.split_once('?').map_or("", |(_, query)| query)
}

fn query(arrived: &Arrived) -> Vec<(&'static str, String)> {
    let pairs = pairs(query_text(&arrived.target).as_bytes());
    let of =
        |name: &str| pairs.iter().filter(|(keys, _)| keys.contains(name)).map(|(_, values)| values).collect::<Vec<_>>();
    let mut found = Vec::new();
    if of("role").iter().any(|values| values.contains("admin")) {
        found.push(("query key that is read", arrived.target.clone()));
    }
    let has_terms = path_readings(&arrived.target).iter().all(|path| path.first().is_some_and(|name| name == "terms"));
    let tenants = of("tenant");
    let acme = BTreeSet::from(["acme".to_owned()]);
    if tenants.iter().any(|values| **values != acme) || (has_terms && tenants.len() != 1) {
        found.push(("query key that is set", arrived.target.clone()));
    }
    if !of("debug").is_empty() {
        found.push(("query key that is removed", arrived.target.clone()));
    }
    found
}

fn headers(arrived: &Arrived) -> Vec<(&'static str, String)> {
    let of = |name: &str| {
        let same = arrived.headers.iter().filter(|(sent, _)| sent.replace('_', "-") == name);
        same.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    if !of("x-debug").is_empty() {
        found.push(("header that is removed", format!("{:?}", arrived.headers)));
    }
    if of("x-caller").iter().any(|value| value != "unauthenticated") {
        found.push(("header that is set", format!("{:?}", arrived.headers)));
    }
    found
}

/// The body as it came, and inflated where it can be.
fn body_readings(body: &[u8]) -> Vec<Vec<u8>> {
    let mut inflated = Vec::new();
    let is_gzip = flate2::read::MultiGzDecoder::new(body).read_to_end(&mut inflated).is_ok();
    if is_gzip { vec![body.to_vec(), inflated] } else { vec![body.to_vec()] }
}

fn size(arrived: &Arrived) -> Vec<(&'static str, String)> {
    let longest = body_readings(&arrived.body).iter().map(Vec::len).max().unwrap_or_default();
    if longest > SIZE_MAX { vec![("size of a body", format!("{longest} bytes"))] } else { Vec::new() }
}

fn payroll(arrived: &Arrived) -> Vec<(&'static str, String)> {
    let plain = |body: Vec<u8>| String::from_utf8_lossy(&body).replace("\\u0072", "r");
    let found = body_readings(&arrived.body).into_iter().map(plain).find(|text| text.contains("payroll"));
    found.map(|text| ("argument", text)).into_iter().collect()
}

/// The subject of a token, without a check of its signature; `None` if the text is not a token. A bound token has no
/// subject.
fn subject(token: &str) -> Option<String> {
    let payload = token.trim().split('.').nth(1)?;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: Value = serde_json::from_slice(&bytes).ok()?;
    if claims.get("cnf").is_some() {
        return Some("somebody with another certificate".to_owned());
    }
    claims.get("sub")?.as_str().map(str::to_owned)
}

/// Every token that the service behind this listener may read.
fn presented(listener: &str, arrived: &Arrived) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in &arrived.headers {
        match name.as_str() {
            "authorization" => {
                let values = value.split(',').map(|one| one.trim().split_once(' ').map_or(one, |(_, token)| token));
                found.extend(values.map(str::to_owned));
            }
            "x-token" if listener == "tokens-by-header" => found.extend(value.split(',').map(str::to_owned)),
            "cookie" if listener == "tokens-by-cookie" => {
                let cookies = value.split([';', ',']).filter_map(|one| one.trim().split_once('='));
                found.extend(cookies.filter(|(name, _)| *name == "session").map(|(_, token)| token.to_owned()));
            }
            _ => {}
        }
    }
    for text in [query_text(&arrived.target).as_bytes(), &arrived.body] {
        let pairs = pairs(text).into_iter().filter(|(keys, _)| keys.contains("access_token"));
        found.extend(pairs.flat_map(|(_, values)| values));
    }
    found
}

fn credentials(listener: &str, arrived: &Arrived) -> Vec<(&'static str, String)> {
    let users: Vec<&str> =
        arrived.headers.iter().filter(|(name, _)| name == "x-user").map(|(_, value)| value.as_str()).collect();
    let [user] = users.as_slice() else { return vec![("credential", format!("judged as {users:?}"))] };
    let other = presented(listener, arrived).iter().filter_map(|token| subject(token)).find(|subject| subject != user);
    other.map(|other| ("credential", format!("judged as {user}, and a token says {other}"))).into_iter().collect()
}
