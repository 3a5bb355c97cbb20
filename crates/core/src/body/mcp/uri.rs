//! Canonical URIs of MCP resources.
//!
//! Knows: RFC 3986. Must not know: what any scheme means to its server.
//!
//! Policies speak of a resource by the prefixes of its URI, so a URI that another reader could turn into another one is
//! refused: nothing is decoded, resolved or lowered here. The only freedom is one slash at the end.

use crate::call::{Host, alike};

/// Longest URI in bytes.
const BYTES_MAX: usize = 2048;
/// Most segments; each is an ancestor in every decision.
const SEGMENTS_MAX: usize = 32;
/// Schemes whose authority every URL library rewrites.
const SPECIAL: &[(&str, Option<u16>)] = &[
    ("http", Some(80)),
    ("https", Some(443)),
    ("ws", Some(80)),
    ("wss", Some(443)),
    ("ftp", Some(21)),
    ("file", None),
];

/// Why a URI has no single canonical spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UriProblem {
    /// More than 2048 bytes.
    #[error("the URI is longer than {BYTES_MAX} bytes")]
    TooLong,
    /// No scheme in lower case, or nothing after it.
    #[error("the URI has no scheme in lower case followed by something")]
    NoScheme,
    /// `/` after the scheme's colon, but not two.
    #[error("the URI has one slash after its scheme; it must be `scheme://` or no slash at all")]
    OneSlash,
    /// User, upper case or a needless port in the authority.
    #[error("the URI's authority is not in its canonical spelling, or names a user")]
    Authority,
    /// `.` or `..`.
    #[error("the URI has a dot segment")]
    DotSegment,
    /// `//`.
    #[error("the URI has an empty segment")]
    EmptySegment,
    /// More than 32 segments.
    #[error("the URI has more than {SEGMENTS_MAX} segments")]
    TooDeep,
    /// A character that a URI does not have, or a separator that servers read differently.
    #[error("the URI has a character at byte {0} that it must not have")]
    Character(usize),
    /// An escape that is broken, needless, in lower case, or of a separator, a control or a second escape.
    #[error("the URI has an escape at byte {0} that it must not have")]
    Escape(usize),
}

/// The canonical spelling of `uri`: itself, without one slash at its end.
///
/// ```
/// use picket_core::body::mcp::uri;
///
/// assert_eq!(uri::canonical("ticket://4711/").unwrap(), "ticket://4711");
/// assert!(uri::canonical("ticket://4711/../4712").is_err());
/// ```
///
/// # Errors
/// [`UriProblem`] for everything that two readers could take for different resources.
pub fn canonical(uri: &str) -> Result<String, UriProblem> {
    if uri.len() > BYTES_MAX {
        return Err(UriProblem::TooLong);
    }
    let (scheme, rest) = uri.split_once(':').ok_or(UriProblem::NoScheme)?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+.-".contains(&b));
    if !is_scheme || rest.is_empty() {
        return Err(UriProblem::NoScheme);
    }
    characters(uri, scheme.len() + 1)?;
    let (place, query) = match rest.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (rest, None),
    };
    // Not a path to RFC 3986, but to a server that cuts the scheme off and opens the rest.
    if query.is_some_and(|query| query.split('/').any(|segment| matches!(segment, "." | ".."))) {
        return Err(UriProblem::DotSegment);
    }
    let kept = match place.strip_prefix("//") {
        Some(after) => {
            let (host, path) = match after.split_once('/') {
                Some((host, path)) => (host, Some(path)),
                None => (after, None),
            };
            if host.is_empty() && path.is_none() {
                return Err(UriProblem::NoScheme);
            }
            authority(scheme, host)?;
            path.map_or(Ok(place), |path| segments(place, path, query, host))?
        }
        None if place.starts_with('/') => return Err(UriProblem::OneSlash),
        None => {
            // `urn:a:b`: no authority, but slashes still part what is before and after them.
            let (first, path) = match place.split_once('/') {
                Some((first, path)) => (first, Some(path)),
                None => (place, None),
            };
            if first.is_empty() || matches!(first, "." | "..") {
                return Err(UriProblem::DotSegment);
            }
            path.map_or(Ok(place), |path| segments(place, path, query, first))?
        }
    };
    Ok(match query {
        Some(query) => format!("{scheme}:{kept}?{query}"),
        None => format!("{scheme}:{kept}"),
    })
}

