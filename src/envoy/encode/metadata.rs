//! Dynamic metadata of every answer: what access logs and later filters learn of the decision.
//!
//! Envoy stores it as `envoy.filters.http.ext_authz`, for denials as well.

use std::collections::{BTreeMap, HashMap};

use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value};
use uuid::Uuid;

use crate::check::Judgement;
use crate::decision::verdict::{Decision, Effect};

/// Our own keys, and the one that Envoy adds. `@metadata` may not use them: a log reader could not tell who speaks.
const RESERVED: [&str; 7] =
    ["decision", "decision_id", "digests", "ext_authz_duration", "policies", "reason", "service"];

/// Whether a verdict's metadata can be sent beside our own.
pub(super) fn check(metadata: &BTreeMap<String, String>) -> Result<(), String> {
    match metadata.keys().find(|key| RESERVED.contains(&key.as_str())) {
        Some(key) => Err(format!("metadata key `{key}` is one of Picket's own")),
        None => Ok(()),
    }
}

/// What is told about a decision.
pub(super) fn of(judgement: &Judgement, decision_id: Uuid) -> Struct {
    let mut fields = HashMap::with_capacity(8);
    let mut policies = Vec::new();
    let (decision, reason) = match &judgement.result {
        Ok(verdict) => {
            policies = verdict.determining.iter().map(|id| text(id.as_str())).collect();
            if let Effect::Allow(mutations) = &verdict.effect {
                let own = mutations.metadata.iter();
                fields.extend(own.map(|(key, value)| (key.clone(), text(value.as_str()))));
            }
            (verdict.decision(), verdict.reason().as_str())
        }
        Err(failure) => (Decision::Error, failure.code.as_str()),
    };
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    put("decision_id", text(decision_id.to_string()));
    put("decision", text(decision.as_str()));
    put("reason", text(reason));
    put("policies", of_kind(Kind::ListValue(ListValue { values: policies })));
    put("digests", of_kind(Kind::StructValue(Struct { fields: digests(judgement) })));
    if let Some(service) = &judgement.service {
        put("service", text(service.as_str()));
    }
    Struct { fields }
}

fn text(text: impl Into<String>) -> Value {
    of_kind(Kind::StringValue(text.into()))
}

fn of_kind(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

/// Digests of the units that judge the call: the mesh's and the called namespace's.
fn digests(judgement: &Judgement) -> HashMap<String, Value> {
    let Some(snapshot) = &judgement.snapshot else { return HashMap::new() };
    let namespace = judgement.service.as_deref().and_then(|service| service.split_once('/')).map(|(ns, _)| ns);
    let units = std::iter::once("mesh").chain(namespace);
    let digest = |unit: &str| snapshot.digests().get(unit).map(|hex| (unit.to_owned(), text(hex.as_str())));
    units.filter_map(digest).collect()
}
