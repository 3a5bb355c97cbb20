//! The world of the scenarios: issuers, tickets, tasks and the catalogue, as a server with its sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use axum::extract::Path as Segment;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use envoy_types::pb::envoy::service::auth::v3::CheckResponse;
use picket::call::UnixMillis;
use picket::config::{self, Config, Sources};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::Scenario;
use super::keys::Issuers;
use crate::harness::Check;
use crate::harness::server::Server;

/// What a file of scenarios says about the world.
#[derive(Deserialize)]
pub struct World {
    now_epoch: i64,
    trust_domain: String,
    pub body_inspection_limit_bytes: usize,
    pub issuers: BTreeMap<String, Issuer>,
    change_tickets: Vec<Value>,
    tasks: Vec<Value>,
    tools: BTreeMap<String, BTreeMap<String, Value>>,
    routes: BTreeMap<String, Vec<Value>>,
    resource_metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub struct Issuer {
    kids: Vec<String>,
    #[serde(default)]
    may_assert_user_login: bool,
    token: Option<String>,
    access_token_typ: Option<String>,
}

/// A server in this world, with what it asks.
pub struct Running {
    server: Server,
    _sources: JoinSet<()>,
}

impl Running {
    pub async fn start(world: &World, scenarios: &[Scenario], issuers: &Issuers) -> Self {
        let mut sources = JoinSet::new();
        let address = serve_records(world, &mut sources).await;
        let home = TempDir::new().unwrap();
        let catalog = catalog(world, scenarios);
        write_tree(home.path(), &catalog);
        let config = configuration(world, issuers, home.path(), &address, &catalog);
        let now = UnixMillis(world.now_epoch * 1000);
        let server = Server::run_at(config, Arc::new(home), Arc::new(move || now)).await;
        Self { server, _sources: sources }
    }

