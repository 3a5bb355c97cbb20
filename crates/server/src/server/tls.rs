//! Mutual TLS with files that may be renewed at any time.
//!
//! Knows: certificate files and when they changed. Must not know: who may connect (`peers.rs`), HTTP.
//!
//! Certificate, key and client roots are one generation: they are read, checked and swapped together, so that no
//! handshake mixes an old certificate with a new key.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio_rustls::server::TlsStream;

use super::peers::AllowedClients;
use super::socket::BoxIo;
use picket_core::problem::chain;
use picket_core::setting::{CheckSettings, Key, SettingProblem, of_parts};

/// How often the files are read. Watching files loses events on some file systems; reading three small files does not.
const POLL: Duration = Duration::from_secs(10);
/// Longest certificate or key file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Mutual TLS of one listener; section `listeners[].tls`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// PEM file of the server's certificate chain.
    pub certificate: PathBuf,
    /// PEM file of its private key.
    pub private_key: PathBuf,
    /// PEM file of the roots that client certificates must chain to.
    pub client_roots: PathBuf,
    /// The clients that may connect.
    pub clients: super::peers::Settings,
}

impl Settings {
    /// The keys of the section, but those of `clients`.
    pub const KEYS: &'static [Key] = &[
        Key::required("certificate", "/etc/picket/tls.crt", "PEM file of the server's certificate chain."),
        Key::required(
            "private_key",
            "/etc/picket/tls.key",
            "PEM file of its private key. The three files are read every 10 s and renewed together; a pair \
                 that does not match leaves the old one active, is logged and counted in `picket_tls_renewals_total`.",
        ),
        Key::required("client_roots", "/etc/picket/ca.crt", "PEM file of the roots of client certificates."),
    ];
}

impl CheckSettings for Settings {
    fn problems(&self) -> Vec<SettingProblem> {
        // The files are read when the server starts.
        let Self { certificate: _, private_key: _, client_roots: _, clients } = self;
        of_parts(&[("clients", clients)])
    }
}

/// Why certificate files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsProblem {
    /// A file cannot be read.
    #[error("could not read `{file}`")]
    Read {
        /// The file.
        file: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("`{file}` has no {expected} in PEM form")]
    Content {
        /// The file.
        file: String,
        /// The missing content.
        expected: &'static str,
    },
    /// Certificate, key and roots do not fit together.
    #[error("certificate, key and client roots cannot be used together: {0}")]
    Unusable(String),
}

/// Accepts TLS connections with the newest good generation of certificates.
#[derive(Debug)]
pub struct Acceptor {
    settings: Settings,
    peers: AllowedClients,
    current: ArcSwap<Generation>,
    reloads: AtomicU64,
    failures: AtomicU64,
}

#[derive(Debug)]
struct Generation {
    config: Arc<rustls::ServerConfig>,
    digest: [u8; 32],
    expires_at: i64,
}

impl Acceptor {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// [`TlsProblem`]; a server does not start without certificates.
    pub fn new(settings: Settings) -> Result<Self, TlsProblem> {
        let files = Files::read(&settings)?;
        let current = ArcSwap::from_pointee(files.generation(&settings)?);
        let peers = AllowedClients::new(&settings.clients);
        Ok(Self { settings, peers, current, reloads: AtomicU64::new(0), failures: AtomicU64::new(0) })
    }

    /// The clients that may connect.
    #[must_use]
    pub fn peers(&self) -> &AllowedClients {
        &self.peers
    }

    /// When the certificate in use expires, in seconds since 1970.
    #[must_use]
    pub fn expires_at(&self) -> i64 {
        self.current.load().expires_at
    }

    /// Generations activated since the start.
    #[must_use]
    pub fn reloads(&self) -> u64 {
        self.reloads.load(Ordering::Relaxed)
    }

    /// Generations rejected since the start; one bad generation counts once.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Does the handshake on `io`.
    pub(super) async fn accept(&self, io: BoxIo) -> std::io::Result<TlsStream<BoxIo>> {
        let config = Arc::clone(&self.current.load().config);
        tokio_rustls::TlsAcceptor::from(config).accept(io).await
    }

