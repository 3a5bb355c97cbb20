//! `x-forwarded-client-cert`: the client certificate that trusted proxies verified.
//!
//! Knows: the header's text grammar, and the chain of `By` and `URI`. Must not know: tokens, policies.
//!
//! Each proxy that appends adds one element at the end, so a client writes every element before the last
//! `hops`. The whole text must still parse: an open quote in the client's part would swallow what the
//! proxy added. The grammar is stricter than what proxies accept, so a text with two readings has none.

use super::settings::{Certificate, XfccSource};
use super::{Proof, Proven, SourceResult, SpiffeId, Workload, peer};
use crate::call::Call;
use crate::failure::{Code, Failure};

pub(super) const HEADER: &str = "x-forwarded-client-cert";

/// Longest value read.
const BYTES_MAX: usize = 16 * 1024;

/// One element of the header: what one proxy says about the certificate presented to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    pairs: Vec<(ElementKey, String)>,
}

/// The keys of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementKey {
    /// URI of the proxy that wrote the element.
    By,
    /// SHA-256 of the certificate, in hex.
    Hash,
    /// The certificate.
    Cert,
    /// Its chain.
    Chain,
    /// Its subject.
    Subject,
    /// Its URI.
    Uri,
    /// Its DNS name.
    Dns,
    /// Its issuer.
    Issuer,
}

impl ElementKey {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "By" => Some(Self::By),
            "Hash" => Some(Self::Hash),
            "Cert" => Some(Self::Cert),
            "Chain" => Some(Self::Chain),
            "Subject" => Some(Self::Subject),
            "URI" => Some(Self::Uri),
            "DNS" => Some(Self::Dns),
            "Issuer" => Some(Self::Issuer),
            _ => None,
        }
    }
}

impl Element {
    /// The value of a key that occurs exactly once.
    #[must_use]
    pub fn only(&self, key: ElementKey) -> Option<&str> {
        let mut values = self.pairs.iter().filter(|(k, _)| *k == key).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (Some(value), None) => Some(value),
            (Some(_), Some(_)) | (None, _) => None,
        }
    }
}

/// Where a value stops being an `x-forwarded-client-cert`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`x-forwarded-client-cert` is malformed at byte {at}: {what}")]
pub struct Malformed {
    /// Offset in bytes.
    pub at: usize,
    /// The fault.
    pub what: &'static str,
}

/// Splits a value into its elements, nearest proxy last.
///
/// # Errors
/// [`Malformed`] for an open quote, an unknown key, a pair without `=`, or anything else but
/// `Key=value` pairs joined by `;` in elements joined by `,`.
///
/// # Example
/// ```
/// use picket_core::identity::xfcc::{ElementKey, elements};
///
/// let found = elements(r#"By=spiffe://a/b;Subject="CN=x,O=y";URI=spiffe://a/c"#)?;
/// assert_eq!(found[0].only(ElementKey::Uri), Some("spiffe://a/c"));
/// # Ok::<(), picket_core::identity::xfcc::Malformed>(())
/// ```
pub fn elements(text: &str) -> Result<Vec<Element>, Malformed> {
    let mut found = Vec::new();
    let mut element = Element::default();
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let equals = rest.find('=').ok_or(Malformed { at, what: "a pair without `=`" })?;
        let key = rest.get(..equals).and_then(ElementKey::parse).ok_or(Malformed { at, what: "an unknown key" })?;
        at += equals + 1;
        let (value, end) = value(text, at)?;
        element.pairs.push((key, value));
        at = end + 1;
        match text.as_bytes().get(end) {
            None => {
                found.push(element);
                return Ok(found);
            }
            Some(b';') => {}
            Some(b',') => found.push(std::mem::take(&mut element)),
            Some(_) => return Err(Malformed { at: end, what: "something between a closing quote and `;` or `,`" }),
        }
    }
}

/// Reads one value from `start`; returns it and the offset of the byte after it.
fn value(text: &str, start: usize) -> Result<(String, usize), Malformed> {
    let rest = text.get(start..).unwrap_or_default();
    if let Some(quoted) = rest.strip_prefix('"') {
        let (value, bytes) = quoted_value(quoted).ok_or(Malformed { at: start, what: "an open quote" })?;
        return Ok((value, start + 1 + bytes));
    }
    let bytes = rest.find([';', ',']).unwrap_or(rest.len());
    let value = rest.get(..bytes).unwrap_or_default();
    match value.bytes().position(|byte| matches!(byte, b'"' | b'\\' | b'=') || !byte.is_ascii_graphic()) {
        Some(offset) => Err(Malformed { at: start + offset, what: "a character that needs quotes" }),
        None => Ok((value.to_owned(), start + bytes)),
    }
}

