//! The proxy that requests a check, as its certificate names it.
//!
//! Knows: SPIFFE ids. Must not know: calls, certificates.

use super::SpiffeId;

/// Identity of the proxy at the other end of a connection: its certificate was verified in the handshake.
///
/// It is not the caller of any call, so no policy sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyIdentity(pub SpiffeId);

impl ProxyIdentity {
    /// The whole id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}
