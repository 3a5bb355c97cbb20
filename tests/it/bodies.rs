//! Bodies of every kind: policies evaluate the whole of one, or the call is denied.
//!
//! Every protocol, method and state of a body, under policies that read its length, its values or nothing.
//! [`is_allowed`] defines the right result; it does not know how Picket finds it.

mod calls;
mod found;
mod scopes;

use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::authorization_server::Authorization as _;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use picket::check::Profile;
use picket::check::cache::{Admission, CheckCache, ListenerCache};
use picket::decision::Snapshot;
use picket::decision::snapshot::Tree;
use picket::envoy::authz::Authz;
use picket::mapping;
use picket::policy::Store;
use tokio::runtime::Runtime;

use crate::harness::direct::{self, authz};
use crate::harness::said;
use crate::memory::checker;
use crate::support::tree;
use calls::{Body, Kind, Method, call};

const CATALOG: &str = "
services:
  - {id: t/plain}
  - {id: t/json, groups: [g], body: {json: true}}
  - {id: t/grpc, protocol: grpc}
  - {id: t/described, protocol: grpc, grpc: {descriptors: orders.binpb}}
  - id: t/mcp
    protocol: mcp
    mcp: {versions: ['2025-06-18']}
    tools: {t: {input_schema: {type: object, properties: {bad: {type: string}}}}}
  - {id: t/a2a, protocol: a2a, a2a: {endpoint: /a2a, versions: ['1.0'], bindings: [rest]}}
  - {id: t/llm, protocol: openai, http_paths: [/health]}
";
const ALL: &str = r#"@id("all") permit (principal, action in Action::"any", resource);"#;
/// More than any small body has, and less than a large one.
const LENGTH: &str = r#"@id("large") forbid (principal, action in Action::"any", resource)
when { context.http has bodyBytes && context.http.bodyBytes > 1000 };"#;
const VALUES: &str = r#"@id("args") forbid (principal, action in Action::"write", resource)
when { context has args && context.args.hasTag("/bad") };
@id("tools") forbid (principal, action == Action::"mcp.tools.call", resource) when { context.args.hasTag("/bad") };
@id("fields") forbid (principal, action == Action::"grpc.call", resource)
when { context has fields && context.fields.hasTag("/order_id") && context.fields.getTag("/order_id") like "bad*" };"#;

const FOUND: &str = r#"@id("keys") forbid (principal, action in [Action::"write", Action::"mcp.tools.call", Action::"a2a.send",
  Action::"llm.generate"], resource) when { context.found.contains("aws_key") };"#;

/// The part of a body that policies read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Nothing,
    Length,
    Values,
    /// Which detectors find something in the message.
    Found,
}

/// The catalogue, its descriptors, and these policies.
fn with(files: &[(&str, &str)]) -> Tree {
    let set = crate::grpc::set_text("orders.proto");
    let own = [("catalog.yaml", CATALOG), ("descriptors/orders.binpb", set.as_str())];
    tree(&[&own, files].concat())
}

/// Evaluates tunnels too, so that their bodies are read.
fn profile() -> Profile {
    let mapping = mapping::Settings {
        allow_connect: true,
        allow_upgrades: vec!["websocket".to_owned()],
        ..mapping::Settings::default()
    };
    Profile { mapping, ..Profile::default() }
}

/// A service with a cache, so that a body that is missing in the cache's key gives another body's answer.
async fn service(tree: Tree) -> Authz {
    let source = Arc::new(direct::Memory::default());
    source.give(tree);
    let store = Arc::new(Store::over(source, Arc::new(Snapshot::load_on), std::time::Duration::from_secs(10)));
    store.load_now().await;
    assert!(store.current().is_some(), "the tree does not load");
    let cache = ListenerCache::new(&Arc::new(CheckCache::new(Admission::FirstSight)));
    authz(Arc::new(checker(&store, &profile(), Some(cache))), Arc::new(|_| {}))
}

