//! The same MCP call in every version: a verdict must not depend on the client's version.
//!
//! Every case about a message to an MCP server is written in each version, its headers and its `_meta` in that
//! version's form. Left out are messages that not every version has, and cases that are about one version's own
//! headers.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Runner, Scenario, call, files, world};
use crate::harness::said;

const NEWEST: &str = "2026-07-28";
const VERSIONS: [&str; 4] = ["2025-03-26", "2025-06-18", "2025-11-25", NEWEST];
/// Methods of all versions.
const METHODS: [&str; 7] = [
    "tools/call",
    "tools/list",
    "resources/read",
    "resources/list",
    "prompts/get",
    "prompts/list",
    "completion/complete",
];
/// Reasons that are about the form of one version.
const OF_ONE_VERSION: [&str; 5] =
    ["header_mismatch", "header_duplicated", "version_refused", "rpc_method_unknown", "method_not_allowed"];

#[tokio::test(flavor = "multi_thread")]
async fn the_same_mcp_call_gets_the_same_verdict_in_every_version() {
    let (mut compared, mut differences) = (0, Vec::new());
    for (_, file) in files() {
        let runner = Runner::new(&file);
        let mut server: Option<Arc<world::Running>> = None;
        for scenario in file.scenarios.iter().filter(|scenario| is_mcp(scenario)) {
            let mut verdicts = Vec::new();
            for scenario in
                std::iter::once(scenario.clone()).chain(VERSIONS.iter().filter_map(|version| put(scenario, version)))
            {
                let running = match server.take() {
                    Some(running) => running,
                    None => Arc::new(runner.server().await),
                };
                let answer = said(&running.ask(call::check(&scenario, &file.world, &runner.issuers)).await);
                // An allowed call may have used up its ticket.
                let is_used =
                    answer.decision == "allow" && scenario.body.iter().any(|body| body.contains("change_ticket"));
                server = Some(running).filter(|_| !is_used);
                verdicts.push((answer.decision, answer.reason));
            }
            let [first, others @ ..] = verdicts.as_slice() else { continue };
            if OF_ONE_VERSION.contains(&first.1.as_str()) {
                continue;
            }
            compared += others.len();
            if others.iter().any(|other| other.0 != first.0) {
                differences.push(format!("{}: {verdicts:?}", scenario.id));
            }
        }
    }
    println!("{compared} calls in another version compared");
    assert!(differences.is_empty(), "{} calls differ:\n{}", differences.len(), differences.join("\n"));
}

/// A message by POST to an MCP server, of a method that all versions have.
fn is_mcp(scenario: &Scenario) -> bool {
    let method = message(scenario).and_then(|message| message["method"].as_str().map(str::to_owned));
    let is_known = method.is_some_and(|method| METHODS.contains(&method.as_str()));
    scenario.is_about_a_request() && scenario.method == "POST" && scenario.path == "/mcp" && is_known
}

fn message(scenario: &Scenario) -> Option<Value> {
    scenario.body.as_deref().filter(|_| scenario.body_base64.is_none()).and_then(|body| serde_json::from_str(body).ok())
}

/// The call as a client of that version would send it; `None` where it cannot carry `_meta`.
fn put(scenario: &Scenario, version: &str) -> Option<Scenario> {
    let message = message(scenario)?;
    let body = scenario.body.as_deref()?;
    let mut put = scenario.clone();
    // In the text, so that what is odd about it stays: the second of two keys, an escape, a blank.
    put.body = Some(match body.contains("io.modelcontextprotocol/protocolVersion") {
        true => VERSIONS.iter().fold(body.to_owned(), |body, old| {
            let meta = |version: &str| format!("\"io.modelcontextprotocol/protocolVersion\":\"{version}\"");
            body.replace(&meta(old), &meta(version))
        }),
        // A message without the newest version's `_meta` is about that version.
        false if scenario.headers.get("mcp-protocol-version").is_some_and(|version| version == NEWEST) => return None,
        false => {
            message["params"].as_object()?;
            let meta = format!(
                r#""params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"{version}","io.modelcontextprotocol/clientCapabilities":{{}}}},"#
            );
            body.replacen("\"params\":{", &meta, 1).replacen(",}", "}", 1)
        }
    });
    put.headers.insert("mcp-protocol-version".to_owned(), version.into());
    let params = &message["params"];
    let name = params["name"].as_str().or(params["uri"].as_str());
    let ticket = params["arguments"]["ticket_id"].as_str().filter(|_| params["name"] == "tickets.get");
    let mirrored = [("mcp-method", message["method"].as_str()), ("mcp-name", name), ("mcp-param-ticket", ticket)];
    for (header, value) in mirrored {
        match value {
            Some(value) if version == NEWEST => {
                let _ = put.headers.entry(header).or_insert_with(|| encoded(value).into());
            }
            Some(_) | None if version != NEWEST => drop(put.headers.remove(header)),
            Some(_) | None => {}
        }
    }
    Some(put)
}

/// A text as these headers carry it.
fn encoded(text: &str) -> String {
    let is_plain = text.trim() == text && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if is_plain { text.to_owned() } else { format!("=?base64?{}?=", STANDARD.encode(text)) }
}
