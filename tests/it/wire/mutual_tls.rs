//! A listener with TLS admits only clients with a certificate that the settings name.

use std::path::Path;

use prost::Message as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use tempfile::TempDir;

use super::SHOP;
use super::raw::CHECK;
use crate::harness::orders;
use crate::harness::server::Server;

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// PEM of a certificate for `localhost` and this URI, and of its key.
    pub fn issue(&self, uri: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

pub const GATEWAY: &str = "spiffe://cluster.local/ns/edge/sa/gateway";

/// A setting of one listener with TLS, with files in `dir`.
pub fn listener(dir: &Path, authority: &Authority) -> String {
    let (certificate, key) = authority.issue("spiffe://cluster.local/ns/picket/sa/picket");
    std::fs::write(dir.join("crt"), certificate).unwrap();
    std::fs::write(dir.join("key"), key).unwrap();
    std::fs::write(dir.join("ca"), &authority.pem).unwrap();
    let file = |name: &str| dir.join(name).display().to_string();
    format!(
        "listeners=[{{name: ext_authz, address: '127.0.0.1:0', tls: {{certificate: '{}', private_key: '{}', \
         client_roots: '{}', clients: {{spiffe_ids: ['{GATEWAY}']}}}}}}]",
        file("crt"),
        file("key"),
        file("ca")
    )
}

/// Returns whether a client with this certificate gets an answer.
async fn is_answered(server: &Server, authority: &Authority, client: Option<(String, String)>) -> bool {
    let root = reqwest::Certificate::from_pem(authority.pem.as_bytes()).unwrap();
    let mut builder = reqwest::Client::builder().no_proxy().tls_certs_only([root]);
    if let Some((certificate, key)) = client {
        builder = builder.identity(reqwest::Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap());
    }
    let port = server.port("ext_authz").rsplit(':').next().unwrap().to_owned();
    let message = orders().0.encode_to_vec();
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&message);
    let request = builder.build().unwrap().post(format!("https://localhost:{port}{CHECK}")).body(frame);
    let answer = request.header("content-type", "application/grpc").header("te", "trailers").send().await;
    match answer {
        Ok(answer) => answer.bytes().await.is_ok_and(|body| !body.is_empty()),
        Err(_) => false,
    }
}

#[tokio::test]
async fn p35_a_listener_with_tls_answers_only_the_clients_it_names() {
    let (dir, authority) = (TempDir::new().unwrap(), Authority::new());
    let server = Server::start(SHOP, &[&listener(dir.path(), &authority)]).await;
    assert!(is_answered(&server, &authority, Some(authority.issue(GATEWAY))).await);
    assert!(!is_answered(&server, &authority, None).await, "without a certificate");
    let other = authority.issue("spiffe://cluster.local/ns/edge/sa/other");
    assert!(!is_answered(&server, &authority, Some(other)).await, "with somebody else's certificate");
    let forged = Authority::new().issue(GATEWAY);
    assert!(!is_answered(&server, &authority, Some(forged)).await, "with a certificate of another authority");
    // In the clear.
    let raw = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    assert!(raw.post(format!("http://{}{CHECK}", server.port("ext_authz"))).body("x").send().await.is_err());
    assert!(is_answered(&server, &authority, Some(authority.issue(GATEWAY))).await, "the listener is gone");
}
