//! Recorded checks and their exact answers, by the shipped policies.
//!
//! A case is a folder `tests/it/cases/NAME`; its name is the claim. `call.json` is a check as Envoy sends it, in
//! protobuf's JSON; `expect.json` is the answer. To add one, write `call.json` and run `UPDATE=1 cargo test --test it
//! cases`; then read the result. Decision ids and digests, which differ between runs and versions, are replaced by
//! words.

use std::path::{Path, PathBuf};

use picket::envoy::json;
use serde_json::Value;

use crate::harness::direct::Direct;
use crate::harness::said;
use crate::oracle;
use crate::props::{shipped, tokens_and_peer};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/cases")
}

/// Names and checks of all cases, in order.
pub fn calls() -> Vec<(String, String)> {
    let folders = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut calls: Vec<(String, String)> = folders
        .map(|folder| {
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(folder.join("call.json")).unwrap())
        })
        .collect();
    calls.sort();
    calls
}

/// Puts what differs between runs in words.
fn steady(value: &mut Value, decision_id: &str) {
    match value {
        Value::String(text) => *text = text.replace(decision_id, "<decision id>"),
        Value::Array(items) => items.iter_mut().for_each(|item| steady(item, decision_id)),
        Value::Object(fields) => {
            if let Some(Value::Object(digests)) = fields.get_mut("digests") {
                digests.values_mut().for_each(|digest| *digest = "<digest>".into());
            }
            fields.values_mut().for_each(|field| steady(field, decision_id));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Compares a golden file with what is, or writes it where `UPDATE` is set; gives what differs.
pub fn golden(path: &Path, found: &str) -> Option<String> {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, found).unwrap();
        return None;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    if expected == found {
        return None;
    }
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (old, new) = (lines(&expected), lines(found));
    let gone = old.iter().filter(|line| !new.contains(line)).map(|line| format!("- {line}"));
    let come = new.iter().filter(|line| !old.contains(line)).map(|line| format!("+ {line}"));
    let changed: Vec<String> = gone.chain(come).collect();
    Some(format!("{}\n{}", path.display(), changed.join("\n")))
}

#[tokio::test]
async fn recorded_checks_get_the_recorded_answers() {
    let direct = Direct::with(shipped(), tokens_and_peer()).await;
    let mut changed = Vec::new();
    for (name, call) in calls() {
        let request = json::check_request(&call).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let (response, seen) = direct.judged(request).await;
        said(&response);
        oracle::assert_proven(&seen);
        let mut answer = json::check_response(&response);
        let id = answer["dynamicMetadata"]["decision_id"].as_str().unwrap().to_owned();
        steady(&mut answer, &id);
        let text = format!("{}\n", serde_json::to_string_pretty(&answer).unwrap());
        changed.extend(golden(&folder().join(&name).join("expect.json"), &text));
    }
    assert!(
        changed.is_empty(),
        "answers changed; if that is intended: `UPDATE=1 cargo test --test it cases`, and say why\n{}",
        changed.join("\n\n")
    );
}
