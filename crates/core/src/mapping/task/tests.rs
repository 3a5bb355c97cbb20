use std::collections::{BTreeMap, BTreeSet};

use super::task_record;
use crate::call::UnixMillis;
use crate::catalog::Catalog;
use crate::identity::Task;
use crate::query::Value;

const CATALOG: &str = "
services:
  - {id: agents/tickets, hosts: [tickets-mcp.example], protocol: mcp, mcp: {endpoint: /mcp}}
  - {id: agents/root, hosts: [root-mcp.example], protocol: mcp, mcp: {endpoint: /}}
  - {id: agents/summarizer, hosts: [summarizer.example], protocol: a2a}
  - {id: shop/orders, hosts: [orders.example]}
";

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn none() -> Task {
    Task {
        id: "TASK-1".to_owned(),
        issuer: "https://txn.example".to_owned(),
        subject: "alice".to_owned(),
        issued_at: UnixMillis(0),
        expires_at: UnixMillis(60_000),
        tools: BTreeSet::new(),
        resources: BTreeSet::new(),
        paths: BTreeSet::new(),
        agents: BTreeSet::new(),
        models: BTreeSet::new(),
        servers: BTreeSet::new(),
        params: BTreeMap::new(),
    }
}

/// What the record says under `name`, when `agents/tickets` is called.
fn said(task: &Task, name: &str) -> Vec<String> {
    let catalog = Catalog::parse("catalog.yaml", CATALOG).unwrap();
    let Value::Record(record) = task_record(task, catalog.service("agents/tickets").unwrap(), &catalog) else {
        panic!("not a record")
    };
    let Value::Set(items) = &record[&name.into()] else { panic!("not a set") };
    let text = |item: &Value| match item {
        Value::Entity(uid) => uid.to_string(),
        Value::String(text) => text.to_string(),
        other => panic!("{other:?}"),
    };
    items.iter().map(text).collect()
}

#[test]
fn a_tool_is_the_called_services_unless_its_name_has_another() {
    for (name, expected) in [
        ("tickets.get", Some("agents/tickets/tickets.get")),
        ("agents/root/kb.search", Some("agents/root/kb.search")),
        ("agents/root/repo/get", Some("agents/root/repo/get")),
        ("https://root-mcp.example/kb.search", Some("agents/root/kb.search")),
        ("root-mcp.example/kb.search", Some("agents/root/kb.search")),
        ("https://tickets-mcp.example/mcp/tickets.get", Some("agents/tickets/tickets.get")),
        ("https://Tickets-mcp.example:443/mcp/tickets.get/", Some("agents/tickets/tickets.get")),
        ("tickets-mcp.example/tickets.get", Some("agents/tickets/tickets.get")),
        ("https://tickets-mcp.example/mcpx/y", Some("agents/tickets/mcpx/y")),
        ("https://tickets-mcp.example/mcp", None),
        ("https://tickets-mcp.example/", None),
        ("https://tickets-mcp.example", None),
        ("https://orders.example/mcp/x", None),
        ("https://elsewhere.example/mcp/x", None),
        ("elsewhere/service/x", None),
        ("agents/root", None),
        ("agents/root/", None),
        ("/x", None),
        ("", None),
    ] {
        let found = said(&Task { tools: set(&[name]), ..none() }, "tools");
        let expected: Vec<String> = expected.iter().map(|id| format!("Tool::\"{id}\"")).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_resource_is_named_as_its_ancestors_are() {
    for (uri, expected) in [
        ("ticket://4711/", Some("ticket://4711")),
        ("ticket://4711", Some("ticket://4711")),
        ("ticket://4711/notes", Some("ticket://4711/notes")),
        ("file:///etc/", Some("file:///etc")),
        ("urn:isbn:1", Some("urn:isbn:1")),
        ("ticket://", None),
        ("ticket:/", None),
        ("ticket:", None),
        ("ticket", None),
        ("/4711", None),
        ("", None),
    ] {
        let found = said(&Task { resources: set(&[uri]), ..none() }, "resources");
        let expected: Vec<String> =
            expected.iter().map(|uri| format!("McpResource::\"agents/tickets/{uri}\"")).collect();
        assert_eq!(found, expected, "{uri}");
    }
}

#[test]
fn a_path_names_its_service() {
    for (text, expected) in [
        ("shop/orders/v1", Some("shop/orders/v1")),
        ("shop/orders/v1/", Some("shop/orders/v1")),
        ("shop/orders/%76%31", Some("shop/orders/v1")),
        ("shop/orders/", Some("shop/orders/")),
        ("shop/orders", Some("shop/orders/")),
        ("https://orders.example/v1", Some("shop/orders/v1")),
        ("https://orders.example", Some("shop/orders/")),
        ("shop/orders/v1/../admin", None),
        ("shop/orders//v1", None),
        ("shop/orders/v1?x=y", None),
        ("https://orders.example/v1?x=y", None),
        ("https://elsewhere.example/v1", None),
        ("shop/other/v1", None),
        ("orders.example/v1", None),
        ("/v1", None),
        ("/", None),
        ("shop", None),
        ("", None),
    ] {
        let found = said(&Task { paths: set(&[text]), ..none() }, "paths");
        let expected: Vec<String> = expected.iter().map(|id| format!("Path::\"{id}\"")).collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn an_agent_is_found_by_id_host_or_url() {
    for (text, found) in [
        ("https://summarizer.example", true),
        ("https://summarizer.example/a2a", true),
        ("http://Summarizer.example:8080/", true),
        ("summarizer.example", true),
        ("agents/summarizer", true),
        ("agents/summarizer/x", false),
        ("https://summarizer.example.evil.example", false),
        ("https://summarizer.example@evil.example", false),
        ("https://evil.example/summarizer.example", false),
        ("summarizer", false),
        ("", false),
    ] {
        let expected: &[&str] = if found { &["Agent::\"agents/summarizer\""] } else { &[] };
        assert_eq!(said(&Task { agents: set(&[text]), ..none() }, "agents"), expected, "{text}");
    }
}

#[test]
fn servers_are_canonical_urls_and_agents_count_by_their_origin() {
    let task = Task {
        servers: set(&[
            "HTTPS://Tools.example:443/mcp/",
            "https://whole.example",
            "connector:drive",
            "javascript:x",
            "https://q.example/a?b",
        ]),
        agents: set(&["https://summarizer.example/a2a", "host-only.example", "agents/summarizer"]),
        ..none()
    };
    assert_eq!(
        said(&task, "servers"),
        [
            "connector:drive",
            "https://summarizer.example",
            "https://tools.example/mcp",
            "https://whole.example",
            "https://whole.example/",
        ]
    );
}

#[test]
fn a_model_is_the_called_services() {
    let task = Task { models: set(&["small", "meta/large", ""]), ..none() };
    assert_eq!(said(&task, "models"), ["Model::\"agents/tickets/meta/large\"", "Model::\"agents/tickets/small\""]);
}

#[test]
fn an_empty_task_is_a_record_of_empty_sets() {
    for name in ["tools", "resources", "paths", "agents", "models", "servers"] {
        assert_eq!(said(&none(), name), Vec::<String>::new());
    }
}
