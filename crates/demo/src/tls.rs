//! TLS settings of a workload: its own certificate, and the authority it trusts.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certs::Leaf;

/// A caller with a certificate.
#[derive(Clone)]
pub struct Caller {
    connector: TlsConnector,
    server: ServerName<'static>,
}

impl Caller {
    /// A caller who shows `leaf` and trusts servers of `authority` (PEM) that are called `localhost`.
    ///
    /// # Errors
    /// `InvalidInput` if a certificate or key is none.
    pub fn new(authority: &str, leaf: &Leaf) -> io::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).map_err(invalid)?).map_err(invalid)?;
        let chain = vec![CertificateDer::from_pem_slice(leaf.certificate.as_bytes()).map_err(invalid)?];
        let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).map_err(invalid)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(invalid)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(invalid)?;
        let server = ServerName::try_from("localhost").map_err(invalid)?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), server })
    }

    /// Connects.
    ///
    /// # Errors
    /// What the connection or the handshake says.
    pub async fn connect(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.server.clone(), TcpStream::connect(address).await?).await
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}
