//! Names that stay where they belong.

use super::{assert_none, production};

/// A name, the beginnings of the paths that may use it, and why.
const WORDS: &[(&str, &[&str], &str)] = &[
    ("envoy_types", &["src/envoy"], "the proxy's protocol is the edge's affair"),
    ("tonic::Status", &["src/envoy", "src/app/admin"], "a gRPC error hands the decision to the proxy's failure mode"),
    ("cedar_policy", &["src/decision", "src/cli/validate"], "Cedar lives in the PDP"),
    (
        "prost_reflect",
        &["src/catalog/grpc.rs", "src/body/grpc", "src/cli/offline/form/message.rs"],
        "descriptors are the reader's affair",
    ),
    ("prometheus_client", &["src/telemetry"], "metrics are telemetry's"),
    ("opentelemetry", &["src/telemetry"], "traces are telemetry's"),
    ("std::env", READERS, "settings come through the configuration"),
    ("std::fs", FILE_USERS, "pure modules do no I/O"),
    ("tokio::fs", FILE_USERS, "pure modules do no I/O"),
    ("File::open", FILE_USERS, "pure modules do no I/O"),
    ("Instant::now", CLOCKS, "pure modules have no clock"),
    ("SystemTime::now", CLOCKS, "pure modules have no clock"),
    (".ok()", NOT_SWALLOWED, "an error that is dropped here could turn a bad credential into an absent one"),
];

const READERS: &[&str] = &["src/config", "src/cli"];
/// The readers, telemetry, which writes the decision log, and approval, which writes down what was used.
const FILE_USERS: &[&str] = &[
    "src/approval",
    "src/app",
    "src/config",
    "src/policy",
    "src/entity",
    "src/keys",
    "src/server",
    "src/cli",
    "src/telemetry",
];
/// Those that know what time it is, and `courtesy`, by which nothing is decided.
const CLOCKS: &[&str] = &[
    "src/approval",
    "src/courtesy.rs",
    "src/entity",
    "src/policy",
    "src/keys",
    "src/check",
    "src/envoy",
    "src/telemetry",
    "src/server",
    "src/app",
    "src/cli",
    // The certificate of an example is made on the spot.
    "src/config",
];
/// Everything but the three places where the rule is in force.
const NOT_SWALLOWED: &[&str] = &[
    "src/app",
    "src/approval",
    "src/call",
    "src/catalog",
    "src/check",
    "src/cli",
    "src/config",
    "src/decision",
    "src/entity",
    "src/envoy",
    "src/failure",
    "src/identity.rs",
    "src/keys",
    "src/lib",
    "src/main",
    "src/mapping",
    "src/obligation",
    "src/problem",
    "src/query",
    "src/server",
    "src/telemetry",
];

/// Returns whether `word` occurs in `line` as a whole path.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        (word.starts_with('.') || !before.is_some_and(part)) && (word.ends_with(')') || !after.is_some_and(part))
    })
}

/// Returns whether a line imports `Status` from tonic in a group, which the plain word would miss.
fn imports_status(line: &str) -> bool {
    line.trim_start().starts_with("use tonic::{") && has_word(line, "Status")
}

#[test]
fn names_stay_where_they_belong() {
    let mut findings = Vec::new();
    for file in production() {
        for (number, line) in file.text.lines().enumerate() {
            for (word, places, why) in WORDS {
                let found = has_word(line, word) || (*word == "tonic::Status" && imports_status(line));
                if found && !places.iter().any(|place| file.path.starts_with(place)) {
                    findings.push(format!("{}:{}: `{word}` may not stand here: {why}", file.path, number + 1));
                }
            }
        }
    }
    assert_none(&findings, "Move the code, or change WORDS and say why.");
}

#[test]
fn every_place_of_a_name_exists() {
    let files = production();
    let mut findings = Vec::new();
    for (word, places, _) in WORDS {
        let is_missing = |place: &&&str| !files.iter().any(|file| file.path.starts_with(**place));
        findings.extend(places.iter().filter(is_missing).map(|place| format!("`{word}`: `{place}` does not exist")));
    }
    assert_none(&findings, "Take the place out of WORDS, so that nothing new is allowed by it.");
}

#[test]
fn words_are_found_whole() {
    assert!(has_word("use cedar_policy::Schema;", "cedar_policy"));
    assert!(has_word("let x = text.parse().ok()?;", ".ok()"));
    assert!(!has_word("use my_cedar_policy;", "cedar_policy"));
    assert!(!has_word("tonic::StatusCode", "tonic::Status"));
    assert!(!has_word("let x = y.ok_or(1);", ".ok()"));
    assert!(imports_status("use tonic::{Request, Status};"));
}
