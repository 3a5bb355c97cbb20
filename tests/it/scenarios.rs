//! Acceptance scenarios: whole calls by agents, with their expected answers.
//!
//! `SCENARIOS=FILE cargo test --test it scenarios` runs another file of the same form; without it, `scenarios/dev.json`
//! and `scenarios/more.json` are run. Policies are the shipped ones (`policies/library/agents`); issuers, tickets,
//! tasks, tools and routes are built from the file's `world`, and its clock is the server's. Cases of example 3 are
//! about responses: they go through Envoy, and the others are checks.

mod adapt;
mod call;
mod expect;
mod keys;
mod learn;
mod responses;
mod versions;
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use tokio::task::JoinSet;

use world::World;

/// A file of scenarios.
#[derive(Deserialize)]
struct File {
    format_version: u32,
    world: World,
    scenarios: Vec<Scenario>,
}

/// One call and what must come back.
#[derive(Clone, Deserialize)]
struct Scenario {
    id: String,
    example: String,
    kind: String,
    #[serde(default)]
    source_principal: String,
    method: String,
    path: String,
    host: String,
    headers: serde_json::Map<String, Value>,
    body: Option<String>,
    body_base64: Option<String>,
    token: Option<keys::Written>,
    token2: Option<keys::Written>,
    txn_token: Option<keys::Written>,
    expected: expect::Expected,
    /// What the service answers, in the cases of example 3.
    #[serde(flatten)]
    response: responses::Written,
    /// Members that this runner does not know.
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

impl Scenario {
    fn is_about_a_request(&self) -> bool {
        !self.example.starts_with('3')
    }

    fn may_use_up_a_ticket(&self) -> bool {
        self.expected.is_allow() && self.body.iter().any(|body| body.contains("change_ticket"))
    }

    /// Keys with unknown meaning, so that a wrong answer can be understood.
    fn unknown_keys(&self) -> impl Iterator<Item = &String> {
        let is_known = |key: &str| matches!(key, "description" | "note");
        self.others.iter().filter(move |(key, value)| !is_known(key) && !value.is_null()).map(|(key, _)| key)
    }
}

/// The files to run, each with its path.
fn files() -> Vec<(PathBuf, Arc<File>)> {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/scenarios");
    let paths = match std::env::var_os("SCENARIOS") {
        Some(path) => vec![PathBuf::from(path)],
        None => vec![own.join("dev.json"), own.join("more.json")],
    };
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file: File = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(file.format_version, 1, "{}: only format 1 is known", path.display());
        (path, Arc::new(file))
    };
    paths.into_iter().map(read).collect()
}

/// One case: the check, its server, and whether the answer is right.
struct Runner {
    file: Arc<File>,
    issuers: keys::Issuers,
}

impl Runner {
    fn new(file: &Arc<File>) -> Self {
        Self { file: Arc::clone(file), issuers: keys::Issuers::new(&file.world) }
    }

    async fn server(&self) -> world::Running {
        world::Running::start(&self.file.world, &self.file.scenarios, &self.issuers).await
    }

    async fn run(&self, scenario: &Scenario, server: &world::Running) -> Result<(), String> {
        let answer = server.ask(call::check(scenario, &self.file.world, &self.issuers)).await;
        let secrets = call::tokens(scenario, &self.issuers);
        expect::compare(&scenario.expected, &answer, &secrets)
    }
}

/// How many cases share one server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    /// None: one-use tickets and memory do not leak from one to the next.
    None,
    /// All until one may use up a ticket.
    UntilUsed,
}

/// Everything that went wrong, by the scenario's id.
async fn failures(runner: Arc<Runner>, sharing: Sharing) -> Vec<String> {
    let mut failures = Vec::new();
    let mut shared: Option<Arc<world::Running>> = None;
    let cases = runner.file.scenarios.iter().filter(|scenario| scenario.is_about_a_request());
    for scenario in cases.cloned() {
        let server = match shared.take() {
            Some(server) => server,
            None => Arc::new(runner.server().await),
        };
        if sharing == Sharing::UntilUsed && !scenario.may_use_up_a_ticket() {
            shared = Some(Arc::clone(&server));
        }
        let (id, keys) = (scenario.id.clone(), scenario.unknown_keys().cloned().collect::<Vec<_>>());
        let run = Arc::clone(&runner);
        // On its own, so that a case that cannot even be built is one failure among others.
        let mut one = JoinSet::new();
        one.spawn(async move { run.run(&scenario, &server).await });
        let why = match one.join_next().await {
            Some(Ok(Ok(()))) => continue,
            Some(Ok(Err(why))) => why,
            Some(Err(panic)) => format!("the case could not be run: {panic}"),
            None => unreachable!("one case was spawned"),
        };
        let hint = if keys.is_empty() { String::new() } else { format!(" (keys not understood: {})", keys.join(", ")) };
        failures.push(format!("{id}: {why}{hint}"));
    }
    failures
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_gets_its_answer() {
    let mut all = Vec::new();
    for (path, file) in files() {
        let is_ours = std::env::var_os("SCENARIOS").is_none();
        let sharing = if is_ours { Sharing::UntilUsed } else { Sharing::None };
        let found = failures(Arc::new(Runner::new(&file)), sharing).await;
        let requests = file.scenarios.iter().filter(|scenario| scenario.is_about_a_request()).count();
        println!("{}: {} of {requests} requests passed", path.display(), requests - found.len());
        assert!(requests > 0, "{}: no scenario about requests", path.display());
        all.extend(found);
    }
    assert!(all.is_empty(), "{} scenarios failed:\n{}", all.len(), all.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_of_a_scenario_leaves_as_it_may_however_it_is_cut() {
    let mut all = Vec::new();
    for (path, file) in files() {
        let responses = file.scenarios.iter().filter(|scenario| !scenario.is_about_a_request()).count();
        if responses > 0 {
            let found = responses::failures(&Runner::new(&file)).await;
            println!("{}: {} of {responses} responses passed", path.display(), responses - found.len());
            all.extend(found);
        }
    }
    assert!(all.is_empty(), "{} scenarios failed:\n{}", all.len(), all.join("\n"));
}
