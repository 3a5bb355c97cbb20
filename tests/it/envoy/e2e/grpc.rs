//! gRPC through Envoy: the caller's library sees gRPC's own codes, for every answer of Picket.

use serde_json::json;
use tokio::net::TcpListener;
use tonic::metadata::MetadataValue;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::issuer::{self, Issuer};
use super::{Scene, routes, safe};
use crate::envoy::bench::{cluster_of, http2, loopback};

const CATALOG: &str = "
services:
  - {id: shop/stock, protocol: grpc}
  - id: pay/ledger
    protocol: grpc
    token: {resource_metadata: 'https://ledger.example/.well-known/oauth-protected-resource'}
";
const STOCK: &str = r#"
@id("health") permit (principal, action == Action::"grpc.call", resource)
when { resource == Method::"shop/stock/grpc.health.v1.Health/Check" };
"#;
const LEDGER: &str = r#"
@id("clerks") permit (principal, action == Action::"grpc.call", resource in Method::"pay/ledger/grpc.health.v1.Health")
when { principal has token && principal.token.roles.contains("clerk") };
"#;

/// A gRPC upstream: a health service.
pub async fn serve(scene: &mut Scene) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    scene.cluster(http2(cluster_of("health", &[loopback(listener.local_addr().unwrap().port())])));
    let (_, service) = tonic_health::server::health_reporter();
    scene.tasks.spawn(async move {
        let server = tonic::transport::Server::builder().add_service(service);
        server.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap();
    });
}

#[tokio::test]
async fn p36_grpc_callers_see_grpc_codes_and_only_permitted_methods_pass() {
    let mut scene = Scene::new(&[
        ("catalog.yaml", CATALOG),
        ("namespaces/shop/a.cedar", STOCK),
        ("namespaces/pay/a.cedar", LEDGER),
    ])
    .await;
    serve(&mut scene).await;
    let issuer = Issuer::new();
    scene.write("jwks.json", &issuer.key_set());
    let _picket = scene.picket("picket", issuer::settings(&scene.path("jwks.json"))).await;
    let _late = scene.picket("late", json!({"limits": {"check": {"deadline": "0s"}}})).await;
    let to_health = |service: &str| json!({"route_config": routes(service, "health")});
    let listeners = vec![
        safe("stock", "shop/stock").manager(to_health("shop/stock")),
        safe("ledger", "pay/ledger").manager(to_health("pay/ledger")),
        safe("late", "shop/stock").manager(to_health("shop/stock")).authz(super::asks("late")),
    ];
    let envoy = scene.envoy("envoy", listeners).await;
    let clerk = issuer.token(json!({"roles": ["clerk"]}));
    let other = issuer.token(json!({"roles": ["auditor"]}));
    let forged = Issuer::new().token(json!({"roles": ["clerk"]}));
    let (check, watch) = (true, false);
    for (listener, unary, token, expected) in [
        ("stock", check, None, Code::Ok),
        ("stock", watch, None, Code::PermissionDenied),
        ("ledger", check, None, Code::Unauthenticated),
        ("ledger", check, Some(&clerk), Code::Ok),
        ("ledger", check, Some(&other), Code::PermissionDenied),
        ("ledger", check, Some(&forged), Code::Unauthenticated),
        ("late", check, None, Code::Unavailable),
    ] {
        let address = format!("http://{}", envoy.listener(listener).unwrap());
        let channel = tonic::transport::Channel::from_shared(address).unwrap().connect().await.unwrap();
        let mut client = HealthClient::new(channel);
        let mut request = Request::new(HealthCheckRequest { service: String::new() });
        if let Some(token) = token {
            let value: MetadataValue<_> = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        let done = if unary { client.check(request).await.map(drop) } else { client.watch(request).await.map(drop) };
        let code = done.as_ref().map_or_else(Status::code, |()| Code::Ok);
        assert_eq!(code, expected, "{listener}, token {}: {done:?}", token.is_some());
        if let Err(status) = done {
            // The message is the notice with its decision id, which support needs.
            assert!(status.message().contains("decision") && !status.message().contains("clerk"), "{status:?}");
        }
    }
}
