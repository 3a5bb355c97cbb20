//! Metadata that Picket serves: callers get it through Envoy, and the service behind never sees the call.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Scene, request, safe, send, show, upstream};

const CATALOG: &str = "
services:
  - id: shop/orders
    token:
      serve_metadata: true
      resource: https://orders.example/api
      authorization_servers: ['https://idp.example']
";
/// Opens the service to everybody, so that what Picket does not answer itself reaches it.
const OPEN: &str = r#"@id("open") permit (principal, action in Action::"any", resource);"#;
const PATH: &str = "/.well-known/oauth-protected-resource/api";

#[tokio::test]
async fn a_document_is_served_through_envoy_and_the_service_never_sees_the_call() {
    let mut scene = Scene::new(&[("catalog.yaml", CATALOG), ("namespaces/shop/a.cedar", OPEN)]).await;
    let _picket = scene.picket("picket", json!({})).await;
    // A filter that fails open must not forward a call that was answered with status 200 either.
    let open = safe("open", "shop/orders").authz(json!({"failure_mode_allow": true}));
    let envoy = scene.envoy("envoy", vec![safe("orders", "shop/orders"), open]).await;
    for listener in ["orders", "open"] {
        let get = send(&envoy, listener, &request(&format!("GET {PATH}"), &[])).await;
        assert_eq!((get.status, upstream(&get).is_none()), (200, true), "{}", get.text());
        let document: Value = serde_json::from_slice(&get.body).unwrap();
        assert_eq!(document["resource"], "https://orders.example/api");
        assert_eq!(get.values("content-type").collect::<Vec<_>>(), ["application/json"]);
        assert_eq!(get.values("cache-control").collect::<Vec<_>>(), ["public, max-age=300"]);

        // The answer to a HEAD has the length of a body that does not come, so the whole answer is its head.
        let mut stream = TcpStream::connect(envoy.listener(listener).unwrap()).await.unwrap();
        stream.write_all(&request(&format!("HEAD {PATH}"), &[])).await.unwrap();
        let mut head = String::new();
        stream.read_to_string(&mut head).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(head.contains("content-type: application/json\r\n") && !head.contains("x-upstream"), "{head}");

        let other = send(&envoy, listener, &request(&format!("GET {PATH}/x"), &[])).await;
        assert_eq!(show(&other), "200");
        assert!(upstream(&other).is_some(), "any other path is judged and goes on");
    }
}
