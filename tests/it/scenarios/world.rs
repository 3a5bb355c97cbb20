//! The world of the scenarios: issuers, tickets, tasks and the catalogue, as a server with its sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
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

use super::adapt::{self, StrongLogin, texts};
use super::keys::Issuers;
use super::{Scenario, learn};
use crate::harness::Check;
use crate::harness::server::Server;

/// The world of a file of scenarios.
#[derive(Deserialize)]
pub struct World {
    now_epoch: i64,
    pub trust_domain: String,
    pub body_inspection_limit_bytes: usize,
    pub issuers: BTreeMap<String, Issuer>,
    #[serde(default)]
    change_tickets: Vec<Value>,
    #[serde(default)]
    tasks: Vec<Value>,
    #[serde(default)]
    tools: BTreeMap<String, BTreeMap<String, Value>>,
    #[serde(default)]
    pub routes: BTreeMap<String, Vec<Value>>,
    #[serde(default)]
    resource_metadata: BTreeMap<String, String>,
    pub strong_login: Option<StrongLogin>,
    pub redaction: Option<Redaction>,
}

/// What must not leave, by the world's own patterns.
#[derive(Deserialize)]
pub struct Redaction {
    pub patterns: Vec<Secret>,
}

/// A pattern of `regex`.
#[derive(Deserialize)]
pub struct Secret {
    pub name: String,
    pub regex: String,
    pub check: Option<String>,
}

#[derive(Deserialize)]
pub struct Issuer {
    kids: Vec<String>,
    #[serde(default)]
    may_assert_user_login: bool,
    token: Option<String>,
    access_token_typ: Option<String>,
}

/// A server in this world, with the services that it queries.
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
        write_tree(home.path(), world, &catalog);
        let config = configuration(world, issuers, home.path(), &address, &catalog);
        let now = UnixMillis(world.now_epoch * 1000);
        let server = Server::run_at(config, Arc::new(home), Arc::new(move || now)).await;
        Self { server, _sources: sources }
    }

    /// `ip:port` of the listener.
    pub fn port(&self) -> String {
        self.server.port("ext_authz")
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

/// The shipped policies in this world, with this catalogue.
fn write_tree(home: &Path, world: &World, catalog: &Value) {
    fn names(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(adapt::shipped().join(folder)).unwrap();
        let below = |entry: std::fs::DirEntry| {
            let name = folder.join(entry.file_name());
            if entry.path().is_dir() { names(&name) } else { vec![name] }
        };
        entries.map(Result::unwrap).flat_map(below).collect()
    }
    let is_loaded = |name: &&PathBuf| !name.starts_with("tests") && name.extension().is_some_and(|end| end != "md");
    for name in names(Path::new("")).iter().filter(is_loaded) {
        let file = home.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, adapt::file(name, world)).unwrap();
    }
    std::fs::write(home.join("catalog.yaml"), catalog.to_string()).unwrap();
}

/// The shipped catalogue, with the world's tools, routes and hosts in the place of its own.
fn catalog(world: &World, scenarios: &[Scenario]) -> Value {
    let mut catalog: Value = serde_saphyr::from_str(&adapt::file(Path::new("catalog.yaml"), world)).unwrap();
    catalog["catalog"] = json!({"open": true});
    let services = catalog["services"].as_array_mut().unwrap();
    // The world defines which services send callers to metadata.
    for token in services.iter_mut().filter_map(|service| service.get_mut("token")?.as_object_mut()) {
        token.retain(|key, _| key == "audiences");
    }
    for (host, tools) in &world.tools {
        let service = service(services, host, || json!({"id": own(host), "hosts": [host], "protocol": "mcp"}));
        let entry = |(name, tool): (&String, &Value)| (name.clone(), catalogued(&format!("{host}: {name}"), tool));
        service["tools"] = tools.iter().map(entry).collect();
    }
    let acceptable: BTreeSet<String> =
        world.routes.values().flatten().flat_map(|route| texts(&route["harmless_extra_scopes"])).collect();
    for (host, routes) in &world.routes {
        let service = service(services, host, || json!({"id": own(host), "hosts": [host], "body": {"json": true}}));
        let all = routes.iter().enumerate().map(|(n, written)| route(service, n, written, &acceptable));
        service["routes"] = all.collect();
    }
    for (host, url) in &world.resource_metadata {
        let service = service(services, host, || json!({"id": own(host), "hosts": [host]}));
        service["token"]["resource_metadata"] = url.as_str().into();
    }
    let tools = services.iter_mut().filter_map(|service| service.get_mut("tools")?.as_object_mut()).flatten();
    for scopes in
        tools.filter_map(|(_, tool)| tool.get_mut("scopes")).filter(|scopes| scopes.get("acceptable").is_none())
    {
        scopes["acceptable"] = json!(acceptable);
    }
    add_learnt(&mut catalog, scenarios);
    catalog
}