/// Returns whether the call may be allowed.
fn is_allowed(kind: Kind, method: Method, body: Body, read: Read) -> bool {
    let is_none = matches!(body, Body::Zero | Body::Empty);
    let shows_none = is_none || body == Body::NotSent;
    let is_tunnel = matches!(method, Method::Upgrade | Method::Connect);
    // A length of 0 says nothing about what flows through a tunnel.
    let length_is_small = body == Body::Small || body == Body::Empty || (body == Body::Zero && !is_tunnel);
    // A long word without a blank may be a file in base64, which is not text.
    let is_readable_if_large = !matches!(read, Read::Values | Read::Found);
    let message_is_good = body == Body::Small || (body == Body::Large && is_readable_if_large);
    if read == Read::Length && !length_is_small {
        return false;
    }
    match (kind, method) {
        (Kind::Plain | Kind::HttpPath, Method::Named(name)) if read == Read::Found && !is_without_body(name) => is_none,
        (Kind::Plain, _) | (Kind::Grpc, Method::Connect) => true,
        (_, Method::Connect) | (Kind::Json, Method::Upgrade) => shows_none,
        (_, Method::Upgrade) => false,
        (_, Method::Preflight) => shows_none,
        (Kind::Json | Kind::HttpPath, Method::Named("GET" | "HEAD" | "OPTIONS")) => shows_none,
        (Kind::Json, Method::Named(_)) => !matches!(read, Read::Values | Read::Found) || is_none || body == Body::Small,
        (Kind::HttpPath, Method::Named(_)) | (Kind::Grpc, Method::Named("POST")) => true,
        (Kind::Described, Method::Named("POST")) => read != Read::Values || body == Body::Small,
        (Kind::Mcp | Kind::A2a | Kind::Llm, Method::Named("POST")) => {
            message_is_good || (body == Body::Large && matches!(kind, Kind::A2a | Kind::Llm) && read != Read::Found)
        }
        (Kind::Mcp, Method::Named("GET" | "DELETE")) | (Kind::A2a, Method::Named("GET")) => shows_none,
        (Kind::Grpc | Kind::Described | Kind::Mcp | Kind::A2a | Kind::Llm, Method::Named(_)) => false,
    }
}

/// Methods with bodies that no policy sees.
fn is_without_body(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS")
}

