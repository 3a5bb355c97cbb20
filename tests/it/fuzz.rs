//! Checks as bytes, mutated for any length of time: no panic, no wrong allow, no answer without a status. `policies`
//! does the same for policies.
//!
//! Starts from the recorded cases and `tests/fuzz/corpus`, and keeps every input with new answers: that is its measure
//! of progress on a stable compiler. `cargo test` runs it for a fixed number of inputs; `docs/fuzzing.md` says how to
//! run it longer, and by coverage. A failing input is written to `target/fuzz`: the seed alone repeats the choices, but
//! not always the bytes, since protobuf's maps have no order.

pub mod agree;
mod bodies;
mod grammar;
mod grpc;
pub mod mutate;
mod policies;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::Peer;
use mutate::{Mutator, Random};
use picket::envoy::decode;
use prost::Message as _;
use tokio::runtime::Runtime;

use crate::harness::direct::{Direct, Seen};
use crate::props::{ask_all, listeners};
use crate::support::NOW;

/// Inputs of a run without `FUZZ_SECONDS`: some seconds in a debug build.
const INPUTS: u64 = 3000;
/// Largest input; Envoy's largest is far larger, and says nothing new.
const BYTES_MAX: usize = 16 * 1024;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn number(name: &str) -> Option<u64> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}

/// Where to begin: the recorded cases, and what earlier runs found.
fn corpus() -> Vec<Vec<u8>> {
    let recorded = crate::cases::calls().into_iter();
    let mut corpus: Vec<Vec<u8>> =
        recorded.map(|(_, call)| picket::envoy::json::check_request(&call).unwrap().encode_to_vec()).collect();
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(root("tests/fuzz/corpus")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    corpus.extend(found.iter().map(|path| std::fs::read(path).unwrap()));
    // The recorded cases lack this: both ends, each with a name of its own.
    let mut ends = crate::harness::orders();
    ends.attributes().destination =
        Some(Peer { principal: "spiffe://cluster.local/ns/shop/sa/orders".to_owned(), ..Peer::default() });
    corpus.push(ends.0.encode_to_vec());
    corpus
}

/// The part of an answer that shows the path through the code.
fn trail(seen: &Seen) -> String {
    match &seen.result {
        Ok(verdict) => format!("{} {:?} {:?}", verdict.reason().as_str(), verdict.determining, verdict.would_be),
        // Up to the first quoted input.
        Err(failure) => {
            format!("{} {}", failure.code.as_str(), failure.detail.split('`').next().unwrap_or_default())
        }
    }
}

/// All that is made of what a check says.
fn told(sent: &decode::CheckView<'_>) -> String {
    format!("{:?} {:?}", decode::outline(sent), decode::call(sent, decode::Limits::default(), NOW))
}

struct Fuzzer {
    runtime: Runtime,
    listeners: Vec<Direct>,
    trails: HashSet<String>,
    pool: Vec<Vec<u8>>,
}

impl Fuzzer {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let listeners = listeners(&runtime);
        Self { runtime, listeners, trails: HashSet::new(), pool: Vec::new() }
    }

    /// Tries an input, and keeps it if its answers are new. Panics where a promise is broken.
    fn try_input(&mut self, input: Vec<u8>) -> bool {
        let decoded = CheckRequest::decode(input.as_slice());
        let message = input.clone().into();
        let read = decode::CheckView::read(&message);
        assert_eq!(decoded.is_ok(), read.is_ok(), "only one reads it: {decoded:?}, {read:?}");
        let (Ok(request), Ok(read)) = (decoded, read) else { return false };
        assert_eq!(
            told(&read),
            told(&decode::CheckView::of(&request)),
            "the bytes and the message say different things"
        );
        let seen = ask_all(&self.runtime, &self.listeners, &request);
        let trail: String = seen.iter().map(|seen| format!("{}\n", trail(seen))).collect();
        let is_new = self.trails.insert(trail);
        if is_new {
            self.pool.push(input);
        }
        is_new
    }

    fn try_and_keep(&mut self, input: Vec<u8>, seed: u64) -> bool {
        kept_if_it_fails("corpus", seed, &input, || self.try_input(input.clone()))
    }
}

/// Tries an input; what breaks a promise is written down before the test fails. `corpus` is where it belongs then.
fn kept_if_it_fails(corpus: &str, seed: u64, input: &[u8], attempt: impl FnOnce() -> bool) -> bool {
    catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|panic| {
        std::fs::create_dir_all(root("target/fuzz")).unwrap();
        let path = root("target/fuzz").join(format!("failure-{corpus}-{seed}.bin"));
        std::fs::write(&path, input).unwrap();
        println!("FUZZ_SEED={seed}; the input is in {}: move it to tests/fuzz/{corpus}", path.display());
        std::panic::resume_unwind(panic)
    })
}

/// As long as `FUZZ_SECONDS` says, else a fixed number of inputs.
struct Run {
    end: Option<Instant>,
    inputs_max: u64,
    inputs: u64,
}

impl Run {
    fn new(seconds: Option<u64>, inputs_max: u64) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a run is as long as its user says")]
        let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        Self { end, inputs_max, inputs: 0 }
    }

    fn goes_on(&mut self) -> bool {
        #[expect(clippy::disallowed_methods, reason = "a run is as long as its user says")]
        let goes_on = self.end.map_or(self.inputs < self.inputs_max, |end| Instant::now() < end);
        self.inputs += u64::from(goes_on);
        goes_on
    }
}

fn seed() -> u64 {
    number("FUZZ_SEED").unwrap_or_else(|| uuid::Uuid::now_v7().as_u64_pair().1)
}

#[test]
fn no_mutated_check_breaks_a_promise() {
    let seed = seed();
    println!("FUZZ_SEED={seed}");
    let mut fuzzer = Fuzzer::new();
    for input in corpus() {
        fuzzer.try_and_keep(input, seed);
    }
    assert!(!fuzzer.pool.is_empty(), "no input of the corpus decodes");
    let keep = std::env::var_os("FUZZ_KEEP").is_some();
    let mut mutator = Mutator::new(Random::new(seed), BYTES_MAX);
    let mut run = Run::new(number("FUZZ_SECONDS"), INPUTS);
    while run.goes_on() {
        let input = mutator.next(&fuzzer.pool);
        if fuzzer.try_and_keep(input.clone(), seed) && keep {
            std::fs::write(root("tests/fuzz/corpus").join(format!("{seed:016x}-{}.bin", run.inputs)), input).unwrap();
        }
    }
    println!("{} inputs, {} different trails", run.inputs, fuzzer.trails.len());
}

#[test]
fn mutated_inputs_are_mostly_still_checks_and_another_seed_draws_others() {
    let pool: Vec<Vec<u8>> = corpus();
    let inputs = |seed| {
        let mut mutator = Mutator::new(Random::new(seed), BYTES_MAX);
        (0..50).map(|_| mutator.next(&pool)).collect::<Vec<_>>()
    };
    assert_ne!(inputs(7), inputs(8));
    let decoded = inputs(7).iter().filter(|input| CheckRequest::decode(input.as_slice()).is_ok()).count();
    assert!(decoded >= 25, "only {decoded} of 50 inputs are checks at all");
}
