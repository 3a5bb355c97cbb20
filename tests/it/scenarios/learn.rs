//! Facts that a file's `world` lacks and its positive cases show: the hosts, their paths and protocols, the audiences
//! of tokens, and the workloads that are the agents of examples 1 and 5.
//!
//! Negative cases and evasions add no facts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Scenario;

/// One host, as the cases that must be allowed use it.
#[derive(Debug, Default)]
pub struct Host {
    pub audiences: BTreeSet<String>,
    pub paths: BTreeSet<String>,
    pub is_a2a: bool,
}

/// Every host of a positive case, without its port.
pub fn hosts(scenarios: &[Scenario]) -> BTreeMap<String, Host> {
    let mut hosts: BTreeMap<String, Host> = BTreeMap::new();
    for scenario in positives(scenarios) {
        let host = hosts.entry(name(&scenario.host)).or_default();
        let audiences = scenario.token.iter().flat_map(|token| match &token.claims["aud"] {
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>(),
            one => one.as_str().into_iter().collect(),
        });
        // A token for several stores says nothing about any of them.
        if let [audience] = audiences.collect::<Vec<_>>().as_slice() {
            host.audiences.insert((*audience).to_owned());
        }
        host.paths.insert(scenario.path.split('?').next().unwrap_or_default().to_owned());
        host.is_a2a |= is_a2a(scenario);
    }
    hosts
}

/// Workloads that an example's positive cases come from.
pub fn callers(scenarios: &[Scenario], example: char) -> BTreeSet<&str> {
    let of = positives(scenarios).filter(|scenario| scenario.example.starts_with(example));
    of.map(|scenario| scenario.source_principal.as_str()).collect()
}

/// A host without its port.
pub fn name(host: &str) -> String {
    host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase()
}

impl Host {
    /// The service that such a host is, where the shipped catalogue has none: one that is there already and gets
    /// another host, or one of its own.
    pub fn service(&self, host: &str) -> Result<&'static str, Value> {
        let path = self.paths.first().map_or("", String::as_str);
        let id = host.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        match path {
            "/v1/chat/completions" | "/v1/responses" | "/v1/messages" => Ok("models/gateway"),
            path if path.starts_with("/v1/secret/") => Ok("secrets/vault"),
            path if path.starts_with("/api/v1/namespaces/") => Ok("secrets/kubernetes"),
            _ if self.is_a2a => {
                Err(json!({"id": format!("agents/{id}"), "hosts": [host], "protocol": "a2a", "token": {}}))
            }
            "/mcp" => Err(json!({"id": format!("other/{id}"), "hosts": [host], "protocol": "mcp", "token": {}})),
            _ => Err(json!({"id": format!("other/{id}"), "hosts": [host], "token": {}})),
        }
    }

    /// The endpoint of an agent: the text before the paths of the REST binding.
    pub fn a2a_endpoint(&self) -> Option<&str> {
        let path = self.paths.first().filter(|_| self.is_a2a)?;
        let rest = ["/message:", "/tasks", "/extendedAgentCard", "/v1/message:"];
        let before = rest.iter().find_map(|rest| path.find(rest)).map_or(path.as_str(), |at| &path[..at]);
        Some(if before.is_empty() { "/" } else { before })
    }
}

fn positives(scenarios: &[Scenario]) -> impl Iterator<Item = &Scenario> {
    scenarios.iter().filter(|scenario| scenario.kind == "positive")
}

fn is_a2a(scenario: &Scenario) -> bool {
    let has_version = scenario.headers.keys().any(|name| name.eq_ignore_ascii_case("a2a-version"));
    let body = scenario.body.as_deref().and_then(|body| serde_json::from_str::<Value>(body).ok());
    let method = body.as_ref().and_then(|body| body["method"].as_str()).unwrap_or_default();
    has_version || matches!(method, "message/send" | "message/stream" | "SendMessage" | "SendStreamingMessage")
}
