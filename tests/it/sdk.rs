//! The official SDKs of MCP against a real Envoy, a real Picket and a real server of the SDK.
//!
//! Each script under `tests/sdk/` makes calls as any program does and prints its observations, a line for each fact;
//! the output is committed under `golden/` and described in `docs/refusals.md`. Nothing of an SDK is replaced: logins,
//! requests for scopes and the visit to the approval page are its own.

mod content;
mod install;
mod login;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use expect_test::expect_file;
use picket_demo::process::EnvoyProcess;
use regex::Regex;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::envoy::bench::{cluster_of, http2, loopback};
use crate::envoy::e2e::picket::Picket;
use crate::envoy::e2e::{Scene, routes, safe};
use login::Login;

/// The services of `tests/sdk/policies/catalog.yaml`, a listener each.
const SERVICES: [&str; 7] =
    ["http_jsonrpc", "http_problem", "rpc_error_200", "tool_error_200", "hidden", "careful", "guarded"];

/// Calls that may be denied: callers without a token, forbidden calls, calls that need more, and documents that Picket
/// serves itself. SDKs also open streams, end sessions and probe for versions: none of that is denied.
const REFUSED: [&str; 4] = ["GET metadata", "POST no_permit", "POST policy_forbid", "POST remedy"];

/// How long a script may take. It takes a few seconds on an idle machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Everything between a client of an SDK and a server of it; it ends with the value.
struct Stack {
    places: Map<String, Value>,
    _login: Login,
    _server: Child,
    _envoy: EnvoyProcess,
    _picket: Picket,
    scene: Scene,
}

impl Stack {
    /// Starts all of it before the server that the command starts, which prints its port first.
    async fn start(server: &mut Command) -> Self {
        let mut server = server.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let port: u16 = lines.next_line().await.unwrap().expect("the server tells its port").parse().unwrap();
        let login = Login::start().await;
        let mut scene = Scene::new(&[]).await;
        scene.cluster(cluster_of("mcp", &[loopback(port)]));
        // Envoy's port is part of the resource's name, so Envoy comes before Picket.
        scene.cluster(http2(cluster_of("picket", &[json!({"pipe": {"path": scene.path("picket.sock")}})])));
        let body = json!({"max_request_bytes": 65536, "allow_partial_message": false, "pack_as_bytes": true});
        let listener = |name: &'static str| {
            let service = format!("agents/{name}");
            let routes = json!({"route_config": routes(&service, "mcp")});
            safe(name, &service).manager(routes).authz(json!({"with_request_body": body}))
        };
        let envoy = scene.envoy("envoy", SERVICES.map(listener).into()).await;
        let place = |name: &str| format!("http://{}/mcp", envoy.listener(name).unwrap());
        let places = SERVICES.map(|name| (name.to_owned(), Value::from(place(name))));
        let guarded = place("guarded");
        write_policies(&scene, &login.url, &guarded);
        scene.write("jwks.json", &login.key_set);
        let settings = settings(&login.url, &guarded, &scene.path("jwks.json"));
        let picket = Picket::start(&scene.path(""), "picket", settings).await;
        let places = places.into_iter().collect();
        Self { places, _login: login, _server: server, _envoy: envoy, _picket: picket, scene }
    }

    /// Method and reason of every denied call.
    fn refused_for(&self) -> BTreeSet<String> {
        let text = std::fs::read_to_string(self.scene.path("picket.decisions")).unwrap();
        // The last line may still be on its way.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let records = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let refused = records.filter(|record| record["decision"] != "allow");
        let word = |record: &Value, key: &str| record[key].as_str().unwrap_or_default().to_owned();
        refused.map(|record| format!("{} {}", word(&record, "method"), word(&record, "reason"))).collect()
    }
}

/// The output of a script that gets `places` as JSON, without decision ids and ports.
async fn observed(places: &Map<String, Value>, script: &mut Command) -> String {
    let places = Value::Object(places.clone()).to_string();
    let output = tokio::time::timeout(LIMIT, script.arg(places).kill_on_drop(true).output()).await;
    let output = output.expect("the script ends in time").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let id = Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap();
    let port = Regex::new(r"127\.0\.0\.1:\d+").unwrap();
    port.replace_all(&id.replace_all(&said, "ID"), "HOST").into_owned()
}

fn write_policies(scene: &Scene, login: &str, guarded: &str) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/policies");
    for name in ["catalog.yaml", "namespaces/agents/tools.cedar"] {
        let text = std::fs::read_to_string(from.join(name)).unwrap();
        scene.write(&format!("policies/{name}"), &text.replace("LOGIN", login).replace("GUARDED", guarded));
    }
}

fn settings(login: &str, guarded: &str, key_set: &Path) -> Value {
    let claims = json!({"issuer": login, "audiences": [guarded]});
    json!({
        "keys": {"issuers": [{"name": "login", "jwks": {"file": key_set}, "algorithms": ["ES256"], "claims": claims}]},
        "profiles": {"default": {"identity": {"sources": ["peer"], "tokens": [{"verified": {"issuers": ["login"]}}]}}},
        "approvals": [{
            "name": "tickets", "reference": {"argument": "/ticket"}, "url": format!("{login}/tickets/${{reference}}"),
            "fields": {"id": "/id", "kind": {"constant": "change"}, "state": "/state", "requested_by": "/by",
                       "approved_by": "/approvers", "not_after": "/end", "one_use": {"constant": false}},
        }],
    })
}

#[tokio::test]
async fn the_python_sdks_complete_are_refused_and_step_up() {
    let [old, new] = tokio::task::spawn_blocking(|| [1, 2].map(install::python)).await.unwrap();
    let scripts = install::scripts("python");
    let stack = Stack::start(Command::new(&new).arg(scripts.join("server.py"))).await;
    let seen = observed(&stack.places, Command::new(&new).arg(scripts.join("client_2.py"))).await;
    expect_file!["sdk/golden/python_2.txt"].assert_eq(&seen);
    let seen = observed(&stack.places, Command::new(&old).arg(scripts.join("client_1.py"))).await;
    expect_file!["sdk/golden/python_1.txt"].assert_eq(&seen);
    assert_eq!(stack.refused_for(), BTreeSet::from(REFUSED.map(str::to_owned)));
}

/// `tests/it/models.rs` tries the effect of each field; here the list of fields is compared with the SDKs' own types.
#[tokio::test]
async fn the_list_of_members_of_a_request_to_a_model_is_that_of_the_sdks() {
    let python = tokio::task::spawn_blocking(install::models).await.unwrap();
    let home = install::scripts("models");
    let output = Command::new(python).arg(home.join("fields.py")).arg(home.join("fields")).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        said.is_empty(),
        "the list differs from the SDKs; `tests/sdk/models/newest --write` writes it anew:\n{said}"
    );
}

#[tokio::test]
async fn the_typescript_sdks_complete_are_refused_and_step_up() {
    let Some(home) = tokio::task::spawn_blocking(|| install::typescript("typescript")).await.unwrap() else {
        install::skip("the TypeScript SDKs of MCP");
        return;
    };
    let stack = Stack::start(Command::new("node").arg(home.join("server.mjs"))).await;
    let seen = observed(&stack.places, Command::new("node").arg(home.join("client.mjs"))).await;
    expect_file!["sdk/golden/typescript.txt"].assert_eq(&seen);
    assert_eq!(stack.refused_for(), BTreeSet::from(REFUSED.map(str::to_owned)));
}
