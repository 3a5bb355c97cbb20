//! Bodies as bytes, mutated with a sense for JSON: no panic, no second reading, nothing accepted that is not exact.
//!
//! `cargo test` tries some thousands. `FUZZ_RUNS` sets how many, `FUZZ_SEED` repeats a run; `docs/fuzzing.md` says how
//! to try a hundred million. What fails is written to `target/fuzz`.

mod doors;
mod words;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use doors::Doors;
use picket::body::json::{self, Limits, Node};
use words::{KEYS, META, PIECES, SEEDS, VALUES};

use super::agree::{assert_agreed, assert_refused};
use super::mutate::Random;
use super::{number, root};

/// Inputs of a run without `FUZZ_RUNS`: a second or two in a debug build.
const RUNS: u64 = 30_000;
/// Largest input; the limits beyond have tables of their own.
const BYTES_MAX: usize = 2048;
/// One in so many accepted documents is also written again and walked by pointers.
const WALKED: u64 = 8;
/// Inputs that are kept to go on from, for each door.
const POOL: usize = 48;

struct Fuzzer {
    random: Random,
    doors: Doors,
    /// Bodies that were accepted, by door; the first are for good.
    pool: Vec<Vec<Vec<u8>>>,
    /// How many of each pool are for good.
    seeds: Vec<usize>,
    /// Inputs by door, tried and accepted.
    counts: Vec<(u64, u64)>,
    documents: u64,
}

impl Fuzzer {
    fn new(seed: u64) -> Self {
        let mut doors = Doors::new();
        let count = doors.all.len();
        let mut pool = vec![Vec::new(); count];
        // Every body as the newest version sends it and as the older ones do, at every door that takes it.
        for seed in SEEDS {
            let mut taken = 0;
            for mut body in [META, r#""_meta":{}"#].map(|meta| seed.replace("META", meta).into_bytes()) {
                for (at, pool) in pool.iter_mut().enumerate() {
                    if doors.read(at, &mut body).is_ok() {
                        pool.push(body.clone());
                        taken += 1;
                    }
                    doors.given_back(at, &mut body);
                }
            }
            assert!(taken > 0, "no door takes {seed}");
        }
        for (door, pool) in doors.all.iter().zip(&pool) {
            assert!(!pool.is_empty(), "the door `{}` takes no seed", door.name);
        }
        let seeds = pool.iter().map(Vec::len).collect();
        Self { random: Random::new(seed), doors, pool, seeds, counts: vec![(0, 0); count], documents: 0 }
    }

    /// Writes the next input into `input`; gives the door to try it at.
    fn draw(&mut self, input: &mut Vec<u8>) -> usize {
        input.clear();
        let door = self.random.below(self.pool.len());
        // Sometimes what another door took.
        let from = if self.random.below(8) == 0 { self.random.below(self.pool.len()) } else { door };
        let at = self.random.below(self.pool[from].len());
        input.extend_from_slice(&self.pool[from][at]);
        // Mostly one change: what is far from a message is refused early, and says little.
        for _ in 0..=self.random.below(6).saturating_sub(3) {
            if self.random.below(5) < 3 { self.extend(input) } else { self.garble(input) }
        }
        input.truncate(BYTES_MAX);
        door
    }

    /// A change after which a document is still one: another member, item, value, or blank.
    fn extend(&mut self, input: &mut Vec<u8>) {
        let begin = self.random.below(input.len() + 1);
        let is_mark = |byte: &u8| matches!(byte, b'{' | b'[' | b':' | b',');
        let Some(mark) = input[begin..].iter().position(is_mark).or_else(|| input.iter().position(is_mark)) else {
            return self.garble(input);
        };
        let at = if input[begin..].iter().any(is_mark) { begin + mark } else { mark };
        let (key, value) = (KEYS[self.random.below(KEYS.len())], VALUES[self.random.below(VALUES.len())]);
        let is_empty = |closing: u8| input[at + 1..].trim_ascii_start().first() == Some(&closing);
        let text = match input[at] {
            b'{' if is_empty(b'}') => format!("\"{key}\":{value}"),
            b'{' => format!("\"{key}\":{value},"),
            b'[' if is_empty(b']') => value.to_owned(),
            b'[' => format!("{value},"),
            _ => [" ", "\n\t", "\r "][self.random.below(3)].to_owned(),
        };
        // A scalar behind a colon may become any other value.
        let old = &input[at + 1..];
        let scalar = old.iter().position(|byte| matches!(byte, b',' | b'}' | b']')).unwrap_or(0);
        let is_scalar = input[at] == b':' && !old[..scalar].iter().any(|byte| matches!(byte, b'{' | b'[' | b'"'));
        if is_scalar && self.random.below(2) == 0 {
            drop(input.splice(at + 1..at + 1 + scalar, value.bytes()));
        } else {
            drop(input.splice(at + 1..=at, text.bytes()));
        }
    }

