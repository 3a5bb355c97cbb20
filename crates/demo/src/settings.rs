//! Picket's settings in the demo.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use super::logins::{AGENT_AUDIENCES, MODEL_AUDIENCE, SHOP_AUDIENCE};
use super::scenario::Scenario;
use super::tokens::{ISSUER, TASK_ISSUER};

/// Name of the decision log's file.
pub const DECISION_LOG: &str = "decisions.jsonl";

/// The settings, as JSON, which is YAML and quotes paths for us. `tasks` serves the records of tasks.
#[must_use]
pub fn of(scenario: Scenario, folder: &Path, tasks: SocketAddr) -> Value {
    let path = |name: &str| folder.join(name).display().to_string();
    let issuer = |name: &str, claims: Value| json!({"name": name, "jwks": {"file": path("jwks.json")}, "algorithms": ["ES256"], "claims": claims});
    let (issuers, task, lookups) = match scenario {
        Scenario::Shop => {
            let people = json!({"issuer": ISSUER, "audiences": [SHOP_AUDIENCE], "users": true});
            (vec![issuer("demo", people)], json!([]), json!([]))
        }
        Scenario::Content => {
            let people = json!({"issuer": ISSUER, "audiences": [MODEL_AUDIENCE], "users": true});
            (vec![issuer("demo", people)], json!([]), json!([]))
        }
        Scenario::Agents => {
            let people = json!({"issuer": ISSUER, "audiences": AGENT_AUDIENCES, "users": true});
            let running = json!({"issuer": TASK_ISSUER, "audiences": [scenario.trust_domain()], "kind": "transaction"});
            let lookup = json!({
                "name": "tasks", "target": {"call": {"attribute": "task"}}, "optional": true, "missing": "absent",
                // Below the deadline, with room for a busy machine.
                "timeout": "1s", "url": format!("http://{tasks}/tasks/${{principal.task.id}}"),
                "attributes": {"state": "/state", "callsUsed": "/used", "callsLimit": "/limit", "labels": "/labels"},
            });
            (vec![issuer("demo", people), issuer("tasks", running)], json!(["tasks"]), json!([lookup]))
        }
    };
    json!({
        "listeners": [{"name": "ext_authz", "address": "127.0.0.1:0"}],
        "policies": {"dir": path("policies"), "poll": "200ms"},
        "profiles": {"default": {"processor": {"responses": scenario.has_answers()}, "identity": {
            "sources": ["peer"], "certificate": "required", "tokens": [{"verified": {"issuers": ["demo"]}}],
            "task": {"issuers": task}, "home_trust_domain": scenario.trust_domain(),
        }}},
        "keys": {"issuers": issuers},
        "entity": {"lookups": lookups},
        // The scenario speaks for itself; what fails is still told.
        "telemetry": {"log": {"level": "error"}, "decision_log": {"sink": {"file": path(DECISION_LOG)}}},
        // Below Envoy's timeout of 2 s; both are generous, because a demonstration runs on busy machines.
        "limits": {"check": {"deadline": "1500ms"}, "responses": {"deadline": "1500ms"}},
        "admin": {"http_address": "127.0.0.1:0", "grpc_address": "127.0.0.1:0"},
        "shutdown": {"pre_drain": "0s", "drain_timeout": "3s", "flush_timeout": "1s"},
    })
}
