//! Mutual TLS: the peers that are admitted, and certificates that change.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::super::tls::{self, Acceptor};
use super::super::{peers, socket::BoxIo};
use super::*;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    root: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let (pem, root) = (certificate.pem(), certificate.der().clone());
        Self { issuer: Issuer::new(params, key), pem, root }
    }

    /// PEM of a certificate with these URI names, and of its key.
    fn issue(&self, uris: &[&str]) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["picket.test".to_owned()]).unwrap();
        params.subject_alt_names.extend(uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())));
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }
}

/// A served house with certificates in a folder of its own.
struct Secured {
    house: House,
    acceptor: Arc<Acceptor>,
    authority: Authority,
    dir: tempfile::TempDir,
}

const GATEWAY: &str = "spiffe://td/ns/istio-system/sa/gateway";

fn secured(clients: peers::Settings) -> Secured {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let file = |name: &str| -> PathBuf { dir.path().join(name) };
    let settings =
        tls::Settings { certificate: file("crt"), private_key: file("key"), client_roots: file("ca"), clients };
    std::fs::write(file("ca"), &authority.pem).unwrap();
    write_pair(&dir, &authority);
    let acceptor = Arc::new(Acceptor::new(settings).unwrap());
    let house = House::with_tls(Settings::default(), Some(Arc::clone(&acceptor)));
    Secured { house, acceptor, authority, dir }
}

fn write_pair(dir: &tempfile::TempDir, authority: &Authority) -> CertificateDer<'static> {
    let (certificate, key) = authority.issue(&["spiffe://td/ns/picket/sa/picket"]);
    std::fs::write(dir.path().join("crt"), certificate.pem()).unwrap();
    std::fs::write(dir.path().join("key"), key.serialize_pem()).unwrap();
    certificate.der().clone()
}

fn only_the_gateway() -> peers::Settings {
    peers::Settings { spiffe_ids: vec![GATEWAY.to_owned()], ..peers::Settings::default() }
}

impl Secured {
    /// Sends a request over TLS; returns the status and the server's certificate, or `None` if the server rejected us.
    async fn ask(&self, client: Option<(rcgen::Certificate, KeyPair)>) -> Option<(u16, CertificateDer<'static>)> {
        self.ask_for("/quick", client).await
    }

    async fn ask_for(
        &self,
        path: &str,
        client: Option<(rcgen::Certificate, KeyPair)>,
    ) -> Option<(u16, CertificateDer<'static>)> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match client {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                config.with_client_auth_cert(vec![certificate.der().clone()], key).unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from("picket.test").unwrap();
        let io: BoxIo = Box::new(self.house.connect());
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, io).await.ok()?;
        let seen = stream.get_ref().1.peer_certificates()?.first()?.clone().into_owned();
        let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.ok()?;
        let mut clients = JoinSet::new();
        clients.spawn(async move { drop(connection.await) });
        let answer = sender.send_request(get(path)).await.ok()?;
        Some((answer.status().as_u16(), seen))
    }
}

