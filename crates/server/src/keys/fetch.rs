//! Fetches one key set, bounded in size and time.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use super::settings::{Jwks, UrlSource};
use picket_core::identity::key_ring::KeySetProblem;
use picket_core::problem::chain;

/// Largest key set read; real ones are a few KiB.
const BYTES_MAX: usize = 1024 * 1024;

/// Somewhere a key set can be had.
pub(super) trait Fetch: Send + Sync {
    /// Gets it. The caller bounds the time.
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, FetchProblem>> + Send + '_>>;
}

/// Why a key set was not had.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchProblem {
    #[error("it took too long")]
    TimedOut,
    #[error("the file cannot be read: {0}")]
    File(#[from] std::io::Error),
    #[error("the server did not answer correctly: {0}")]
    Transport(String),
    #[error("the server answered with status {0}; redirects are not followed")]
    Status(u16),
    #[error("it is larger than {BYTES_MAX} bytes")]
    TooLarge,
    #[error("{0}")]
    KeySet(#[from] KeySetProblem),
}

/// Prepares a source.
pub(super) fn source(jwks: &Jwks, base: &Path, timeout: Duration) -> Result<Box<dyn Fetch>, String> {
    match jwks {
        Jwks::File(path) => Ok(Box::new(File { path: base.join(path) })),
        Jwks::Url(url) => Ok(Box::new(Url::new(url, base, timeout)?)),
    }
}

struct File {
    path: PathBuf,
}

impl Fetch for File {
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, FetchProblem>> + Send + '_>> {
        Box::pin(async {
            let file = tokio::fs::File::open(&self.path).await?;
            let mut bytes = Vec::new();
            let limit = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
            file.take(limit).read_to_end(&mut bytes).await?;
            if bytes.len() > BYTES_MAX { Err(FetchProblem::TooLarge) } else { Ok(bytes) }
        })
    }
}

struct Url {
    client: reqwest::Client,
    address: String,
}

impl Url {
    fn new(source: &UrlSource, base: &Path, timeout: Duration) -> Result<Self, String> {
        let mut builder = reqwest::Client::builder()
            // A redirect could lead to a host that nobody configured.
            .redirect(reqwest::redirect::Policy::none())
            // Proxies from the environment would be settings that no file shows.
            .no_proxy()
            .referer(false)
            .user_agent(concat!("picket/", env!("CARGO_PKG_VERSION")))
            .timeout(timeout);
        if let Some(path) = &source.ca_file {
            let path = base.join(path);
            let pem = std::fs::read(&path).map_err(|error| format!("`{}` cannot be read: {error}", path.display()))?;
            let authorities = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|_| format!("`{}` holds no PEM certificates", path.display()))?;
            for authority in authorities {
                builder = builder.add_root_certificate(authority);
            }
        }
        let client = builder.build().map_err(|error| format!("could not create an HTTP client: {}", chain(&error)))?;
        Ok(Self { client, address: source.address.clone() })
    }

    async fn get(&self) -> Result<Vec<u8>, FetchProblem> {
        let transport = |error: reqwest::Error| match error.is_timeout() {
            true => FetchProblem::TimedOut,
            false => FetchProblem::Transport(chain(&error.without_url())),
        };
        let mut response = self.client.get(&self.address).send().await.map_err(transport)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchProblem::Status(response.status().as_u16()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            if bytes.len() + chunk.len() > BYTES_MAX {
                return Err(FetchProblem::TooLarge);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

impl Fetch for Url {
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, FetchProblem>> + Send + '_>> {
        Box::pin(self.get())
    }
}
