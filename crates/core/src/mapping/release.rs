//! Maps a response to a query: the action is `release`, the resource the content inside what was requested.
//!
//! Knows: release records, the facts of a response. Must not know: protocols, bodies, how a record is sealed.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use crate::call::UnixMillis;
use crate::catalog::namespace_of;
use crate::query::{Node, Query, Record, Uid, Value, record};
use crate::release::{Allowed, Judged};

/// The action of every response.
pub const ACTION: &str = "release";

/// The maker of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseSource {
    /// The called service.
    Upstream,
    /// The proxy itself.
    Proxy,
}

impl ResponseSource {
    /// As policies read it in `context.source`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Proxy => "proxy",
        }
    }
}

/// The facts of a response, as far as its headers show them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseFacts {
    /// When its headers arrived.
    pub at: UnixMillis,
    /// Its maker.
    pub source: ResponseSource,
    /// Its HTTP status.
    pub status: u16,
    /// Its media type in lower case without parameters; empty if it has none.
    pub media_type: SmolStr,
    /// Its body is a stream of events.
    pub is_stream: bool,
}

/// The findings in a body so far.
#[derive(Debug, Clone, Copy)]
pub struct Findings<'a> {
    /// Names of detectors with findings.
    pub found: &'a BTreeSet<SmolStr>,
    /// Everything so far was read.
    pub inspected: bool,
    /// Media types that were let by unread.
    pub passed: &'a BTreeSet<SmolStr>,
}

/// The query about the response to one of the operations of a request. `home` is the home trust domain.
///
/// The record must cover what the policies read; see [`crate::release::Coverage::covers`].
#[must_use]
pub fn query(record: &Allowed, judged: &Judged, response: &ResponseFacts, seen: Findings<'_>, home: &str) -> Query {
    let namespace = namespace_of(&record.service).unwrap_or_default();
    Query {
        principal: record.principal.clone(),
        action: SmolStr::new_static(ACTION),
        resource: content(record, judged, &response.media_type, namespace, home),
        context: context(record, response, seen),
        bags: Vec::new(),
        namespace: namespace.into(),
    }
}

/// `Content::"models/gateway"` inside the requested resource and everything around it.
fn content(record: &Allowed, judged: &Judged, media_type: &SmolStr, namespace: &str, home: &str) -> Node {
    let mut node = Node::new(Uid::new("Content", record.service.clone()));
    node.set("mediaType", media_type.clone());
    if let Some(facts) = judged.resource.attributes.get("facts") {
        node.set("facts", facts.clone());
    }
    let around = [
        judged.resource.uid.clone(),
        Uid::new("Service", record.service.clone()),
        Uid::new("Namespace", namespace),
        Uid::new("TrustDomain", home),
    ];
    node.ancestors.extend(around.into_iter().chain(judged.resource.ancestors.iter().cloned()));
    node
}

