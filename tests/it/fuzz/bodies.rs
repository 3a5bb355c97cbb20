//! Bodies as bytes, mutated with a sense for JSON: no panic, no second reading, nothing accepted that is not exact.
//!
//! `cargo test` tries some thousands. `FUZZ_RUNS` sets how many, `FUZZ_SEED` repeats a run; `docs/fuzzing.md` says how
//! to try a hundred million. What fails is written to `target/fuzz`.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use picket::body::json::{self, Json, Limits};
use picket::body::mcp::{self, Ask, Message, uri};
use picket::call::{Body, Call};
use picket::catalog::mcp::{Era, Mcp, Tool};
use picket::catalog::{BodyRules, Catalog};
use picket::failure::Failure;

use super::agree::assert_agreed;
use super::mutate::Random;
use super::{number, root};
use crate::support::{CallBuilder, call as nobody};

/// Inputs of a run without `FUZZ_RUNS`: a second or two in a debug build.
const RUNS: u64 = 30_000;
/// Largest input; the limits beyond have tables of their own.
const BYTES_MAX: usize = 2048;
/// Inputs that are kept to go on from.
const POOL: usize = 256;
/// Of how many inputs one is read as a document and compared with other parsers; the others are read as messages.
const COMPARED: u64 = 4;

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{"url":{}}}}"#;

/// Bodies to begin with; `META` stands for the newest revision's metadata.
const SEEDS: &[&str] = &[
    r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x","arguments":{"t":"1","n":[1,-2.50e3,null,true,{"a~/b":"\u00e9\ud83d\ude00"}]},META}}"#,
    r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"x","arguments":{"t":1e3},"requestState":"s","inputResponses":{},META}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"x:y",META}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"ticket://4711/a%20b?q=1"}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"x","arguments":{"k":"v"}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["a://b","c://d/e"]},META}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t"}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"x":[]}}"#,
    r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"tools/list"}]"#,
    r#"{"a":{"b":[[],{},"",0,-0.0,1E-7,123456789012345678901234567890]},"\n":false}"#,
];

/// Pieces that mean something to a reader of JSON, of MCP or of URIs.
const PIECES: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b",",
    b":",
    b" ",
    b"\n",
    b"\0",
    b"\xff",
    b"\xc0\xaf",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\xe2\x80\xa8",
    b"\\u0000",
    b"\\ud83d",
    b"\\ude00",
    b"\\u006e",
    b"\\/",
    b"0",
    b"-",
    b"-0",
    b"1",
    b"9",
    b".",
    b"e",
    b"E+",
    b"e-5",
    b"1e400",
    b"1e999999999999999999",
    b"1e1000000000000000000",
    b"9223372036854775808",
    b"0.00001",
    b"null",
    b"true",
    b"false",
    b"{}",
    b"[]",
    b"\"\"",
    b"[[[[[[[[",
    b"]]]]]]]]",
    b"\"a\":1,",
    b",\"a\":1",
    b"\"Name\":\"y\",",
    b"\"name\":\"y\",",
    b"\"name\":",
    b"\"arguments\":{\"a\":1,\"A\":2},",
    b"\"arg\\u0075ments\":{},",
    b"\"method\":\"tools/call\",",
    b"\"id\":null,",
    b"\"id\":1.0,",
    b"\"jsonrpc\":\"2.0\",",
    b"\"result\":{},",
    b"\"params\":[],",
    b"tools/list",
    b"ping",
    b"notifications/initialized",
    b"2025-06-18",
    b"2026-07-28",
    b"..",
    b"/../",
    b"//",
    b"/",
    b"%2e",
    b"%2F",
    b"%20",
    b"%25",
    b"%",
    b";",
    b"#",
    b"?",
    b"@",
    b"a://b",
    b"urn:x:y",
    b"\xc5\xbf",
    b"\xe2\x84\xaa",
    b"$serde_json::private::Number",
];

struct Fuzzer {
    random: Random,
    /// Bodies, each with the call that takes it.
    pool: Vec<(Vec<u8>, usize)>,
    /// How many of the pool are for good.
    seeds: usize,
    calls: Vec<Call>,
    rules: Mcp,
    tools: BTreeMap<String, Tool>,
    accepted: u64,
    messages: u64,
}

