//! The target of a request: method, scheme, authority, path, upgrade.
//!
//! Envoy sends most of it twice, as fields and as pseudo headers. Both must agree.

use super::check_view::Http;
use super::headers::{Read, is_token};
use super::shown;
use picket_core::call::path::PathProblem;
use picket_core::call::{CanonicalPath, Host, Target};
use picket_core::failure::{Code, Failure};

/// Longest method, in bytes; the longest registered one has 17.
const METHOD_BYTES_MAX: usize = 32;

/// The request line, canonical.
#[derive(Debug)]
pub(super) struct Line {
    pub method: String,
    pub scheme: String,
    pub host: Host,
    pub target: Target,
    pub path_sent: String,
    pub upgrade: Option<String>,
}

/// Reads the request line.
///
/// # Errors
/// [`Code::MalformedRequest`] where two spellings disagree, [`Code::PathRefused`], [`Code::HostRefused`] or
/// [`Code::TooLarge`].
pub(super) fn read(sent: &Http<'_>, read: &Read<'_>) -> Result<Line, Failure> {
    let method = agreed(read, ":method", sent.method, Code::MalformedRequest)?;
    if method.is_empty() || method.len() > METHOD_BYTES_MAX || !method.bytes().all(is_token) {
        return Err(malformed(format!("method `{}` is not a token", shown(method))));
    }
    let scheme = agreed(read, ":scheme", sent.scheme, Code::MalformedRequest)?.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "" | "http" | "https") {
        return Err(malformed(format!("scheme `{}` is neither `http` nor `https`", shown(&scheme))));
    }
    let path_sent = agreed(read, ":path", sent.path, Code::PathRefused)?;
    let upgrade = upgrade(read)?;
    // A plain CONNECT names an authority only; its fault is told after that of a path.
    let authority = agreed(read, ":authority", sent.host, Code::HostRefused);
    let target = if method == "CONNECT" && read.pseudo.get(":protocol").is_none() {
        connect(path_sent, authority.as_ref().map_err(Clone::clone)?)?
    } else {
        target(path_sent, sent.query, sent.fragment)?
    };
    let host = host(authority?, read)?;
    Ok(Line { target, host, method: method.to_owned(), path_sent: path_sent.to_owned(), scheme, upgrade })
}

/// The one value of a pseudo header and the field beside it; empty if there is neither.
fn agreed<'a>(read: &Read<'a>, name: &'static str, field: &'a str, code: Code) -> Result<&'a str, Failure> {
    let Some(bytes) = read.pseudo.get(name) else { return Ok(field) };
    let text = std::str::from_utf8(bytes).map_err(|_| Failure::new(code, format!("`{name}` is not UTF-8")))?;
    if !field.is_empty() && field != text {
        return Err(malformed(format!("pseudo header `{name}` and the field of the check disagree")));
    }
    Ok(text)
}

/// A CONNECT: a path beside the authority would be a second target.
fn connect(sent: &str, authority: &str) -> Result<Target, Failure> {
    if sent.is_empty() || sent == authority {
        return Ok(Target::Authority);
    }
    Err(Failure::new(Code::PathRefused, "a CONNECT without `:protocol` has a path"))
}

fn target(sent: &str, query_sent: &str, fragment: &str) -> Result<Target, Failure> {
    if !fragment.is_empty() {
        return Err(Failure::new(Code::PathRefused, "the request has a fragment"));
    }
    let (path, query) = sent.split_once('?').map_or((sent, None), |(path, query)| (path, Some(query)));
    if !query_sent.is_empty() && query != Some(query_sent) {
        return Err(malformed("`query` and the path's query disagree".to_owned()));
    }
    // A raw `#` ends the query for some servers, and controls and blanks end the request line.
    if query.is_some_and(|query| query.bytes().any(|byte| byte.is_ascii_control() || matches!(byte, b' ' | b'#'))) {
        return Err(Failure::new(Code::PathRefused, "the query holds a control character, a blank or `#`"));
    }
    let path = CanonicalPath::parse(path).map_err(path_refused)?;
    Ok(Target::Path { path, query: query.map(str::to_owned) })
}

fn path_refused(problem: PathProblem) -> Failure {
    let code = match problem {
        PathProblem::TooLong => Code::TooLarge,
        PathProblem::NotAbsolute
        | PathProblem::TooDeep
        | PathProblem::EmptySegment
        | PathProblem::DotSegment
        | PathProblem::Control(_)
        | PathProblem::Separator(_)
        | PathProblem::BrokenEscape(_)
        | PathProblem::DoubleEscape(_)
        | PathProblem::Overlong(_)
        | PathProblem::Blank(_) => Code::PathRefused,
    };
    Failure::new(code, problem.to_string())
}

/// The authority. A `host` header beside it must mean the same host and port.
fn host(authority: &str, read: &Read<'_>) -> Result<Host, Failure> {
    let header = read.headers.single("host").map_err(|problem| Failure::new(Code::HostRefused, problem.to_string()))?;
    let parse = |text: &str| Host::parse(text).map_err(|problem| Failure::new(Code::HostRefused, problem.to_string()));
    match header {
        None => parse(authority),
        Some(header) if authority.is_empty() => parse(header),
        Some(header) => {
            let host = parse(authority)?;
            if parse(header)? != host {
                return Err(malformed("`host` and `:authority` disagree".to_owned()));
            }
            Ok(host)
        }
    }
}

/// What the connection shall become. `upgrade` counts even without `connection: upgrade`, because a filter may
/// have dropped that one; `h2c` is an upgrade like any other.
fn upgrade(read: &Read<'_>) -> Result<Option<String>, Failure> {
    let protocol = read.pseudo.get(":protocol").map(std::str::from_utf8);
    let protocol = protocol.transpose().map_err(|_| malformed("`:protocol` is not UTF-8".to_owned()))?;
    if protocol.is_some_and(|name| name.is_empty() || !name.bytes().all(is_token)) {
        return Err(malformed("`:protocol` is not a token".to_owned()));
    }
    let header = read.headers.single("upgrade");
    let header = header.map_err(|problem| Failure::new(Code::HeaderRefused, problem.to_string()))?;
    match (protocol, header) {
        (Some(protocol), Some(header)) if !protocol.eq_ignore_ascii_case(header.trim()) => {
            Err(malformed("`upgrade` and `:protocol` disagree".to_owned()))
        }
        (Some(name), _) | (None, Some(name)) => Ok(Some(name.trim().to_ascii_lowercase())),
        (None, None) => Ok(None),
    }
}

fn malformed(detail: String) -> Failure {
    Failure::new(Code::MalformedRequest, detail)
}
