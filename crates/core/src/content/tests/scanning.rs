//! The text that leaves after each piece.

use std::sync::Arc;

use crate::content::detector::{Detector, Pattern};
use crate::content::mask::{Mask, StandIns};
use crate::content::matcher::Matcher;
use crate::content::scanner::{Finding, Output, Report, Scanner, Stop};
use crate::content::validator::{Candidate, Validator};

fn detector(name: &str, pattern: &str, validator: Validator) -> Detector {
    let patterns = vec![Pattern::parse(pattern, validator).unwrap()];
    Detector { name: name.to_owned(), patterns, mask: Mask::named(name) }
}

fn matcher(patterns: &[&str]) -> Arc<Matcher> {
    let detectors =
        patterns.iter().zip('a'..).map(|(pattern, name)| detector(&name.to_string(), pattern, Validator::None));
    Arc::new(Matcher::new(&detectors.collect::<Vec<_>>()).unwrap())
}

/// What has left after each piece, and at the end.
fn released(matcher: Arc<Matcher>, hold: usize, pieces: &[&str]) -> (Vec<String>, Result<(), Stop>) {
    let (mut scanner, mut stand_ins, mut output) =
        (Scanner::new(matcher, hold), StandIns::new([0; 8]), Output::default());
    let mut steps = Vec::new();
    for piece in pieces {
        if let Err(stop) = scanner.push(piece, &mut stand_ins, &mut output) {
            steps.push(output.text.clone());
            return (steps, Err(stop));
        }
        steps.push(output.text.clone());
    }
    let end = scanner.finish(&mut stand_ins, &mut output);
    steps.push(output.text);
    (steps, end)
}

#[test]
fn text_leaves_as_soon_as_nothing_that_began_in_it_can_match() {
    let set = matcher(&["INC-[0-9]{4}"]);
    let (steps, end) = released(set, 100, &["no I", "N", "x INC-12", "34", " end"]);
    assert_eq!(steps, ["no ", "no ", "no INx ", "no INx [a]", "no INx [a] end", "no INx [a] end"]);
    assert_eq!(end, Ok(()));
}

#[test]
fn the_leftmost_wins_then_the_longest_then_the_first() {
    let cases: [(&[&str], &str, &str); 4] = [
        (&["bcd", "abc"], "abcd", "[b]d"),
        (&["ab", "abc"], "abcd", "[b]d"),
        (&["a[b-c]+", "abc"], "abcd", "[a]d"),
        (&["ab", "bc"], "abbc", "[a][b]"),
    ];
    for (patterns, text, expected) in cases {
        let (steps, _) = released(matcher(patterns), 100, &[text]);
        assert_eq!(steps.last().unwrap(), expected, "{patterns:?}");
    }
}

#[test]
fn a_certain_value_is_masked_at_once_and_suppressed_to_its_end() {
    let set = matcher(&["key=[a-zä]{3}[a-zä]*"]);
    let (steps, _) = released(set, 8, &["key=ab", "c", "dä", "efghijklmnopqrst", "u. end"]);
    assert_eq!(steps, ["", "[a]", "[a]", "[a]", "[a]. end", "[a]. end"]);
}

#[test]
fn at_the_bound_of_the_hold_the_scan_stops_and_nothing_opens() {
    let set = matcher(&["[a-z]+@"]);
    let stop = Err(Stop::HoldExceeded { bytes_max: 8 });
    let (steps, end) = released(Arc::clone(&set), 8, &["ok. abcd", "efghi"]);
    assert_eq!((steps.last().unwrap().as_str(), end), ("ok. ", stop));
    let (steps, end) = released(Arc::clone(&set), 8, &["ok. abcdefghi"]);
    assert_eq!((steps.last().unwrap().as_str(), end), ("ok. ", stop));
    let (steps, end) = released(Arc::clone(&set), 8, &["ok. abcdefghi more"]);
    assert_eq!((steps.last().unwrap().as_str(), end), ("ok. ", stop));
    let (steps, end) = released(set, 8, &["ok. abcdefgh more"]);
    assert_eq!((steps.last().unwrap().as_str(), end), ("ok. abcdefgh more", Ok(())));
}