/// Calls without bodies: one for each revision, without and with its mirrored headers.
fn calls() -> Vec<Call> {
    let call = || nobody().method("POST").path("/mcp").header("content-type", "application/json");
    let newest = || call().header("mcp-protocol-version", Era::July2026.as_str());
    let mut calls = vec![call()];
    calls.extend(Era::ALL.map(|era| call().header("mcp-protocol-version", era.as_str())));
    for (method, name) in [("tools/call", "x"), ("resources/read", "x:y"), ("prompts/get", "x")] {
        calls.push(newest().header("mcp-method", method).header("mcp-name", name).header("mcp-param-t", "1"));
    }
    calls.push(newest().header("mcp-method", "prompts/get").header("mcp-name", "x"));
    calls.push(newest().header("mcp-method", "subscriptions/listen"));
    calls.into_iter().map(|CallBuilder(call)| call).collect()
}

impl Fuzzer {
    fn new(seed: u64) -> Self {
        let text = "services: [{id: t/mcp, hosts: [mcp.t], protocol: mcp, mcp: {batches: each}, tools: {x: {headers: {t: T}}}}]";
        let catalog = Catalog::parse("catalog.yaml", text).unwrap();
        let service = catalog.service("t/mcp").unwrap();
        let (rules, tools) = (service.mcp.clone().unwrap(), service.tools.clone());
        let (random, calls) = (Random::new(seed), calls());
        let mut fuzzer = Self { random, pool: Vec::new(), seeds: 0, calls, rules, tools, accepted: 0, messages: 0 };
        // Every body as the newest revision sends it and as the older ones do, with every call that takes it.
        for seed in SEEDS {
            let mut taken = 0;
            for mut body in [META, r#""_meta":{}"#].map(|meta| seed.replace("META", meta).into_bytes()) {
                for at in 0..fuzzer.calls.len() {
                    if fuzzer.read(&mut body, at).is_ok() {
                        fuzzer.pool.push((body.clone(), at));
                        taken += 1;
                    }
                }
            }
            assert!(taken > 0 || !seed.contains("jsonrpc"), "no call takes {seed}");
            if taken == 0 {
                fuzzer.pool.push((seed.as_bytes().to_vec(), 0));
            }
        }
        fuzzer.seeds = fuzzer.pool.len();
        fuzzer
    }

    /// Reads a body as the messages of the call at `at`.
    fn read(&mut self, input: &mut Vec<u8>, at: usize) -> Result<Vec<Message>, Failure> {
        let call = &mut self.calls[at];
        call.body = Body::Complete(std::mem::take(input));
        let read = mcp::read(call, &self.rules, &self.tools, &BodyRules::default(), Limits::default());
        if let Body::Complete(bytes) = &mut call.body {
            *input = std::mem::take(bytes);
        }
        read
    }

    /// Writes the next input into `input`; gives the call to try it with.
    fn draw(&mut self, input: &mut Vec<u8>) -> usize {
        input.clear();
        let from = self.random.below(self.pool.len());
        let (body, call) = &self.pool[from];
        input.extend_from_slice(body);
        let call = *call;
        // Mostly one change: what is far from a message is refused early, and says little.
        for _ in 0..=self.random.below(6).saturating_sub(3) {
            self.change(input);
        }
        input.truncate(BYTES_MAX);
        if self.random.below(8) == 0 { self.random.below(self.calls.len()) } else { call }
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.random.below(input.len() + 1);
        let end = at + self.random.below(8).min(input.len() - at);
        match self.random.below(10) {
            0 if at < input.len() => input[at] ^= 1 << self.random.below(8),
            1 => input.truncate(at),
            2 => drop(input.drain(at..end)),
            3 => {
                // The tail of another input.
                let (other, _) = &self.pool[self.random.below(self.pool.len())];
                let cut = self.random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[cut..]);
            }
            4 => {
                // The same part again, which makes keys that occur twice.
                let part = input[at..(at + 40).min(input.len())].to_vec();
                drop(input.splice(at..at, part));
            }
            5 | 6 => {
                let piece = PIECES[self.random.below(PIECES.len())];
                drop(input.splice(at..end, piece.iter().copied()));
            }
            _ => {
                let piece = PIECES[self.random.below(PIECES.len())];
                drop(input.splice(at..at, piece.iter().copied()));
            }
        }
    }

    /// Tries one input. Panics where a promise is broken.
    fn try_input(&mut self, input: &mut Vec<u8>, at: usize, run: u64) {
        if run.is_multiple_of(COMPARED) {
            if let Ok(json) = json::parse(input, Limits::default()) {
                self.accepted += 1;
                assert_document(input, &json);
            }
            return;
        }
        match self.read(input, at) {
            Ok(messages) => {
                self.messages += 1;
                assert!(!messages.is_empty(), "a call without a message would be judged by nothing");
                messages.iter().for_each(|message| assert_exact(&message.ask));
                self.keep(input, at);
            }
            Err(failure) => assert!(failure.detail.len() < 400, "{failure}"),
        }
    }

    /// Goes on from some of what was accepted; the seeds stay.
    fn keep(&mut self, input: &[u8], call: usize) {
        if self.random.below(64) > 0 {
            return;
        }
        if self.pool.len() < POOL {
            self.pool.push((input.to_vec(), call));
        } else {
            let at = self.seeds + self.random.below(POOL - self.seeds);
            self.pool[at] = (input.to_vec(), call);
        }
    }
}