    pub async fn ask(&self, check: Check) -> CheckResponse {
        self.server.client().await.0.check(check.0).await.unwrap().into_inner()
    }
}

/// Tickets and tasks by id, as the systems that keep them would give them.
async fn serve_records(world: &World, tasks: &mut JoinSet<()>) -> String {
    let by_id = |records: &[Value]| -> Arc<BTreeMap<String, Value>> {
        Arc::new(records.iter().map(|record| (record["id"].as_str().unwrap().to_owned(), record.clone())).collect())
    };
    let one = |records: Arc<BTreeMap<String, Value>>| {
        get(move |Segment(id): Segment<String>| async move {
            records.get(&id).map(|record| Json(record.clone())).ok_or(StatusCode::NOT_FOUND)
        })
    };
    let router = Router::new()
        .route("/changes/{id}", one(by_id(&world.change_tickets)))
        .route("/tasks/{id}", one(by_id(&world.tasks)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

fn shipped() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/library/agents")
}

/// The shipped policies with this catalogue.
fn write_tree(home: &Path, catalog: &Value) {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            let (source, target) = (entry.path(), to.join(entry.file_name()));
            if source.is_dir() {
                copy(&source, &target);
            } else {
                std::fs::copy(source, target).unwrap();
            }
        }
    }
    copy(&shipped(), home);
    std::fs::write(home.join("catalog.yaml"), catalog.to_string()).unwrap();
}

/// The shipped catalogue, with the world's tools, routes and hosts in the place of its own.
fn catalog(world: &World, scenarios: &[Scenario]) -> Value {
    let text = std::fs::read_to_string(shipped().join("catalog.yaml")).unwrap();
    let mut catalog: Value = serde_saphyr::from_str(&text).unwrap();
    catalog["catalog"] = json!({"open": true});
    let hosts: BTreeSet<&str> = world.tools.keys().chain(world.routes.keys()).map(String::as_str).collect();
    let called = scenarios.iter().map(|scenario| (scenario.host.as_str(), scenario.path.as_str()));
    let all: BTreeMap<&str, &str> = hosts.into_iter().map(|host| (host, "/mcp")).chain(called).collect();
    let services = catalog["services"].as_array_mut().unwrap();
    for (host, path) in all {
        let known = services.iter().position(|service| service["hosts"].as_array().unwrap().contains(&host.into()));
        let index = known.unwrap_or_else(|| {
            services.push(unlisted(host, path));
            services.len() - 1
        });
        let service = &mut services[index];
        if let Some(tools) = world.tools.get(host) {
            service["tools"] = tools.iter().map(|(name, tool)| (name.clone(), catalogued(tool))).collect();
        }
        if let Some(routes) = world.routes.get(host) {
            service["routes"] = routes.iter().enumerate().map(|(n, written)| route(service, n, written)).collect();
        }
        if let Some(url) = world.resource_metadata.get(host) {
            service["token"]["resource_metadata"] = url.as_str().into();
        }
    }
    catalog
}

/// A service for a host that the shipped catalogue does not have; its protocol shows in what is asked of it.
fn unlisted(host: &str, path: &str) -> Value {
    let name: String =
        host.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let protocol = match path {
        "/mcp" => "mcp",
        "/v1/chat/completions" | "/v1/responses" | "/v1/messages" => "openai",
        _ => "http",
    };
    json!({"id": format!("other/{name}"), "hosts": [host], "protocol": protocol, "both_apis": protocol == "openai"})
}

fn catalogued(tool: &Value) -> Value {
    let mut entry = json!({"effect": tool["effect"], "external": tool["external"] == json!(true)});
    if tool.get("requires").is_some() {
        entry["groups"] = json!(["needs-change"]);
    }
    if let Some(label) = tool.get("adds_label") {
        entry["labels"] = json!([label]);
    }
    if let Some(scope) = tool["required_scope"].as_str() {
        entry["scopes"] = json!({"required": scope.split(' ').collect::<Vec<_>>()});
    }
    if let Some(headers) = tool.get("x-mcp-header") {
        entry["headers"] = headers.clone();
    }
    entry
}

fn route(service: &Value, number: usize, written: &Value) -> Value {
    let same = |route: &&Value| route["match"] == written["path"];
    let shipped = service["routes"].as_array().into_iter().flatten().find(same);
    let name = shipped.map_or_else(|| json!(format!("route-{number}")), |route| route["name"].clone());
    let groups = if written.get("strong_login_if").is_some() { json!(["large-amounts"]) } else { json!([]) };
    json!({"name": name, "match": written["path"], "methods": [written["method"]], "groups": groups,
           "scopes": {"required": written["required_scope"], "harmless": written["harmless_extra_scopes"].as_array().map_or_else(|| json!([]), |list| json!(list))}})
}

fn configuration(world: &World, issuers: &Issuers, home: &Path, address: &str, catalog: &Value) -> Config {
    let services = catalog["services"].as_array().unwrap();
    let audiences: BTreeSet<&str> = services
        .iter()
        .flat_map(|service| service["token"]["audiences"].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    let keys = tempfile::TempDir::new().unwrap().keep();
    let issuer = |(n, (name, issuer)): (usize, (&String, &Issuer))| {
        let file = keys.join(format!("{n}.json"));
        std::fs::write(&file, issuers.key_set(name, &issuer.kids)).unwrap();
        let kind = match (&issuer.token, &issuer.access_token_typ) {
            (Some(_), _) => "transaction",
            (None, Some(_)) => "access",
            (None, None) => "kubernetes",
        };
        let audiences = if kind == "transaction" { json!([world.trust_domain]) } else { json!(audiences) };
        json!({"name": format!("issuer-{n}"), "jwks": {"file": file}, "claims": {
            "issuer": name, "kind": kind, "users": issuer.may_assert_user_login, "audiences": audiences, "leeway": "0s"}})
    };
    let written: Vec<Value> = world.issuers.iter().enumerate().map(issuer).collect();
    let named = |transaction: bool| -> Vec<&Value> {
        let is = |issuer: &&Value| (issuer["claims"]["kind"] == "transaction") == transaction;
        written.iter().filter(is).map(|issuer| &issuer["name"]).collect()
    };
    let settings = json!({
        "listeners": [{"name": "ext_authz", "address": "127.0.0.1:0"}],
        "admin": {"http_address": "127.0.0.1:0", "grpc_address": "127.0.0.1:0"},
        "policies": {"dir": home},
        "telemetry": {"decision_log": {"sink": "none"}, "log": {"level": "off"}},
        "shutdown": {"pre_drain": "0s"},
        "limits": {"check": {"deadline": "10s", "body_bytes_max": world.body_inspection_limit_bytes}},
        "profiles": {"default": {
            "identity": {"home_trust_domain": world.trust_domain, "tokens": [{"verified": {"issuers": named(false)}}],
                         "task": {"issuers": named(true)}},
            "mapping": {"service": ["host"]},
        }},
        "keys": {"issuers": written},
        "entity": {"lookups": [{
            "name": "tasks", "fills": {"call": {"attribute": "task"}}, "optional": true, "missing": "absent",
            "timeout": "5s", "url": format!("http://{address}/tasks/${{principal.task.id}}"),
            "attributes": {"state": "/state", "callsUsed": "/calls_used", "callsLimit": "/calls_limit", "labels": "/session_labels"},
        }]},
        "approvals": [{
            "name": "changes", "reference": {"argument": "/change_ticket"}, "timeout": "5s",
            "url": format!("http://{address}/changes/${{reference}}"),
            "fields": {
                "id": "/id", "kind": {"constant": "change"}, "state": "/state", "requested_by": "/requested_by",
                "approved_by": "/approved_by", "not_before": "/window_start", "not_after": "/window_end",
                "used": {"pointer": "/consumed"}, "one_use": {"pointer": "/single_use"},
            },
            "match": {"/service": "/service", "/environment": "/environment", "/artifact": "/artifact"},
        }],
    });
    let file = Some(("scenarios".to_owned(), settings.to_string()));
    match config::load(&Sources { file, ..Sources::default() }) {
        Ok(loaded) => loaded.config,
        Err(problems) => panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}