/// Checks the segments of `path`, which ends `place`; gives `place` without a slash at its end.
fn segments<'a>(place: &'a str, path: &str, query: Option<&str>, first: &str) -> Result<&'a str, UriProblem> {
    if path.is_empty() {
        return match (query, first) {
            // `file:///`: without its slash it would be the beginning of everything.
            (None, "") => Ok(place),
            (None, _) => Ok(place.strip_suffix('/').unwrap_or(place)),
            // `x://a/?q` and `x://a?q` would be two spellings of one.
            (Some(_), _) => Err(UriProblem::EmptySegment),
        };
    }
    let inside = match (path.strip_suffix('/'), query) {
        (Some(_), Some(_)) => return Err(UriProblem::EmptySegment),
        (Some(inside), None) => inside,
        (None, _) => path,
    };
    for (number, segment) in inside.split('/').enumerate() {
        match segment {
            _ if number >= SEGMENTS_MAX => return Err(UriProblem::TooDeep),
            "" => return Err(UriProblem::EmptySegment),
            "." | ".." => return Err(UriProblem::DotSegment),
            _ => {}
        }
    }
    Ok(place.strip_suffix('/').unwrap_or(place))
}

/// Checks the authority. Schemes that nobody knows keep theirs as it is: it is a name of the server's own.
fn authority(scheme: &str, host: &str) -> Result<(), UriProblem> {
    if host.contains(['@', '%']) || matches!(host, "." | "..") {
        return Err(UriProblem::Authority);
    }
    let Some((_, default_port)) = SPECIAL.iter().find(|(special, _)| *special == scheme) else {
        return if host.ends_with(':') { Err(UriProblem::Authority) } else { Ok(()) };
    };
    if scheme == "file" {
        return if host.is_empty() { Ok(()) } else { Err(UriProblem::Authority) };
    }
    let parsed = Host::parse(host).map_err(|_| UriProblem::Authority)?;
    let spelled = match parsed.port() {
        Some(port) => format!("{}:{port}", parsed.name()),
        None => parsed.name().to_owned(),
    };
    // A last label that begins with a digit makes an address of the name to some libraries: `0x7f.1`.
    let is_address =
        parsed.name().rsplit('.').next().is_some_and(|label| label.starts_with(|c: char| c.is_ascii_digit()));
    let is_canonical_address = parsed.name().parse::<std::net::Ipv4Addr>().is_ok();
    let is_rewritten = spelled != host || parsed.port() == *default_port || (is_address && !is_canonical_address);
    if is_rewritten { Err(UriProblem::Authority) } else { Ok(()) }
}

/// Checks every character and escape behind the scheme, which ends before `from`.
fn characters(uri: &str, from: usize) -> Result<(), UriProblem> {
    let mut decoded = Vec::new();
    let mut place = Place::Path;
    let mut rest = uri.as_bytes().get(from..).unwrap_or_default();
    while let [first, tail @ ..] = rest {
        let at = uri.len() - rest.len();
        rest = tail;
        match first {
            b'%' => {
                let [high, low, tail @ ..] = rest else { return Err(UriProblem::Escape(at)) };
                decoded.push(escaped(*high, *low, place).ok_or(UriProblem::Escape(at))?);
                rest = tail;
            }
            b'/' | b'?' => {
                place = if *first == b'?' { Place::Query } else { place };
                decoded.push(*first);
            }
            _ if is_unreserved(*first) || is_delimiter(*first) => decoded.push(*first),
            _ => return Err(UriProblem::Character(at)),
        }
    }
    // Escapes that are not UTF-8 are replaced by some readers and refused by others. What is left is decoded to its end,
    // whatever its characters are escaped by.
    let is_second =
        |text: &str| (0..text.len()).any(|at| text.as_bytes().get(at..).is_some_and(alike::begins_with_escape));
    match std::str::from_utf8(&decoded) {
        Ok(text) if text.chars().any(|c| c.is_control() || alike::hides_separator(c)) => Err(UriProblem::Escape(from)),
        Ok(text) if is_second(text) || (!text.is_ascii() && is_second(&alike::compatible(text))) => {
            Err(UriProblem::Escape(from))
        }
        Ok(_) => Ok(()),
        Err(_) => Err(UriProblem::Escape(from)),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Path,
    Query,
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Legal in a segment as it is; without `;`, which some servers cut segments at.
fn is_delimiter(byte: u8) -> bool {
    b"!$&'()*+,=:@".contains(&byte)
}

/// The byte of an escape that has to be one; `None` for those that are a second spelling or hide something.
fn escaped(high: u8, low: u8, place: Place) -> Option<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    let byte = digit(high)? * 16 + digit(low)?;
    // In a query `&`, `=` and `+` part the values that hold them, so there the escape is another thing.
    let is_needless = is_unreserved(byte) || (place == Place::Path && is_delimiter(byte));
    let is_hiding = b"/\\;".contains(&byte) || byte.is_ascii_control();
    (!is_needless && !is_hiding).then_some(byte)
}

#[cfg(test)]
mod tests;
