//! Headers of a check: pseudo headers apart, names and values checked, doubtful repetitions refused.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest;

use super::{HEADER_BYTES_MAX, HEADERS_MAX, shown};
use crate::call::Headers;
use crate::call::headers::fold;
use crate::failure::{Code, Failure};

/// What Envoy adds where it attached a body; never the client's.
const PARTIAL_BODY: &str = "x-envoy-auth-partial-body";
/// Pseudo headers a request may have.
const PSEUDO: [&str; 5] = [":authority", ":method", ":path", ":protocol", ":scheme"];
/// Headers whose second occurrence would leave open which one the upstream believes.
const SINGLE: [&str; 7] = [
    "authorization",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-client-cert",
];
/// Those of them whose value may hold no comma when the proxy joined repetitions with one. XFCC separates
/// its elements by commas, `upgrade` and `transfer-encoding` are lists, and content-type may quote one.
const COMMA_FREE: [&str; 3] = ["authorization", "content-length", "host"];
/// Headers by which some frameworks replace the method after we judged it.
const METHOD_OVERRIDE: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];

/// The headers of a check, sorted out.
#[derive(Debug)]
pub(super) struct Read {
    /// All ordinary headers.
    pub headers: Headers,
    /// Pseudo headers by name, each at most once.
    pub pseudo: BTreeMap<&'static str, Vec<u8>>,
    /// What Envoy says about the body's completeness.
    pub partial_body: Option<Vec<u8>>,
}

/// Reads the raw list where there is one, else the joined map.
///
/// # Errors
/// [`Code::TooLarge`], [`Code::HeaderRefused`], [`Code::HeaderDuplicated`], [`Code::MethodOverride`] or, for
/// pseudo headers, [`Code::MalformedRequest`].
pub(super) fn read(http: &HttpRequest) -> Result<Read, Failure> {
    let (entries, joined) = entries(http)?;
    let bytes: usize = entries.iter().map(|(name, value)| name.len() + value.len()).sum();
    // The path may come beside the headers only, so it counts as well.
    if entries.len() > HEADERS_MAX || bytes.max(http.path.len()) > HEADER_BYTES_MAX {
        let detail = format!(
            "{} headers of {bytes} bytes are more than {HEADERS_MAX} or {HEADER_BYTES_MAX} bytes",
            entries.len()
        );
        return Err(Failure::new(Code::TooLarge, detail));
    }
    let mut ordinary = Vec::with_capacity(entries.len());
    let mut pseudo = BTreeMap::new();
    let mut partial_body = None;
    for (name, value) in entries {
        if name.starts_with(':') {
            let known = PSEUDO.into_iter().find(|known| *known == name).ok_or_else(|| {
                Failure::new(Code::MalformedRequest, format!("`{}` is not a pseudo header of requests", shown(name)))
            })?;
            if pseudo.insert(known, value.to_vec()).is_some() {
                return Err(Failure::new(Code::MalformedRequest, format!("pseudo header `{known}` occurs twice")));
            }
            continue;
        }
        check(name, value)?;
        if name != PARTIAL_BODY {
            ordinary.push((name.to_owned(), value.to_vec()));
        } else if partial_body.replace(value.to_vec()).is_some() {
            return Err(duplicated(PARTIAL_BODY));
        }
    }
    let headers = if joined { Headers::joined(ordinary) } else { Headers::raw(ordinary) };
    check_single(&headers)?;
    Ok(Read { headers, pseudo, partial_body })
}

/// The value of an ordinary header that occurs once, unchecked, where it is text.
pub(super) fn peek<'a>(http: &'a HttpRequest, name: &str) -> Option<&'a str> {
    let mut raw = http.header_map.iter().flat_map(|map| &map.headers).filter(|header| header.key == name);
    match (raw.next(), raw.next()) {
        (Some(header), None) if header.raw_value.is_empty() => Some(&header.value),
        (Some(header), None) => std::str::from_utf8(&header.raw_value).ok(),
        (Some(_), Some(_)) => None,
        (None, _) => http.headers.get(name).map(String::as_str),
    }
}

type Entry<'a> = (&'a str, &'a [u8]);

/// Names and values as sent, and whether the proxy joined repetitions.
fn entries(http: &HttpRequest) -> Result<(Vec<Entry<'_>>, bool), Failure> {
    let raw = http.header_map.as_ref().map_or(&[][..], |map| &map.headers);
    if raw.is_empty() {
        let mut entries: Vec<Entry<'_>> = http.headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        entries.sort_unstable();
        return Ok((entries, true));
    }
    let mut entries = Vec::with_capacity(raw.len());
    for header in raw {
        let value = match (header.raw_value.as_slice(), header.value.as_bytes()) {
            (raw, []) => raw,
            ([], text) => text,
            (raw, text) if raw == text => raw,
            _ => {
                let detail = format!("header `{}` has two values that differ", shown(&header.key));
                return Err(Failure::new(Code::MalformedRequest, detail));
            }
        };
        entries.push((header.key.as_str(), value));
    }
    Ok((entries, false))
}

fn check(name: &str, value: &[u8]) -> Result<(), Failure> {
    if name.is_empty() || !name.bytes().all(|byte| is_token(byte) && !byte.is_ascii_uppercase()) {
        return Err(Failure::new(
            Code::HeaderRefused,
            format!("header name `{}` is not a lower-case token", shown(name)),
        ));
    }
    if let Some(byte) = value.iter().find(|byte| byte.is_ascii_control() && **byte != b'\t') {
        let detail = format!("header `{}` holds the control character 0x{byte:02x}", shown(name));
        return Err(Failure::new(Code::HeaderRefused, detail));
    }
    // Servers that go by CGI's rules read `_` as `-`.
    if METHOD_OVERRIDE.contains(&fold(name).as_ref()) {
        return Err(Failure::new(Code::MethodOverride, format!("header `{name}` would replace the method")));
    }
    Ok(())
}

fn check_single(headers: &Headers) -> Result<(), Failure> {
    for name in SINGLE {
        let mut values = headers.all(name);
        let Some(first) = values.next() else { continue };
        let repeated = values.next().is_some();
        // Envoy joins two content types even where it sends raw headers, and no single one has such a comma.
        let joined = (headers.is_joined() && COMMA_FREE.contains(&name) && first.contains(&b','))
            || (name == "content-type" && comma_outside_quotes(first));
        if repeated || joined {
            return Err(duplicated(name));
        }
    }
    Ok(())
}

fn duplicated(name: &str) -> Failure {
    Failure::new(Code::HeaderDuplicated, format!("header `{name}` occurs more than once"))
}

fn comma_outside_quotes(value: &[u8]) -> bool {
    let mut quoted = false;
    let mut escaped = false;
    for byte in value {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return true,
            _ => {}
        }
    }
    // An open quote may have swallowed the comma between two values.
    quoted && value.contains(&b',')
}

/// Whether a byte may stand in a token (RFC 9110, section 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
