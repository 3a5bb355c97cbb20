//! Explains the answer to a call, as text and JSON for people.
//!
//! Off the request path: the call is evaluated as always, then every policy is evaluated again.

mod text;

use serde_json::{Value as Json, json};

use super::judgement::Judgement;
use super::profile::Profile;
use picket_core::call::Call;
use picket_core::decision::explain::masked::MASKED;
use picket_core::decision::explain::{self, Line, Match};
use picket_core::decision::verdict::Effect;
use picket_core::mapping::service;
use picket_core::query::{Node, Query, Record, Value};

/// An explanation of one judgement.
#[derive(Debug)]
pub struct Explanation<'a> {
    judgement: &'a Judgement,
    tried: Vec<String>,
    lines: Vec<Line>,
}

impl<'a> Explanation<'a> {
    /// Collects everything that led to the judgement.
    #[must_use]
    pub fn of(judgement: &'a Judgement, call: &Call, profile: &Profile) -> Self {
        let catalog = judgement.snapshot.as_deref().map(picket_core::decision::Snapshot::catalog);
        let home = &profile.identity.home_trust_domain;
        let tried = catalog.map(|catalog| service::tried(call, &profile.mapping.service, catalog, home));
        let lines = match (&judgement.snapshot, &judgement.query) {
            (Some(snapshot), Some(query)) => explain::explain(snapshot, query).unwrap_or_default(),
            _ => Vec::new(),
        };
        Self { judgement, tried: tried.unwrap_or_default(), lines }
    }

    /// Explains a call that ended before it was read: only the failure is known.
    #[must_use]
    pub fn unread(judgement: &'a Judgement) -> Self {
        Self { judgement, tried: Vec::new(), lines: Vec::new() }
    }

    /// `allow`, `deny`, `challenge` or `error`.
    #[must_use]
    pub fn decision(&self) -> &'static str {
        match &self.judgement.result {
            Ok(verdict) => verdict.decision().as_str(),
            Err(_) => "error",
        }
    }

    /// The verdict's reason or the failure's code.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match &self.judgement.result {
            Ok(verdict) => verdict.reason().as_str(),
            Err(failure) => failure.code.as_str(),
        }
    }

    fn determining(&self) -> &[String] {
        self.judgement.result.as_ref().map(|verdict| verdict.determining.as_slice()).unwrap_or_default()
    }

    /// Every policy that can apply to the call and how far it matched, in order of id.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Policies with a matching scope that are not satisfied.
    fn near(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| matches!(line.matched, Match::Unmet { .. } | Match::Failed(_)))
    }

    /// Permits for this action and resource that name another principal, with that name.
    fn elsewhere(&self) -> impl Iterator<Item = (&Line, &str)> {
        self.lines.iter().filter(|line| line.entry.effect.to_string() == "permit").filter_map(|line| {
            let Match::OutOfScope(missed) = &line.matched else { return None };
            let [only] = missed.as_slice() else { return None };
            only.starts_with("principal").then_some((line, only.as_str()))
        })
    }

    /// The explanation for programs; `v` is the version of the format.
    #[must_use]
    pub fn json(&self) -> Json {
        let near = |line: &Line| {
            let (condition, values, error) = match &line.matched {
                Match::Unmet { condition, values } => (Some(condition.clone()), values.clone(), None),
                Match::Failed(message) => (None, Vec::new(), Some(message.clone())),
                Match::OutOfScope(_) | Match::Satisfied => (None, Vec::new(), None),
            };
            json!({"policy": line.entry.id, "file": line.entry.file, "line": line.entry.line,
                   "effect": line.entry.effect.to_string(), "unmet": condition, "values": values, "error": error})
        };
        let would_be = self.judgement.result.as_ref().ok().and_then(|verdict| verdict.would_be.as_ref());
        let would_be = would_be.map(|would_be| {
            json!({"decision": would_be.decision.as_str(), "reason": would_be.reason.as_str(),
                   "policies": would_be.determining})
        });
        json!({
            "v": 1,
            "decision": self.decision(),
            "reason": self.reason(),
            "detail": self.detail(),
            "service": self.judgement.service,
            "services_tried": self.tried,
            "policies": self.determining(),
            "masked": self.judgement.masked,
            "would_be": would_be,
            "query": self.judgement.query.as_ref().map(query_json),
            "digest": self.judgement.digest,
            "close": self.near().map(near).collect::<Vec<_>>(),
            "considered": self.lines.len(),
        })
    }

    /// The exact cause, if the policies do not show it.
    fn detail(&self) -> Option<&str> {
        let detail = match &self.judgement.result {
            Err(failure) => &failure.detail,
            Ok(verdict) => match &verdict.effect {
                Effect::Allow(_) => return None,
                Effect::Deny(denial) | Effect::Challenge(_, denial) => &denial.detail,
            },
        };
        Some(detail.as_str()).filter(|detail| !detail.is_empty())
    }

    /// The explanation for people.
    #[must_use]
    pub fn text(&self) -> String {
        text::render(self)
    }
}

fn query_json(query: &Query) -> Json {
    let bags: Json = query
        .bags
        .iter()
        .map(|bag| {
            let is_hidden = matches!(bag.uid.id.as_str(), "headers" | "query");
            let hidden =
                || bag.tags.keys().map(|name| (name.to_string(), MASKED.into())).collect::<serde_json::Map<_, _>>();
            (bag.uid.id.to_string(), if is_hidden { hidden().into() } else { map_json(&bag.tags) })
        })
        .collect::<serde_json::Map<_, _>>()
        .into();
    json!({
        "principal": node_json(&query.principal),
        "action": query.action.as_str(),
        "resource": node_json(&query.resource),
        "context": map_json(&query.context),
        "bags": bags,
        "namespace": query.namespace.as_str(),
    })
}

fn node_json(node: &Node) -> Json {
    let ancestors: Vec<String> = node.ancestors.iter().map(ToString::to_string).collect();
    json!({"uid": node.uid.to_string(), "attributes": map_json(&node.attributes), "tags": map_json(&node.tags), "in": ancestors})
}

fn map_json(map: &Record) -> Json {
    map.iter().map(|(name, value)| (name.to_string(), value_json(value))).collect::<serde_json::Map<_, _>>().into()
}

fn value_json(value: &Value) -> Json {
    match value {
        Value::String(text) => json!(text.as_str()),
        Value::Long(number) => json!(number),
        Value::Bool(flag) => json!(flag),
        Value::Set(items) => items.iter().map(value_json).collect(),
        Value::Record(record) => map_json(record),
        Value::Entity(_) | Value::Time(_) | Value::Duration(_) | Value::Ip(_) | Value::Decimal(_) => {
            json!(explain::show(value))
        }
    }
}
