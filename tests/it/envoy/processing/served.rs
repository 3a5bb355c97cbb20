//! `picket serve` behind both filters: one listener, one connection, and streams that are open for longer than a check may be.

use picket_demo::folder::Folder;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::transport::server::TcpIncoming;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::service;
use super::site::{Site, Version, cluster, duplex, filter, open, pipe, start};
use super::upstream::DOCUMENT;
use crate::envoy::bench::loopback;
use crate::envoy::e2e::picket::Picket;

/// A gRPC upstream: a health service. Gives its address.
async fn health(tasks: &mut JoinSet<()>) -> Value {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (_, service) = tonic_health::server::health_reporter();
    tasks.spawn(async move {
        let server = tonic::transport::Server::builder().add_service(service);
        server.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap();
    });
    loopback(port)
}

/// `picket serve` as processor of the listener `picket`, and the replacing service as that of `replacing`.
async fn site() -> (Site, Picket) {
    let folder = Folder::new().unwrap();
    folder.write("policies/catalog.yaml", "services: [{id: shop/orders}]\n").unwrap();
    let release = r#"@id("release") permit (principal, action == Action::"release", resource);"#;
    folder.write("policies/mesh/release.cedar", release).unwrap();
    // Far below the time of the streams, which the limit on incomplete requests must not end.
    let settings = json!({"limits": {"connection": {"handshake_timeout": "300ms"}}});
    let picket = Picket::start(folder.path(), "picket", settings).await;
    let mut tasks = JoinSet::new();
    let clusters = vec![
        cluster("picket", pipe(folder.path(), "picket.sock")),
        cluster("replacing", service::replacing(&mut tasks, service::settings()).await),
        cluster("health", health(&mut tasks).await),
    ];
    let listeners = ["picket", "replacing"].map(|name| open(name).after(filter(name, duplex(), json!({}))));
    (start(tasks, folder, listeners.into(), clusters).await, picket)
}

#[tokio::test]
async fn where_every_response_is_permitted_each_passes_unchanged_however_long_it_takes() {
    let (site, picket) = site().await;
    let large = format!("SECRET{}", "a".repeat(3_000_000 - 6));
    for (path, status, body) in [
        ("/bytes", 200, DOCUMENT),
        ("/json", 200, r#"{"a":"SECRET"}"#),
        ("/trailers", 200, "data: one SECRET\n\ndata: two SEC"),
        ("/large/3000000", 200, &large),
        ("/empty", 200, ""),
        ("/204", 204, ""),
    ] {
        for version in [Version::Http1, Version::Http2] {
            let received = site.send("picket", version, "GET", path, &[]).await;
            assert_eq!((received.status, received.end), (status, "end"), "{path} {version:?}: {}", picket.log());
            assert!(received.text() == body, "{path} {version:?}: {} bytes", received.body.len());
            assert_eq!(received.value("cache-control"), None, "{path}");
            assert_eq!(received.value("etag").is_some(), path == "/json", "{path}");
            assert_eq!(!received.trailers.is_empty(), path == "/trailers", "{path}");
        }
    }
}

#[tokio::test]
async fn grpc_calls_keep_their_status_and_their_streams() {
    let (site, _picket) = site().await;
    for listener in ["picket", "replacing"] {
        let address = format!("http://{}", site.envoy.listener(listener).unwrap());
        let mut client = HealthClient::new(Channel::from_shared(address).unwrap().connect().await.unwrap());
        let of = |service: &str| HealthCheckRequest { service: service.to_owned() };
        assert_eq!(client.check(of("")).await.unwrap().into_inner().status, 1, "{listener}");
        let unknown = client.check(of("unknown")).await.unwrap_err();
        assert_eq!(unknown.code(), tonic::Code::NotFound, "{listener}: {unknown:?}");
        // The stream stays open: its first message does not wait for an end.
        let mut watched = client.watch(of("")).await.unwrap().into_inner();
        assert_eq!(watched.message().await.unwrap().unwrap().status, 1, "{listener}");
    }
}
