//! The official SDKs of models, tools and agents read what leaves under policies about responses.
//!
//! Each script under `tests/sdk/content/` makes calls through a real Envoy and a real Picket, and prints what its user sees,
//! a line for each call; the output is committed under `golden/`. The upstream is a server of an SDK for MCP, and canned answers
//! for all other APIs.

mod agents;
mod models;

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use expect_test::{ExpectFile, expect_file};
use picket_demo::process::EnvoyProcess;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use super::{install, observed};
use crate::envoy::bench::{cluster_of, loopback};
use crate::envoy::content::answers::{Answer, Answers};
use crate::envoy::e2e::picket::Picket;
use crate::envoy::e2e::{Scene, routes, safe};
use crate::envoy::processing::site::{duplex, filter};

const CATALOG: &str = "services:
- {id: models/gateway, protocol: openai, both_apis: true}
- {id: agents/helper, protocol: a2a, a2a: {endpoint: /a2a}}
- {id: agents/documents, protocol: mcp, tools: {closed: {}}}
- {id: agents/streams, protocol: mcp, tools: {closed: {}}}
";
/// Services with their clusters, a listener each.
const SERVICES: [(&str, &str); 4] = [
    ("models/gateway", "canned"),
    ("agents/helper", "canned"),
    ("agents/documents", "documents"),
    ("agents/streams", "streams"),
];
const DETECTORS: &str = r"detectors: {incident: {pattern: 'INC-\d{4}-\d{5}'}}";
const POLICIES: &str = r#"@id("all") permit (principal, action in Action::"any", resource);
@id("release") permit (principal, action == Action::"release", resource);
@id("mask") @remedy("mask") @mask("incident") forbid (principal, action == Action::"release", resource)
when { context.found.contains("incident") };
@id("refuse") forbid (principal, action == Action::"release", resource) when { context.found.contains("aws_key") };
@id("closed") forbid (principal, action == Action::"release", resource) when { context.status == 203 };
@id("closed-documents") forbid (principal, action == Action::"release", resource in Tool::"agents/documents/closed");
@id("closed-streams") forbid (principal, action == Action::"release", resource in Tool::"agents/streams/closed");"#;

/// The texts of a response.
enum Texts {
    /// One text in pieces.
    Pieces(&'static [&'static str]),
    /// Two calls of tools; this value is in the first one's arguments.
    Calls(&'static str),
}

/// A response that the upstream sends in every API.
struct Case {
    name: &'static str,
    texts: Texts,
    /// 203 is refused by its headers.
    status: u16,
    /// Whether the stream ends inside its third event.
    is_truncated: bool,
}

impl Case {
    const fn new(name: &'static str, texts: Texts) -> Self {
        Self { name, texts, status: 200, is_truncated: false }
    }

    /// An event stream of these events, each in a piece of its own.
    fn events(&self, mut events: Vec<String>) -> Answer {
        if self.is_truncated {
            events.truncate(3);
            let last = events.last_mut().unwrap();
            last.truncate(last.len() / 2);
        }
        let mut answer = Answer::new("text/event-stream", b"");
        answer.pieces = events.into_iter().map(String::into_bytes).collect();
        answer.pause = Duration::from_millis(1);
        answer
    }
}

const CASES: [Case; 8] = [
    Case::new("plain", Texts::Pieces(&["see the ", "notes now"])),
    Case::new("masked", Texts::Pieces(&["see INC-20", "26-00412 now"])),
    Case::new("calls", Texts::Calls("INC-2026-00412")),
    Case { status: 203, ..Case::new("closed", Texts::Pieces(&["see the notes"])) },
    Case::new("at once", Texts::Pieces(&["AKIAIOSF", "ODNN7EXAMPLE is the key"])),
    Case::new("ended", Texts::Pieces(&["that is fine. ", "AKIAIOSF", "ODNN7EXAMPLE is the key"])),
    Case::new("ended call", Texts::Calls("AKIAIOSFODNN7EXAMPLE")),
    Case { is_truncated: true, ..Case::new("truncated", Texts::Pieces(&["see the ", "notes now"])) },
];

