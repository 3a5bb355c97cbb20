//! The workloads that may send checks.
//!
//! Knows: the SPIFFE id in a certificate that TLS has verified. Must not know: sockets, handshakes.
//!
//! A certificate that chains to the mesh's roots names the peer. It does not make the peer a policy enforcement point:
//! every workload of the mesh has a certificate, and a peer that may send checks can claim any caller.

use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use x509_parser::extensions::GeneralName;

use picket_core::identity::SpiffeId;
use picket_core::identity::spiffe_id::{SpiffeIdProblem, is_trust_domain};
use picket_core::setting::{CheckSettings, Key, SettingProblem};

/// The peers that may connect; section `listeners[].tls.clients`. A peer may connect if one of the lists names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// SPIFFE ids.
    pub spiffe_ids: Vec<String>,
    /// `<trust domain>/<namespace>`: all workloads of a namespace.
    pub namespaces: Vec<String>,
    /// All workloads of a trust domain.
    pub trust_domains: Vec<String>,
}

impl Settings {
    /// The keys of the section.
    pub const KEYS: &'static [Key] = &[
        Key::new(
            "spiffe_ids",
            "[]",
            "SPIFFE ids that may connect. At least one of the three lists must name a client.",
        )
        .example("[\"spiffe://cluster.local/ns/istio-system/sa/gateway\"]"),
        Key::new("namespaces", "[]", "Namespaces with workloads that may connect, as `<trust domain>/<namespace>`.")
            .example("[cluster.local/istio-system]"),
        Key::new("trust_domains", "[]", "Trust domains with workloads that may all connect: every sidecar.")
            .example("[cluster.local]"),
    ];
}

impl CheckSettings for Settings {
    fn problems(&self) -> Vec<SettingProblem> {
        let mut problems = Vec::new();
        if self.spiffe_ids.is_empty() && self.namespaces.is_empty() && self.trust_domains.is_empty() {
            let message = "no client may connect; name one in `spiffe_ids`, `namespaces` or `trust_domains`";
            problems.push(SettingProblem::error("", message));
        }
        for id in &self.spiffe_ids {
            if let Err(problem) = SpiffeId::parse(id) {
                problems.push(SettingProblem::error("spiffe_ids", format!("`{id}` is not a SPIFFE id: {problem}")));
            }
        }
        for namespace in &self.namespaces {
            let good = namespace.split_once('/').is_some_and(|(domain, name)| {
                is_trust_domain(domain)
                    && SpiffeId::parse(&format!("spiffe://d/ns/{name}/sa/x")).is_ok_and(|id| id.account().is_some())
            });
            if !good {
                problems.push(SettingProblem::error(
                    "namespaces",
                    format!("`{namespace}` is not `<trust domain>/<namespace>`"),
                ));
            }
        }
        for domain in self.trust_domains.iter().filter(|domain| !is_trust_domain(domain)) {
            problems.push(SettingProblem::error(
                "trust_domains",
                format!("`{domain}` is not a trust domain, such as `cluster.local`"),
            ));
        }
        problems
    }
}

/// Why a peer may not connect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// TLS verified no certificate.
    #[error("there is no client certificate")]
    NoCertificate,
    /// The certificate does not parse.
    #[error("the client certificate does not parse")]
    Malformed,
    /// The certificate has no URI name, or several.
    #[error("the client certificate has {0} URI names instead of exactly one")]
    UriCount(usize),
    /// The URI of the certificate is not a SPIFFE id.
    #[error("the client certificate's URI is not a SPIFFE id: {0}")]
    NotSpiffe(#[from] SpiffeIdProblem),
    /// The certificate names a workload that may not connect.
    #[error("`{0}` is not an allowed client")]
    NotAllowed(SpiffeId),
}

/// The workloads that may send checks.
#[derive(Debug, Clone)]
pub struct AllowedClients {
    settings: Settings,
}

impl AllowedClients {
    /// The workloads that the settings name.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self { settings: settings.clone() }
    }

    /// Returns the peer's id if it may send checks. `chain` is the chain that TLS has verified, the peer's own
    /// certificate first.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn admit(&self, chain: &[CertificateDer<'_>]) -> Result<SpiffeId, Refusal> {
        let id = spiffe_id(chain.first().ok_or(Refusal::NoCertificate)?)?;
        if self.names(&id) { Ok(id) } else { Err(Refusal::NotAllowed(id)) }
    }

    /// Returns whether one of the lists names this workload.
    #[must_use]
    pub fn names(&self, id: &SpiffeId) -> bool {
        let allowed = &self.settings;
        let in_namespace = |listed: &String| {
            id.account().is_some_and(|(namespace, _)| {
                listed.split_once('/').is_some_and(|pair| pair == (id.trust_domain(), namespace))
            })
        };
        allowed.spiffe_ids.iter().any(|listed| listed == id.as_str())
            || allowed.namespaces.iter().any(in_namespace)
            || allowed.trust_domains.iter().any(|listed| listed == id.trust_domain())
    }
}

/// The one SPIFFE id in a certificate.
fn spiffe_id(certificate: &CertificateDer<'_>) -> Result<SpiffeId, Refusal> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| Refusal::Malformed)?;
    let names = parsed.subject_alternative_name().map_err(|_| Refusal::Malformed)?;
    let names = names.iter().flat_map(|extension| &extension.value.general_names);
    let uris: Vec<&str> =
        names.filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None }).collect();
    match uris.as_slice() {
        [uri] => Ok(SpiffeId::parse(uri)?),
        _ => Err(Refusal::UriCount(uris.len())),
    }
}