#[tokio::test(start_paused = true)]
async fn the_proxy_of_a_stream_is_the_one_that_its_certificate_names() {
    let secured = secured(only_the_gateway());
    secured.house.gate.add_permits(1);
    let gateway = secured.authority.issue(&[GATEWAY]);
    assert_eq!(secured.ask_for("/stream", Some(gateway)).await.map(|(status, _)| status), Some(200));
    let shown: Vec<_> =
        secured.house.proxies.lock().unwrap().iter().map(|id| id.as_ref().map(|id| id.as_str().to_owned())).collect();
    assert_eq!(shown, [Some(GATEWAY.to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn p35_only_the_named_clients_may_send_checks() {
    let by_namespace = peers::Settings { namespaces: vec!["td/istio-system".into()], ..peers::Settings::default() };
    let by_domain = peers::Settings { trust_domains: vec!["td".into()], ..peers::Settings::default() };
    let cases: [(peers::Settings, &[&str], bool); 11] = [
        (only_the_gateway(), &[GATEWAY], true),
        (only_the_gateway(), &["spiffe://td/ns/istio-system/sa/gateway2"], false),
        (only_the_gateway(), &[], false),
        (only_the_gateway(), &[GATEWAY, "spiffe://td/ns/b/sa/b"], false),
        (only_the_gateway(), &["https://td/ns/istio-system/sa/gateway"], false),
        (by_namespace.clone(), &[GATEWAY], true),
        (by_namespace.clone(), &["spiffe://td/ns/istio-system2/sa/gateway"], false),
        (by_namespace.clone(), &["spiffe://other/ns/istio-system/sa/gateway"], false),
        (by_namespace, &["spiffe://td/x/ns/istio-system/sa/gateway"], false),
        (by_domain.clone(), &["spiffe://td/anything"], true),
        (by_domain, &["spiffe://td.evil/anything"], false),
    ];
    for (clients, uris, good) in cases {
        let secured = secured(clients.clone());
        let answer = secured.ask(Some(secured.authority.issue(uris))).await;
        assert_eq!(answer.map(|(status, _)| status), good.then_some(200), "{uris:?} for {clients:?}");
        secured.house.group.drain(within(1)).await;
        assert_eq!(secured.house.closed(Closed::Refused), u64::from(!good));
    }
}

#[tokio::test(start_paused = true)]
async fn p35_a_missing_and_a_foreign_certificate_are_rejected() {
    let secured = secured(only_the_gateway());
    assert!(secured.ask(None).await.is_none());
    assert!(secured.ask(Some(Authority::new().issue(&[GATEWAY]))).await.is_none());
    secured.house.group.drain(within(1)).await;
    assert_eq!(secured.house.closed(Closed::Handshake), 2);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stalls_in_the_handshake_is_closed_and_cannot_hold_a_drain() {
    let (secured, start) = (secured(only_the_gateway()), Instant::now());
    until_closed(&mut secured.house.connect()).await;
    assert_eq!(start.elapsed().as_secs(), 5);
    let _stalled = secured.house.connect();
    tokio::task::yield_now().await;
    assert_eq!(secured.house.group.drain(within(20)).await, Drained::Clean);
    assert_eq!((start.elapsed().as_secs(), secured.house.closed(Closed::Silent)), (5, 1));
}

/// Lets the acceptor check its files once.
async fn look(acceptor: &Arc<Acceptor>) {
    let mut watch = Box::pin(Arc::clone(acceptor).keep_fresh());
    assert!(tokio::time::timeout(Duration::from_secs(15), &mut watch).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn renewed_certificates_are_used_and_bad_ones_are_not() {
    let secured = secured(only_the_gateway());
    let client = || Some(secured.authority.issue(&[GATEWAY]));
    let second = write_pair(&secured.dir, &secured.authority);
    look(&secured.acceptor).await;
    assert_eq!(secured.ask(client()).await, Some((200, second.clone())));
    assert_eq!((secured.acceptor.reloads(), secured.acceptor.failures()), (1, 0));

    // A key of another certificate, not PEM at all, and no file.
    let other = secured.authority.issue(&[]).1.serialize_pem();
    let file = |name: &str| secured.dir.path().join(name);
    for (count, spoil) in [(1, Some(other.as_str())), (2, Some("garbage")), (3, None)] {
        match spoil {
            Some(text) => std::fs::write(file("key"), text).unwrap(),
            None => std::fs::remove_file(file("key")).unwrap(),
        }
        look(&secured.acceptor).await;
        assert_eq!(secured.ask(client()).await, Some((200, second.clone())), "the old certificates are gone");
        assert_eq!((secured.acceptor.reloads(), secured.acceptor.failures()), (1, count));
    }
    let third = write_pair(&secured.dir, &secured.authority);
    look(&secured.acceptor).await;
    assert_eq!(secured.ask(client()).await, Some((200, third)));
}

#[tokio::test(start_paused = true)]
async fn a_bad_generation_is_counted_once_however_long_it_stays() {
    let secured = secured(only_the_gateway());
    std::fs::write(secured.dir.path().join("key"), "garbage").unwrap();
    let mut watch = Box::pin(Arc::clone(&secured.acceptor).keep_fresh());
    assert!(tokio::time::timeout(Duration::from_secs(65), &mut watch).await.is_err());
    assert_eq!(secured.acceptor.failures(), 1);
}

#[tokio::test(start_paused = true)]
async fn changed_roots_shut_out_certificates_of_the_old_ones() {
    let secured = secured(only_the_gateway());
    let next = Authority::new();
    std::fs::write(secured.dir.path().join("ca"), &next.pem).unwrap();
    look(&secured.acceptor).await;
    assert!(secured.ask(Some(secured.authority.issue(&[GATEWAY]))).await.is_none());
    assert!(secured.ask(Some(next.issue(&[GATEWAY]))).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn renewals_and_the_expiry_of_the_certificate_in_use_are_metrics() {
    let secured = secured(only_the_gateway());
    let metrics = crate::telemetry::metrics::Metrics::new("test");
    crate::app::collectors::register_certificates(&metrics, vec![("mesh".to_owned(), Arc::clone(&secured.acceptor))]);
    write_pair(&secured.dir, &secured.authority);
    look(&secured.acceptor).await;
    for spoil in ["garbage", "other garbage"] {
        std::fs::write(secured.dir.path().join("key"), spoil).unwrap();
        look(&secured.acceptor).await;
    }
    let (text, expires_at) = (metrics.render(), secured.acceptor.expires_at());
    for (series, value) in [
        (r#"picket_tls_renewals_total{listener="mesh",result="ok"}"#, 1),
        (r#"picket_tls_renewals_total{listener="mesh",result="refused"}"#, 2),
        (r#"picket_tls_certificate_expiry_timestamp_seconds{listener="mesh"}"#, expires_at),
    ] {
        let line = text.lines().find_map(|line| Some(line.strip_prefix(series)?.trim().trim_end_matches(".0")));
        assert_eq!(line, Some(value.to_string().as_str()), "{series}\n{text}");
    }
}

#[tokio::test]
async fn a_server_measures_the_certificates_of_its_listeners() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    write_pair(&dir, &authority);
    std::fs::write(dir.path().join("ca"), &authority.pem).unwrap();
    let file = |name: &str| serde_json::Value::from(dir.path().join(name).to_str().unwrap());
    let listener = serde_json::json!({"name": "mesh", "address": "127.0.0.1:0", "tls": {
        "certificate": file("crt"), "private_key": file("key"), "client_roots": file("ca"),
        "clients": {"spiffe_ids": [GATEWAY]}}});
    let flags = [
        format!("listeners=[{listener}]"),
        format!("policies.dir={}", file("policies")),
        "admin.http_address=127.0.0.1:0".to_owned(),
        "admin.grpc_address=127.0.0.1:0".to_owned(),
        "telemetry.decision_log.sink=none".to_owned(),
    ];
    let flags = flags.map(|flag| (flag.clone(), flag)).into();
    let sources = crate::config::Sources { flags, ..Default::default() };
    let config = crate::config::load(&sources).unwrap().config;
    let app = crate::app::compose(config, None).await.unwrap();
    let _server = super::super::Server::bind(app.server).unwrap();
    let text = app.backend.metrics();
    assert!(text.contains(r#"picket_tls_certificate_expiry_timestamp_seconds{listener="mesh"}"#), "{text}");
    assert!(text.contains(r#"picket_tls_renewals_total{listener="mesh",result="refused"} 0"#), "{text}");
}

#[tokio::test]
async fn the_expiry_of_the_certificate_is_known() {
    // rcgen's certificates end with the year 4095.
    assert!(secured(only_the_gateway()).acceptor.expires_at() > 4_000_000_000);
}
