//! Properties over drawn texts, patterns and cuts. Each run prints its seed; `CONTENT_SEED=<seed>` draws the same again, and
//! `CONTENT_CASES` sets how many.

use std::sync::Arc;

use super::reference::{Reference, Scan};
use crate::content::builtin;
use crate::content::detector::{Detector, Pattern};
use crate::content::mask::{Mask, StandIns};
use crate::content::matcher::Matcher;
use crate::content::scanner::{HOLD_BYTES_MAX, Output, Scanner, Stop};
use crate::content::validator::{Candidate, Validator};

/// Numbers from a seed (SplitMix64).
struct Draw(u64);

impl Draw {
    fn new() -> Self {
        let fresh = uuid::Uuid::now_v7().as_u64_pair().1;
        let seed = number("CONTENT_SEED").unwrap_or(fresh);
        println!("CONTENT_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap()
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    /// A text of up to `parts` parts.
    fn text(&mut self, of: &[&str], parts: usize) -> String {
        let count = self.below(parts + 1);
        (0..count).map(|_| self.one(of)).collect()
    }

    /// The text in pieces of one to `longest` characters.
    fn pieces(&mut self, text: &str, longest: usize) -> Vec<String> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            let count = 1 + self.below(longest);
            let end = rest.char_indices().nth(count).map_or(rest.len(), |(at, _)| at);
            pieces.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
        pieces
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}

fn cases(default: u64) -> u64 {
    number("CONTENT_CASES").unwrap_or(default)
}

/// Patterns over few characters, so that drawn texts match often and overlap.
const PATTERNS: &[&str] = &[
    "ab",
    "abba",
    "a+@",
    "b-[ab]{2}",
    "-+b",
    "a[ab]*",
    "@@",
    "(?:ab|ba){2,3}",
    "ä+b",
    "a.b",
    "[^a ]{3}",
    "k=[a-zä]{2,}",
    "[ab-]{1,6}@[ab]+",
    "b(?:-b)*@",
    "1[12-]*2",
    "aä?-",
];
const PARTS: &[&str] = &["a", "b", "-", "@", "ä", " ", "1", "2", "ab", "k=", "ba", "aa", "€", "x"];

/// Parts that make runs longer than a small hold.
const RUNS: &[&str] = &["aaaaa", "abab", "a", "b-b-", "-", "@", "ä", " ", "x"];

/// Accepts half of all matches, as card numbers are.
fn even(candidate: &Candidate<'_>) -> Option<usize> {
    candidate.text.len().is_multiple_of(2).then_some(candidate.text.len())
}

/// Accepts every match, once it is whole.
fn any(candidate: &Candidate<'_>) -> Option<usize> {
    Some(candidate.text.len())
}

/// Accepts a shorter value where the next character is a letter.
fn shorter(candidate: &Candidate<'_>) -> Option<usize> {
    let is_joined = candidate.after.is_some_and(char::is_alphabetic);
    Some(if is_joined {
        candidate.text.len() - candidate.text.chars().next_back()?.len_utf8()
    } else {
        candidate.text.len()
    })
}

/// Accepts a value unless the same character precedes it twice.
fn not_doubled(candidate: &Candidate<'_>) -> Option<usize> {
    let is_doubled = candidate.before.is_some() && candidate.before == candidate.before_that;
    if is_doubled { None } else { Some(candidate.text.len()) }
}

fn detectors(draw: &mut Draw) -> Vec<Detector> {
    let count = 1 + draw.below(4);
    let mut drawn = Vec::new();
    for number in 0..count {
        let validator = match draw.below(7) {
            0 => Validator::Word,
            1 => Validator::Whole(even),
            2 => Validator::WithNext(shorter),
            3 => Validator::Match(not_doubled),
            _ => Validator::None,
        };
        let mask = if draw.below(4) == 0 { Mask::KeepLast(3) } else { Mask::Fixed(format!("[{number}]")) };
        let patterns = vec![Pattern::parse(draw.one(PATTERNS), validator).unwrap()];
        drawn.push(Detector { name: number.to_string(), patterns, mask });
    }
    drawn
}

/// What a scan has released after each piece, and its findings.
fn scan(matcher: &Arc<Matcher>, hold: usize, pieces: &[String]) -> (Vec<String>, Output, Result<(), Stop>) {
    let mut scanner = Scanner::new(Arc::clone(matcher), hold);
    let (mut stand_ins, mut output, mut steps) = (StandIns::new([0; 8]), Output::default(), Vec::new());
    for piece in pieces {
        let pushed = scanner.push(piece, &mut stand_ins, &mut output);
        steps.push(output.text.clone());
        if pushed.is_err() {
            return (steps, output, pushed);
        }
        assert!(scanner.held_bytes() <= hold + 4, "{} bytes are held", scanner.held_bytes());
    }
    let end = scanner.finish(&mut stand_ins, &mut output);
    (steps, output, end)
}

fn shown(output: &Output) -> Scan {
    (output.text.clone(), output.findings.iter().map(|finding| (finding.detector, finding.at)).collect())
}

/// All pieces of a text: whole, one character each, cut at every single place, and drawn.
fn cuts(draw: &mut Draw, text: &str) -> Vec<Vec<String>> {
    let mut all = vec![vec![text.to_owned()], draw.pieces(text, 1), draw.pieces(text, 3), draw.pieces(text, 12)];
    let places = text.char_indices().map(|(at, _)| at);
    all.extend(places.map(|at| vec![text[..at].to_owned(), text[at..].to_owned()]));
    all
}

fn check(draw: &mut Draw, matcher: &Arc<Matcher>, expected: &Scan, text: &str, patterns: &dyn std::fmt::Debug) {
    for pieces in cuts(draw, text) {
        let (steps, output, end) = scan(matcher, HOLD_BYTES_MAX, &pieces);
        assert_eq!(end, Ok(()));
        assert_eq!(&shown(&output), expected, "{patterns:?} over {pieces:?}");
        for step in steps {
            assert!(expected.0.starts_with(&step), "{step:?} left early: {patterns:?} over {pieces:?}");
        }
    }
}

#[test]
fn cutting_changes_nothing_and_equals_the_reference() {
    let mut draw = Draw::new();
    for _ in 0..cases(150) {
        let detectors = detectors(&mut draw);
        let matcher = Arc::new(Matcher::new(&detectors).unwrap());
        let reference = Reference::new(&detectors);
        for _ in 0..4 {
            let text = draw.text(PARTS, 24);
            check(&mut draw, &matcher, &reference.scan(&text), &text, &detectors);
        }
    }
}

#[test]
fn the_bound_of_the_hold_does_not_depend_on_the_pieces() {
    let mut draw = Draw::new();
    for _ in 0..cases(150) {
        let detectors = detectors(&mut draw);
        let matcher = Arc::new(Matcher::new(&detectors).unwrap());
        let text = draw.text(RUNS, 16);
        let hold = 6 + draw.below(8);
        let (_, whole, end) = scan(&matcher, hold, std::slice::from_ref(&text));
        for longest in [1, 2, 5, 30] {
            let pieces = draw.pieces(&text, longest);
            let (_, output, stopped) = scan(&matcher, hold, &pieces);
            assert_eq!((output, stopped), (whole.clone(), end), "hold {hold}, {detectors:?} over {pieces:?}");
        }
    }
}

/// Every text of up to six of these characters that a pattern matches.
fn language(pattern: &str) -> Vec<String> {
    let whole = regex::Regex::new(&format!(r"\A(?:{pattern})\z")).unwrap();
    let (mut all, mut last) = (Vec::new(), vec![String::new()]);
    for _ in 0..6 {
        last = last.iter().flat_map(|text| ["a", "b", "-", "@"].map(|next| format!("{text}{next}"))).collect();
        all.extend(last.iter().filter(|text| whole.is_match(text)).cloned());
    }
    all
}

#[test]
fn nothing_is_held_that_cannot_become_a_match() {
    const PATTERNS: [&str; 5] = ["ab", "abba", "a+@", "b-[ab]{2}", "-+b"];
    let mut draw = Draw::new();
    let languages: Vec<String> = PATTERNS.iter().flat_map(|pattern| language(pattern)).collect();
    let all: Vec<Detector> = PATTERNS
        .iter()
        .map(|source| Detector {
            name: "x".to_owned(),
            patterns: vec![Pattern::parse(source, Validator::Whole(any)).unwrap()],
            mask: Mask::named("x"),
        })
        .collect();
    let matcher = Arc::new(Matcher::new(&all).unwrap());
    for _ in 0..cases(400) {
        let text = draw.text(&["a", "b", "-", "@", " "], 12);
        let (mut scanner, mut stand_ins, mut output) =
            (Scanner::new(Arc::clone(&matcher), 100), StandIns::new([0; 8]), Output::default());
        scanner.push(&text, &mut stand_ins, &mut output).unwrap();
        let held = &text[text.len() - scanner.held_bytes()..];
        let may_match = languages.iter().any(|match_| match_.len() > held.len() && match_.starts_with(held));
        assert!(held.is_empty() || held.len() > 5 || may_match, "{held:?} is held of {text:?}");
    }
}

/// Values and near misses of built-in detectors, with what joins them.
const VALUES: &[&str] = &[
    "4111 1111 1111 1111",
    "4111111111111112",
    "GB82 WEST 1234 5698 7654 32",
    "bob@corp.example",
    "icon@2x.png",
    "+41 44 668 18 00",
    "(415) 555-2671",
    "536-22-1234",
    "10.0.0.1",
    "1.2.3.4.5",
    "fe80::1",
    "std::vector",
    concat!("AK", "IAIOSFODNN7EXAMPLE"),
    concat!("gh", "p_q8Zr4tUw1xYpLm2NoPq3RsTu4vWx5yZa6Bc7"),
    "ghp_xxxx",
    concat!("-----BE", "GIN RSA PRIVATE KEY-----\nMIIB"),
    concat!("-----E", "ND RSA PRIVATE KEY-----"),
    concat!("eyJhbGciOiJI", "UzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2ln"),
    "password = \"Tr0ub4dor&3xyzQ9\"",
    concat!("xo", "xb-q8Zr4tUw1xYpLm2NoPq3"),
    "the 12 of May",
    "a",
    " ",
    "-",
    ".",
    "@",
    ":",
    "12",
    "\n",
    "é",
    "x=",
];

#[test]
fn the_built_in_detectors_equal_the_reference_at_every_cut() {
    let mut draw = Draw::new();
    let all: Vec<Detector> = builtin::ALL.iter().map(|found| found.detector().unwrap()).collect();
    let matcher = Arc::new(Matcher::new(&all).unwrap());
    let reference = Reference::new(&all);
    for _ in 0..cases(40) {
        let text = draw.text(VALUES, 8);
        check(&mut draw, &matcher, &reference.scan(&text), &text, &"built in");
    }
}
