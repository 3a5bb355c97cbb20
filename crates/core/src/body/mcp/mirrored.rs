//! MCP headers that mirror the body: a gateway may route by them, so they must equal the body.
//!
//! Knows: `Mcp-Method`, `Mcp-Name`, `Mcp-Param-*` and their base64 form. Must not know: what is allowed.
//!
//! Version 2026-07-28 requires them; where an older one sends them they are held to the same.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::body::json::Node;
use crate::body::{header, shown};
use crate::call::Call;
use crate::catalog::mcp::{ProtocolVersion, Tool};
use crate::failure::{Code, Failure};

const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";
const PARAM: &str = "mcp-param-";

/// What a message says that headers may repeat.
pub(super) struct BodyFacts<'a> {
    pub(super) version: ProtocolVersion,
    /// The JSON-RPC method; none for a response, GET and DELETE.
    pub(super) method: Option<&'a str>,
    /// The tool, resource, prompt or task.
    pub(super) name: Name<'a>,
    /// Whether the message asks for an answer: of a notification no header is required.
    pub(super) is_request: bool,
    /// A call's arguments, with what the catalogue knows of its tool.
    pub(super) arguments: Option<(Node<'a>, Option<&'a Tool>)>,
}

/// What `Mcp-Name` repeats.
pub(super) enum Name<'a> {
    /// Nothing: the header must be absent.
    None,
    /// It may repeat this.
    May(&'a str),
    /// From 2026-07-28 on it must repeat this.
    Must(&'a str),
}

/// Checks every mirrored header against the body.
///
/// # Errors
/// `header_mismatch` where one is missing, needless, or says something else; `header_duplicated` where one occurs twice.
pub(super) fn check(call: &Call, said: &BodyFacts<'_>) -> Result<(), Failure> {
    let is_required = said.version == ProtocolVersion::July2026 && said.is_request;
    repeats(call, METHOD, said.method, is_required)?;
    match said.name {
        Name::None => repeats(call, NAME, None, false)?,
        Name::May(name) => repeats(call, NAME, Some(name), false)?,
        Name::Must(name) => repeats(call, NAME, Some(name), is_required)?,
    }
    let mut sent = call.headers.iter().filter_map(|(name, _)| name.strip_prefix(PARAM));
    match said.arguments {
        Some((arguments, Some(tool))) => {
            let is_known = |suffix: &str| tool.headers.values().any(|known| known.eq_ignore_ascii_case(suffix));
            if let Some(suffix) = sent.find(|suffix| !is_known(suffix)) {
                return Err(mismatch(format!("the tool has no argument for header `{PARAM}{}`", shown(suffix))));
            }
            parameters(call, &tool.headers, arguments, is_required)
        }
        // What the catalogue does not know of a tool cannot be compared; policies see the body.
        Some((_, None)) => Ok(()),
        None => match sent.next() {
            Some(suffix) => Err(mismatch(format!("header `{PARAM}{}` without a call of a tool", shown(suffix)))),
            None => Ok(()),
        },
    }
}

fn parameters(
    call: &Call,
    headers: &BTreeMap<String, String>,
    arguments: Node<'_>,
    is_required: bool,
) -> Result<(), Failure> {
    for (argument, suffix) in headers {
        let name = format!("{PARAM}{}", suffix.to_ascii_lowercase());
        let value = arguments.get(argument);
        let text = value.and_then(Node::scalar);
        // A number may stand in the header as it was written or in its canonical spelling.
        let written = value.and_then(Node::as_number).map(|number| number.as_str());
        if let (Some(written), Some(sent)) = (written, header(call, &name)?)
            && decoded(sent).is_some_and(|sent| sent == written)
        {
            continue;
        }
        repeats(call, &name, text.as_deref(), is_required)?;
    }
    Ok(())
}

/// Checks one header against what the body says.
fn repeats(call: &Call, name: &str, said: Option<&str>, is_required: bool) -> Result<(), Failure> {
    match (header(call, name)?, said) {
        (None, Some(_)) if is_required => Err(mismatch(format!("header `{name}` is missing"))),
        (None, _) => Ok(()),
        (Some(_), None) => Err(mismatch(format!("header `{name}` has no counterpart in the body"))),
        (Some(sent), Some(said)) => match decoded(sent) {
            Some(sent) if sent == said => Ok(()),
            Some(_) => Err(mismatch(format!("header `{name}` and the body differ"))),
            None => Err(mismatch(format!("header `{name}` is neither plain text nor complete base64"))),
        },
    }
}

/// A header's text: `=?base64?…?=` decoded, else as it is, if it is plain.
fn decoded(value: &str) -> Option<Cow<'_, str>> {
    if let Some(base64) = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        let Ok(bytes) = STANDARD.decode(base64) else { return None };
        return String::from_utf8(bytes).map_or(None, |text| Some(Cow::Owned(text)));
    }
    let is_plain = value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') && value.trim() == value;
    is_plain.then_some(Cow::Borrowed(value))
}

fn mismatch(detail: String) -> Failure {
    Failure::new(Code::HeaderMismatch, detail)
}

#[cfg(test)]
mod tests;
