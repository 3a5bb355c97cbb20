//! The cost of scanning: all built-in detectors over prose, code and pieces of 16 bytes (4 tokens), against one pass of a
//! `RegexSet` of the same patterns in the same run.
//!
//! `cargo bench --bench content` prints rows of JSON: MB/s of both, and their ratio, which should be at least 0.5.
//! `cargo bench --bench content -- held` prints how many bytes of prose wait after each piece of 16: median, 99th percentile, most.
//! `cargo bench --bench content -- corpus FOLDER…` counts what the built-in detectors find in the files of folders, by kind of
//! text; `CORPUS_SHOW=<n>` prints the first values of each detector, for a reader who tells false findings from true ones.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench stops at the first surprise and reads the real clock"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use picket::content::detectors::Detectors;
use picket::content::mask::StandIns;
use picket::content::matcher::Matcher;
use picket::content::scanner::{HOLD_BYTES_MAX, Output, Scanner};
use picket::response::plan::Plan;
use picket::response::ruling::{Body as _, Ruling, Seen};
use picket::response::text::TextBody;
use regex::RegexSet;
use smol_str::SmolStr;

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

/// The kind of text of a file, by its name; none for others.
fn kind(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("md" | "txt" | "rst") => Some("prose"),
        Some("rs" | "go" | "py" | "c" | "h" | "js" | "ts" | "java" | "toml" | "yaml" | "yml") => Some("code"),
        Some("json") => Some("json"),
        Some("log") => Some("log"),
        _ if ["README", "LICENSE", "CHANGELOG", "changelog", "copyright"].contains(&name) => Some("prose"),
        _ => None,
    }
}

/// All files below a folder, in the order of their names. Links are not followed.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

/// Counts the findings of every detector in the files of folders.
fn corpus(detectors: &Detectors, folders: &[String]) {
    let show = std::env::var("CORPUS_SHOW").map_or(0, |count| count.parse().unwrap());
    // One detector after the other, for an overlap would hide the later one.
    let matchers: Vec<(&str, Arc<Matcher>)> =
        detectors.names().map(|name| (name, Arc::new(detectors.matcher(|other| other == name).unwrap()))).collect();
    let mut paths = Vec::new();
    folders.iter().for_each(|folder| files(Path::new(folder), &mut paths));
    let mut bytes: BTreeMap<&str, usize> = BTreeMap::new();
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for path in paths {
        let Some(kind) = kind(&path) else { continue };
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        *bytes.entry(kind).or_default() += text.len();
        for (name, matcher) in &matchers {
            let mut stand_ins = StandIns::new([0; 8]);
            let output = Scanner::whole(Arc::clone(matcher), text.len(), &text, &mut stand_ins).unwrap();
            let count = counts.entry((kind, name)).or_default();
            for finding in output.findings {
                *count += 1;
                if *count <= show {
                    let at = usize::try_from(finding.at).unwrap();
                    let value: String = text[at..].chars().take(60).collect();
                    eprintln!("{kind} {name} {}: {value:?}", path.display());
                }
            }
        }
    }
    for ((kind, detector), count) in counts {
        let bytes = bytes.get(kind).copied().unwrap_or_default();
        println!(
            "{}",
            serde_json::json!({"bench": "corpus", "text": kind, "bytes": bytes, "detector": detector, "findings": count})
        );
    }
}

fn main() {
    let detectors = Detectors::built_in().unwrap();
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.split_first() {
        Some((part, folders)) if part == "corpus" => corpus(&detectors, folders),
        Some((part, _)) if part == "held" => held(&detectors),
        _ => speed(&detectors),
    }
}

/// How many bytes of a text wait because a pattern could still match.
fn held(detectors: &Detectors) {
    let all: BTreeSet<SmolStr> = detectors.names().map(SmolStr::new).collect();
    // One list of masks with all of them, as policies have it.
    let plan = Arc::new(Plan::new(detectors, [&all], &BTreeSet::new()).unwrap());
    for (name, sample) in [("prose", PROSE), ("code", CODE), ("json", JSON)] {
        let mut body = TextBody::new(Arc::clone(&plan), StandIns::new([0; 8]));
        let mut release = |_: &Seen| Ruling::Release { masks: BTreeSet::new() };
        let text = sample.repeat(200_000 / sample.len());
        let (mut output, mut waits) = (Vec::new(), Vec::new());
        for piece in text.as_bytes().chunks(16) {
            body.push(piece, &mut release, &mut output);
            waits.push(body.held_bytes());
        }
        waits.sort_unstable();
        let at = |percent: usize| waits.get((waits.len() - 1) * percent / 100);
        println!(
            "{}",
            serde_json::json!({"bench": "held", "text": name, "p50": at(50), "p99": at(99), "most": at(100)})
        );
    }
}

fn speed(detectors: &Detectors) {
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
