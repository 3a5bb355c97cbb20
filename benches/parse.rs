//! Cost of a body of 16 KB: parsed as a document and as a call of a tool, and as part of a whole check in process; and
//! the cost of the longest input for each reader of untrusted text. The shapes go from common bodies to the costliest
//! ones.
//!
//! `cargo bench --bench parse` prints rows of JSON, for `benches/tables`. `parse --count SHAPE` reads the body of that
//! shape one hundred times for callgrind.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench stops at the first surprise and reads the real clock"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use composed::whole;
use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use picket::body::json::{Limits, parse};
use picket::body::{json, llm, mcp};
use picket::call::{Body, Call, CanonicalPath, Headers, Host, Target, UnixMillis};
use picket::catalog::mcp::Mcp;
use picket::catalog::{BodyRules, Catalog, Protocol};
use picket::envoy::authz::Authz;
use prost::Message as _;
use tokio::runtime::Runtime;

#[path = "composed.rs"]
mod composed;

const BYTES: usize = 16 * 1024;
/// Checks of each side of a difference.
const CHECKS: usize = 400;
const CONVERSATION: &str =
    "It is 14:00 in Basel, the rollout of \\\"checkout\\\" has reached 40 %, and nobody complained yet. ";
const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
const MCP: [(&str, &str); 3] =
    [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "deploy.plan")];

const CATALOG: &str = "services:
- {id: ns0/named, body: {json: true}}
- {id: ns1/computed, body: {json: true}}
- {id: ns2/tools, hosts: [mcp.t], protocol: mcp}
";
/// One that names what it reads of a document, one that computes it, and one that names what it reads of a call.
const POLICIES: [(&str, &str); 3] = [
    (
        "ns0",
        r#"permit (principal, action == Action::"POST", resource in Path::"ns0/named/v1") unless {
           context has args && context.args.hasTag("/service") && context.args.getTag("/service") == "vault" };"#,
    ),
    (
        "ns1",
        r#"permit (principal, action == Action::"POST", resource in Path::"ns1/computed/v1") unless {
           context has args && context.args.hasTag(context.http.path) };"#,
    ),
    (
        "ns2",
        r#"permit (principal, action == Action::"mcp.tools.call", resource in Service::"ns2/tools") when {
           context.args.hasTag("/service") && context.args.getTag("/service") == "checkout" &&
           context.decimals.hasTag("/amount") && context.args.hasTag("/change_ticket") };"#,
    ),
];

/// Content of the body: an opening, as many parts as fit with commas between, an end.
struct Shape {
    name: &'static str,
    open: &'static str,
    part: fn(usize) -> String,
    close: &'static str,
}

const fn list(name: &'static str, part: fn(usize) -> String) -> Shape {
    Shape { name, open: "[", part, close: "]" }
}

const fn object(name: &'static str, part: fn(usize) -> String) -> Shape {
    Shape { name, open: "{", part, close: "}" }
}

/// A key of three letters.
fn short(n: usize) -> String {
    [n / 676, n / 26 % 26, n % 26].iter().map(|n| char::from(b'a' + u8::try_from(*n).unwrap())).collect()
}

