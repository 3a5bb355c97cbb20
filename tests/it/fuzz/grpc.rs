//! gRPC messages as bytes, mutated with a sense for tags and lengths: no panic, and nothing accepted that another
//! reader takes for something else.
//!
//! `FUZZ_RUNS` and `FUZZ_SEED` as for the other bodies.

use std::panic::{AssertUnwindSafe, catch_unwind};

use picket::body::grpc::fields;
use picket::body::json::Limits;
use picket::catalog::grpc::{Method, UnknownFields};

use super::mutate::Random;
use super::{number, root};
use crate::grpc::{bytes, fixed32, fixed64, method, number as varint, oracle};

/// Inputs of a run without `FUZZ_RUNS`: a second or two in a debug build.
const RUNS: u64 = 30_000;
/// Largest input; the limits beyond have tables of their own.
const BYTES_MAX: usize = 1024;

/// Messages to begin with, each with its method.
fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let money = [bytes(1, b"EUR"), varint(2, 5)].concat();
    let refund = [
        bytes(1, b"o-1"),
        bytes(2, &money),
        varint(3, 2),
        bytes(4, &[bytes(1, b"a"), varint(2, 1)].concat()),
        bytes(4, &bytes(1, b"b")),
        bytes(5, &[bytes(1, b"k"), bytes(2, &money)].concat()),
        bytes(6, b"card"),
        varint(8, 1),
        bytes(9, &[0, 255]),
        bytes(10, &[1, 2, 0x80, 1]),
        varint(10, 3),
        bytes(11, &[bytes(1, b"in"), bytes(7, &money)].concat()),
        bytes(12, &[varint(1, 1), bytes(2, b"x")].concat()),
        bytes(13, &[0, 1]),
    ];
    let scalars = [
        fixed64(1, 0.1_f64.to_le_bytes()),
        fixed32(2, 1.5_f32.to_le_bytes()),
        varint(3, u64::MAX),
        varint(4, u64::MAX),
        varint(5, 7),
        varint(6, 1 << 63),
        varint(7, 9),
        varint(8, 300),
        fixed32(9, [1; 4]),
        fixed64(10, [2; 8]),
        fixed32(11, [255; 4]),
        fixed64(12, [254; 8]),
        varint(13, 1),
        bytes(14, "é".as_bytes()),
        bytes(15, b"\xff"),
    ];
    let old = [bytes(1, b"n"), varint(2, 1), varint(3, 4), bytes(4, &[1, 2]), bytes(6, &[8, 1, 16, 2])];
    vec![("Refund", refund.concat()), ("Try", scalars.concat()), ("Old", old.concat())]
}

/// Pieces that mean something to a reader of protobuf.
const PIECES: &[&[u8]] = &[
    &[0],
    &[1],
    &[0x7f],
    &[0x80],
    &[0x80, 0],
    &[0x80, 1],
    &[0xff],
    &[0xff; 9],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
    &[0x0a, 0],
    &[0x0a, 1, b'x'],
    &[0x12, 0],
    &[0x12, 2, 0x10, 1],
    &[0x18, 1],
    &[0x2a, 0],
    &[0x2b],
    &[0x2c],
    &[0x32, 0],
    &[0x3a, 0],
    &[0x40, 2],
    &[0x52, 0],
    &[0x5a, 2, 0x5a, 0],
    &[0x0d, 0, 0, 0, 0],
    &[0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f],
];

struct Fuzzer {
    random: Random,
    methods: Vec<Method>,
    pool: Vec<(usize, Vec<u8>)>,
    accepted: u64,
}

impl Fuzzer {
    fn new(seed: u64) -> Self {
        let seeds = seeds();
        let methods: Vec<Method> = seeds.iter().map(|(name, _)| method(name)).collect();
        let pool: Vec<(usize, Vec<u8>)> = seeds.into_iter().map(|(_, message)| message).enumerate().collect();
        let mut fuzzer = Self { random: Random::new(seed), methods, pool: pool.clone(), accepted: 0 };
        pool.iter().for_each(|(at, message)| fuzzer.try_input(*at, message));
        assert_eq!(fuzzer.accepted, 3, "every seed is a message");
        fuzzer
    }

    fn draw(&mut self) -> (usize, Vec<u8>) {
        let (at, mut input) = self.pool[self.random.below(self.pool.len())].clone();
        for _ in 0..=self.random.below(6).saturating_sub(3) {
            self.change(&mut input);
        }
        input.truncate(BYTES_MAX);
        (at, input)
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.random.below(input.len() + 1);
        let end = at + self.random.below(8).min(input.len() - at);
        match self.random.below(8) {
            0 if at < input.len() => input[at] ^= 1 << self.random.below(8),
            1 => input.truncate(at),
            2 => drop(input.drain(at..end)),
            3 => {
                // The same part again, which makes fields that occur twice.
                let part = input[at..(at + 20).min(input.len())].to_vec();
                input.extend_from_slice(&part);
            }
            4 => {
                let piece = PIECES[self.random.below(PIECES.len())];
                input.extend_from_slice(piece);
            }
            _ => {
                let piece = PIECES[self.random.below(PIECES.len())];
                drop(input.splice(at..end, piece.iter().copied()));
            }
        }
    }

    /// Tries one input. Panics where a promise is broken.
    fn try_input(&mut self, at: usize, input: &[u8]) {
        let method = &self.methods[at];
        let strict = fields(input, method, UnknownFields::Refused, Limits::default());
        let lenient = fields(input, method, UnknownFields::Allowed, Limits::default());
        let Ok(read) = strict else {
            assert!(lenient.is_err() || lenient.is_ok_and(|message| !message.is_whole));
            return;
        };
        assert_eq!(lenient.as_ref(), Ok(&read));
        self.accepted += 1;
        let (message, other) = oracle::read(input, &method.input).expect("the other reader takes it too");
        assert_eq!(read.fields.node().canonical(), other.node().canonical());
        // Its own spelling says the same.
        let again = fields(&oracle::written(&message), method, UnknownFields::Refused, Limits::default()).unwrap();
        assert_eq!(again.fields.node().canonical(), read.fields.node().canonical());
        if self.random.below(16) == 0 && self.pool.len() < 256 {
            self.pool.push((at, input.to_vec()));
        }
    }
}

#[test]
fn no_mutated_message_has_a_second_reading() {
    let seed = number("FUZZ_SEED").unwrap_or_else(|| uuid::Uuid::now_v7().as_u64_pair().1);
    let runs = number("FUZZ_RUNS").unwrap_or(RUNS);
    println!("FUZZ_SEED={seed}");
    let mut fuzzer = Fuzzer::new(seed);
    for run in 0..runs {
        let (at, input) = fuzzer.draw();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| fuzzer.try_input(at, &input))) {
            std::fs::create_dir_all(root("target/fuzz")).unwrap();
            let path = root("target/fuzz").join(format!("grpc-{seed}-{run}.bin"));
            std::fs::write(&path, &input).unwrap();
            println!("FUZZ_SEED={seed}, input {run} is in {}: make it a row of a table", path.display());
            std::panic::resume_unwind(panic)
        }
    }
    println!("{runs} messages, {} accepted", fuzzer.accepted);
    assert!(fuzzer.accepted > 3, "nothing was accepted, so nothing was tried");
}
