//! The headers of a check: pseudo headers separated, names and values validated, ambiguous repetitions rejected.

use std::collections::BTreeMap;

use super::check_view::{Header, Http};
use super::{HEADER_BYTES_MAX, HEADERS_MAX, shown};
use picket_core::call::Headers;
use picket_core::call::headers::fold;
use picket_core::failure::{Code, Failure};

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
pub(super) struct Read<'a> {
    /// All ordinary headers.
    pub headers: Headers,
    /// Pseudo headers, each at most once.
    pub pseudo: Pseudo<'a>,
    /// Envoy's report on the body's completeness.
    pub partial_body: Option<&'a [u8]>,
}

/// Pseudo headers, in the order of [`PSEUDO`].
#[derive(Debug, Default)]
pub(super) struct Pseudo<'a>([Option<&'a [u8]>; PSEUDO.len()]);

impl<'a> Pseudo<'a> {
    fn slot(&mut self, name: &str) -> Option<&mut Option<&'a [u8]>> {
        PSEUDO.iter().zip(&mut self.0).find_map(|(known, slot)| (*known == name).then_some(slot))
    }

    /// The value of one, as sent.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        PSEUDO.iter().zip(&self.0).find_map(|(known, slot)| (*known == name).then_some(*slot)?)
    }
}

/// Reads the raw list where there is one, else the joined map.
///
/// # Errors
/// [`Code::TooLarge`], [`Code::HeaderRefused`], [`Code::HeaderDuplicated`], [`Code::MethodOverride`] or, for
/// pseudo headers, [`Code::MalformedRequest`].
pub(super) fn read<'a>(http: &Http<'a>) -> Result<Read<'a>, Failure> {
    let joined = http.raw.is_empty();
    let mut entries = if joined { entries_of_map(http) } else { entries_of_list(http)? };
    let bytes: usize = entries.iter().map(|(name, value)| name.len() + value.len()).sum();
    // The path may come beside the headers only, so it counts as well.
    if entries.len() > HEADERS_MAX || bytes.max(http.path.len()) > HEADER_BYTES_MAX {
        let detail = format!(
            "{} headers of {bytes} bytes are more than {HEADERS_MAX} or {HEADER_BYTES_MAX} bytes",
            entries.len()
        );
        return Err(Failure::new(Code::TooLarge, detail));
    }
    let mut pseudo = Pseudo::default();
    let mut partial_body = None;
    for (name, value) in &entries {
        if name.starts_with(':') {
            let slot = pseudo.slot(name).ok_or_else(|| {
                Failure::new(Code::MalformedRequest, format!("`{}` is not a pseudo header of requests", shown(name)))
            })?;
            if slot.replace(value).is_some() {
                return Err(Failure::new(Code::MalformedRequest, format!("pseudo header `{name}` occurs twice")));
            }
            continue;
        }
        check(name, value)?;
        if *name == PARTIAL_BODY && partial_body.replace(*value).is_some() {
            return Err(duplicated(PARTIAL_BODY));
        }
    }
    entries.retain(|(name, _)| !name.starts_with(':') && *name != PARTIAL_BODY);
    let headers = if joined { Headers::joined(entries) } else { Headers::raw(entries) };
    check_single(&headers)?;
    Ok(Read { headers, pseudo, partial_body })
}

/// The value of an ordinary header that occurs once, unchecked, where it is text.
pub(super) fn peek<'a>(http: &Http<'a>, name: &str) -> Option<&'a str> {
    let mut raw = http.raw.iter().filter(|header| header.name == name);
    match (raw.next(), raw.next()) {
        (Some(header), None) if header.bytes.is_empty() => Some(header.text),
        (Some(header), None) => std::str::from_utf8(header.bytes).ok(),
        (Some(_), Some(_)) => None,
        (None, _) => http.joined.iter().rfind(|(known, _)| *known == name).map(|(_, value)| *value),
    }
}

/// A name and a value as sent.
type Entry<'a> = (&'a str, &'a [u8]);

/// Headers whose repetitions the proxy joined.
fn entries_of_map<'a>(http: &Http<'a>) -> Vec<Entry<'a>> {
    // In a map the last of equal names counts.
    let map: BTreeMap<&str, &str> = http.joined.iter().copied().collect();
    map.into_iter().map(|(name, value)| (name, value.as_bytes())).collect()
}

/// Headers as they came.
fn entries_of_list<'a>(http: &Http<'a>) -> Result<Vec<Entry<'a>>, Failure> {
    let entry = |header: &Header<'a>| {
        let Header { name, text, bytes } = *header;
        match (text.as_bytes(), bytes) {
            (text, bytes) if text.is_empty() || bytes == text => Ok((name, bytes)),
            (text, []) => Ok((name, text)),
            _ => {
                let detail = format!("header `{}` has two values that differ", shown(name));
                Err(Failure::new(Code::MalformedRequest, detail))
            }
        }
    };
    http.raw.iter().map(entry).collect()
}

fn check(name: &str, value: &[u8]) -> Result<(), Failure> {
    let is_lower_token = |byte: u8| LOWER_TOKEN.get(usize::from(byte)).copied().unwrap_or_default();
    if name.is_empty() || !name.bytes().all(is_lower_token) {
        return Err(Failure::new(
            Code::HeaderRefused,
            format!("header name `{}` is not a lower-case token", shown(name)),
        ));
    }
    let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    // All at once is quicker than one by one, and nearly no value has any.
    let has_control = value.iter().fold(false, |found, byte| found | is_control(byte));
    if let Some(byte) = value.iter().find(|byte| has_control && is_control(byte)) {
        let detail = format!("header `{}` holds the control character 0x{byte:02x}", shown(name));
        return Err(Failure::new(Code::HeaderRefused, detail));
    }
    // Servers that go by CGI's rules read `_` as `-`.
    if METHOD_OVERRIDE.iter().any(|known| known.len() == name.len() && fold(name) == *known) {
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
pub(super) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'_' | b'.' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'^' | b'`' | b'|' | b'~'
        )
}

/// Which bytes may stand in a token in lower case: every byte of every name is looked up.
const LOWER_TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut rest = table.as_mut_slice();
    let mut byte = 0_u8;
    while let Some((first, others)) = rest.split_first_mut() {
        *first = is_token(byte) && !byte.is_ascii_uppercase();
        rest = others;
        byte = byte.wrapping_add(1);
    }
    table
};
