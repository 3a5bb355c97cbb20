//! The slow, independent word on a verdict: plain Cedar over all rewritten policies, fed by JSON.
//!
//! Shares no code with `decision`'s own way from a query to Cedar, so that a mistake there shows here. Everything
//! is checked against the schema on the way in, and the store holds every action entity because Cedar puts
//! them there itself.

use cedar_policy::{Authorizer, Context, Decision, Effect, Entities, EntityUid, Policy, PolicySet, Request};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use picket::call::headers;
use picket::decision::bundle::Bundle;
use picket::decision::policy::mode::Mode;
use picket::decision::snapshot::Namespace;
use picket::decision::verdict::Reason;
use picket::decision::{Snapshot, Verdict};
use picket::failure::Code;
use picket::query::{Node, Query, Record, Uid, Value};
use serde_json::{Value as Json, json};

use crate::harness::direct::Seen;

/// The result of plain Cedar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub decision: Decision,
    /// Forbids that failed to evaluate.
    pub failed_forbids: usize,
}

impl Word {
    /// A permit is satisfied, no forbid is, and none failed.
    pub fn is_allow(&self) -> bool {
        self.decision == Decision::Allow && self.failed_forbids == 0
    }
}

/// Fails if an answer differs from plain Cedar's for the evaluated query, or if something panicked.
#[track_caller]
pub fn assert_proven(seen: &Seen) {
    let is_defect = seen.result.as_ref().is_err_and(|failure| failure.code == Code::Internal);
    assert!(!is_defect, "a panic was caught: {:?}", seen.result);
    let (Some(query), Some(snapshot)) = (&seen.query, &seen.snapshot) else {
        assert!(!seen.is_allow(), "allowed without a query and a snapshot: {:?}", seen.result);
        return;
    };
    let Ok(verdict) = &seen.result else { return };
    let word = word(snapshot, query);
    assert_eq!(word.is_allow(), would_allow(verdict), "plain Cedar: {word:?}; ours: {verdict:?}; {query:?}");
}

/// Fails where an allow leaves a header that Picket can set as the client sent it.
#[track_caller]
pub fn assert_stripped(request: &CheckRequest, response: &CheckResponse, seen: &Seen) {
    let Some(HttpResponse::OkResponse(ok)) = &response.http_response else { return };
    let (query, snapshot) = (seen.query.as_ref().unwrap(), seen.snapshot.as_ref().unwrap());
    let changeable = snapshot.changeable(&query.namespace);
    let http = request.attributes.as_ref().and_then(|a| a.request.as_ref()?.http.as_ref()).unwrap();
    let raw = http.header_map.iter().flat_map(|map| map.headers.iter().map(|header| &header.key));
    for name in raw.chain(http.headers.keys()) {
        let folded = headers::folded(name);
        let is_removed = ok.headers_to_remove.iter().any(|removed| headers::folded(removed) == folded);
        let is_ours = headers::is_reserved(name) || changeable.set_headers.contains(&folded) || is_removed;
        let is_set = ok.headers.iter().filter_map(|option| option.header.as_ref()).any(|header| header.key == *name);
        assert!(!is_ours || is_set || ok.headers_to_remove.contains(name), "`{name}` is left as it came: {ok:?}");
    }
}

/// Returns whether the policies allow. An obligation that cannot be carried out denies an allow afterwards.
fn would_allow(verdict: &Verdict) -> bool {
    matches!(verdict.reason(), Reason::PolicyPermit | Reason::ObligationConflict | Reason::ObligationUnmet)
}

/// Evaluates with plain Cedar.
#[track_caller]
pub fn word(snapshot: &Snapshot, query: &Query) -> Word {
    let mut policies: Vec<Policy> = enforced(snapshot.mesh());
    if let Some(Namespace::Loaded(unit)) = snapshot.namespace(&query.namespace) {
        policies.extend(enforced(unit));
    }
    let policies = PolicySet::from_policies(policies).unwrap();
    let (request, entities) = inputs(snapshot, query);
    let response = Authorizer::new().is_authorized(&request, &policies, &entities);
    let is_forbid = |error: &cedar_policy::AuthorizationError| {
        let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
        policies.policy(error.policy_id()).unwrap().effect() == Effect::Forbid
    };
    let failed_forbids = response.diagnostics().errors().filter(|error| is_forbid(error)).count();
    Word { decision: response.decision(), failed_forbids }
}

fn enforced(unit: &Bundle) -> Vec<Policy> {
    let enforced = unit.entries.values().filter(|entry| entry.mode == Mode::Enforce);
    enforced.map(|entry| entry.policy.clone()).collect()
}

/// A query as Cedar's inputs; panics where anything in it does not conform to the schema.
#[track_caller]
pub fn inputs(snapshot: &Snapshot, query: &Query) -> (Request, Entities) {
    let schema = snapshot.types().schema();
    let nodes = [&query.principal, &query.resource].into_iter().chain(&query.bags);
    let nodes: Vec<Json> = nodes.map(node).collect();
    let entities = Entities::from_json_value(Json::Array(nodes), Some(schema));
    let entities = entities.unwrap_or_else(|error| panic!("{:?}: {query:?}", miette::Report::new(error)));
    let action = uid(&Uid::new("Action", query.action.clone()));
    let context = Json::Object(query.context.iter().map(|(name, value)| (name.to_string(), json(value))).collect());
    let context = Context::from_json_value(context, Some((schema, &action)));
    let context = context.unwrap_or_else(|error| panic!("{:?}: {query:?}", miette::Report::new(error)));
    let request = Request::new(uid(&query.principal.uid), action, uid(&query.resource.uid), context, Some(schema));
    (request.unwrap_or_else(|error| panic!("{error}: {query:?}")), entities)
}

fn uid(uid: &Uid) -> EntityUid {
    EntityUid::from_json(json!({"type": uid.kind.as_str(), "id": uid.id.as_str()})).unwrap()
}

fn node(node: &Node) -> Json {
    let map = |map: &Record| -> Json {
        Json::Object(map.iter().map(|(name, value)| (name.to_string(), json(value))).collect())
    };
    let name = |uid: &Uid| json!({"type": uid.kind.as_str(), "id": uid.id.as_str()});
    let parents: Vec<Json> = node.ancestors.iter().filter(|uid| **uid != node.uid).map(name).collect();
    json!({"uid": name(&node.uid), "attrs": map(&node.attributes), "tags": map(&node.tags), "parents": parents})
}

fn json(value: &Value) -> Json {
    let extension = |name: &str, text: &str| json!({"__extn": {"fn": name, "arg": text}});
    match value {
        Value::String(text) => json!(text.as_str()),
        Value::Long(number) => json!(number),
        Value::Bool(flag) => json!(flag),
        Value::Set(items) => items.iter().map(json).collect(),
        Value::Record(fields) => {
            Json::Object(fields.iter().map(|(name, value)| (name.to_string(), json(value))).collect())
        }
        Value::Entity(uid) => json!({"__entity": {"type": uid.kind.as_str(), "id": uid.id.as_str()}}),
        Value::Time(milliseconds) => {
            let time = jiff::Timestamp::from_millisecond(*milliseconds).unwrap();
            extension("datetime", &time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
        }
        Value::Duration(text) => extension("duration", text),
        Value::Ip(text) => extension("ip", text),
        Value::Decimal(text) => extension("decimal", text),
    }
}
