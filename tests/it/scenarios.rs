//! Acceptance scenarios: whole calls by agents, with what must come back.
//!
//! `SCENARIOS=FILE cargo test --test it scenarios` runs another file of the same form; without it, `scenarios/dev.json`
//! is run. Policies are the shipped ones (`policies/library/agents`); issuers, tickets, tasks, tools and routes are
//! built from the file's `world`, and its clock is the server's. Cases of example 3 speak of responses, which no part
//! of this server sees yet: they are counted and passed over.

mod call;
mod expect;
mod keys;
mod world;

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

use world::World;

/// A file of scenarios.
#[derive(Deserialize)]
struct File {
    format_version: u32,
    world: World,
    scenarios: Vec<Scenario>,
}

/// One call and what must come back.
#[derive(Deserialize)]
struct Scenario {
    id: String,
    example: String,
    source_principal: String,
    method: String,
    path: String,
    host: String,
    headers: serde_json::Map<String, serde_json::Value>,
    body: Option<String>,
    body_base64: Option<String>,
    token: Option<keys::Written>,
    token2: Option<keys::Written>,
    txn_token: Option<keys::Written>,
    expected: expect::Expected,
}

fn file() -> (PathBuf, File) {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/scenarios/dev.json");
    let path = std::env::var_os("SCENARIOS").map_or(own, PathBuf::from);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file: File = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(file.format_version, 1, "{}: only format 1 is known", path.display());
    (path, file)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_gets_its_answer() {
    let (path, file) = file();
    let requests: Vec<&Scenario> = file.scenarios.iter().filter(|s| !s.example.starts_with('3')).collect();
    let issuers = keys::Issuers::new(&file.world);
    let mut failures = Vec::new();
    for scenario in &requests {
        // A world of its own for every case: one-use tickets and memory must not leak from one to the next.
        let server = world::Running::start(&file.world, &file.scenarios, &issuers).await;
        let answer = server.ask(call::check(scenario, &file.world, &issuers)).await;
        let secrets = call::tokens(scenario, &issuers);
        if let Err(why) = expect::compare(&scenario.expected, &answer, &secrets) {
            failures.push(format!("{}: {why}", scenario.id));
        }
    }
    let skipped = file.scenarios.len() - requests.len();
    let passed = requests.len() - failures.len();
    println!("{}: {passed} of {} passed, {skipped} about responses passed over", path.display(), requests.len());
    assert!(!requests.is_empty(), "{}: no scenario about requests", path.display());
    assert!(failures.is_empty(), "{} scenarios failed:\n{}", failures.len(), failures.join("\n"));
}