/// What holds of every accepted document.
fn assert_document(bytes: &[u8], json: &Json) {
    assert_agreed(bytes, json);
    for (pointer, node) in json.nodes(BYTES_MAX).unwrap() {
        assert_eq!(json.pointer(&pointer), Some(node), "{pointer}");
        if let Some(number) = node.as_number() {
            let canonical = json::Number::parse(&number.canonical()).unwrap();
            assert_eq!((canonical.to_i64(), canonical.to_decimal()), (number.to_i64(), number.to_decimal()));
        }
    }
    let canonical = json.canonical();
    let again = json::parse(canonical.as_bytes(), Limits::default()).unwrap();
    assert_eq!(again.canonical(), canonical, "the canonical spelling has another");
}

/// What holds of everything that a message asks for.
fn assert_exact(ask: &Ask) {
    match ask {
        Ask::CallTool { name, arguments } => {
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b)), "{name}");
            assert!(arguments.as_object().is_some());
        }
        Ask::ReadResource { uri } | Ask::SubscribeResource { uri } => {
            assert_eq!(uri::canonical(uri).as_ref(), Ok(uri), "another spelling");
            assert!(!uri.contains("/../") && !uri.ends_with("/.."), "{uri}");
        }
        Ask::GetPrompt { name, arguments } => {
            assert!(!name.is_empty() && arguments.as_object().is_some());
        }
        Ask::UseServer { method } => assert!(!method.is_empty()),
    }
}

#[test]
fn no_mutated_body_has_a_second_reading() {
    let seed = number("FUZZ_SEED").unwrap_or_else(|| uuid::Uuid::now_v7().as_u64_pair().1);
    let runs = number("FUZZ_RUNS").unwrap_or(RUNS);
    println!("FUZZ_SEED={seed}");
    let mut fuzzer = Fuzzer::new(seed);
    let mut input = Vec::new();
    #[expect(clippy::disallowed_methods, reason = "the figure of a long run is how fast it was")]
    let start = Instant::now();
    for run in 0..runs {
        let at = fuzzer.draw(&mut input);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| fuzzer.try_input(&mut input, at, run))) {
            std::fs::create_dir_all(root("target/fuzz")).unwrap();
            let path = root("target/fuzz").join(format!("body-{seed}-{run}.bin"));
            // A reader that panics keeps what it read.
            let kept = match &fuzzer.calls[at].body {
                Body::Complete(bytes) if input.is_empty() => bytes,
                _ => &input,
            };
            std::fs::write(&path, kept).unwrap();
            println!("FUZZ_SEED={seed}, input {run} is in {}: make it a row of a table", path.display());
            std::panic::resume_unwind(panic)
        }
    }
    let rate = runs as f64 / start.elapsed().as_secs_f64();
    println!(
        "{runs} bodies, {} documents and {} calls accepted, {rate:.0} a second, {:?}",
        fuzzer.accepted,
        fuzzer.messages,
        start.elapsed()
    );
    assert!(fuzzer.accepted > 0 && fuzzer.messages > 0, "nothing was accepted, so nothing was tried");
}
