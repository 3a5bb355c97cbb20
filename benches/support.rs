//! Shared parts of the benches: the load's calls and the policies that apply to them.

use std::path::Path;

use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{Address, HeaderMap, HeaderValue, SocketAddress, address};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use envoy_types::pb::google::protobuf::Timestamp;

/// As in the binary, so that Picket and a server that evaluates nothing share it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Writes `policies` scope-selective policies, one for each caller and path, to `folder/policies`.
pub fn write_policies(folder: &Path, policies: usize) {
    let namespace = folder.join("policies/namespaces/ns0");
    std::fs::create_dir_all(&namespace).unwrap();
    std::fs::create_dir_all(folder.join("policies/mesh")).unwrap();
    std::fs::write(folder.join("policies/catalog.yaml"), "services: [{id: ns0/api}]\n").unwrap();
    let mut files = vec![String::new(); policies.div_ceil(1000)];
    for n in 0..policies {
        files[n / 1000].push_str(&format!(
            "@id(\"p{n}\") permit (principal == Workload::\"spiffe://cluster.local/ns/web/sa/caller{n}\", \
             action in Action::\"read\", resource in Path::\"ns0/api/v1/items{n}\")\n\
             when {{ context.http.headers.hasTag(\"x-tenant\") && context.http.headers.getTag(\"x-tenant\") != \"\" }};\n"
        ));
    }
    for (number, text) in files.iter().enumerate() {
        std::fs::write(namespace.join(format!("f{number}.cedar")), text).unwrap();
    }
}

/// An ordinary browser's call as the proxy reports it: 1 KB, which `check` ensures.
pub fn check(number: usize, tenant: &str) -> CheckRequest {
    let path = format!("/v1/items{number}/42?page=3");
    let filler = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36";
    let headers = [
        (":method", "GET"),
        (":path", path.as_str()),
        (":authority", "api.ns0.example"),
        (":scheme", "https"),
        ("user-agent", filler),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
        ("accept-language", "en-GB,en;q=0.9,de;q=0.8"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("referer", "https://www.ns0.example/basket"),
        ("cookie", "session=6f1d0c2e9b7a4d58; theme=dark"),
        ("sec-fetch-dest", "empty"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-site", "same-site"),
        ("x-request-id", "6a1f9f6e-8a3e-4a35-9a43-6c1c0f3a6c11"),
        ("x-tenant", tenant),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
        ("x-forwarded-for", "10.1.2.3"),
        ("x-forwarded-proto", "https"),
    ];
    let header = |(key, value): &(&str, &str)| HeaderValue {
        key: (*key).to_owned(),
        raw_value: value.as_bytes().to_vec(),
        ..HeaderValue::default()
    };
    let http = HttpRequest {
        id: "11640347952870912837".into(),
        method: "GET".into(),
        path: path.clone(),
        host: "api.ns0.example".into(),
        scheme: "https".into(),
        protocol: "HTTP/2".into(),
        header_map: Some(HeaderMap { headers: headers.iter().map(header).collect() }),
        ..HttpRequest::default()
    };
    let peer = |principal: String, address: &str, port: u32| Peer {
        address: Some(Address {
            address: Some(address::Address::SocketAddress(SocketAddress {
                address: address.to_owned(),
                port_specifier: Some(PortSpecifier::PortValue(port)),
                ..SocketAddress::default()
            })),
        }),
        principal,
        ..Peer::default()
    };
    let source = peer(format!("spiffe://cluster.local/ns/web/sa/caller{number}"), "10.244.1.17", 41_532);
    let destination = peer("spiffe://cluster.local/ns/ns0/sa/api".to_owned(), "10.244.2.9", 8080);
    let time = Timestamp { seconds: 1_795_392_000, nanos: 123_000_000 };
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(source),
            destination: Some(destination),
            request: Some(Request { time: Some(time), http: Some(http) }),
            context_extensions: [("service".to_owned(), "ns0/api".to_owned())].into(),
            ..AttributeContext::default()
        }),
    }
}