    /// A change of bytes, regardless of their meaning.
    fn garble(&mut self, input: &mut Vec<u8>) {
        let at = self.random.below(input.len() + 1);
        let end = at + self.random.below(8).min(input.len() - at);
        match self.random.below(10) {
            0 if at < input.len() => input[at] ^= 1 << self.random.below(8),
            1 => input.truncate(at),
            2 => drop(input.drain(at..end)),
            3 => {
                // The tail of another input.
                let pool = &self.pool[self.random.below(self.pool.len())];
                let other = &pool[self.random.below(pool.len())];
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
    fn try_input(&mut self, input: &mut Vec<u8>, door: usize) {
        match json::parse(input, Limits::default()) {
            Ok(json) => {
                self.documents += 1;
                assert_agreed(input, json.node());
                if self.documents.is_multiple_of(WALKED) {
                    assert_walked(json.node());
                }
            }
            Err(refused) => assert_refused(input, &refused),
        }
        let read = self.doors.read(door, input);
        self.doors.given_back(door, input);
        self.counts[door].0 += 1;
        match read {
            Ok(()) => {
                self.counts[door].1 += 1;
                self.keep(input, door);
            }
            Err(failure) => assert!(failure.detail.len() < 400, "{failure}"),
        }
    }

    /// Continues from some of the accepted inputs; the seeds stay.
    fn keep(&mut self, input: &[u8], door: usize) {
        if self.random.below(64) > 0 {
            return;
        }
        let (pool, seeds) = (&mut self.pool[door], self.seeds[door]);
        if pool.len() < seeds + POOL {
            pool.push(input.to_vec());
        } else {
            pool[seeds + self.random.below(POOL)] = input.to_vec();
        }
    }
}

/// Properties of every accepted document.
fn assert_walked(json: Node<'_>) {
    for (pointer, node) in json.nodes(BYTES_MAX).unwrap() {
        assert_eq!(json.pointer(&pointer), Some(node), "{pointer}");
        if let Some(number) = node.as_number() {
            let canonical = number.canonical();
            let canonical = json::Number::parse(&canonical).unwrap();
            assert_eq!((canonical.to_i64(), canonical.to_decimal()), (number.to_i64(), number.to_decimal()));
        }
    }
    let canonical = json.canonical();
    let again = json::parse(canonical.as_bytes(), Limits::default()).unwrap();
    assert_eq!(again.node().canonical(), canonical, "the canonical spelling has another");
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
        let door = fuzzer.draw(&mut input);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| fuzzer.try_input(&mut input, door))) {
            // A reader that panics keeps what it read.
            fuzzer.doors.given_back(door, &mut input);
            std::fs::create_dir_all(root("target/fuzz")).unwrap();
            let path = root("target/fuzz").join(format!("body-{seed}-{run}.bin"));
            std::fs::write(&path, &input).unwrap();
            println!("FUZZ_SEED={seed}, input {run} is in {}: make it a row of a table", path.display());
            std::panic::resume_unwind(panic)
        }
    }
    let rate = runs as f64 / start.elapsed().as_secs_f64();
    println!("{runs} bodies, {} of them documents, {rate:.0} a second, {:?}", fuzzer.documents, start.elapsed());
    let (mut tried, mut accepted) = (0, 0);
    for (door, (at_door, taken)) in fuzzer.doors.all.iter().zip(&fuzzer.counts) {
        println!("{:<34} {at_door:>10} tried, {taken:>10} accepted", door.name);
        (tried, accepted) = (tried + at_door, accepted + taken);
    }
    println!("{:<34} {tried:>10} tried, {accepted:>10} accepted", "all doors");
    assert!(accepted * 3 > tried, "too little is accepted, so little is tried");
}
