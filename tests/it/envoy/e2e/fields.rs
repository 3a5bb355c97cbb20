//! Fields of gRPC messages through Envoy: Picket evaluates the message that a real client sends.

use serde_json::json;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::{Scene, asks, grpc, routes, safe};

const CATALOG: &str = "services: [{id: shop/stock, protocol: grpc, grpc: {descriptors: health.binpb}}]";
const POLICY: &str = r#"
@id("own") permit (principal, action == Action::"grpc.call", resource)
when { context has fields && context.fields.hasTag("/service") && context.fields.getTag("/service") like "open*" };
"#;
/// `max_request_bytes` of the filter.
const MAX: usize = 1024;

#[tokio::test]
async fn the_message_of_a_unary_call_is_evaluated_as_the_upstream_gets_it() {
    let mut scene = Scene::new(&[("catalog.yaml", CATALOG), ("namespaces/shop/a.cedar", POLICY)]).await;
    std::fs::create_dir(scene.path("policies/descriptors")).unwrap();
    std::fs::write(scene.path("policies/descriptors/health.binpb"), crate::grpc::set("health.proto")).unwrap();
    grpc::serve(&mut scene).await;
    let _picket = scene.picket("picket", json!({"limits": {"check": {"body_bytes_max": MAX}}})).await;
    let _unaware = scene.picket("unaware", json!({})).await;
    let body = |partial: bool| {
        json!({"with_request_body":
            {"max_request_bytes": MAX, "allow_partial_message": partial, "pack_as_bytes": true}})
    };
    let to_health = || json!({"route_config": routes("shop/stock", "health")});
    let listeners = vec![
        safe("whole", "shop/stock").manager(to_health()).authz(body(false)),
        safe("partial", "shop/stock").manager(to_health()).authz(body(true)),
        safe("bare", "shop/stock").manager(to_health()),
        safe("unaware", "shop/stock").manager(to_health()).authz(asks("unaware")).authz(body(false)),
    ];
    let envoy = scene.envoy("envoy", listeners).await;
    let long = "open".repeat(MAX);
    for (listener, service, expected) in [
        // The upstream knows no such service: the call has reached it.
        ("whole", "open", Code::NotFound),
        ("whole", "shut", Code::PermissionDenied),
        ("whole", "", Code::PermissionDenied),
        ("partial", "open", Code::NotFound),
        ("partial", long.as_str(), Code::PermissionDenied),
        // Envoy's own 413.
        ("whole", long.as_str(), Code::Unknown),
        ("bare", "open", Code::PermissionDenied),
        // A gRPC call has no content-length: without the filter's limit nothing proves its body whole.
        ("unaware", "open", Code::PermissionDenied),
    ] {
        let address = format!("http://{}", envoy.listener(listener).unwrap());
        let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
        let mut client = HealthClient::new(channel);
        let done = client.check(Request::new(HealthCheckRequest { service: service.to_owned() })).await;
        let code = done.as_ref().map_or_else(Status::code, |_| Code::Ok);
        assert_eq!(code, expected, "{listener} {service:.8}: {done:?}");
    }
}
