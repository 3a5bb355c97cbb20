//! Names that stay where they belong.

use super::{assert_none, production};

/// A name, the beginnings of the paths that may use it, and why.
const WORDS: &[(&str, &[&str], &str)] = &[
    ("envoy_types", &["crates/server/src/envoy"], "the proxy's protocol is the edge's affair"),
    (
        "tonic::Status",
        &["crates/server/src/envoy", "crates/server/src/app/admin"],
        "a gRPC error hands the decision to the proxy's failure mode",
    ),
    ("cedar_policy", &["crates/core/src/decision", "src/cli/validate"], "Cedar lives in the PDP"),
    (
        "prost_reflect",
        &[
            "crates/core/src/catalog/grpc.rs",
            "crates/core/src/body/grpc",
            "crates/core/src/response/grpc",
            "src/cli/offline/form/message.rs",
        ],
        "descriptors are the reader's affair",
    ),
    ("prometheus_client", &["crates/server/src/telemetry"], "metrics are telemetry's"),
    ("opentelemetry", &["crates/server/src/telemetry"], "traces are telemetry's"),
    ("std::env", READERS, "settings come through the configuration"),
    ("std::fs", FILE_USERS, "pure modules do no I/O"),
    ("tokio::fs", FILE_USERS, "pure modules do no I/O"),
    ("File::open", FILE_USERS, "pure modules do no I/O"),
    ("Instant::now", CLOCKS, "pure modules have no clock"),
    ("SystemTime::now", CLOCKS, "pure modules have no clock"),
    (".ok()", NOT_SWALLOWED, "an error that is dropped here could turn a bad credential into an absent one"),
];

const READERS: &[&str] = &["crates/server/src/config", "crates/demo/src", "src/cli"];
/// The readers, telemetry, which writes the decision log, and approval, which writes down what was used.
const FILE_USERS: &[&str] = &[
    "crates/server/src/approval",
    "crates/server/src/app",
    "crates/server/src/config",
    "crates/server/src/policy",
    "crates/server/src/entity",
    "crates/server/src/keys",
    "crates/server/src/server",
    "src/cli",
    "crates/demo/src",
    "crates/server/src/telemetry",
];
/// Those that know what time it is, and `cooperative`, by which nothing is decided.
const CLOCKS: &[&str] = &[
    "crates/server/src/approval",
    "crates/server/src/cooperative.rs",
    "crates/server/src/entity",
    "crates/server/src/policy",
    "crates/server/src/keys",
    "crates/server/src/check",
    "crates/server/src/envoy",
    "crates/server/src/telemetry",
    "crates/server/src/server",
    "crates/server/src/app",
    "src/cli",
    "crates/demo/src",
    // The certificate of an example is made on the spot.
    "crates/server/src/config",
];
/// Everything but the three places where the rule is in force.
const NOT_SWALLOWED: &[&str] = &[
    "crates/server/src/app",
    "crates/server/src/approval",
    "crates/core/src/call",
    "crates/core/src/catalog",
    "crates/server/src/check",
    "src/cli",
    "crates/demo/src",
    "crates/server/src/config",
    "crates/core/src/content",
    "crates/core/src/decision",
    "crates/server/src/entity",
    "crates/server/src/envoy",
    "crates/core/src/failure",
    "crates/core/src/identity.rs",
    "crates/server/src/keys",
    "src/lib",
    "src/main",
    "crates/core/src/mapping",
    "crates/core/src/obligation",
    "crates/core/src/problem",
    "crates/core/src/query",
    "crates/server/src/server",
    "crates/server/src/telemetry",
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