const SHAPES: [Shape; 18] = [
    list("long texts", |n| format!(r#"{{"line":{n},"text":"{}"}}"#, CONVERSATION.repeat(8))),
    list("records", |n| format!(r#"{{"id":"item-{n}","amount":{n}.25,"is_open":true,"tags":["a","b"]}}"#)),
    list("numbers of one digit", |_| "1".to_owned()),
    list("numbers with exponents", |n| format!("{n}e-7")),
    list("empty texts", |_| r#""""#.to_owned()),
    list("empty objects", |_| "{}".to_owned()),
    list("lists of one number", |_| "[1]".to_owned()),
    list("objects of one member", |_| r#"{"a":1}"#.to_owned()),
    list("objects of 16 members", |_| {
        format!("{{{}}}", (0..16).map(|n| format!(r#""{}":1"#, &short(n)[2..])).collect::<Vec<_>>().join(","))
    }),
    list("lists 60 deep", |_| format!("{}{}", "[".repeat(60), "]".repeat(60))),
    object("short keys", |n| format!(r#""{}":1"#, short(n))),
    object("keys with one beginning", |n| format!(r#""beginning_{n:05}":1"#)),
    object("keys in capitals", |n| format!(r#""{}":1"#, short(n).to_uppercase())),
    object("keys in Cyrillic", |n| {
        let letter = |n: usize| char::from_u32(0x430 + u32::try_from(n % 32).unwrap()).unwrap();
        format!(r#""{}{}{}":1"#, letter(n / 1024), letter(n / 32), letter(n))
    }),
    object("keys beyond the BMP", |n| format!("\"\u{10428}{}\":1", short(n))),
    object("one word in every case", |n| {
        let letter = |at: usize| if n >> at & 1 == 1 { 'A' } else { 'a' };
        format!("\"{}\":1", (0..11).map(letter).collect::<String>())
    }),
    list("escapes", |_| format!("\"{}\"", r"\n".repeat(500))),
    list("escapes by code", |_| format!("\"{}\"", r"\u00e9\ud83d\ude00".repeat(50))),
];

impl Shape {
    /// Arguments of a tool, or a document, of 16 KB.
    fn arguments(&self) -> String {
        let mut filled = r#"{"service":"checkout","amount":12.50,"change_ticket":"CHG0048213","filler":"#.to_owned();
        filled.push_str(self.open);
        for n in 0.. {
            let part = (self.part)(n);
            if filled.len() + part.len() > BYTES - 300 {
                break;
            }
            if n > 0 {
                filled.push(',');
            }
            filled.push_str(&part);
        }
        filled + self.close + "}"
    }
}

fn call_of_tool(arguments: &str) -> String {
    let params = format!(r#"{{"name":"deploy.plan","arguments":{arguments},{META}}}"#);
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{params}}}"#)
}

/// The bytes of a check of `service`; without a body there is no content type.
fn check(service: &str, path: &str, more: &[(&str, &str)], body: &str) -> Bytes {
    let length = body.len().to_string();
    let mut headers = vec![
        (":method", "POST"),
        (":path", path),
        (":authority", "api.example"),
        (":scheme", "https"),
        ("x-envoy-auth-partial-body", "false"),
        ("content-length", length.as_str()),
    ];
    headers.extend(more);
    if !body.is_empty() {
        headers.push(("content-type", "application/json"));
    }
    let header = |(key, value): (&str, &str)| HeaderValue {
        key: key.to_owned(),
        raw_value: value.as_bytes().to_vec(),
        ..HeaderValue::default()
    };
    let http = HttpRequest {
        method: "POST".into(),
        path: path.into(),
        host: "api.example".into(),
        scheme: "https".into(),
        protocol: "HTTP/2".into(),
        header_map: Some(HeaderMap { headers: headers.into_iter().map(header).collect() }),
        raw_body: body.as_bytes().to_vec(),
        ..HttpRequest::default()
    };
    let source = Peer { principal: "spiffe://cluster.local/ns/web/sa/caller".into(), ..Peer::default() };
    let attributes = AttributeContext {
        source: Some(source),
        request: Some(Request { http: Some(http), ..Request::default() }),
        context_extensions: [("service".to_owned(), service.to_owned())].into(),
        ..AttributeContext::default()
    };
    CheckRequest { attributes: Some(attributes) }.encode_to_vec().into()
}

fn service(runtime: &Runtime) -> Authz {
    let folder = tempfile::tempdir().unwrap();
    let policies = folder.path().join("policies");
    std::fs::create_dir_all(policies.join("mesh")).unwrap();
    std::fs::write(policies.join("catalog.yaml"), CATALOG).unwrap();
    for (namespace, policy) in POLICIES {
        std::fs::create_dir_all(policies.join("namespaces").join(namespace)).unwrap();
        std::fs::write(policies.join("namespaces").join(namespace).join("p.cedar"), format!("@id(\"p\") {policy}"))
            .unwrap();
    }
    composed::service(runtime, folder)
}

fn is_allowed(runtime: &Runtime, service: &Authz, bytes: &Bytes) -> bool {
    let answer = CheckResponse::decode(runtime.block_on(whole(service, bytes)).as_slice()).unwrap();
    answer.status.unwrap().code == 0
}

/// By how many microseconds `with` is slower than `without`, at the median and at the 99th percentile, taking turns.
fn added(runtime: &Runtime, service: &Authz, without: &Bytes, with: &Bytes) -> (f64, f64) {
    let mut times = [Vec::with_capacity(CHECKS), Vec::with_capacity(CHECKS)];
    for _ in 0..CHECKS {
        for (bytes, times) in [without, with].into_iter().zip(&mut times) {
            let begin = Instant::now();
            black_box(runtime.block_on(whole(service, bytes)));
            times.push(begin.elapsed().as_secs_f64() * 1e6);
        }
    }
    times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
    let at = |percent: usize| times[1][CHECKS * percent / 100] - times[0][CHECKS * percent / 100];
    (at(50), at(99))
}

fn call(path: &str, headers: &[(&str, &str)], body: &str) -> Call {
    let headers = [("content-type", "application/json")].iter().chain(headers);
    Call {
        peer: picket::call::Peer::default(),
        method: "POST".into(),
        scheme: "https".into(),
        host: Host::parse("mcp.t").unwrap(),
        target: Target::Path { path: CanonicalPath::parse(path).unwrap(), query: None },
        path_sent: path.into(),
        upgrade: None,
        headers: Headers::raw(headers.copied()),
        body: Body::Complete(body.as_bytes().to_vec().into()),
        extensions: BTreeMap::new(),
        verified_tokens: BTreeMap::new(),
        received_at: UnixMillis(0),
    }
}

fn message(call: &Call, rules: &Mcp) {
    drop(black_box(mcp::read(call, rules, &BTreeMap::new(), &BodyRules::default(), Limits::default())));
}

/// Microseconds of one, in the fastest of 100 rounds of ten: the least that anything else took part in.
fn fastest(mut once: impl FnMut()) -> f64 {
    let round = |_| {
        let begin = Instant::now();
        (0..10).for_each(|_| once());
        begin.elapsed().as_secs_f64() * 1e5
    };
    (0..100).map(round).fold(f64::INFINITY, f64::min)
}

/// The function that callgrind counts, by `--toggle-collect='*counted_once*'`.
#[inline(never)]
fn counted_once(call: &Call, rules: &Mcp) {
    for _ in 0..100 {
        message(call, rules);
    }
}

/// The longest input that each reader may be given, in its worst shape.
fn readers() {
    let kilobytes = 64 * 1024;
    let many = |part: fn(usize) -> String, close: &str| {
        let mut text = String::new();
        for n in 0.. {
            if text.len() > kilobytes - 100 {
                break;
            }
            text.push_str(&part(n));
        }
        text + close
    };
    let model = |path: &str, members: String| {
        let body = format!(r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"user"}}],{members}}}"#);
        let (json, call) = (parse(body.as_bytes(), Limits::default()).unwrap(), call(path, &[], ""));
        fastest(|| drop(black_box(llm::read(&call, Some(&json), Protocol::Openai))))
    };
    let chat = "/v1/chat/completions";
    let path = |sent: String| fastest(|| drop(black_box(CanonicalPath::parse(&sent))));
    let uri = |sent: String| fastest(|| drop(black_box(mcp::uri::canonical(&sent))));
    let digits = "7".repeat(4000);
    let rows = [
        ("model request", "unknown parameters", model(chat, many(|n| format!("\"max_{n}\":1,"), "\"user\":\"u\""))),
        ("model request", "absent parameters", model(chat, many(|n| format!("\"max_{n}\":null,"), "\"user\":\"u\""))),
        (
            "model request",
            "tools",
            model(chat, format!("\"tools\":[{}]", many(|n| format!("{{\"name\":\"t{n}\"}},"), "{\"name\":\"t\"}"))),
        ),
        ("path", "segments", path(many(|_| "/a".to_owned(), ""))),
        ("path", "steps up", path(many(|_| "/a/..".to_owned(), ""))),
        ("path", "escapes", path(many(|_| "/%41".to_owned(), ""))),
        ("resource", "escapes", uri(format!("a://b/{}", many(|_| "%41".to_owned(), "")))),
        ("resource", "steps up", uri(format!("a://b/{}", many(|_| "a/../".to_owned(), "")))),
        ("number", "4,000 digits", fastest(|| drop(black_box(json::Number::parse(&digits).unwrap().canonical())))),
    ];
    for (reader, shape, microseconds) in rows {
        println!("{}", serde_json::json!({"bench": "readers", "reader": reader, "shape": shape, "us": microseconds}));
    }
}

fn main() {
    let command: Vec<String> = std::env::args().collect();
    if command.iter().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let rules = Catalog::parse("catalog.yaml", CATALOG).unwrap().service("ns2/tools").unwrap().mcp.clone().unwrap();
    if let Some(at) = command.iter().position(|argument| argument == "--count") {
        let shape = SHAPES.iter().find(|shape| shape.name == command[at + 1]).unwrap();
        return counted_once(&call("/mcp", &MCP, &call_of_tool(&shape.arguments())), &rules);
    }
    readers();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let service = service(&runtime);
    let http = |id: &str, body: &str| check(id, "/v1/plans", &[], body);
    let tool = |arguments: &str| check("ns2/tools", "/mcp", &MCP, &call_of_tool(arguments));
    let least = tool(r#"{"service":"checkout","amount":12.50,"change_ticket":"CHG0048213"}"#);
    let bare = ["ns0/named", "ns1/computed"].map(|id| http(id, ""));
    assert!(bare.iter().chain([&least]).all(|bytes| is_allowed(&runtime, &service, bytes)));
    for shape in &SHAPES {
        let arguments = shape.arguments();
        let json = parse(arguments.as_bytes(), Limits::default()).unwrap();
        let with = [http("ns0/named", &arguments), http("ns1/computed", &arguments), tool(&arguments)];
        let allowed = with.each_ref().map(|bytes| is_allowed(&runtime, &service, bytes));
        // Keys that differ by case only are refused, and that takes its time too.
        assert!(allowed[0] && allowed[2] || shape.name.contains("every case"), "{}", shape.name);
        let call = call("/mcp", &MCP, &call_of_tool(&arguments));
        let of_call = added(&runtime, &service, &least, &with[2]);
        let of_document = added(&runtime, &service, &bare[0], &with[0]);
        let of_all = added(&runtime, &service, &bare[1], &with[1]);
        let row = serde_json::json!({
            "bench": "parse", "shape": shape.name, "bytes": arguments.len(),
            "values": json.node().nodes(usize::MAX).unwrap().len(),
            "document_us": fastest(|| drop(black_box(parse(arguments.as_bytes(), Limits::default()).unwrap()))),
            "message_us": fastest(|| message(&call, &rules)),
            "call_p50_us": of_call.0, "call_p99_us": of_call.1,
            "json_p50_us": of_document.0, "json_p99_us": of_document.1,
            "all_p50_us": of_all.0, "all_p99_us": of_all.1, "all_is_refused": !allowed[1],
        });
        println!("{row}");
    }
}