fn context(of: &Allowed, response: &ResponseFacts, seen: Findings<'_>) -> Record {
    let mut env = of.env.clone();
    env.insert(SmolStr::new_static("now"), Value::Time(response.at.0));
    record([
        ("env", Value::Record(env)),
        ("found", Value::texts(seen.found.iter().cloned())),
        ("inspected", Value::Bool(seen.inspected)),
        ("passed", Value::texts(seen.passed.iter().cloned())),
        ("source", response.source.as_str().into()),
        ("status", Value::Long(i64::from(response.status))),
        ("stream", Value::Bool(response.is_stream)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::schema::{Types, cedar_values};
    use crate::release::Coverage;

    /// Types that content lies in by its service.
    const AROUND: [&str; 2] = ["Namespace", "TrustDomain"];

    fn allowed(resource: Node) -> Allowed {
        let mut principal = Node::new(Uid::new("Unauthenticated", "unauthenticated"));
        principal.ancestors = [Uid::new("Group", "chat")].into();
        Allowed {
            service: "agents/tickets".into(),
            judged: vec![Judged {
                rpc_id: None,
                action: "mcp.tools.call".into(),
                method: "tools/list".into(),
                resource,
            }],
            principal,
            env: record([("listener", "edge".into())]),
            coverage: Coverage::default(),
            carries_another_result: false,
            lists: None,
            masked: BTreeSet::new(),
        }
    }

    fn of(resource: Node) -> Query {
        let response = ResponseFacts {
            at: UnixMillis(1_796_000_000_000),
            source: ResponseSource::Upstream,
            status: 200,
            media_type: "text/event-stream".into(),
            is_stream: true,
        };
        let (found, passed) = (["card".into()].into(), ["image/png".into()].into());
        let record = allowed(resource);
        let seen = Findings { found: &found, inspected: false, passed: &passed };
        query(&record, &record.judged[0], &response, seen, "cluster.local")
    }

    #[test]
    fn content_lies_in_the_requested_resource_and_in_all_around_it() {
        let mut tool = Node::new(Uid::new("Tool", "agents/tickets/read"));
        tool.ancestors = [Uid::new("Group", "guarded"), Uid::new("McpServer", "agents/tickets")].into();
        let node = of(tool).resource;
        assert_eq!(node.uid, Uid::new("Content", "agents/tickets"));
        let ancestors = [
            Uid::new("Tool", "agents/tickets/read"),
            Uid::new("McpServer", "agents/tickets"),
            Uid::new("Service", "agents/tickets"),
            Uid::new("Namespace", "agents"),
            Uid::new("TrustDomain", "cluster.local"),
            Uid::new("Group", "guarded"),
        ];
        assert_eq!(node.ancestors, ancestors.into());
        assert_eq!(node.attributes, record([("mediaType", "text/event-stream".into())]));
    }

    #[test]
    fn every_query_fits_the_schema() {
        let types = Types::new("").unwrap();
        for (kind, id) in [
            ("Tool", "agents/tickets/read"),
            ("McpResource", "agents/tickets/ticket://1"),
            ("Prompt", "agents/tickets/p"),
            ("McpServer", "agents/tickets"),
            ("Agent", "agents/tickets"),
            ("Model", "agents/tickets/gpt"),
            ("Method", "agents/tickets/p.S/M"),
            ("Path", "agents/tickets/v1"),
        ] {
            let query = of(Node::new(Uid::new(kind, id)));
            assert_eq!(cedar_values::inputs(&query, &types).map(drop), Ok(()), "{kind}");
            // Cedar's own check of the entity: its parents must be of types that content may lie in.
            let name = |uid: &Uid| serde_json::json!({"type": uid.kind.as_str(), "id": uid.id.as_str()});
            let parents: Vec<_> = query.resource.ancestors.iter().map(name).collect();
            let parents: Vec<_> =
                parents.into_iter().filter(|uid| !AROUND.contains(&uid["type"].as_str().unwrap())).collect();
            let entity = serde_json::json!([{
                "uid": name(&query.resource.uid), "attrs": {"mediaType": "text/plain"}, "parents": parents,
            }]);
            let checked = cedar_policy::Entities::from_json_value(entity, Some(types.schema()));
            assert_eq!(checked.map(drop).map_err(|error| error.to_string()), Ok(()), "{kind}");
        }
    }

    #[test]
    fn the_environment_is_that_of_the_request_with_the_time_of_the_response() {
        let query = of(Node::new(Uid::new("Tool", "agents/tickets/read")));
        let env = record([("listener", "edge".into()), ("now", Value::Time(1_796_000_000_000))]);
        assert_eq!(query.context.get("env"), Some(&Value::Record(env)));
        assert_eq!(query.context.get("passed"), Some(&Value::texts(["image/png"])));
        assert_eq!(query.context.get("inspected"), Some(&Value::Bool(false)));
        assert_eq!((query.action.as_str(), query.namespace.as_str()), ("release", "agents"));
    }
}