/// Facts that only the cases show: hosts, endpoints, audiences and callers.
fn add_learnt(catalog: &mut Value, scenarios: &[Scenario]) {
    let services = catalog["services"].as_array_mut().unwrap();
    for (host, learnt) in learn::hosts(scenarios) {
        if position(services, &host).is_none() {
            match learnt.service(&host) {
                Ok(id) => {
                    let known = services.iter_mut().find(|service| service["id"] == id).unwrap();
                    known["hosts"].as_array_mut().unwrap().push(host.as_str().into());
                }
                Err(new) => services.push(new),
            }
        }
        let index = position(services, &host).unwrap();
        let service = &mut services[index];
        let known = texts(&service["token"]["audiences"]);
        service["token"]["audiences"] = json!(learnt.audiences.iter().cloned().chain(known).collect::<BTreeSet<_>>());
        match (service["protocol"].as_str(), learnt.paths.first()) {
            (Some("mcp"), Some(path)) => service["mcp"] = json!({"endpoint": path}),
            (Some("a2a"), Some(_)) => service["a2a"] = json!({"endpoint": learnt.a2a_endpoint()}),
            _ => {}
        }
    }
    let workloads = catalog["workloads"].as_array_mut().unwrap();
    for (example, group) in [('1', "coding-agents"), ('5', "task-bound")] {
        for id in learn::callers(scenarios, example) {
            if !workloads.iter().any(|workload| workload["id"] == id) {
                workloads.push(json!({"id": id, "groups": [group]}));
            }
        }
    }
}

fn own(host: &str) -> String {
    format!("other/{}", host.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-"))
}

fn position(services: &[Value], host: &str) -> Option<usize> {
    services.iter().position(|service| service["hosts"].as_array().unwrap().contains(&host.into()))
}

/// The service of a host; a new one if the host has none.
fn service<'a>(services: &'a mut Vec<Value>, host: &str, new: impl Fn() -> Value) -> &'a mut Value {
    let index = position(services, host).unwrap_or_else(|| {
        services.push(new());
        services.len() - 1
    });
    &mut services[index]
}

/// Says what of an entry is not built, so that a wrong answer can be understood.
fn note_unknown(what: &str, entry: &Value, known: &[&str]) {
    for key in entry.as_object().unwrap_or_else(|| panic!("{what}: `{entry}` is no object")).keys() {
        if !known.contains(&key.as_str()) {
            println!("world: {what} has `{key}`, which is not built");
        }
    }
}

fn catalogued(what: &str, tool: &Value) -> Value {
    let known =
        ["effect", "external", "requires", "adds_label", "required_scope", "harmless_extra_scopes", "x-mcp-header"];
    note_unknown(what, tool, &known);
    let mut entry = json!({"effect": tool["effect"], "external": tool["external"] == json!(true)});
    match &tool["requires"] {
        Value::Null => {}
        Value::String(what) if what == "change_ticket" => entry["groups"] = json!(["needs-change"]),
        other => panic!("world: {what} requires {other}, and only `change_ticket` can be built"),
    }
    if !tool["adds_label"].is_null() {
        entry["labels"] = json!(texts(&tool["adds_label"]));
    }
    if !tool["required_scope"].is_null() {
        entry["scopes"] = json!({"required": texts(&tool["required_scope"])});
        if !tool["harmless_extra_scopes"].is_null() {
            entry["scopes"]["acceptable"] = json!(texts(&tool["harmless_extra_scopes"]));
        }
    }
    if let Some(headers) = tool.get("x-mcp-header") {
        entry["headers"] = headers.clone();
    }
    entry
}

/// A route. One that does not say which extras are acceptable tolerates those that are acceptable elsewhere.
fn route(service: &Value, number: usize, written: &Value, acceptable: &BTreeSet<String>) -> Value {
    let known = ["method", "path", "required_scope", "harmless_extra_scopes", "strong_login_if"];
    note_unknown(&format!("route {}", written["path"]), written, &known);
    let same =
        |route: &&Value| route["match"] == written["path"] && texts(&route["methods"]) == texts(&written["method"]);
    let shipped = service["routes"].as_array().into_iter().flatten().find(same);
    let name = shipped.map_or_else(|| json!(format!("route-{number}")), |route| route["name"].clone());
    let groups = if written["strong_login_if"].is_null() { json!([]) } else { json!(["large-amounts"]) };
    let acceptable = match &written["harmless_extra_scopes"] {
        Value::Null => json!(acceptable),
        own => json!(texts(own)),
    };
    json!({"name": name, "match": written["path"], "methods": texts(&written["method"]), "groups": groups,
           "scopes": {"required": texts(&written["required_scope"]), "acceptable": acceptable}})
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
        let kind = match (issuer.token.as_deref(), issuer.access_token_typ.as_deref()) {
            (Some("Txn-Token"), _) => "transaction",
            (None, Some("at+jwt")) => "access",
            (None, None) => "kubernetes",
            other => panic!("world: issuer `{name}` is of a kind that cannot be built: {other:?}"),
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
            "processor": {"responses": true},
        }},
        "keys": {"issuers": written},
        "entity": {"lookups": [{
            "name": "tasks", "target": {"call": {"attribute": "task"}}, "optional": true, "missing": "absent",
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