#[test]
fn a_scan_that_stopped_stays_stopped() {
    let mut scanner = Scanner::new(matcher(&["[a-z]+@"]), 2);
    let (mut stand_ins, mut output) = (StandIns::new([0; 8]), Output::default());
    assert!(scanner.push("abc", &mut stand_ins, &mut output).is_err());
    assert!(scanner.push(" x", &mut stand_ins, &mut output).is_err());
    assert!(scanner.finish(&mut stand_ins, &mut output).is_err());
    assert_eq!(output, Output::default());
}

#[test]
fn the_last_characters_of_an_open_ended_value_are_kept_at_its_end() {
    let mut keep = detector("a", "key=[a-z]{2,}", Validator::None);
    keep.mask = Mask::KeepLast(4);
    let (steps, _) = released(Arc::new(Matcher::new(&[keep]).unwrap()), 100, &["key=ab", "cdef", "gh", "!"]);
    assert_eq!(steps, ["", "", "", "****efgh!", "****efgh!"]);
}

#[test]
fn a_value_with_a_stand_in_is_held_to_its_end() {
    let mut person = detector("a", "u[0-9]+", Validator::None);
    person.mask = Mask::Pseudonym { kind: "user".to_owned(), restore: true };
    let (steps, _) = released(Arc::new(Matcher::new(&[person]).unwrap()), 100, &["u1", "2 u12 u3", "."]);
    let stand_in = |number| format!("user-0000000000000000-{number}");
    assert_eq!(steps[0], "");
    assert_eq!(steps.last().unwrap(), &format!("{} {} {}.", stand_in(1), stand_in(1), stand_in(2)));
}

#[test]
fn a_long_run_is_not_read_again_from_each_of_its_characters() {
    let set = matcher(&["[a-z]+@[a-z]+"]);
    let text = "a".repeat(200_000) + " @";
    // Quadratic work would take minutes.
    let (steps, end) = released(set, 1 << 20, &[&text]);
    assert_eq!((steps.last().unwrap(), end), (&text, Ok(())));
}

#[test]
fn an_attempt_that_was_rejected_says_nothing_about_the_next() {
    let even = |candidate: &Candidate<'_>| (candidate.text.len().is_multiple_of(2)).then_some(candidate.text.len());
    let inner = |candidate: &Candidate<'_>| candidate.before.map(|_| candidate.text.len());
    for (pattern, validator, text) in [
        ("a+b", Validator::Whole(even), "a".repeat(30) + "b"),
        ("a+b+", Validator::Match(inner), "a".repeat(30) + "bb"),
    ] {
        let set = Arc::new(Matcher::new(&[detector("a", pattern, validator)]).unwrap());
        let (steps, _) = released(set, 100, &[&text]);
        assert_eq!(steps.last().unwrap(), "a[a]", "{pattern}");
    }
}

/// Ranges as a scan reports them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ranges {
    values: Vec<(u64, Option<u64>)>,
    reported: u64,
}

impl Report for Ranges {
    fn text(&mut self, text: &str) {
        self.reported += text.len() as u64;
    }

    fn value(&mut self, finding: Finding, _: &Mask, value: &str) -> Result<(), Stop> {
        self.values.push((finding.at, Some(finding.at + value.len() as u64)));
        self.reported += value.len() as u64;
        Ok(())
    }

    fn begins(&mut self, finding: Finding, _: &Mask, part: &str) {
        self.values.push((finding.at, None));
        self.reported += part.len() as u64;
    }

    fn continues(&mut self, part: &str) {
        self.reported += part.len() as u64;
    }

    fn ends(&mut self, at: u64) {
        self.values.last_mut().unwrap().1 = Some(at);
    }
}

#[test]
fn a_scan_reports_the_range_of_each_value_and_how_far_the_text_is_decided() {
    let mut scanner = Scanner::new(matcher(&["INC-[0-9]{4}", "key=[a-z]{2,}"]), 100);
    let mut ranges = Ranges::default();
    let mut read = |piece| {
        scanner.read(piece, &mut ranges).unwrap();
        (ranges.values.clone(), ranges.reported)
    };
    assert_eq!(read("é IN"), (vec![], 3));
    assert_eq!(read("C-1234 key=ab"), (vec![(3, Some(11)), (12, None)], 18));
    assert_eq!(read("cd"), (vec![(3, Some(11)), (12, None)], 20));
    assert_eq!(read(" k"), (vec![(3, Some(11)), (12, Some(20))], 21));
    scanner.end(&mut ranges).unwrap();
    assert_eq!(ranges.reported, 22);
}
