//! The cost of scanning: all built-in detectors over prose, code and pieces of 16 bytes (4 tokens), against one pass of a
//! `RegexSet` of the same patterns in the same run.
//!
//! `cargo bench --bench content` prints rows of JSON: MB/s of both, and their ratio, which should be at least 0.5.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench stops at the first surprise and reads the real clock"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use picket::content::detectors::Detectors;
use picket::content::mask::StandIns;
use picket::content::matcher::Matcher;
use picket::content::scanner::{HOLD_BYTES_MAX, Output, Scanner};
use regex::RegexSet;

const BYTES: usize = 4 * 1024 * 1024;
const ROUNDS: usize = 7;
const PROSE: &str = "The harbour was quiet when the ferry left, and nobody on the quay could say whether it would come back \
    before the evening. \"We shall see,\" she answered; the letters, which she had kept since 1987, lay on the table. ";
const CODE: &str = "    let found = self.entries.iter().find(|entry| entry.name == name_of(key))?;\n    if found.len() >= MAX_ITEMS \
    { return Err(Error::TooMany { count: found.len(), limit: 0x40 }); }\n    // See section 4.2: std::mem::take leaves None.\n";
const JSON: &str = "{\"id\":\"ord_10023\",\"created_at\":\"2026-11-30T16:17:41Z\",\"total\":1299.50,\"items\":[{\"sku\":\"A-77\",\"qty\":2}]}\n";

/// The shortest of some rounds.
fn best(mut round: impl FnMut()) -> Duration {
    let rounds = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        round();
        start.elapsed()
    });
    rounds.min().unwrap()
}

fn megabytes(bytes: usize, took: Duration) -> f64 {
    f64::from(u32::try_from(bytes).unwrap()) / 1e6 / took.as_secs_f64()
}

fn scan<'t>(matcher: &Arc<Matcher>, pieces: impl Iterator<Item = &'t str>) {
    let mut scanner = Scanner::new(Arc::clone(matcher), HOLD_BYTES_MAX);
    let (mut stand_ins, mut output) = (StandIns::new([0; 8]), Output::default());
    for piece in pieces {
        scanner.push(piece, &mut stand_ins, &mut output).unwrap();
        black_box(&output.text);
        output.text.clear();
    }
    scanner.finish(&mut stand_ins, &mut output).unwrap();
}

fn main() {
    let detectors = Detectors::built_in().unwrap();
    let matcher = Arc::new(detectors.matcher(|_| true).unwrap());
    let patterns = detectors.text().iter().flat_map(|detector| &detector.patterns).map(|pattern| &pattern.source);
    let set = RegexSet::new(patterns).unwrap();
    for (name, sample) in [("prose", PROSE), ("code", CODE), ("json", JSON)] {
        let text = sample.repeat(BYTES / sample.len());
        let deltas: Vec<&str> = text.as_bytes().chunks(16).map(|piece| std::str::from_utf8(piece).unwrap()).collect();
        let whole = megabytes(text.len(), best(|| scan(&matcher, std::iter::once(text.as_str()))));
        let pieces = megabytes(text.len(), best(|| scan(&matcher, deltas.iter().copied())));
        let regex_set = megabytes(text.len(), best(|| drop(black_box(set.matches(&text)))));
        println!(
            "{}",
            serde_json::json!({
                "bench": "content", "text": name, "whole_mb_s": whole, "pieces_of_16_bytes_mb_s": pieces,
                "regex_set_mb_s": regex_set, "ratio": whole / regex_set,
            })
        );
    }
}
