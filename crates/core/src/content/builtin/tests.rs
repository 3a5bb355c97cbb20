//! Corpora of hits and near misses, and what holds for every built-in detector.

use std::sync::Arc;

use super::*;
use crate::content::automaton::Extent;
use crate::content::mask::StandIns;
use crate::content::matcher::Matcher;
use crate::content::scanner::{HOLD_BYTES_MAX, Output, Scanner};

fn scanned(name: &str, text: &str) -> Output {
    let matcher = Arc::new(Matcher::new(&[find(name).unwrap().detector().unwrap()]).unwrap());
    Scanner::whole(matcher, HOLD_BYTES_MAX, text, &mut StandIns::new([0; 8])).unwrap()
}

/// Finds every hit, alone and within prose, and leaves every near miss as it is.
pub(super) fn check(name: &str, hits: &[&str], near_misses: &[&str]) {
    for hit in hits {
        assert_eq!(scanned(name, hit).findings.len(), 1, "{name}: `{hit}` is not found once");
        let output = scanned(name, &format!("see {hit} or {hit}"));
        assert_eq!(output.findings.len(), 2, "{name}: `{hit}` is not found in prose: {}", output.text);
    }
    for miss in near_misses {
        let output = scanned(name, miss);
        assert_eq!(output.text, *miss, "{name}: near miss");
        assert!(output.findings.is_empty());
    }
}

/// Masks one text as expected.
pub(super) fn masked(name: &str, text: &str, expected: &str) {
    assert_eq!(scanned(name, text).text, expected);
}

#[test]
fn every_pattern_parses_and_no_name_is_used_twice() {
    let mut names: Vec<&str> = ALL.iter().map(|builtin| builtin.name).collect();
    for builtin in &ALL {
        assert!(builtin.patterns().is_ok(), "{}", builtin.name);
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len());
}

#[test]
fn nothing_that_is_built_in_holds_a_run() {
    for builtin in &ALL {
        for pattern in builtin.patterns().unwrap() {
            match pattern.extent(&Mask::named("x")).unwrap() {
                Extent::Bounded { bytes_max } => assert!(bytes_max <= 2048, "{}: {bytes_max}", pattern.source),
                Extent::OpenEnded { prefix_bytes_max } => {
                    assert!(prefix_bytes_max <= 2048, "{}: {prefix_bytes_max}", pattern.source);
                }
                Extent::Run => panic!("{}: run", pattern.source),
            }
        }
    }
}

#[test]
fn a_validator_that_reads_24_bytes_gets_them() {
    let reads_marks = |builtin: &&Builtin| !matches!(builtin.name, "jwt" | "generic_secret");
    for form in ALL.iter().filter(reads_marks).flat_map(|builtin| builtin.forms) {
        let parsed = Pattern::parse(form.pattern, form.validator.clone()).unwrap();
        if matches!(form.validator, Validator::Match(_)) {
            assert!(parsed.syntax.properties().minimum_len() >= Some(24), "{}", form.pattern);
        }
    }
}

#[test]
fn only_generic_secret_must_be_named() {
    let named = ALL.iter().filter(|builtin| builtin.activation == Activation::Named);
    assert_eq!(named.map(|builtin| builtin.name).collect::<Vec<_>>(), ["generic_secret"]);
}

#[test]
fn the_table_of_all_is_small_and_its_anchors_are_rare() {
    for builtin in &ALL {
        let alone = Matcher::new(&[builtin.detector().unwrap()]).unwrap();
        println!("{}: {} bytes", builtin.name, alone.table_bytes());
    }
    let all: Vec<Detector> = ALL.iter().map(|builtin| builtin.detector().unwrap()).collect();
    let matcher = Matcher::new(&all).unwrap();
    let anchors: String = matcher.prefilter.anchors().map(char::from).collect();
    println!("{} bytes, anchors {anchors}", matcher.table_bytes());
    assert!(matcher.table_bytes() < 8 * 1024 * 1024, "{}", matcher.table_bytes());
    assert!(!anchors.contains(|c: char| c.is_ascii_lowercase() || c == ' '), "{anchors}");
}
