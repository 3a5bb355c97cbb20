//! Sizes: a file has one idea and fits a head, a function fits a screen.

use super::{Source, assert_none, files};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

/// Files longer than the rule, with their committed length: it may only fall.
const LONG_FILES: &[(&str, usize)] = &[];
/// Functions longer than the rule, as `path::name`, with their committed length: it may only fall.
const LONG_FUNCTIONS: &[(&str, usize)] = &[];

fn rust() -> Vec<Source> {
    files(&["src", "crates", "tests", "benches", "examples", "xtask"], "rs")
}

/// The limit of a measured thing, and the problem if it exceeds it.
fn judge(name: &str, lines: usize, max: usize, ratchet: &[(&str, usize)]) -> Option<String> {
    let committed = ratchet.iter().find(|(known, _)| *known == name).map(|(_, committed)| *committed);
    match committed {
        None if lines > max => Some(format!("{name}: {lines} lines, at most {max}")),
        None => None,
        Some(committed) if lines > committed => Some(format!("{name}: {lines} lines, were {committed}")),
        Some(committed) if lines < committed => {
            Some(format!("{name}: {lines} lines now; lower the committed {committed}"))
        }
        Some(_) => None,
    }
}

/// Name and length of every function, both braces included.
///
/// Leans on rustfmt: a body ends with the first `}` at the indentation of its `fn` line.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let indentation = line.len() - line.trim_start().len();
        let words: Vec<&str> = line.trim_start().split(' ').collect();
        let Some(place) = words.iter().position(|word| *word == "fn") else { continue };
        let modifiers = |word: &&str| {
            word.starts_with("pub") || matches!(*word, "async" | "const" | "default" | "unsafe" | "extern")
        };
        if !words[..place].iter().all(modifiers) {
            continue;
        }
        let name = words.get(place + 1).map_or("", |word| word.split(['(', '<']).next().unwrap_or(word));
        if line.ends_with('}') || line.ends_with(';') {
            found.push((name.to_owned(), 1));
            continue;
        }
        let closes = |later: &&str| {
            later.len() > indentation
                && later.trim_start().len() == later.len() - indentation
                && later.trim_start().starts_with('}')
        };
        let length = lines[at..].iter().position(closes).map_or(1, |end| end + 1);
        found.push((name.to_owned(), length));
    }
    found
}

#[test]
fn no_file_outgrows_its_idea() {
    let findings: Vec<String> = rust()
        .iter()
        .filter_map(|file| judge(&file.path, file.text.lines().count(), FILE_LINES_MAX, LONG_FILES))
        .collect();
    assert_none(&findings, "Split the file by idea; do not raise a number.");
}

#[test]
fn no_function_outgrows_a_screen() {
    let mut findings = Vec::new();
    for file in rust() {
        for (name, lines) in functions(&file.text) {
            findings.extend(judge(&format!("{}::{name}", file.path), lines, FUNCTION_LINES_MAX, LONG_FUNCTIONS));
        }
    }
    assert_none(&findings, "Decide in the parent, compute in a leaf; do not raise a number.");
}

#[test]
fn functions_are_measured_from_brace_to_brace() {
    let text = "fn a() {}\nimpl X {\n    pub async fn b(\n        x: u8,\n    ) -> u8 {\n        if x > 0 {\n            1\n        }\n    }\n}\n// not a fn here {\n";
    // The closing parenthesis of a long signature does not count as a brace.
    assert_eq!(functions(text), [("a".to_owned(), 1), ("b".to_owned(), 7)]);
}

#[test]
fn a_committed_number_may_only_fall() {
    let ratchet = [("a", 500)];
    assert!(judge("a", 501, 400, &ratchet).is_some());
    assert!(judge("a", 500, 400, &ratchet).is_none());
    assert!(judge("a", 499, 400, &ratchet).is_some());
    assert!(judge("b", 401, 400, &ratchet).is_some());
    assert!(judge("b", 400, 400, &ratchet).is_none());
}