/// Everything between the clients and the servers; it ends with the value.
struct Stack {
    /// The URL of each service, and the number of each canned answer.
    places: Map<String, Value>,
    _envoy: EnvoyProcess,
    _picket: Picket,
    _server: Child,
    _tasks: JoinSet<()>,
    _scene: Scene,
}

impl Stack {
    /// Starts all of it; `server` is the command of the server of MCP, which prints its two ports first.
    async fn start(server: &mut Command) -> Self {
        let mut server = server.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let files = [("catalog.yaml", CATALOG), ("detectors.yaml", DETECTORS), ("mesh/a.cedar", POLICIES)];
        let mut scene = Scene::new(&files).await;
        let (mut tasks, answers) = (JoinSet::new(), Arc::new(Answers::default()));
        scene.cluster(cluster_of("canned", &[loopback(answers.serve(&mut tasks).await)]));
        for name in ["documents", "streams"] {
            let port = lines.next_line().await.unwrap().expect("the server prints its ports").parse().unwrap();
            scene.cluster(cluster_of(name, &[loopback(port)]));
        }
        let settings = json!({"profiles": {"default": {"processor": {"responses": true}}}});
        let picket = scene.picket("picket", settings).await;
        let body = json!({"max_request_bytes": 65536, "allow_partial_message": false, "pack_as_bytes": true});
        let listener = |(service, cluster): (&'static str, &str)| {
            let routes = json!({"route_config": routes(service, cluster)});
            let checked = safe(service, service).manager(routes).authz(json!({"with_request_body": body}));
            checked.after(filter("picket", duplex(), json!({})))
        };
        let envoy = scene.envoy("envoy", SERVICES.map(listener).into()).await;
        let place = |name: &str| json!(format!("http://{}", envoy.listener(name).unwrap()));
        let mut places: Map<_, _> = SERVICES.iter().map(|(name, _)| ((*name).to_owned(), place(name))).collect();
        for case in &CASES {
            for (form, answer) in models::all(case).into_iter().chain(agents::all(case)) {
                places.insert(format!("{form}, {}", case.name), answers.add(answer).into());
            }
        }
        Self { places, _envoy: envoy, _picket: picket, _server: server, _tasks: tasks, _scene: scene }
    }

    /// Compares what a script prints; nothing that it saw has a part of a value.
    async fn check(&self, script: &mut Command, golden: ExpectFile) {
        let seen = observed(&self.places, script).await;
        for part in ["INC-2", "-00412", "-00777", "AKIA", "EXAMPLE"] {
            assert!(!seen.contains(part), "`{part}` has left:\n{seen}");
        }
        golden.assert_eq(&seen);
    }
}

fn script(name: &str) -> PathBuf {
    install::scripts("content").join(name)
}

#[tokio::test]
async fn the_sdks_read_every_masked_refused_and_ended_response() {
    let make = || (install::models(), [1, 2].map(install::python), install::agents());
    let (models, [old, new], agents) = tokio::task::spawn_blocking(make).await.unwrap();
    let stack = Stack::start(Command::new(&new).arg(script("tickets_server.py"))).await;
    let check = async |python, name, golden| stack.check(Command::new(python).arg(script(name)), golden).await;
    check(models, "models.py", expect_file!["golden/content_models_python.txt"]).await;
    check(old, "tickets_1.py", expect_file!["golden/content_mcp_python_1.txt"]).await;
    check(new, "tickets_2.py", expect_file!["golden/content_mcp_python_2.txt"]).await;
    check(agents, "helper.py", expect_file!["golden/content_a2a_python.txt"]).await;
    let node = || (install::typescript("models-typescript"), install::typescript("typescript"));
    let (models, tools) = tokio::task::spawn_blocking(node).await.unwrap();
    let (Some(models), Some(tools)) = (models, tools) else {
        install::skip("the TypeScript SDKs and policies about responses");
        return;
    };
    let check = async |script: PathBuf, golden| stack.check(Command::new("node").arg(script), golden).await;
    check(models.join("models.mjs"), expect_file!["golden/content_models_typescript.txt"]).await;
    check(tools.join("tickets.mjs"), expect_file!["golden/content_mcp_typescript.txt"]).await;
}
