//! The connection's own certificate, as the proxy describes it.
//!
//! Knows: `source.principal`, the certificate's PEM, X.509. Must not know: headers, tokens, policies.
//!
//! The proxy fills the principal from the first URI SAN, else a DNS SAN, else the subject, and does so
//! even for certificates that nobody verified. So the principal alone must be a strict SPIFFE id, and
//! where the certificate is sent it must say the same without any doubt.

use sha2::{Digest, Sha256};
use x509_parser::prelude::{GeneralName, X509Certificate};

use super::settings::Certificate;
use super::{Proof, Proven, SourceResult, SpiffeId, Workload};
use crate::call::{Call, UnixMillis};
use crate::failure::{Code, Failure};

/// Longest certificate read, URL-encoded; a leaf is 1 to 4 KiB.
const CERTIFICATE_BYTES_MAX: usize = 64 * 1024;

/// Reads the peer's identity.
pub(super) fn read(call: &Call, certificate: Certificate) -> SourceResult<Proven> {
    let principal = call.peer.principal.as_deref().unwrap_or_default();
    let sent = call.peer.certificate.as_deref().unwrap_or_default();
    let outcome = match (principal, sent, certificate) {
        ("", "", _) => return SourceResult::NotPresented,
        ("", _, _) => Err(rejected("a certificate was sent without `source.principal`")),
        (_, "", Certificate::Required) => {
            Err(rejected("no certificate was sent, and the profile requires it (`include_peer_certificate: true`)"))
        }
        (_, "", Certificate::Checked) => principal_of(principal).map(|id| (id, None)),
        (_, sent, Certificate::Checked | Certificate::Required) => principal_of(principal)
            .and_then(|id| check_certificate(sent, &id, call.received_at).map(|thumbprint| (id, Some(thumbprint)))),
    };
    match outcome {
        Ok((id, thumbprint)) => {
            SourceResult::Accepted(Proven { workload: Workload { id, proof: Proof::Mtls }, thumbprint })
        }
        Err(failure) => SourceResult::Rejected(failure),
    }
}

fn rejected(detail: impl Into<String>) -> Failure {
    Failure::new(Code::PeerRejected, detail)
}

fn principal_of(principal: &str) -> Result<SpiffeId, Failure> {
    SpiffeId::parse(principal).map_err(|problem| rejected(format!("`source.principal` is not a SPIFFE id: {problem}")))
}

/// Checks that the certificate is one valid leaf for exactly `id`; returns its SHA-256 thumbprint.
fn check_certificate(sent: &str, id: &SpiffeId, now: UnixMillis) -> Result<[u8; 32], Failure> {
    if sent.len() > CERTIFICATE_BYTES_MAX {
        return Err(rejected(format!("the certificate is longer than {CERTIFICATE_BYTES_MAX} bytes")));
    }
    let pem: Vec<u8> = percent_encoding::percent_decode_str(sent).collect();
    if !pem.starts_with(b"-----BEGIN CERTIFICATE-----") {
        return Err(rejected("the certificate is not URL-encoded PEM"));
    }
    let (rest, block) = x509_parser::pem::parse_x509_pem(&pem).map_err(|_| rejected("the certificate is not PEM"))?;
    if !rest.trim_ascii().is_empty() {
        return Err(rejected("the certificate is followed by something else"));
    }
    let (rest, leaf) =
        x509_parser::parse_x509_certificate(&block.contents).map_err(|_| rejected("the certificate is not X.509"))?;
    if !rest.is_empty() {
        return Err(rejected("the certificate's DER is followed by something else"));
    }
    check_names(&leaf, id)?;
    check_leaf(&leaf)?;
    check_time(&leaf, now)?;
    Ok(Sha256::digest(&block.contents).into())
}

fn check_names(leaf: &X509Certificate<'_>, id: &SpiffeId) -> Result<(), Failure> {
    let names = leaf
        .subject_alternative_name()
        .map_err(|_| rejected("the certificate's alternative names cannot be read"))?
        .ok_or_else(|| rejected("the certificate has no alternative names, so no URI names it"))?;
    let mut uris = Vec::new();
    for name in &names.value.general_names {
        match name {
            GeneralName::URI(uri) => uris.push(*uri),
            // A name cut short by NUL or forged by a line break is a sign of an attack, whoever reads it.
            GeneralName::DNSName(text) | GeneralName::RFC822Name(text) if !is_plain(text) => {
                return Err(rejected("an alternative name of the certificate holds a control character"));
            }
            GeneralName::Invalid(..) => {
                return Err(rejected("an alternative name of the certificate cannot be read"));
            }
            _ => {}
        }
    }
    match uris.as_slice() {
        [uri] if *uri == id.as_str() => Ok(()),
        [_] => Err(rejected("the certificate's URI is not `source.principal`")),
        others => Err(rejected(format!("the certificate has {} URIs, and must have exactly one", others.len()))),
    }
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

fn check_leaf(leaf: &X509Certificate<'_>) -> Result<(), Failure> {
    let constraints =
        leaf.basic_constraints().map_err(|_| rejected("the certificate's basic constraints cannot be read"))?;
    match constraints {
        Some(constraints) if constraints.value.ca => {
            Err(rejected("the certificate is an authority's, and an authority is not a workload"))
        }
        Some(_) | None => Ok(()),
    }
}

/// A resumed session or a long connection may outlive the certificate, so time is checked on every call.
fn check_time(leaf: &X509Certificate<'_>, now: UnixMillis) -> Result<(), Failure> {
    let validity = leaf.validity();
    if now.seconds() < validity.not_before.timestamp() {
        return Err(rejected("the certificate is not valid yet"));
    }
    if now.seconds() > validity.not_after.timestamp() {
        return Err(rejected("the certificate has expired"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
