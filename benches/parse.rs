//! What it costs to read a body of 16 KB: as a document, as a call of a tool, by named arguments, and all its nodes.
//!
//! `cargo bench --bench parse` prints microseconds, of the fastest of many rounds. `parse --count message|nodes` reads one body one hundred
//! times for callgrind, see `benches/instructions`.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench stops at the first surprise and reads the real clock"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use picket::body::json::{Json, Limits, parse};
use picket::body::mcp::{self, Ask, Message};
use picket::call::{Body, Call, CanonicalPath, Headers, Host, Peer, Target, UnixMillis};
use picket::catalog::mcp::Mcp;
use picket::catalog::{BodyRules, Catalog};

const BYTES: usize = 16 * 1024;
const CONVERSATION: &str =
    "It is 14:00 in Basel, the rollout of \\\"checkout\\\" has reached 40 %, and nobody complained yet. ";

/// A call of a tool whose arguments `fill` the body up to 16 KB.
fn body(fill: impl Fn(usize) -> String) -> Vec<u8> {
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let mut arguments = r#""service":"checkout","amount":12.50,"change_ticket":"CHG0048213","filler":["#.to_owned();
    let mut at = 0;
    while arguments.len() < BYTES - 300 {
        if at > 0 {
            arguments.push(',');
        }
        arguments.push_str(&fill(at));
        at += 1;
    }
    format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"deploy.plan","arguments":{{{arguments}]}},{meta}}}}}"#
    )
    .into_bytes()
}

/// Bodies from the common one to those that cost most by the byte.
fn bodies() -> [(&'static str, Vec<u8>); 4] {
    [
        ("long texts", body(|n| format!(r#"{{"line":{n},"text":"{}"}}"#, CONVERSATION.repeat(8)))),
        ("records", body(|n| format!(r#"{{"id":"item-{n}","amount":{n}.25,"is_open":true,"tags":["a","b"]}}"#))),
        ("numbers", body(|_| "1".to_owned())),
        ("empty objects", body(|_| "{}".to_owned())),
    ]
}

fn call(body: Vec<u8>) -> Call {
    let headers = [
        ("content-type", "application/json"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "deploy.plan"),
    ];
    Call {
        peer: Peer::default(),
        method: "POST".into(),
        scheme: "https".into(),
        host: Host::parse("mcp.t").unwrap(),
        target: Target::Path { path: CanonicalPath::parse("/mcp").unwrap(), query: None },
        path_sent: "/mcp".into(),
        upgrade: None,
        headers: Headers::raw(headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).to_vec()),
        body: Body::Complete(body),
        extensions: BTreeMap::new(),
        verified_tokens: BTreeMap::new(),
        received_at: UnixMillis(0),
    }
}

fn rules() -> Mcp {
    let text = "services: [{id: t/mcp, hosts: [mcp.t], protocol: mcp}]";
    Catalog::parse("catalog.yaml", text).unwrap().service("t/mcp").unwrap().mcp.clone().unwrap()
}

fn message(call: &Call, rules: &Mcp) -> Message {
    mcp::read(call, rules, &BTreeMap::new(), &BodyRules::default(), Limits::default()).unwrap().remove(0)
}

fn arguments(message: &Message) -> &Json {
    match &message.ask {
        Ask::CallTool { arguments, .. } => arguments,
        other => unreachable!("the body calls a tool, not {other:?}"),
    }
}

/// What a decision reads whose policies name three arguments.
fn named(call: &Call, rules: &Mcp) {
    let message = message(call, rules);
    let arguments = arguments(&message);
    for pointer in ["/service", "/amount", "/change_ticket"] {
        black_box(arguments.pointer(pointer).and_then(Json::scalar).unwrap());
    }
}

/// What a decision reads whose policies read arguments by computed names.
fn all(call: &Call, rules: &Mcp) {
    let message = message(call, rules);
    let nodes = arguments(&message).nodes(1 << 16).unwrap();
    let texts: Vec<Option<String>> = nodes.iter().map(|(_, node)| node.scalar()).collect();
    black_box((nodes.len(), texts));
}

/// Microseconds of one, in the fastest of 200 rounds of twenty: the least that anything else took part in.
fn fastest(mut once: impl FnMut()) -> f64 {
    let round = |_| {
        let begin = Instant::now();
        (0..20).for_each(|_| once());
        begin.elapsed().as_secs_f64() * 5e4
    };
    (0..200).map(round).fold(f64::INFINITY, f64::min)
}

/// What callgrind counts, by `--toggle-collect='*counted_once*'`.
#[inline(never)]
fn counted_once(what: &str, call: &Call, rules: &Mcp) {
    for _ in 0..100 {
        if what == "nodes" { all(call, rules) } else { named(call, rules) }
    }
}

fn main() {
    let command: Vec<String> = std::env::args().collect();
    if command.iter().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let rules = rules();
    if let Some(at) = command.iter().position(|argument| argument == "--count") {
        let [_, (_, records), ..] = bodies();
        return counted_once(&command[at + 1], &call(records), &rules);
    }
    for (name, body) in bodies() {
        let bytes = body.len();
        let call = call(body.clone());
        let document = fastest(|| drop(black_box(parse(&body, Limits::default()).unwrap())));
        let message = fastest(|| drop(black_box(message(&call, &rules))));
        let (named, all) = (fastest(|| named(&call, &rules)), fastest(|| all(&call, &rules)));
        let speed = bytes as f64 / document;
        println!(
            "{name}, {bytes} bytes: document {document:.1} us ({speed:.0} MB/s), message {message:.1} us, \
             with three named arguments {named:.1} us, with all nodes {all:.1} us"
        );
    }
}