    /// Keeps the certificates fresh, for as long as it is polled.
    pub async fn keep_fresh(self: Arc<Self>) {
        let mut refused = None;
        loop {
            tokio::time::sleep(POLL).await;
            let acceptor = Arc::clone(&self);
            let (seen, result) = tokio::task::spawn_blocking(move || acceptor.renew(refused))
                .await
                .unwrap_or_else(|error| (refused, Err(TlsProblem::Unusable(error.to_string()))));
            if let Err(problem) = result {
                tracing::error!(
                    problem = chain(&problem),
                    "could not use the renewed certificates; the old ones stay active"
                );
            }
            refused = seen;
        }
    }

    /// Activates new files if they are good and changed. Returns the digest of a rejected generation, so that one bad
    /// generation is logged and counted once; `refused` is the digest of the last call.
    fn renew(&self, refused: Option<[u8; 32]>) -> (Option<[u8; 32]>, Result<(), TlsProblem>) {
        /// The digest of unreadable files.
        const UNREADABLE: [u8; 32] = [0; 32];
        let (digest, next) = match Files::read(&self.settings) {
            Ok(files) if files.digest == self.current.load().digest => return (None, Ok(())),
            Ok(files) => (
                files.digest,
                if refused == Some(files.digest) { None } else { Some(files.generation(&self.settings)) },
            ),
            Err(problem) => (UNREADABLE, (refused != Some(UNREADABLE)).then_some(Err(problem))),
        };
        match next {
            None => (refused, Ok(())),
            Some(Ok(generation)) => {
                self.current.store(Arc::new(generation));
                self.reloads.fetch_add(1, Ordering::Relaxed);
                tracing::info!(certificate = %self.settings.certificate.display(), "activated renewed certificates");
                (None, Ok(()))
            }
            Some(Err(problem)) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                (Some(digest), Err(problem))
            }
        }
    }
}

/// The three files, as read at one time.
struct Files {
    certificate: Vec<u8>,
    private_key: Vec<u8>,
    client_roots: Vec<u8>,
    digest: [u8; 32],
}

impl Files {
    fn read(settings: &Settings) -> Result<Self, TlsProblem> {
        let certificate = read(&settings.certificate)?;
        let private_key = read(&settings.private_key)?;
        let client_roots = read(&settings.client_roots)?;
        let mut hasher = Sha256::new();
        for file in [&certificate, &private_key, &client_roots] {
            hasher.update(Sha256::digest(file));
        }
        let digest = hasher.finalize().into();
        Ok(Self { certificate, private_key, client_roots, digest })
    }

    fn generation(&self, settings: &Settings) -> Result<Generation, TlsProblem> {
        let chain = certificates(&self.certificate, &settings.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.private_key)
            .map_err(|_| TlsProblem::Content { file: show(&settings.private_key), expected: "private key" })?;
        let expires_at =
            chain.first().map_or(Err("no certificate".to_owned()), expiry).map_err(TlsProblem::Unusable)?;
        let unusable = |error: rustls::Error| TlsProblem::Unusable(error.to_string());

        let mut roots = RootCertStore::empty();
        for root in certificates(&self.client_roots, &settings.client_roots)? {
            roots.add(root).map_err(unusable)?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| TlsProblem::Unusable(error.to_string()))?;
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(unusable)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        // A resumed session would skip the check of the client's certificate against the current roots.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Generation { config: Arc::new(config), digest: self.digest, expires_at })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsProblem> {
    let failed = |source| TlsProblem::Read { file: show(path), source };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(failed(std::io::Error::other("it is longer than 1 MiB")));
    }
    std::fs::read(path).map_err(failed)
}

fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsProblem> {
    let content = || TlsProblem::Content { file: show(path), expected: "certificate" };
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_malformed| content())?;
    if certificates.is_empty() { Err(content()) } else { Ok(certificates) }
}

fn expiry(certificate: &CertificateDer<'_>) -> Result<i64, String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
    Ok(parsed.validity().not_after.timestamp())
}

fn show(path: &Path) -> String {
    path.display().to_string()
}