#[test]
fn p17_values_that_a_policy_reads_are_known_of_the_whole_body_or_the_call_is_denied() {
    let runtime = Runtime::new().unwrap();
    let mut wrong = Vec::new();
    for (read, policies) in [(Read::Nothing, ""), (Read::Length, LENGTH), (Read::Values, VALUES), (Read::Found, FOUND)]
    {
        let tree = with(&[("mesh/all.cedar", ALL), ("mesh/read.cedar", policies)]);
        let service = runtime.block_on(service(tree));
        for (kind, method, body) in calls::all() {
            let call = call(kind, method, body);
            let ask = || said(&runtime.block_on(asked(&service, call.0.clone())));
            let first = ask();
            let expected = is_allowed(kind, method, body, read);
            if (first.status == 200 && first.decision == "allow") != expected || first.reason == "internal" {
                wrong.push(format!("{kind:?} {method:?} {body:?} under {read:?}: {}", first.reason));
            }
            for _ in 0..2 {
                assert_eq!(ask(), first, "{kind:?} {method:?} {body:?} under {read:?}: the memory made a difference");
            }
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}

async fn asked(service: &Authz, request: CheckRequest) -> CheckResponse {
    service.check(tonic::Request::new(request)).await.unwrap().into_inner()
}

/// Reads lengths, of services that take packed bodies up to this size.
fn unpacking(runtime: &Runtime, max: usize) -> Authz {
    let body = format!("body: {{inflate_max_bytes: {max}}}");
    let catalog = CATALOG.replace("id: t/plain", &format!("id: t/plain, {body}"));
    let catalog = catalog.replace("id: t/grpc, protocol: grpc", &format!("id: t/grpc, protocol: grpc, {body}"));
    let set = crate::grpc::set_text("orders.proto");
    let files = [
        ("catalog.yaml", catalog.as_str()),
        ("descriptors/orders.binpb", set.as_str()),
        ("mesh/all.cedar", ALL),
        ("mesh/read.cedar", LENGTH),
    ];
    runtime.block_on(service(tree(&files)))
}

/// The result of a POST of these bytes, if this header names their encoding.
fn posted(runtime: &Runtime, service: &Authz, kind: Kind, bytes: Vec<u8>, header: &str) -> String {
    let call = calls::with_bytes(calls::bare(kind, Method::Named("POST")), bytes).header(header, "gzip");
    said(&runtime.block_on(asked(service, call.0))).reason
}

/// The length is that of what the service takes in: packed bodies are unpacked or refused.
#[test]
fn p17_the_length_of_an_encoded_body_is_that_of_the_decoded_one() {
    let runtime = Runtime::new().unwrap();
    let service = unpacking(&runtime, 100_000);
    let of = |kind, bytes: Vec<u8>, header| posted(&runtime, &service, kind, bytes, header);
    let (small, large) = (calls::gzip(&[b'x'; 900]), calls::gzip(&[b'x'; 1500]));
    assert!(large.len() < 900);
    assert_eq!(of(Kind::Plain, small.clone(), "content-encoding"), "policy_permit");
    assert_eq!(of(Kind::Plain, large.clone(), "content-encoding"), "policy_forbid");
    // A service that says nothing of packed bodies.
    assert_eq!(of(Kind::Json, small.clone(), "content-encoding"), "body_encoded");
    let frame = |flag, message: &[u8]| calls::framed(flag, message);
    assert_eq!(of(Kind::Grpc, frame(1, &small), "grpc-encoding"), "policy_permit");
    assert_eq!(of(Kind::Grpc, frame(1, &large), "grpc-encoding"), "policy_forbid");
    // Every message counts.
    assert_eq!(of(Kind::Grpc, [frame(1, &small), frame(1, &small)].concat(), "grpc-encoding"), "policy_forbid");
    assert_eq!(of(Kind::Grpc, [frame(0, b"xx"), frame(0, b"")].concat(), "grpc-encoding"), "policy_permit");
    assert_eq!(of(Kind::Grpc, small.clone(), "content-encoding"), "body_encoded");
    assert_eq!(of(Kind::Grpc, frame(0, b"xx")[..6].to_vec(), "grpc-encoding"), "message_refused");
    assert_eq!(of(Kind::Described, frame(1, &small), "grpc-encoding"), "body_encoded");
}

#[test]
fn p17_all_messages_of_a_call_unpack_within_one_bound() {
    let runtime = Runtime::new().unwrap();
    let service = unpacking(&runtime, 1000);
    let packed = calls::framed(1, &calls::gzip(&[b'x'; 600]));
    assert_eq!(posted(&runtime, &service, Kind::Grpc, packed.clone(), "grpc-encoding"), "policy_permit");
    assert_eq!(posted(&runtime, &service, Kind::Grpc, packed.repeat(2), "grpc-encoding"), "body_refused");
}

#[test]
fn a_message_that_was_not_parsed_has_no_operation_and_so_is_never_evaluated_as_http() {
    let snapshot = Snapshot::load(&with(&[("mesh/a.cedar", ALL)]), None).snapshot.unwrap();
    let settings = mapping::Settings::default();
    let mut unparsed = Vec::new();
    for (service, path) in [("t/mcp", "/"), ("t/a2a", "/a2a"), ("t/llm", "/v1/responses"), ("t/llm", "/health")] {
        let service = snapshot.catalog().service(service).unwrap();
        let call = crate::support::call().method("POST").path(path).0;
        let spoken = mapping::action::spoken(&call, service, &settings).unwrap();
        unparsed.push(spoken.without_body(&call).is_none());
    }
    assert_eq!(unparsed, [true, true, true, false]);
}
