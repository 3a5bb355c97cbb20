//! Rules that no compiler checks: arrows between modules, words that stay where they belong, sizes, docs that are true.
//!
//! The tables are the house rules (`docs/ARCHITECTURE.md`); a change to one is a decision and says why.

mod adding;
mod arrows;
mod content;
mod docs;
mod owasp;
mod packages;
mod prose;
mod rooms;
mod sizes;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

/// One file of the repository.
struct Source {
    /// Path from the root, with `/`.
    path: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file under `folders` with this extension, by path.
fn files(folders: &[&str], extension: &str) -> Vec<Source> {
    let mut found = Vec::new();
    for folder in folders {
        collect(&root().join(folder), extension, &mut found);
    }
    assert!(!found.is_empty(), "no `.{extension}` under {folders:?}: the test looks in the wrong place");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(folder: &Path, extension: &str, found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
            found.push(Source { path, text });
        }
    }
}

/// Where the sources of the product lie: the binary, and each crate below it.
const SOURCES: &[&str] = &["src", "crates/core/src", "crates/server/src", "crates/demo/src"];

/// Every source file of the product, without its tests.
fn production() -> Vec<Source> {
    let all = files(SOURCES, "rs").into_iter().filter(|file| !is_of_tests(&file.path));
    all.map(|file| Source { text: without_tests_and_comments(&file.text), path: file.path }).collect()
}

/// Returns whether a file is a module of tests or lies below one.
fn is_of_tests(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// The code that ships: test modules and whole-line comments are blank, line numbers stay.
///
/// Leans on rustfmt: a module that begins at the margin ends with a `}` at the margin.
fn without_tests_and_comments(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let opens_tests =
            line == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.starts_with("mod ") && next.ends_with('{'));
        if opens_tests {
            kept.push('\n');
            for skipped in lines.by_ref() {
                kept.push('\n');
                if skipped == "}" {
                    break;
                }
            }
        } else {
            kept.push_str(if line.trim_start().starts_with("//") { "" } else { line });
            kept.push('\n');
        }
    }
    kept
}

/// Fails with every finding, one a line, and what to do.
fn assert_none(findings: &[String], advice: &str) {
    assert!(findings.is_empty(), "\n{}\n{advice}\n", findings.join("\n"));
}

#[test]
fn tests_and_comments_do_not_count_as_code() {
    let text = "use a;\n// b\n#[cfg(test)]\nmod tests {\n    c\n}\nfn d() {} // e\n";
    assert_eq!(without_tests_and_comments(text), "use a;\n\n\n\n\n\nfn d() {} // e\n");
}