/// Reads up to the closing quote; returns the value and the bytes read with that quote. A backslash takes
/// the next character literally, as in the distinguished names that proxies write.
fn quoted_value(quoted: &str) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((offset, character)) = characters.next() {
        match character {
            '"' => return Some((value, offset + 1)),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

/// Reads the identity that trusted proxies vouch for.
pub(super) fn read(call: &Call, source: &XfccSource, certificate: Certificate) -> SourceResult<Proven> {
    match chain(call, source, certificate) {
        Ok(None) => SourceResult::NotPresented,
        Ok(Some(proven)) => SourceResult::Accepted(proven),
        Err(failure) => SourceResult::Rejected(failure),
    }
}

fn rejected(detail: impl Into<String>) -> Failure {
    Failure::new(Code::XfccRejected, detail)
}

fn chain(call: &Call, source: &XfccSource, certificate: Certificate) -> Result<Option<Proven>, Failure> {
    let text = call.headers.single(HEADER).map_err(|problem| rejected(problem.to_string()))?.unwrap_or_default();
    if text.is_empty() || text == "-" {
        return Ok(None);
    }
    if text.len() > BYTES_MAX {
        return Err(rejected(format!("`{HEADER}` is longer than {BYTES_MAX} bytes")));
    }
    if text.starts_with('[') {
        return Err(rejected(format!("`{HEADER}` is in its JSON form; configure the proxy for the text form")));
    }
    let found = elements(text).map_err(|problem| rejected(problem.to_string()))?;
    let hops = usize::from(source.hops);
    let trusted = match found.len().checked_sub(hops) {
        Some(skipped) => found.get(skipped..).unwrap_or_default(),
        None => return Ok(None),
    };
    let links = trusted.iter().map(link).collect::<Result<Vec<_>, _>>()?;
    let (Some(first), Some(last), Some(identity)) = (links.first(), links.last(), trusted.first()) else {
        return Err(rejected("no hop is configured, so no element can be trusted"));
    };
    check_links(&links, source)?;
    check_last(last, call, source, certificate)?;
    let thumbprint = identity.only(ElementKey::Hash).and_then(thumbprint);
    Ok(Some(Proven { workload: Workload { id: first.uri.clone(), proof: Proof::Xfcc }, thumbprint }))
}

struct Link {
    by: SpiffeId,
    uri: SpiffeId,
}

fn link(element: &Element) -> Result<Link, Failure> {
    let read = |key, name| {
        let text = element
            .only(key)
            .ok_or_else(|| rejected(format!("an element of `{HEADER}` needs exactly one `{name}`")))?;
        SpiffeId::parse(text)
            .map_err(|problem| rejected(format!("`{name}` in `{HEADER}` is not a SPIFFE id: {problem}")))
    };
    Ok(Link { by: read(ElementKey::By, "By")?, uri: read(ElementKey::Uri, "URI")? })
}

/// Each element was written by the workload that the element to its right names, a listed proxy.
fn check_links(links: &[Link], source: &XfccSource) -> Result<(), Failure> {
    for (left, right) in links.iter().zip(links.iter().skip(1)) {
        if left.by != right.uri {
            return Err(rejected(format!("`{}` wrote an element that `{}` passed on", left.by, right.uri)));
        }
        if !source.proxies.contains(left.by.as_str()) {
            return Err(rejected(format!("`{}` is not a listed proxy", left.by)));
        }
    }
    Ok(())
}

/// The last element was written by the proxy that asks, about the peer of this very connection.
fn check_last(last: &Link, call: &Call, source: &XfccSource, certificate: Certificate) -> Result<(), Failure> {
    let asking = call.peer.destination_principal.as_deref() == Some(last.by.as_str());
    let listed = source.proxies.contains(last.by.as_str());
    if !asking && !listed {
        return Err(rejected(format!("`{}` is neither a listed proxy nor the calling proxy", last.by)));
    }
    match peer::read(call, certificate) {
        // A waypoint: TLS ended before it, so no peer is known; the operator vouches for the proxy by name.
        SourceResult::NotPresented if listed => Ok(()),
        // The asking proxy writes about certificates only, and none came: it forwards what the client wrote.
        SourceResult::NotPresented => Err(rejected("the calling proxy saw no certificate, so it wrote no element")),
        SourceResult::Accepted(peer) if peer.workload.id == last.uri => Ok(()),
        SourceResult::Accepted(peer) => {
            Err(rejected(format!("the last element names `{}`, and the peer is `{}`", last.uri, peer.workload.id)))
        }
        SourceResult::Rejected(failure) => Err(failure),
    }
}

/// A `Hash` that is not SHA-256 in hex counts as none: bindings then cannot be compared.
fn thumbprint(hex_text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(hex_text, &mut bytes).is_ok().then_some(bytes)
}

#[cfg(test)]
mod tests;
